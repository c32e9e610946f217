"""Somebody who does what a page says, in order, on real hosts: writes its files, types its commands."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from e2e.pages import Block, Command, Page
from liftlock.app.reviewing import code_for
from liftlock.app.workspace import Workspace
from liftlock.demo.mailbox import mailbox
from liftlock.demo.sshd import LoopbackFleet
from liftlock.demo.world import DemoHost, boathouses

ADDRESSES = {"192.0.2.11": "np-1", "192.0.2.12": "np-2", "198.51.100.21": "hx-1"}
"""The hosts of the sample inventory: addresses that RFC 5737 keeps for documentation."""
CODE = "K7QM-4TZC-2AXB"
"""What the pages show as the code in a customer's letter."""


@dataclass(frozen=True)
class Typed:
    """A command that was typed, with all it printed."""

    command: Command
    code: int
    stdout: str
    printed: str


@dataclass
class Reader:
    """A person with a home folder, a key that opens three hosts, and a mail server.

    Windows are always open, unless they are to stay as they are written.
    """

    home: Path
    hosts: dict[str, DemoHost]
    mail_port: int
    windows_as_written: bool = False
    folder: Path = field(init=False)

    def __post_init__(self) -> None:
        self.folder = self.home

    def follow(self, page: Page) -> Iterator[Typed]:
        """Do what the page says, block by block; yields every command when it has ended."""
        for block in page.blocks:
            if block.info == "sh on-each-host":
                self._work_on_hosts(block.text)
            elif block.kind == "yaml" and block.file:
                path = self.folder / block.file
                path.parent.mkdir(exist_ok=True)
                path.write_text(self._here(block.text), encoding="utf-8")
            elif block.info == "console":
                yield from self._type(block)

    def _type(self, block: Block) -> Iterator[Typed]:
        for command in block.commands:
            if command.line.startswith("cd "):
                self.folder = (self.folder / command.line[3:].replace("~", str(self.home))).resolve()
                continue
            yield self._run(command)
            if command.line.startswith("liftlock init"):
                self._settle_in(Path(command.line.split()[2].replace("~", str(self.home))))

    def _run(self, command: Command) -> Typed:
        line = self._with_our_code(self._with_our_plans(command.line))
        leader, follower = os.openpty()  # a task asks its questions of a terminal only
        with os.fdopen(leader, "wb", buffering=0) as keyboard, os.fdopen(follower, "rb") as stdin:
            keyboard.write(command.answers.encode())
            done = subprocess.run(
                line,
                shell=True,
                cwd=self.folder,
                env=self._environment(),
                stdin=stdin,
                capture_output=True,
                text=True,
                check=False,
                timeout=180,
            )
        printed = (done.stdout + "\n" + done.stderr).replace(str(self.home), "/home/you")
        return Typed(command, done.returncode, done.stdout, printed)

    def _with_our_plans(self, line: str) -> str:
        """The line with our newest plan for the last id in it, the plan before for the one before, and so on."""
        ids = re.compile(r"\b[0-9a-f]{8}\b")
        plans = sorted(self.folder.glob("plans/*.json"), key=lambda path: path.stat().st_mtime_ns)
        ours = iter([path.stem.rsplit("-", 1)[-1] for path in plans][-len(ids.findall(line)) or len(plans) :])
        return ids.sub(lambda _: next(ours), line)

    def _with_our_code(self, line: str) -> str:
        """The line with the code of our newest plan's first letter for the one in it."""
        if CODE not in line:
            return line
        plan = max(self.folder.glob("plans/*.json"), key=lambda path: path.stat().st_mtime_ns)
        told = json.loads(plan.read_text(encoding="utf-8"))
        return line.replace(CODE, code_for(Workspace(self.folder), told["id"], told["hosts"][0]["customer"]))

    def _environment(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return {"HOME": str(self.home), "PATH": path, "COLUMNS": "200", "LANG": "C.UTF-8"}

    def _settle_in(self, workspace: Path) -> None:
        """What stays unsaid in the pages: a fresh workspace's sample hosts, mail server and policy are ours."""
        for name in ("liftlock.yaml", "inventories/example.yaml"):
            path = workspace / name
            path.write_text(self._here(path.read_text(encoding="utf-8")), encoding="utf-8")

    def _here(self, text: str) -> str:
        """The text of a file with our hosts, our mail server, and no time to wait."""
        lines = [self._with_our_host(line) for line in text.splitlines()]
        text = "\n".join(lines) + "\n"
        text = text.replace("2525", str(self.mail_port)).replace("~/.ssh/id_ed25519", "~/.ssh/liftlock")
        if not self.windows_as_written:
            text = re.sub(r"windows: \[.*\]", 'windows: ["always"]', text)
        return re.sub(r"(bake|watch_every): \S+", r"\1: 1s", text)

    def _with_our_host(self, line: str) -> str:
        for address, name in ADDRESSES.items():
            if address in line:
                host = self.hosts[name]
                ours = f"address: {host.sshd.address}, port: {host.sshd.port}, base: {host.base}"
                return line.replace(f"address: {address}, user: deploy", ours).replace("8080", str(host.port))
        return line

    def _work_on_hosts(self, script: str) -> None:
        """Take away what is installed on every host, and do there what its administrator does by hand."""
        for host in self.hosts.values():
            (host.base / "current").unlink()
            for folder in ("releases", "data", "backups"):
                shutil.rmtree(host.base / folder)
            ours = script.replace("/opt/boathouse", str(host.base)).replace("8080", str(host.port))
            subprocess.run(["sh", "-euc", ours], cwd=self._upload(host), check=True, timeout=30)

    def _upload(self, host: DemoHost) -> Path:
        """The host's home folder, where `scp` has put the sample's first release."""
        home = host.base.parent / "home"
        home.mkdir(exist_ok=True)
        shutil.copy(self.folder / "releases/boathouse/artifacts/boathouse-1.4.0.tar", home)
        return home


@contextmanager
def reader(root: Path) -> Iterator[Reader]:
    """A reader with three hosts that run Boathouse 1.4.0; all of it ends with the block."""
    with (
        LoopbackFleet(root / "hosts", list(ADDRESSES.values())) as fleet,
        boathouses(fleet) as hosts,
        mailbox(root / "mail") as mail_port,
    ):
        key = root / "home" / ".ssh" / "liftlock"
        key.parent.mkdir(parents=True)
        shutil.copy(fleet.client_key, key)
        yield Reader(root / "home", hosts, mail_port)


def shape_of(text: str) -> str:
    """The text without what differs from run to run: numbers, digests, days, zones and the width of columns."""
    text = re.sub(r"SHA256:\S+", "FINGERPRINT", text)
    text = re.sub(r"\b(?=[a-f]*\d)[0-9a-f]{8,64}\b", "N", text)
    text = re.sub(r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun)\b", "DAY", text)
    text = re.sub(r"\b(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\b", "MONTH", text)
    text = re.sub(r"\b(CET|CEST)\b", "ZONE", text)
    return " ".join(re.sub(r"\d+", "N", text).split())
