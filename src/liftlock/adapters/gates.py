"""Gates: the workspace's own pytest suites, run against hosts in pytest processes of their own.

Each process judges a slice of the hosts and streams its findings back over a pipe, one JSON object a
line (the plugin at its other end is `gate_plugin.py`):

    {"host": ..., "test": ..., "verdict": ..., "message": ...}   what one test found
    {"host": ..., "seconds": ...}                                the host's last test is through
    {"trouble": ...}                                             why the run cannot go on

What the workspace says about pytest elsewhere (pyproject.toml, PYTEST_ADDOPTS, installed plugins,
tests/conftest.py) has no say here: the configuration file is ours and empty, plugins are not loaded by
themselves, and conftest.py is looked for in the suites' own folder only.
"""

from __future__ import annotations

import json
import os
import selectors
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

from pydantic import TypeAdapter

from liftlock.gate import Finding, explain_exit, judge
from liftlock.model import GateResult, Host, Product, Release, Verdict
from liftlock.settings import SshSettings
from liftlock.wording import printable

SLICE = 25
"""At most so many hosts share a pytest process: what a crash or a timeout can cost."""

_LISTEN_EVERY = 1.0
"""Seconds after which, at the latest, it is seen that somebody wants the gates to stop."""
_STOPPED = "told to stop before its tests were through"
_DID_NOT_START = 4  # pytest's exit status when, for one, conftest.py cannot be imported
_PLUGIN = "liftlock.adapters.gate_plugin"
_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH")


@dataclass(frozen=True, slots=True)
class GateRequest:
    """What a pytest process is told: the hosts to judge, how to reach them, and for which release."""

    hosts: tuple[Host, ...]
    ssh: SshSettings
    product: Product
    release: Release


REQUEST: TypeAdapter[GateRequest] = TypeAdapter(GateRequest)


SETTLED = "settled"
"""The folder beside the suites whose subfolders hold the gates that stops name; only those hops run them."""


class PytestGates:
    """The gate suites of a workspace as a `GateRunner`.

    `suites` is the folder that holds them, `log_dir` where each process's full output is kept as
    `gates-*.log` (control characters removed; None keeps nothing), `processes` how many run at once,
    `timeout` how long one of them may take for its slice (the ssh settings' `phase_timeout` if None).
    Once `stop` is set all of them end, and hosts that are not judged by then are errors.
    """

    def __init__(
        self,
        suites: Path,
        ssh: SshSettings,
        product: Product,
        release: Release,
        *,
        log_dir: Path | None = None,
        processes: int | None = None,
        timeout: timedelta | None = None,
        stop: Event | None = None,
    ) -> None:
        self._suites = suites.absolute()
        self._ssh, self._product, self._release = ssh, product, release
        self._log_dir = log_dir
        self._processes = processes or os.cpu_count() or 1
        self._seconds = (timeout or ssh.phase_timeout).total_seconds()
        self._stop = stop or Event()

    def run(self, hosts: Sequence[Host], on_result: Callable[[GateResult], None]) -> list[GateResult]:
        """Judge every host, each exactly once; results come in the order of `hosts`.

        `on_result` is called in the caller's thread as each verdict falls. Whatever ends this call
        early (an interrupt, an exception of `on_result`) ends the pytest processes with it.
        """
        results: dict[str, GateResult] = {}

        def judged(result: GateResult) -> None:
            results[result.host] = result
            on_result(result)

        if not self._suites.is_dir():
            for host in hosts:
                judged(judge(host.name, (), trouble=f"there is no folder {self._suites.name} with gate suites"))
        else:
            try:
                self._run_slices(deque(_slices(hosts, self._processes)), judged)
            except OSError as error:  # no room, or no process to be had, on this machine
                trouble = f"the suites could not be run: {error.strerror or error}"
                for host in [host for host in hosts if host.name not in results]:
                    judged(judge(host.name, (), trouble=trouble))
        return [results[host.name] for host in hosts]

    def _run_slices(self, waiting: deque[tuple[Host, ...]], judged: Callable[[GateResult], None]) -> None:
        with tempfile.TemporaryDirectory(prefix="liftlock-gates-") as scratch, _selector() as selector:
            while waiting or selector.get_map():
                while waiting and self._stop.is_set():
                    for host in waiting.popleft():
                        judged(judge(host.name, (), trouble=_STOPPED))
                while waiting and len(selector.get_map()) < self._processes:
                    run = self._start(waiting.popleft(), Path(tempfile.mkdtemp(dir=scratch)))
                    selector.register(run.results, selectors.EVENT_READ, run)
                runs: list[_Run] = [key.data for key in selector.get_map().values()]
                next_deadline = min((run.deadline for run in runs), default=0.0)
                for key, _ in selector.select(max(0.0, min(_LISTEN_EVERY, next_deadline - time.monotonic()))):
                    key.data.read(judged)
                stopped = self._stop.is_set()
                for run in runs:
                    if run.ended or stopped or run.deadline <= time.monotonic():
                        run.end(_STOPPED if stopped else f"the tests took longer than {self._seconds:.0f} s")
                        selector.unregister(run.results)
                        os.close(run.results)
                        with suppress(OSError):  # a full disk must not hide what was found
                            self._keep_log(run)
                        run.judge_the_rest(judged)

    def _start(self, hosts: tuple[Host, ...], scratch: Path) -> _Run:
        request, configuration, output = scratch / "request.json", scratch / "pytest.ini", scratch / "output"
        _write_private(request, REQUEST.dump_json(GateRequest(hosts, self._ssh, self._product, self._release)))
        _write_private(configuration, b"[pytest]\n")
        results, theirs = os.pipe()
        command = [sys.executable, "-P", "-m", "pytest", "-c", str(configuration), "--rootdir", str(self._suites)]
        command += ["--confcutdir", str(self._suites), "-o", f"pythonpath={shlex.quote(str(self._suites))}"]
        command += ["--import-mode=importlib", "--disable-plugin-autoload", "-p", "no:testinfra.plugin"]
        command += ["-p", "no:cacheprovider", "-p", _PLUGIN, "--color=no", "--tb=short", "-v"]
        command += ["--liftlock-request", str(request), "--liftlock-results", str(theirs), "--ignore", SETTLED, "."]
        try:
            with output.open("xb") as stdout:
                process = subprocess.Popen(
                    command,
                    cwd=self._suites,
                    env=_environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=subprocess.STDOUT,
                    pass_fds=(theirs,),
                    process_group=0,  # a ctrl-C at the terminal is ours to handle; and all it starts ends with it
                )
        finally:
            os.close(theirs)
        return _Run(hosts, process, results, output, time.monotonic() + self._seconds)

    def _keep_log(self, run: _Run) -> None:
        if self._log_dir is None:
            return
        self._log_dir.mkdir(parents=True, exist_ok=True)
        stamp = time.strftime("gates-%Y%m%dT%H%M%SZ-", time.gmtime())
        handle, _ = tempfile.mkstemp(prefix=stamp, suffix=".log", dir=self._log_dir)
        with (
            os.fdopen(handle, "w", encoding="utf-8") as log,
            run.output.open(encoding="utf-8", errors="replace") as output,
        ):
            log.writelines(printable(line.rstrip("\n"), " ") + "\n" for line in output)


