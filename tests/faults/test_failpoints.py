"""Failpoints are not there unless a test asks for them, and one that cannot strike is refused."""

from __future__ import annotations

import pytest

from faults.fault_fleet import FaultFleet
from liftlock.adapters.failpoints import EXIT_CODE, FLAG, with_failpoints
from world import MemoryLedger


def test_without_the_flag_a_port_is_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    port = MemoryLedger()
    monkeypatch.setenv("LIFTLOCK_FAILPOINT", "append.before.started:raise")
    assert with_failpoints(port) is port
    monkeypatch.setenv(FLAG, "0")
    assert with_failpoints(port) is port


@pytest.mark.parametrize(
    "spec", ["append", "append.during:kill", "append.before.started:sleep", "upgrade.before#0:kill"]
)
def test_a_failpoint_that_can_never_strike_is_refused(fleet: FaultFleet, spec: str) -> None:
    with fleet.new_try() as one:
        refused = one.run(LIFTLOCK_TEST_FAILPOINTS="1", LIFTLOCK_FAILPOINT=spec)
        assert (refused.code, "LIFTLOCK_FAILPOINT" in refused.output) == (2, True), refused.output


def test_a_controller_can_leave_at_once_or_lose_a_link_or_the_record(fleet: FaultFleet) -> None:
    with fleet.new_try() as one:
        left = one.run(LIFTLOCK_TEST_FAILPOINTS="1", LIFTLOCK_FAILPOINT="upgrade.before:exit")
        assert left.code == EXIT_CODE, left.output
        unrecorded = one.run(LIFTLOCK_TEST_FAILPOINTS="1", LIFTLOCK_FAILPOINT="append.before.opened:raise")
        assert (unrecorded.code, "failpoint append.before.opened" in unrecorded.output) == (5, True)
        cut = one.run(LIFTLOCK_TEST_FAILPOINTS="1", LIFTLOCK_FAILPOINT="upgrade.after:raise")
        assert cut.code == 0, cut.output
        assert "unknown: connection lost" in cut.output
