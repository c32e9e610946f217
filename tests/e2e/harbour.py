"""A release manager's world: sshd hosts that run Boathouse 1.4.0, a mail server, a workspace, and the command."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from liftlock.demo.mailbox import mailbox
from liftlock.demo.sshd import LoopbackFleet
from liftlock.demo.world import DemoHost, boathouses, make_workspace

LIFTLOCK = (sys.executable, "-m", "liftlock")
INV = (str(Path(sys.executable).with_name("inv")),)
TASKS = (
    *("init", "plan", "path", "diff", "approve", "gate", "manual", "notify", "rollout", "rollback", "status", "report"),
    *("calendar", "lifecycle", "trust", "doctor", "demo", "consent"),
    *("pause", "resume", "abort", "incident"),
)
WAIVED = ("--waive", "notice,gate", "--reason", "a test of something else")
PATIENCE = 30.0
"""Seconds after which something that must happen is given up; nothing waits so long when all is well."""


@dataclass(frozen=True)
class Ran:
    """One command that has ended."""

    words: tuple[str, ...]
    code: int
    stdout: str
    stderr: str

    @property
    def told(self) -> dict[str, Any]:
        """What `--json` said; standard output must hold that alone."""
        document: dict[str, Any] = json.loads(self.stdout)
        return document

    @property
    def outcomes(self) -> dict[str, str]:
        """How each host ended, by what a rollout or rollback told."""
        return {line["host"]: line["outcome"] for line in self.told["hosts"]}

    @property
    def causes(self) -> dict[str, str]:
        """And why."""
        return {line["host"]: line["cause"] for line in self.told["hosts"]}


@dataclass(frozen=True)
class Seen:
    """What is on a host's disk and what its Boathouse answers, without liftlock having a say."""

    link: str
    inode: int
    changed_ns: int
    pid: int
    version: str
    status: str
    releases: tuple[str, ...]
    incoming: tuple[str, ...]
    touched: bool
    """Whether liftlock has ever written here."""


def run(*words: str, cwd: Path, program: Sequence[str] = LIFTLOCK) -> Ran:
    """Run a command to its end."""
    done = subprocess.run(
        [*program, *words],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
        timeout=120,
    )
    return Ran(tuple(words), done.returncode, done.stdout, done.stderr)


