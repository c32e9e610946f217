"""Every failpoint x every fault: the hosts keep a working release, and running the same command again finishes."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from faults.checker import Tally, check, finish
from faults.controllers import Controller
from faults.fault_fleet import PATIENCE, FaultFleet, Try
from faults.results import ROUNDS, record
from faults.watcher import Watcher
from liftlock.adapters.program import failpoints

SOUND: tuple[str, ...] = ()
ILL = ("raft-2",)
"""The second wave's first host cannot run the new release: the rollout halts, and all hosts go back."""
SHORT = (
    ("append.after.started", 1, "kill", SOUND),
    ("append.after.started", 2, "term", SOUND),
    ("append.before.switched", 2, "kill", SOUND),
    ("append.after.switched", 1, "cut", SOUND),
    ("append.before.ended", 1, "kill", SOUND),
    ("confirm.before", 1, "kill", SOUND),
    ("upgrade.before", 2, "cut", SOUND),
    ("roll_back.before", 1, "kill", ILL),
    ("roll_back.after", 1, "cut", ILL),
)
SHORT_ON_HOST = (
    ("linked", "kill", SOUND),
    ("restarted", "cut", SOUND),
    ("journal_end", "term", SOUND),
    ("restored", "kill", ILL),
)
NOT_REACHED = {"auto_begin", "auto_end", "pruned"}
"""Failpoints of phases that these rollouts do not come to; test_fault_guard.py and the host's own tests do."""


def killed(one: Try, point: str, nth: int) -> Controller:
    """A controller that is killed here."""
    first = one.start_failing(point, "kill", nth)
    first.wait(PATIENCE)
    return first


def terminated(one: Try, point: str, nth: int) -> Controller:
    """A controller that is asked to end here, and does so in order."""
    first = one.start_failing(point, "term", nth)
    first.wait(PATIENCE)
    return first


def cut_off(one: Try, point: str, nth: int) -> Controller:
    """A controller whose every connection breaks here; for the even passes no new one is possible for a while."""
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


FAULTS: dict[str, Callable[[Try, str, int], Controller]] = {"kill": killed, "term": terminated, "cut": cut_off}
IN_WORDS = {"kill": "killed (SIGKILL)", "term": "told to end (SIGTERM)", "cut": "stopped, all links cut, continued"}
ENDS = {"kill": {-9}, "term": {143, -15}, "cut": {0, 4, 5}}
"""Exit codes; a signal that comes before anything has begun ends it as any program, which a shell shows as 143, too."""


def try_once(fleet: FaultFleet, tally: Tally, point: str, nth: int, fault: str, ill: tuple[str, ...]) -> list[str]:
    """One fault, the same command again until it ends, and what is wrong then."""
    with fleet.new_try(*ill) as one:
        first = FAULTS[fault](one, point, nth)
        assert f"failpoint {point}\n" in first.output, f"{point}#{nth} was not reached:\n{first.output}"
        assert first.code in ENDS[fault], f"{point}#{nth}:{fault} ended with {first.code}:\n{first.output}"
        return finish(one, tally) + check(one, tally)


def try_on_host(fleet: FaultFleet, tally: Tally, point: str, fault: str, ill: tuple[str, ...]) -> list[str] | None:
    """The same with the fault in the host's own program; None when a rollout does not come to that point."""
    with fleet.new_try(*ill) as one:
        point_of_host = {"LIFTLOCK_TEST_FAILPOINTS": "1", "LIFTLOCK_HOST_FAILPOINT": f"{point}:stop:raft-2"}
        first = one.start(**point_of_host)
        program = wait_for_stopped_program(one.hosts["raft-2"], first)
        if program is None:
            return None
        if fault == "cut":
            one.links["raft-2"].cut()
        _go_on(program, {"kill": signal.SIGKILL, "term": signal.SIGTERM, "cut": signal.SIGCONT}[fault])
        while (again := wait_for_stopped_program(one.hosts["raft-2"], first)) is not None:  # in a later phase
            _go_on(again, signal.SIGCONT)
        return finish(one, tally) + check(one, tally)


