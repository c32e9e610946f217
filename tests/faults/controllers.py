"""Controllers by the dozen: a warm process that forks one for each request, which then runs the real command line.

Importing everything takes longer than a whole rollout of three hosts; it is done once here. A forked controller is
a process like any other: it can be killed, stopped and continued, and it ends with the exit code of its task.
"""

from __future__ import annotations

import json
import os
import queue
import resource
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

STARTS_WITHIN = 30.0


@dataclass
class Controller:
    """One controller: its process, and once it has ended its exit code (negative: the signal that killed it)."""

    pid: int
    said: Path
    began: float = field(default_factory=time.monotonic)
    ended: float | None = None
    code: int | None = None
    over: threading.Event = field(default_factory=threading.Event)
    timed: bool = False
    """Whether the checker has seen to it that it ended in time."""

    def wait(self, seconds: float) -> int | None:
        """Its exit code; None when it has not ended in time."""
        self.over.wait(seconds)
        return self.code

    def send(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    @property
    def stopped(self) -> bool:
        """Whether it is stopped by SIGSTOP now."""
        try:
            state = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        except OSError:
            return False
        return state == "T"

    def wait_until_stopped(self, seconds: float) -> bool:
        """Whether it stops in time, rather than ends."""
        deadline = time.monotonic() + seconds
        while not self.over.is_set() and time.monotonic() < deadline:
            if self.stopped:
                return True
            time.sleep(0.002)
        return False

    @property
    def output(self) -> str:
        """What it has said so far, both streams together."""
        return self.said.read_text(encoding="utf-8", errors="replace")

    @property
    def seconds(self) -> float:
        """How long it ran, or has been running."""
        return (self.ended or time.monotonic()) - self.began


class Controllers:
    """The warm process."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=dict(environment or os.environ),
            start_new_session=True,
        )
        self._started: queue.Queue[int] = queue.Queue()
        self._running: dict[int, Controller] = {}
        self._ended: dict[int, int] = {}
        self._lock = threading.Lock()
        threading.Thread(target=self._listen, daemon=True).start()

    def start(
        self, words: list[str], cwd: Path, said: Path, environment: Mapping[str, str], largest_file: int | None = None
    ) -> Controller:
        """A controller that runs these words of the command line in that folder; `largest_file` is in bytes."""
        request = {"words": words, "cwd": str(cwd), "said": str(said), "environment": dict(environment)}
        request |= {"largest_file": largest_file}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()
        pid = self._started.get(timeout=STARTS_WITHIN)
        controller = Controller(pid, said)
        with self._lock:
            self._running[pid] = controller
            if pid in self._ended:
                self._end(pid, self._ended.pop(pid))
        return controller

    def close(self) -> None:
        """End the controllers that still run, and the warm process."""
        with self._lock:
            for pid in self._running:
                os.kill(pid, signal.SIGKILL)
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(STARTS_WITHIN)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            word, number, *code = line.split()
            if word == b"started":
                self._started.put(int(number))
                continue
            with self._lock:
                self._ended[int(number)] = int(code[0])
                if int(number) in self._running:
                    self._end(int(number), self._ended.pop(int(number)))
        self._process.stdout.close()

    def _end(self, pid: int, code: int) -> None:
        controller = self._running.pop(pid)
        controller.ended, controller.code = time.monotonic(), code
        controller.over.set()


def _serve() -> None:
    run = _warmed()
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    waiting = b""
    while True:
        ready = select.select([0, reading], [], [])[0]
        if reading in ready:
            os.read(reading, 1000)
            _tell_the_ended()
        if 0 in ready:
            more = os.read(0, 65536)
            if not more:
                return
            *requests, waiting = (waiting + more).split(b"\n")
            for request in requests:
                if (pid := os.fork()) == 0:
                    _become_a_controller(json.loads(request), run)
                os.write(1, b"started %d\n" % pid)


def _tell_the_ended() -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        os.write(1, b"ended %d %d\n" % (pid, os.waitstatus_to_exitcode(status)))


def _warmed() -> Callable[[], None]:
    """Everything that a rollout imports, loaded; returns the command line's entry."""
    import liftlock.adapters.connection
    import liftlock.adapters.db
    import liftlock.adapters.ssh
    import liftlock.adapters.terminal
    import liftlock.app.planning
    import liftlock.app.rolling
    import liftlock.tasks  # noqa: F401
    from liftlock.main import main

    return main


def _become_a_controller(request: dict[str, object], run: Callable[[], None]) -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    said = os.open(str(request["said"]), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for source, number in ((os.open(os.devnull, os.O_RDONLY), 0), (said, 1), (said, 2)):
        os.dup2(source, number)
    os.chdir(str(request["cwd"]))
    os.environ.update(request["environment"])  # type: ignore[call-overload]
    if (size := request["largest_file"]) is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))  # type: ignore[arg-type]
    sys.argv = ["liftlock", *request["words"]]  # type: ignore[misc]
    code: object = 0
    try:
        run()
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)


if __name__ == "__main__":
    _serve()