def environment() -> dict[str, str]:
    """A release manager's: nothing of the test run's own leaks in."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "LIFTLOCK", "INVOKE"))}
    return kept | {"COLUMNS": "160"}


def within(condition: Callable[[], bool], seconds: float = PATIENCE) -> bool:
    """Whether the condition comes true in time."""
    deadline = time.monotonic() + seconds
    while not (true := condition()) and time.monotonic() < deadline:
        time.sleep(0.005)
    return true


class Harbour:
    """Some hosts, their mail, and a workspace that knows and trusts them."""

    def __init__(self, root: Path, fleet: LoopbackFleet, hosts: dict[str, DemoHost], post: ExitStack) -> None:
        self.fleet, self.hosts, self._post = fleet, hosts, post
        self.mail = root / "mail"
        self.workspace = root / "workspace"
        mail_port = post.enter_context(mailbox(self.mail))
        make_workspace(self.workspace, hosts, fleet.client_key, mail_port)
        self.inventory = self.workspace / "inventories" / "demo.yaml"
        self.releases = self.workspace / "releases" / "boathouse"
        self._settings = (fleet.client_key, mail_port)
        self.set_policy()
        self._running: list[subprocess.Popen[str]] = []

    def set_policy(self, **changes: str) -> None:
        """Write liftlock.yaml with a policy that does not keep anybody waiting; `changes` are YAML values."""
        policy = {
            "waves": '["1", "100%"]',
            "bake": "1s",
            "watch_every": "500ms",
            "reconcile_within": "3s",
            "concurrency": "4",
            "rollback": "all",
            "notice_lead": "{patch: 0s, security: 0s, upgrade: 0s}",
        } | changes
        key, mail_port = self._settings
        (self.workspace / "liftlock.yaml").write_text(
            "vendor: {name: Boathouse Software, email: support@boathouse.example}\n"
            f"ssh: {{key: {key}, connect_timeout: 5s}}\n"
            f"smtp: {{host: 127.0.0.1, port: {mail_port}, security: none, sender: releases@boathouse.example}}\n"
            "policy:\n" + "".join(f"  {name}: {value}\n" for name, value in policy.items()),
            encoding="utf-8",
        )

    def liftlock(self, *words: str, code: int = 0) -> Ran:
        """Run a task as a person does; it must end with this code, and never with a traceback."""
        ran = run(*words, cwd=self.workspace)
        assert (ran.code, "Traceback" in ran.stderr) == (code, False), f"{words}: {ran}"
        return ran

    def ask(self, *words: str, code: int = 0) -> Ran:
        """Run a task as a pipeline does, with --json; standard output must be JSON and nothing else."""
        ran = self.liftlock(*words, "--json", code=code)
        assert isinstance(ran.told, dict)
        return ran

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Begin a task and do not wait for it; it is ended with the harbour."""
        process = subprocess.Popen(
            [*LIFTLOCK, *words],
            cwd=self.workspace,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        self._running.append(process)
        return process

    def plan(self, version: str = "1.5.0", *more: str) -> str:
        """Plan a release; the short id."""
        return str(self.ask("plan", "boathouse", version, *more).told["id"])[:8]

    def announced(self, version: str = "1.5.0") -> str:
        """Plan a release, run its gates and tell its customers; the short id."""
        plan = self.plan(version)
        self.liftlock("gate", plan)
        self.liftlock("notify", plan)
        return plan

    def seen(self, name: str) -> Seen:
        """One host as it is now."""
        host = self.hosts[name]
        link, health = (host.base / "current").lstat(), host.health()
        return Seen(
            link=str((host.base / "current").readlink()),
            inode=link.st_ino,
            changed_ns=link.st_mtime_ns,
            pid=int((host.base / "boathouse.pid").read_text()),
            version=health["version"],
            status=health["status"],
            releases=names_in(host.base / "releases"),
            incoming=names_in(host.base / ".liftlock" / "incoming"),
            touched=(host.base / ".liftlock").exists(),
        )

    def all_seen(self) -> dict[str, Seen]:
        """Every host as it is now."""
        return {name: self.seen(name) for name in self.hosts}

    def versions(self) -> dict[str, str]:
        """What every host has installed, if its Boathouse answers healthy with the very same version."""
        return {
            name: seen.version if (seen.link, seen.status) == (f"releases/{seen.version}", "ok") else str(seen)
            for name, seen in self.all_seen().items()
        }

    def all_on(self, version: str) -> dict[str, str]:
        """What `versions` says when every host is healthy on this one."""
        return dict.fromkeys(self.hosts, version)

    def journal(self, name: str) -> str:
        """What liftlock has noted on a host."""
        path = self.hosts[name].base / ".liftlock" / "journal"
        return path.read_text() if path.exists() else ""

    def hold_before_switch(self) -> None:
        """Make 1.5.0 a release that waits on each host, lock in hand, until the host is let go."""
        manifest = self.releases / "1.5.0.yaml"
        waiting = 'before_switch: until [ -e "$LIFTLOCK_BASE/go" ]; do sleep 0.05; done\n'
        manifest.write_text(manifest.read_text(encoding="utf-8") + waiting, encoding="utf-8")

    def is_held(self, name: str) -> bool:
        """Whether the release waits on this host now."""
        return " begin " in self.journal(name).rpartition("\n")[0].rpartition("\n")[2]

    def let_go(self, *names: str) -> None:
        """Let these hosts go on; all when none is named."""
        for name in names or self.hosts:
            (self.hosts[name].base / "go").touch()

    def replace_artifact(self, version: str, content: bytes) -> None:
        """Offer these bytes under a version, with a manifest that tells the truth about them."""
        (self.releases / "artifacts" / f"boathouse-{version}.tar").write_bytes(content)
        manifest = self.releases / f"{version}.yaml"
        true = {"sha256": hashlib.sha256(content).hexdigest(), "length": str(len(content))}
        lines = manifest.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines):
            if (field := line.partition(":")[0].strip()) in true:
                lines[number] = f"  {field}: {true[field]}"
        manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def stop_boathouse(self, name: str) -> None:
        """End the Boathouse of a host, as a crash would."""
        os.kill(self.seen(name).pid, signal.SIGKILL)
        assert within(lambda: self.hosts[name].health()["version"] == "?")

    def stop_mail(self) -> None:
        """End the mail server."""
        self._post.close()

    def close(self) -> None:
        """End what was started and has not ended."""
        self.let_go()
        for process in self._running:
            if process.poll() is None:
                process.kill()
            process.communicate()


@contextmanager
def harbour(root: Path, names: Sequence[str]) -> Iterator[Harbour]:
    """A harbour with these hosts (named after the demo's customers), trusted and each on 1.4.0."""
    with LoopbackFleet(root / "hosts", names) as fleet, boathouses(fleet) as hosts, ExitStack() as post:
        made = Harbour(root, fleet, hosts, post)
        try:
            made.liftlock("trust", "--yes")
            yield made
        finally:
            made.close()


def names_in(folder: Path) -> tuple[str, ...]:
    """What lies in a folder, hidden or not, sorted; nothing when it is not there."""
    return tuple(sorted(path.name for path in folder.glob("*")))


def files_below(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, to see that nothing was touched."""
    found = {}
    for path in sorted(folder.rglob("*")):
        with suppress(FileNotFoundError):
            if path.is_file():
                found[str(path.relative_to(folder))] = path.read_bytes()
    return found
