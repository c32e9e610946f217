"""Two controllers, one of them late or with a wrong clock: at any time one owner, and nothing is done twice."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from faults import raft
from faults.checker import Tally, check, finish
from faults.conftest import find_libfaketime
from faults.controllers import Controllers
from faults.fault_fleet import PATIENCE, WAIVED, FaultFleet, Try, environment
from faults.results import ROUNDS, record
from faults.watcher import Watcher

ROUNDS_HERE = max(1, ROUNDS)
ANY_TIME = ("--waive", "notice,gate,window", "--reason", "a test of faults")


def upgrades_begun(one: Try) -> dict[str, int]:
    """How often each host's program began an upgrade, by the host's own journal."""
    journals = {name: base / ".liftlock" / "journal" for name, base in one.hosts.items()}
    return {name: path.read_text().count("upgrade begin") for name, path in journals.items()}


@pytest.mark.parametrize("point", ["append.after.started", "upgrade.before"])
def test_a_controller_that_wakes_up_late_is_refused_by_the_host(
    fleet: FaultFleet, watcher: Watcher, point: str
) -> None:
    """Stopped before it touches its host; another one, with a copy of the record, does all the work meanwhile."""
    tally, refused = Tally(), 0
    for number in range(ROUNDS_HERE):
        with fleet.new_try() as one:
            late = one.start_failing(point, "stop", 1 + number % 3)
            assert late.wait_until_stopped(PATIENCE), late.output
            other = one.elsewhere()
            wrong = finish(other, tally) + check(other, tally)
            assert not wrong, "\n".join(wrong)
            begun = upgrades_begun(one)
            late.send(signal.SIGCONT)
            assert late.wait(PATIENCE) in {3, 6}, late.output
            assert "stale fence" in late.output
            refused += 1
            assert upgrades_begun(one) == begun, "the late controller did it again"
            wrong = finish(other, tally) + check(other, tally)
            assert not wrong, "\n".join(wrong)
            other.end()
    seen = watcher.seen()
    record(
        f"Controller stopped at {point} (SIGSTOP), another one does the work, the late one continues",
        f"the late one refused by the host {refused} times; {tally.seen()}",
        tally,
        seen,
    )
    assert (seen.broken, set(tally.ends)) == (0, {"succeeded"})


def test_a_stopped_controller_keeps_the_plan_until_it_goes_on(fleet: FaultFleet, watcher: Watcher) -> None:
    """With one record there is one owner: the second is told who it is (exit 6), and does nothing."""
    tally = Tally()
    with fleet.new_try() as one:
        first = one.start_failing("append.after.started", "stop", 2)
        assert first.wait_until_stopped(PATIENCE), first.output
        second = one.run()
        assert second.code == 6, second.output
        assert f"(pid {first.pid})" in second.output
        first.send(signal.SIGCONT)
        assert first.wait(PATIENCE) == 0, first.output
        wrong = check(one, tally)
        assert not wrong, "\n".join(wrong)
    seen = watcher.seen()
    record("Second controller while the first is stopped", f"exit 6; {tally.seen()}", tally, seen)
    assert (seen.broken, set(tally.ends)) == (0, {"succeeded"})


@pytest.fixture(scope="module", params=["-2h", "+2h"])
def misled(request: pytest.FixtureRequest) -> Iterator[Controllers]:
    """Controllers whose clock is two hours behind, or ahead."""
    settings = {"LD_PRELOAD": str(find_libfaketime()), "FAKETIME": request.param, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    made = Controllers(environment() | settings)
    yield made
    made.close()


@pytest.mark.needs("libfaketime")
def test_controllers_whose_clocks_differ_by_hours_never_own_a_host_together(
    fleet: FaultFleet, watcher: Watcher, misled: Controllers
) -> None:
    """A right clock, a wrong one, a right one again, each killed in the middle: the work is done, and done once."""
    tally = Tally()
    for _ in range(ROUNDS_HERE):
        with fleet.new_try() as one:
            first = one.start_failing("append.after.started", "kill", 2)
            first.wait(PATIENCE)
            rollout = ("rollout", one.plan, *ANY_TIME)
            fault = {"LIFTLOCK_TEST_FAILPOINTS": "1", "LIFTLOCK_FAILPOINT": "append.after.started#1:kill"}
            one.start(*rollout, controllers=misled, **fault).wait(PATIENCE)
            one.start(*rollout, controllers=misled).wait(PATIENCE)
            wrong = finish(one, tally) + check(one, tally)
            assert not wrong, "\n".join(wrong)
            assert max(upgrades_begun(one).values()) == 1, upgrades_begun(one)
    seen = watcher.seen()
    record("Controllers with clocks two hours apart take over from each other", tally.seen(), tally, seen)
    assert (seen.broken, set(tally.ends)) == (0, {"succeeded"})


@pytest.mark.needs("libfaketime")
def test_a_controller_with_a_wrong_clock_does_not_shut_out_the_next(
    fleet: FaultFleet, watcher: Watcher, misled: Controllers
) -> None:
    """What it upgraded must still go back when the rollout halts: the fence follows the record, not the clock."""
    tally = Tally()
    for _ in range(ROUNDS_HERE):
        with fleet.new_try("raft-2") as one:
            fault = {"LIFTLOCK_TEST_FAILPOINTS": "1", "LIFTLOCK_FAILPOINT": "append.after.ended:kill"}
            one.start("rollout", one.plan, *ANY_TIME, controllers=misled, **fault).wait(PATIENCE)
            assert raft.look_at(one.hosts["raft-1"]).running == raft.NEW
            wrong = finish(one, tally) + check(one, tally)
            assert not wrong, "\n".join(wrong)
    seen = watcher.seen()
    record("Host upgraded by a clock two hours off, brought back by a right one", tally.seen(), tally, seen)
    assert (seen.broken, set(tally.ends)) == (0, {"rolled_back"})


@pytest.mark.long
@pytest.mark.needs("libfaketime")
def test_a_window_is_judged_by_the_clock_that_the_record_has_seen(fleet: FaultFleet, misled: Controllers) -> None:
    """A clock outside the window starts nothing, whatever it believes: at worst the host is refused."""
    with fleet.new_try() as one:
        ended = one.start("rollout", one.plan, *WAIVED, controllers=misled)
        ended.wait(PATIENCE)
        assert ended.code in {0, 3}, ended.output
        began = {name for name, base in one.hosts.items() if raft.look_at(base).installed == raft.NEW}
        assert began == (set(one.hosts) if ended.code == 0 else set())
