"""Running a command and knowing what it used."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

LOOK_EVERY = 0.02  # seconds between two looks at the memory


@dataclass(frozen=True, slots=True)
class Used:
    """What a command used: seconds of time, and of CPU with all its children."""

    wall: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Command:
    """A command to measure: `stdin` is a file that it reads, `sharing` where it keeps connections that outlive it."""

    words: Sequence[str]
    folder: Path
    stdin: Path = Path(os.devnull)
    environment: Mapping[str, str] = field(default_factory=dict)
    sharing: Path | None = None


class CommandFailedError(Exception):
    """A measured command did not do its work."""


def run(command: Command, beside: Callable[[int], None] = lambda _pid: None) -> Used:
    """Run it to its end, and `beside` it what is to be done meanwhile (given its process number).

    Connections that it leaves open are closed afterwards, and their CPU is its own. Raises CommandFailedError with
    the last of its output when it ends with anything but 0.
    """
    with tempfile.TemporaryFile() as output, command.stdin.open("rb") as stdin:
        began = time.monotonic()
        process = subprocess.Popen(
            command.words,
            stdin=stdin,
            stdout=output,
            stderr=output,
            cwd=command.folder,
            env=os.environ | command.environment,
        )
        beside(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
        cpu = usage.ru_utime + usage.ru_stime + sum(map(_close, _left_open(command)))
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            output.seek(max(0, output.tell() - 4000))
            told = output.read().decode("utf-8", "replace")
            raise CommandFailedError(f"{' '.join(command.words)} ended with {process.returncode}:\n{told}")
    return Used(wall, cpu)


def _left_open(command: Command) -> Iterator[int]:
    """OpenSSH's processes that keep a connection of the command for later."""
    for told in Path("/proc").glob("[0-9]*/cmdline") if command.sharing else ():
        with suppress(OSError):
            if told.read_text("utf-8", "replace").startswith(f"ssh: {command.sharing}"):
                yield int(told.parent.name)


def _close(pid: int) -> float:
    """End such a process; the CPU seconds it used."""
    with suppress(OSError):
        nanoseconds = int(Path(f"/proc/{pid}/schedstat").read_text("ascii").split()[0])
        os.kill(pid, signal.SIGKILL)
        return nanoseconds / 1e9
    return 0.0


def peak_memory(command: Command) -> int:
    """Run it to its end, watched: the most bytes it and its children held together at any one time.

    A page that several processes share counts by share (PSS), so many small processes and one large one
    compare. Watching costs time, so such a run is never timed. Linux only.
    """
    peak = 0

    def watch(pid: int) -> None:
        nonlocal peak
        while _is_running(pid):
            peak = max(peak, sum(map(_share_of_memory, (*_family(pid), *_left_open(command)))))
            time.sleep(LOOK_EVERY)

    run(command, watch)
    return peak


def _is_running(pid: int) -> bool:
    """Whether the child still runs; it is left to be waited for."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def _family(pid: int) -> Iterator[int]:
    """The process and all below it."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in children.read_text("ascii").split():
                yield from _family(int(child))


def _share_of_memory(pid: int) -> int:
    with suppress(OSError):  # it may just have ended
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


@contextmanager
def without_start(told: Path) -> Iterator[None]:
    """In a measured Python process: write to `told` what the work inside used, start and imports left out."""
    began, cpu = time.monotonic(), _cpu()
    yield
    used = Used(time.monotonic() - began, _cpu() - cpu)
    told.write_text(json.dumps(asdict(used)), encoding="ascii")


def _cpu() -> float:
    """CPU seconds of this process and its ended children."""
    both = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)
