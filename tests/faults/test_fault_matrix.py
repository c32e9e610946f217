"""Every failpoint x every fault: the hosts keep a working release, and running the same command again finishes."""

from __future__ import annotations

from collections import Counter

import pytest

from faults.checker import Tally, check, finish
from faults.fault_fleet import FaultFleet
from faults.results import ROUNDS, record
from faults.strikes import FAULTS, OF_CONTROLLER, OF_PROGRAM, strike_controller, strike_program
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


def try_once(
    fleet: FaultFleet, watcher: Watcher, tally: Tally, point: str, nth: int, fault: str, ill: tuple[str, ...]
) -> list[str]:
    """One fault of the controller, the same command again until it ends, and what is wrong then."""
    with fleet.new_try(*ill) as one:
        watcher.news()
        strike_controller(one, point, nth, fault)
        return finish(one, tally) + check(one, tally, watched=watcher.news())


def try_on_host(
    fleet: FaultFleet, watcher: Watcher, tally: Tally, point: str, fault: str, ill: tuple[str, ...]
) -> list[str] | None:
    """The same with the fault in the host's own program; None when a rollout does not come to that point."""
    with fleet.new_try(*ill) as one:
        watcher.news()
        if not strike_program(one, "raft-2", point, 1, fault):
            return None
        return finish(one, tally) + check(one, tally, watched=watcher.news())


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
    assert_nothing_was_lost(try_once(fleet, watcher, tally, point, nth, fault, ill), tally, watcher)


@pytest.mark.parametrize(
    ("point", "fault", "ill"), SHORT_ON_HOST, ids=[f"{fault}-{point}" for point, fault, _ in SHORT_ON_HOST]
)
def test_a_fault_of_the_host_program_loses_nothing(
    fleet: FaultFleet, watcher: Watcher, point: str, fault: str, ill: tuple[str, ...]
) -> None:
    tally = Tally()
    assert_nothing_was_lost(try_on_host(fleet, watcher, tally, point, fault, ill), tally, watcher)


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
                wrong = try_once(fleet, watcher, tally, point, 1 + number % passes, fault, ill)
                assert not wrong, "\n".join(wrong)
    seen = watcher.seen()
    record(
        f"Controller {OF_CONTROLLER[fault]} at each of {len(points)} points, {_release(ill)}", tally.seen(), tally, seen
    )
    assert seen.broken == 0, seen.told


@pytest.mark.long
@pytest.mark.parametrize("ill", [SOUND, ILL], ids=["sound", "ill"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_host_program_at_every_point_loses_nothing(
    fleet: FaultFleet, watcher: Watcher, subtests: pytest.Subtests, fault: str, ill: tuple[str, ...]
) -> None:
    tally, reached = Tally(), set(failpoints())
    for number in range(ROUNDS):
        for point in sorted(reached):
            with subtests.test(point=point, round=number):
                wrong = try_on_host(fleet, watcher, tally, point, fault, ill)
                if wrong is None:
                    reached.remove(point)
                assert not wrong, "\n".join(wrong)
    seen = watcher.seen()
    record(
        f"Host program {OF_PROGRAM[fault]} at each of {len(reached)} points, {_release(ill)}", tally.seen(), tally, seen
    )
    assert seen.broken == 0, seen.told
    assert len(reached) >= 10


def _release(ill: tuple[str, ...]) -> str:
    return "a release that one host cannot run" if ill else "a sound release"


def test_there_are_more_than_twenty_five_failpoints(fleet: FaultFleet) -> None:
    of_controller = set(points_passed(fleet, SOUND)) | set(points_passed(fleet, ILL))
    of_host = set(failpoints()) - NOT_REACHED
    assert len(of_controller) + len(of_host) > 40