def _go_on(program: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(program, number)
        os.kill(program, signal.SIGCONT)


def wait_for_stopped_program(base: Path, controller: Controller) -> int | None:
    """The host's program once it has stopped itself; None when the controller ends without that."""
    while not controller.over.is_set():
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                state = (process / "stat").read_text(errors="replace").rpartition(")")[2].split()[0]
                if state == "T" and str(base).encode() in (process / "cmdline").read_bytes():
                    return int(process.name)
        time.sleep(0.005)
    return None


def points_passed(fleet: FaultFleet, ill: tuple[str, ...]) -> Counter[str]:
    """Every failpoint of the controller that a whole rollout passes, and how often."""
    with fleet.new_try(*ill) as one:
        told = one.run(LIFTLOCK_TEST_FAILPOINTS="1", LIFTLOCK_FAILPOINT="*:tell")
        assert told.code == (4 if ill else 0), told.output
        lines = [line.rpartition("failpoint ") for line in told.output.splitlines()]
        return Counter(name for _, said, name in lines if said)


def assert_nothing_was_lost(wrong: list[str] | None, tally: Tally, watcher: Watcher) -> None:
    seen = watcher.seen()
    assert wrong is not None, "the point was not reached"
    assert not wrong, "\n".join(wrong)
    assert seen.samples > 100
    assert seen.broken == 0, seen.told
    assert (tally.lost, tally.doubled, tally.stalls) == (0, 0, 0)


@pytest.mark.parametrize(
    ("point", "nth", "fault", "ill"), SHORT, ids=[f"{fault}-{point}-{nth}" for point, nth, fault, _ in SHORT]
)
def test_a_fault_of_the_controller_loses_nothing(
    fleet: FaultFleet, watcher: Watcher, point: str, nth: int, fault: str, ill: tuple[str, ...]
) -> None:
    tally = Tally()
    assert_nothing_was_lost(try_once(fleet, tally, point, nth, fault, ill), tally, watcher)


@pytest.mark.parametrize(
    ("point", "fault", "ill"), SHORT_ON_HOST, ids=[f"{fault}-{point}" for point, fault, _ in SHORT_ON_HOST]
)
def test_a_fault_of_the_host_program_loses_nothing(
    fleet: FaultFleet, watcher: Watcher, point: str, fault: str, ill: tuple[str, ...]
) -> None:
    tally = Tally()
    assert_nothing_was_lost(try_on_host(fleet, tally, point, fault, ill), tally, watcher)


@pytest.mark.long
@pytest.mark.parametrize("ill", [SOUND, ILL], ids=["sound", "ill"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_controller_at_every_point_loses_nothing(
    fleet: FaultFleet, watcher: Watcher, subtests: pytest.Subtests, fault: str, ill: tuple[str, ...]
) -> None:
    points, tally = points_passed(fleet, ill), Tally()
    for number in range(ROUNDS):
        for point, passes in points.items():
            with subtests.test(point=point, round=number):
                wrong = try_once(fleet, tally, point, 1 + number % passes, fault, ill)
                assert not wrong, "\n".join(wrong)
    seen = watcher.seen()
    record(f"Controller {IN_WORDS[fault]} at each of {len(points)} points, {_release(ill)}", tally.seen(), tally, seen)
    assert seen.broken == 0, seen.told


@pytest.mark.long
@pytest.mark.parametrize("ill", [SOUND, ILL], ids=["sound", "ill"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_host_program_at_every_point_loses_nothing(
    fleet: FaultFleet, watcher: Watcher, subtests: pytest.Subtests, fault: str, ill: tuple[str, ...]
) -> None:
    tally, reached = Tally(), set(failpoints())
    for number in range(max(1, ROUNDS // 2)):
        for point in sorted(reached):
            with subtests.test(point=point, round=number):
                wrong = try_on_host(fleet, tally, point, fault, ill)
                if wrong is None:
                    reached.remove(point)
                assert not wrong, "\n".join(wrong)
    seen = watcher.seen()
    words = "stopped, its link cut, continued" if fault == "cut" else IN_WORDS[fault]
    record(f"Host program {words} at each of {len(reached)} points, {_release(ill)}", tally.seen(), tally, seen)
    assert seen.broken == 0, seen.told
    assert len(reached) >= 10


def _release(ill: tuple[str, ...]) -> str:
    return "a release that one host cannot run" if ill else "a sound release"


def test_there_are_more_than_twenty_five_failpoints(fleet: FaultFleet) -> None:
    of_controller = set(points_passed(fleet, SOUND)) | set(points_passed(fleet, ILL))
    of_host = set(failpoints()) - NOT_REACHED
    assert len(of_controller) + len(of_host) > 40
