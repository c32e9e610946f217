"""The demo's world: twelve sshd hosts that run Boathouse 1.4.0, four customers, and a workspace that knows them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from liftlock.app.scaffold import create_workspace
from liftlock.demo.loopback import free_port
from liftlock.demo.product import artifact_name
from liftlock.demo.sshd import LoopbackFleet, LoopbackHost
from liftlock.errors import LiftlockError

INSTALLED = "1.4.0"
HELD = "np-3"
"""Its customer asked to wait, so the plan skips it."""
OLD_BACKUP = "ls-2"
"""Its last backup is too old, so a gate refuses it until somebody runs one."""
OLD_DATA = ("hx-2", "ls-1")
"""They still keep bookings in the format of the 1.2 line, which 1.6.0 cannot read."""


@dataclass(frozen=True, slots=True)
class DemoCustomer:
    """A customer of the demo and the prefix of its hosts' names."""

    name: str
    prefix: str
    title: str
    language: str
    zone: str
    tier: str
    contact: tuple[str, str]


CUSTOMERS = (
    DemoCustomer("northpier", "np", "North Pier Rowing", "en", "Europe/Berlin", "low", ("Anna Brandt", "anna")),
    DemoCustomer("lakeside", "ls", "Lakeside Sailing Club", "en", "Europe/Berlin", "standard", ("Tom Weber", "tom")),
    DemoCustomer("huaxin", "hx", "华信水上运动", "zh-CN", "Asia/Shanghai", "standard", ("李雷", "li.lei")),
    DemoCustomer("lianhu", "lh", "莲湖赛艇俱乐部", "zh-CN", "Asia/Shanghai", "key", ("韩梅梅", "han.meimei")),
)
HOSTS = tuple(f"{customer.prefix}-{number}" for customer in CUSTOMERS for number in (1, 2, 3))


@dataclass(frozen=True, slots=True)
class DemoHost:
    """One host: its sshd and the port its Boathouse answers on."""

    sshd: LoopbackHost
    port: int

    @property
    def base(self) -> Path:
        """Where Boathouse lives on it."""
        return Path(self.sshd.base)

    def health(self) -> dict[str, str]:
        """What its Boathouse answers, asked directly and not through liftlock."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5) as answer:
                body: dict[str, str] = json.load(answer)
                return body
        except (OSError, urllib.error.URLError) as error:
            return {"status": str(error), "version": "?"}

    def run(self, script: str) -> None:
        """Run one of Boathouse's own scripts, as its administrator would."""
        environment = os.environ | {"PORT": str(self.port), "LIFTLOCK_BASE": str(self.base)}
        subprocess.run([self.base / "current" / "bin" / script], env=environment, check=True)


@contextmanager
def demo_hosts(folder: Path) -> Iterator[dict[str, DemoHost]]:
    """The demo's twelve hosts with Boathouse 1.4.0 up and healthy; all of it ends with the block."""
    with LoopbackFleet(folder, HOSTS) as fleet, boathouses(fleet) as hosts:
        yield hosts


@contextmanager
def boathouses(fleet: LoopbackFleet) -> Iterator[dict[str, DemoHost]]:
    """Boathouse 1.4.0 up and healthy on every host of a fresh fleet; it ends with the block.

    The hosts' names begin with the prefix of one of CUSTOMERS, whose they are.
    """
    hosts = {name: DemoHost(sshd, free_port()) for name, sshd in fleet.hosts.items()}
    try:
        for name, host in hosts.items():
            _install(name, host)
        _await_health(hosts)
        yield hosts
    finally:
        for name in hosts:
            fleet.stop_host(name)  # first of all, so that nothing starts a Boathouse again
        _end_boathouses(hosts)


def make_workspace(folder: Path, hosts: dict[str, DemoHost], client_key: Path, mail_port: int) -> None:
    """A workspace from the sample, with the demo's own fleet and settings in it."""
    create_workspace(folder)
    (folder / "inventories" / "example.yaml").unlink()
    (folder / "inventories" / "demo.yaml").write_text(_inventory(hosts, datetime.now(UTC)), encoding="utf-8")
    (folder / "liftlock.yaml").write_text(_settings(client_key, mail_port), encoding="utf-8")


