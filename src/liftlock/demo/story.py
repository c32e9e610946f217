"""The demo: the main job on real parts, told step by step. Every step is a command that a user would type."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from liftlock.demo.mailbox import mailbox
from liftlock.demo.world import HELD, HOSTS, OLD_BACKUP, DemoHost, demo_hosts, make_workspace
from liftlock.errors import ExitCode, InputError, LiftlockError

LIFTLOCK = (sys.executable, "-m", "liftlock")


class Teller:
    """Says what it does and does it: runs liftlock in the workspace and insists on the exit code."""

    def __init__(self, workspace: Path, *, quiet: bool) -> None:
        self.workspace, self.quiet = workspace, quiet
        self.codes: dict[str, int] = {}

    def say(self, text: str) -> None:
        """A line of the story."""
        print(text, file=sys.stderr if self.quiet else sys.stdout, flush=True)

    def head(self, text: str) -> None:
        """The heading of a step."""
        bold, plain = ("\033[1m", "\033[0m") if sys.stdout.isatty() and not self.quiet else ("", "")
        self.say(f"\n{bold}== {text}{plain}")

    def run(self, *words: str, expect: ExitCode = ExitCode.DONE) -> None:
        """Run a task on screen. Raises LiftlockError when it ends otherwise than the story says."""
        command = shlex.join(("liftlock", *words))
        self.say(f"$ {command}")
        self.codes[command] = code = self._wait_for([*LIFTLOCK, *words])
        if code != expect:
            raise LiftlockError(f"{command} ended with exit code {code}, expected {int(expect)}")
        if expect is not ExitCode.DONE:
            self.say(f"(exit code {code}: as it should be)")

    def _wait_for(self, command: list[str]) -> int:
        """Run it to its end, also after Ctrl-C: a rollout then finishes the hosts in hand.

        In a session of its own, so that one Ctrl-C reaches it once, and from here.
        """
        process = subprocess.Popen(
            command, cwd=self.workspace, stdout=sys.stderr if self.quiet else None, start_new_session=True
        )
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            process.wait()
            raise
        finally:
            process.kill()

    def ask(self, *words: str) -> dict[str, Any]:
        """Run a task with --json and return what it says."""
        done = subprocess.run([*LIFTLOCK, *words, "--json"], cwd=self.workspace, check=True, capture_output=True)
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    def newest_plan(self, version: str) -> str:
        """The id of the plan that was made last for this version."""
        paths = (self.workspace / "plans").glob(f"boathouse-{version}-*.json")
        return max(paths, key=lambda path: path.stat().st_mtime).stem.rsplit("-", 1)[-1]


def tell(folder: Path | None, *, keep: bool, quiet: bool) -> dict[str, Any]:
    """Run the demo in `folder` (a fresh temporary one when None); return the exit codes and the files to open.

    Ends its own processes whatever happens. Raises LiftlockError when a step ends otherwise than it should.
    """
    begun = time.monotonic()
    root = _fresh(folder)
    workspace = root / "workspace"
    teller = Teller(workspace, quiet=quiet)
    signal.signal(signal.SIGTERM, _interrupt)
    teller.head(f"A fleet of {len(HOSTS)} sshd hosts, a mail server and a workspace in {root}")
    try:
        with demo_hosts(root / "hosts") as hosts, mailbox(root / "mail") as mail_port:
            make_workspace(workspace, hosts, root / "hosts" / "client_key", mail_port)
            _main_job(teller, hosts)
            files = _closing(teller, root, hosts, time.monotonic() - begun)
            if keep:
                _wait_for_interrupt(teller)
        teller.say(f"The workspace stays in {workspace}; its hosts, product and mail server are ended now.")
    except KeyboardInterrupt:
        teller.say("\ninterrupted: hosts, product and mail server are ended")
        raise
    return {"exit_codes": teller.codes, "files": [str(path) for path in files]}


def _main_job(teller: Teller, hosts: dict[str, DemoHost]) -> None:
    teller.say("No host is trusted yet: their keys are shown, then recorded.")
    teller.run("trust", "--yes")

    teller.head("1 of 6  plan 1.5.0: waves, windows, who is skipped and why, what 98 % allows")
    teller.run("plan", "boathouse", "1.5.0")
    plan = teller.newest_plan("1.5.0")

    teller.head("2 of 6  gate: pytest and testinfra against every planned host over SSH")
    teller.run("gate", plan, expect=ExitCode.REFUSED)
    teller.say(
        f"\nThe gate is right about {OLD_BACKUP}. Its administrator runs a backup there, and it is judged again:"
    )
    hosts[OLD_BACKUP].run("backup")
    teller.run("gate", plan, "--hosts", OLD_BACKUP)

    teller.head("3 of 6  notify: a letter per contact in their language, with invite and manual, over SMTP")
    teller.run("notify", plan)

    teller.head("4 of 6  rollout 1.5.0: in waves, healthy on the expected version through the bake")
    teller.run("rollout", plan)
    teller.say("\nThe same command again looks at every host and touches none:")
    teller.run("rollout", plan)

    teller.head("5 of 6  rollout 1.6.0, which is broken on two hosts: they go back by themselves, the rollout halts")
    teller.run("plan", "boathouse", "1.6.0")
    plan = teller.newest_plan("1.6.0")
    teller.run("gate", plan)
    teller.run("notify", plan)
    teller.run("rollout", plan, expect=ExitCode.STOPPED)
    _ask_every_host(teller, hosts)

    teller.head("6 of 6  report: the success rate against 98 %, from the record alone")
    teller.run("report", "--html", "out/report.html")


def _ask_every_host(teller: Teller, hosts: dict[str, DemoHost]) -> None:
    """The proof that does not come from liftlock: what every host itself answers."""
    answers = {name: host.health() for name, host in hosts.items()}
    wrong = {name: body for name, body in answers.items() if name != HELD and body.get("version") != "1.5.0"}
    sick = {name: body for name, body in answers.items() if body.get("status") != "ok"}
    if wrong or sick:
        raise LiftlockError(f"not healthy on 1.5.0 after the halt: {wrong | sick}")
    on_new = len(answers) - 1
    teller.say(f"\nAsked directly, {on_new} hosts answer healthy on 1.5.0, and {HELD}, which was skipped, on 1.4.0.")


def _closing(teller: Teller, root: Path, hosts: dict[str, DemoHost], seconds: float) -> list[Path]:
    report = teller.ask("report")
    json_file = teller.workspace / "out" / "report.json"
    json_file.write_text(json.dumps(report, ensure_ascii=False, indent=2), encoding="utf-8")
    manuals = sorted((teller.workspace / "out").glob("*/manuals/*.pdf"))
    if not manuals:
        teller.ask("manual", teller.newest_plan("1.5.0"))
        manuals = sorted((teller.workspace / "out").glob("*/manuals/*.pdf"))
    letters = sorted((root / "mail").glob("*.eml"))
    completed = [path for path in letters if "1.5.0" in path.name][-1]
    pick = [next(path for path in manuals if path.stem.endswith(language)) for language in ("en", "zh-CN")]
    files = [teller.workspace / "out" / "report.html", json_file, *pick, letters[0], completed, letters[-1]]
    teller.head(f"Done in {seconds:.0f} s on {len(hosts)} hosts. Open these:")
    for path in files:
        teller.say(f"  {path}")
    return files


def _fresh(folder: Path | None) -> Path:
    if folder is None:
        return Path(tempfile.mkdtemp(prefix="liftlock-demo-"))
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder} is not empty: name a fresh folder")
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


def _wait_for_interrupt(teller: Teller) -> None:
    teller.say(f"The hosts stay up until Ctrl-C; the workspace is {teller.workspace}.")
    try:
        signal.pause()
    except KeyboardInterrupt:
        teller.say("")


def _interrupt(_number: int, _frame: object) -> None:
    os.write(2, b"\n")
    raise KeyboardInterrupt
