"""The dead man's switch under fire: controllers that never confirm, and watchers that die on their way back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from e2e.harbour import within
from faults import raft
from faults.checker import Tally, check, finish
from faults.fault_fleet import PATIENCE, FaultFleet, fault_fleet
from faults.results import ROUNDS, record
from faults.watcher import watching

ROUNDS_HERE = max(1, ROUNDS)


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultFleet]:
    """Three hosts that go back by themselves unless they are confirmed within a second."""
    with fault_fleet(tmp_path_factory.mktemp("guard"), confirm_within=1) as fleet:
        yield fleet


def is_worked_on(base: Path) -> bool:
    """Whether a program of liftlock still runs for this host: a phase, or the watcher that one has left behind."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"LL_BASE={base}\n".encode() in (process / "cmdline").read_bytes():
                return True
    return False


def test_a_host_that_nobody_confirms_goes_back_by_itself(impatient: FaultFleet) -> None:
    tally = Tally()
    with watching(impatient.bases.values()) as watcher:
        for _ in range(ROUNDS_HERE):
            with impatient.new_try() as one:
                one.start_failing("confirm.before", "kill").wait(PATIENCE)
                assert within(lambda: raft.look_at(one.hosts["raft-1"]).running == raft.OLD)
                wrong = finish(one, tally) + check(one, tally)
                assert not wrong, "\n".join(wrong)
        seen = watcher.seen()
    record("Controller killed before it confirms, the host goes back by itself", tally.seen(), tally, seen)
    assert seen.broken == 0, seen.told
    assert "rolled_back" in tally.ends


@pytest.mark.long
@pytest.mark.parametrize("point", ["marked", "watched", "auto_begin", "auto_end"])
def test_a_watcher_that_dies_leaves_a_host_that_a_later_look_settles(impatient: FaultFleet, point: str) -> None:
    tally = Tally()
    with watching(impatient.bases.values()) as watcher:
        for _ in range(ROUNDS_HERE):
            with impatient.new_try() as one:
                on_host = {"LIFTLOCK_HOST_FAILPOINT": f"{point}:kill:raft-1"}
                one.start_failing("confirm.before", "kill", **on_host).wait(PATIENCE)
                assert within(lambda: not any(map(is_worked_on, one.hosts.values())))
                wrong = finish(one, tally) + check(one, tally)
                assert not wrong, "\n".join(wrong)
        seen = watcher.seen()
    record(f"Controller killed before it confirms, host program killed at {point}", tally.seen(), tally, seen)
    assert seen.broken == 0, seen.told