def _install(name: str, host: DemoHost) -> None:
    """What is on a host before liftlock ever saw it: Boathouse 1.4.0, its data, a backup."""
    release = host.base / "releases" / INSTALLED
    release.mkdir(parents=True)
    with tarfile.open(
        Path(__file__).parents[1] / "sample/releases/boathouse/artifacts" / artifact_name(INSTALLED)
    ) as tar:
        for member in tar:  # by hand: Python 3.11.2, which Debian 12 has, knows no extraction filters yet
            content = tar.extractfile(member)
            assert content is not None
            file = release / member.name
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(content.read())
            file.chmod(member.mode)
    (host.base / "current").symlink_to(Path("releases") / INSTALLED)
    (host.base / "data").mkdir()
    if name in OLD_DATA:
        (host.base / "data" / "bookings-1.2.csv").write_text("boat,day\nhector,2019-05-04\n")
    host.run("restart")
    host.run("backup")
    if name == OLD_BACKUP:
        before = time.time() - timedelta(hours=51).total_seconds()
        os.utime(host.base / "data" / "last-backup", (before, before))


def _end_boathouses(hosts: dict[str, DemoHost]) -> None:
    """End every process that runs a Boathouse of these hosts, also one that no pid file names yet."""
    ours = [f"{host.base}/releases/".encode() for host in hosts.values()]
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if any(base in (process / "cmdline").read_bytes() for base in ours):
                os.kill(int(process.name), signal.SIGTERM)


def _await_health(hosts: dict[str, DemoHost]) -> None:
    deadline = time.monotonic() + 30
    for name, host in hosts.items():
        while host.health()["version"] != INSTALLED:
            if time.monotonic() > deadline:
                raise LiftlockError(f"{name}: Boathouse {INSTALLED} did not start; see {host.base}/boathouse.log")
            time.sleep(0.05)


def _inventory(hosts: dict[str, DemoHost], now: datetime) -> str:
    lines = ["fleet: demo", "customers:"]
    for customer in CUSTOMERS:
        person, mailbox = customer.contact
        lines += [
            f"  {customer.name}:",
            f"    title: {customer.title}",
            f"    language: {customer.language}",
            f"    timezone: {customer.zone}",
            f"    tier: {customer.tier}",
            f"    contacts: [{{name: {person}, email: {mailbox}@{customer.name}.example}}]",
            f'    windows: ["{_open_window(now, customer.zone)}"]',
        ]
    lines.append("hosts:")
    for name, host in hosts.items():
        customer = next(one for one in CUSTOMERS if name.startswith(one.prefix))
        hold = ', hold: "the customer asked to wait until after the regatta"' if name == HELD else ""
        lines.append(
            f"  - {{name: {name}, customer: {customer.name}, address: {host.sshd.address}, port: {host.sshd.port}, "
            f'base: {host.base}, expected_version: "{INSTALLED}", variables: {{port: "{host.port}"}}{hold}}}'
        )
    return "\n".join(lines) + "\n"


def _open_window(now: datetime, zone: str) -> str:
    """A weekly window in the customer's own time that is open now and for five hours to come."""
    local = now.astimezone(ZoneInfo(zone)).replace(minute=0)
    start, end = local - timedelta(hours=1), local + timedelta(hours=5)
    return f"{start:%a %H:%M}-{end:%a %H:%M}".lower()


def _settings(client_key: Path, mail_port: int) -> str:
    return f"""vendor: {{name: Boathouse Software, email: support@boathouse.example, phone: "+49 30 5550 100"}}
ssh: {{key: {client_key}}}
smtp:
  host: 127.0.0.1
  port: {mail_port}
  security: none
  sender: Boathouse Software <releases@boathouse.example>
policy:
  waves: ["1", "50%", "100%"]
  bake: 2s
  watch_every: 1s
  concurrency: 4
  rollback: all
  notice_lead: {{patch: 0s, security: 0s, upgrade: 0s}}   # a demo cannot wait a week
"""