@dataclass(slots=True, eq=False)
class _Run:
    """One pytest process at work on its hosts, and what it has said so far."""

    hosts: tuple[Host, ...]
    process: subprocess.Popen[bytes]
    results: int
    output: Path
    deadline: float
    ended: bool = False
    trouble: str = ""
    done: set[str] = field(default_factory=set)
    findings: dict[str, list[Finding]] = field(default_factory=dict)
    rest: bytes = b""

    def read(self, judged: Callable[[GateResult], None]) -> None:
        """Take in what the pipe holds; hosts whose last test is through are judged."""
        chunk = os.read(self.results, 1 << 16)
        self.ended = not chunk
        *lines, self.rest = (self.rest + chunk).split(b"\n")
        for line in lines:
            self._take(json.loads(line), judged)

    def end(self, why: str) -> None:
        """See the process off: one that has closed its pipe is about to go, any other ends now, and this is why."""
        if self.ended:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=10)
        else:
            self.trouble = why
        self.kill()

    def kill(self) -> None:
        """Leave neither the process nor anything that its tests started."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def judge_the_rest(self, judged: Callable[[GateResult], None]) -> None:
        """Judge the hosts whose tests are not all through on what there is."""
        status = self.process.returncode
        trouble = self.trouble or explain_exit(status, self._last_word() if status == _DID_NOT_START else "")
        for host in self.hosts:
            if host.name not in self.done:
                judged(judge(host.name, self.findings.get(host.name, ()), trouble))

    def _take(self, message: dict[str, Any], judged: Callable[[GateResult], None]) -> None:
        match message:
            case {"trouble": trouble}:
                self.trouble = self.trouble or trouble
            case {"host": host, "seconds": seconds}:
                self.done.add(host)
                judged(judge(host, self.findings.get(host, ()), seconds=seconds))
            case {"host": host, "test": test, "verdict": verdict, "message": text}:
                self.findings.setdefault(host, []).append(Finding(test, Verdict(verdict), text))

    def _last_word(self) -> str:
        """The last line of pytest's error account, which names the error; empty when there is none."""
        lines = self.output.read_text(encoding="utf-8", errors="replace").splitlines()
        return next((line[1:].strip() for line in reversed(lines) if line.startswith("E  ")), "")


def _slices(hosts: Sequence[Host], processes: int) -> Iterator[tuple[Host, ...]]:
    """The hosts in even slices, as many as keep every process busy, none longer than SLICE."""
    size = max(1, min(SLICE, -(-len(hosts) // processes)))
    return (tuple(hosts[start : start + size]) for start in range(0, len(hosts), size))


@contextmanager
def _selector() -> Iterator[selectors.BaseSelector]:
    """A selector over `_Run`s; runs still registered at the end are killed."""
    with selectors.DefaultSelector() as selector:
        try:
            yield selector
        finally:
            for key in selector.get_map().values():
                key.data.kill()
                os.close(key.data.results)


def _environment() -> dict[str, str]:
    """Little of ours: no secrets, and nothing that steers pytest."""
    kept = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    if "PYTHONPATH" in os.environ:  # the process starts in another folder than ours
        kept["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, os.environ["PYTHONPATH"].split(os.pathsep)))
    return kept | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1"}


def _write_private(path: Path, content: bytes) -> None:
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(content)
