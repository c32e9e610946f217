"""Faults that strike a controller, or the program on a host, at a named failpoint."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from faults.controllers import Controller
from faults.fault_fleet import PATIENCE, Try


def _killed(one: Try, point: str, nth: int) -> Controller:
    first = one.start_failing(point, "kill", nth)
    first.wait(PATIENCE)
    return first


def _terminated(one: Try, point: str, nth: int) -> Controller:
    first = one.start_failing(point, "term", nth)
    first.wait(PATIENCE)
    return first


def _cut_off(one: Try, point: str, nth: int) -> Controller:
    """Every connection breaks; for the even passes no new one is possible for a while."""
    first = one.start_failing(point, "stop", nth)
    assert first.wait_until_stopped(PATIENCE), f"{point}#{nth} was not reached:\n{first.output}"
    for link in one.links.values():
        link.refuse() if nth % 2 == 0 else link.cut()
    first.send(signal.SIGCONT)
    time.sleep(1.5 if nth % 2 == 0 else 0)
    for link in one.links.values():
        link.mend()
    first.wait(PATIENCE)
    return first


FAULTS: dict[str, Callable[[Try, str, int], Controller]] = {"kill": _killed, "term": _terminated, "cut": _cut_off}
"""A controller is killed here; is asked to end here, and does so in order; loses all its connections here."""
OF_CONTROLLER = {
    "kill": "killed (SIGKILL)",
    "term": "told to end (SIGTERM)",
    "cut": "stopped, all links cut, continued",
}
OF_PROGRAM = {**OF_CONTROLLER, "cut": "stopped, its link cut, continued"}
ENDS = {"kill": {-9}, "term": {143, -15}, "cut": {0, 4, 5}}
"""Exit codes; a signal that comes before anything has begun ends it as any program, which a shell shows as 143, too."""


def strike_controller(one: Try, point: str, nth: int, fault: str) -> None:
    """A rollout whose controller suffers this fault at this pass of the point, to the end of its process."""
    first = FAULTS[fault](one, point, nth)
    assert f"failpoint {point}\n" in first.output, f"{point}#{nth} was not reached:\n{first.output}"
    assert first.code in ENDS[fault], f"{point}#{nth}:{fault} ended with {first.code}:\n{first.output}"


def strike_program(
    one: Try, name: str, point: str, nth: int, fault: str, look: Callable[[Path], None] = lambda _base: None
) -> bool:
    """A rollout in which this host's program suffers the fault at this pass of the point; whether it came there.

    `look` is shown the host as it is when the fault strikes.
    """
    settings = {"LIFTLOCK_TEST_FAILPOINTS": "1", "LIFTLOCK_HOST_FAILPOINT": f"{point}:stop:{name}"}
    first, base, passes = one.start(**settings), one.hosts[name], 0
    while (program := _wait_for_stopped_program(base, first)) is not None:
        passes += 1
        if passes == nth:
            look(base)
            if fault == "cut":
                one.links[name].cut()
            _go_on(program, {"kill": signal.SIGKILL, "term": signal.SIGTERM, "cut": signal.SIGCONT}[fault])
        else:
            _go_on(program, signal.SIGCONT)
    return passes >= nth


def _go_on(program: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(program, number)
        os.kill(program, signal.SIGCONT)


def _wait_for_stopped_program(base: Path, controller: Controller) -> int | None:
    """The host's program once it has stopped itself; None when the controller ends without that."""
    while not controller.over.is_set():
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                state = (process / "stat").read_text(errors="replace").rpartition(")")[2].split()[0]
                if state == "T" and str(base).encode() in (process / "cmdline").read_bytes():
                    return int(process.name)
        time.sleep(0.005)
    return None
