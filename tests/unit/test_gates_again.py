"""The gates look three times: before, after the upgrade, after a rollback; only what is new is blamed on the work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from threading import Event

import pytest

from liftlock import ledger
from liftlock.engine import Engine
from liftlock.errors import ExitCode
from liftlock.gate import Finding, blamed, judge
from liftlock.model import GateResult, Occasion, Outcome, Policy, ReleaseKind, Verdict
from liftlock.progress import Standing
from liftlock.rollout import Done, Halt, Judge, Pause, Step, exit_code
from world import (
    START,
    MemoryClock,
    MemoryHost,
    MemoryLedger,
    MemoryTransport,
    announced,
    fleet_of,
    plan_of,
    release,
    told_and_gated,
)

POLICY = Policy(bake=timedelta(minutes=3), notice_lead=dict.fromkeys(ReleaseKind, timedelta(0)), max_failures=1)
DISK = GateResult("", Verdict.FAILED, "test_disk: 5 % free", 3, not_passed=("test_disk",))
BOTH = GateResult("", Verdict.FAILED, "test_disk: 5 % free (and 1 more)", 3, not_passed=("test_disk", "test_login"))
FINE = GateResult("", Verdict.PASSED, tests=3)
BROKEN = GateResult("", Verdict.ERROR, "pytest was ended by signal 9")


class Gated:
    """A rollout of one host whose gates find, look after look, what a test says."""

    def __init__(self, *found: GateResult, host: MemoryHost | None = None, policy: Policy = POLICY) -> None:
        self.plan = plan_of((1,), policy)
        self.world = {"w1h0": host or MemoryHost()}
        self.found, self.record, self.clock = list(found), MemoryLedger(), MemoryClock()
        self.hosts = MemoryTransport(self.world, self.clock)
        self.sessions = 0
        told_and_gated(self.record, self.plan)

    def judge(self, names: Sequence[str], _stop: Event) -> list[GateResult]:
        return [replace(self.found.pop(0), host=name) for name in names]

    def already(self, before: GateResult) -> None:
        """What the gates found before, which an operator waived for the start and no further."""
        fact = ledger.Judged(host="w1h0", verdict=Verdict.PASSED, not_passed=before.not_passed)
        self.record.append(self.plan.id, fact, START)

    def run(self) -> Step:
        self.sessions += 1
        self.engine = Engine(
            plan=self.plan,
            releases={self.plan.product: {"1.5.0": release("1.5.0")}},
            hosts={host.name: host for host in fleet_of(self.plan).hosts},
            transports={self.plan.product: self.hosts},
            store=self.record,
            clock=self.clock,
            session=f"s{self.sessions}",
            controller="test",
            judge=self.judge,
        )
        return self.engine.run()

    def end(self) -> tuple[Outcome | None, str]:
        part = self.engine.progress.host("w1h0")
        return part.outcome, part.cause

    def looks(self) -> list[tuple[str, str]]:
        facts = [fact for fact in self.record.facts(ledger.Judged) if isinstance(fact, ledger.Judged)]
        return [(fact.occasion.value, fact.verdict.value) for fact in facts[1:]]


def is_look(fact: ledger.Fact) -> bool:
    return isinstance(fact, ledger.Judged) and fact.occasion is Occasion.AFTER


def test_gates_that_pass_again_come_before_the_bake() -> None:
    rollout = Gated(FINE)
    assert isinstance(rollout.run(), Done)
    kinds = [line.fact.fact for line in rollout.record.lines]
    assert kinds.index("switched") < len(kinds) - 1 - kinds[::-1].index("judged") < kinds.index("baking")
    assert rollout.end() == (Outcome.SUCCEEDED, "")
    assert rollout.looks() == [("after", "passed")]


def test_what_fails_only_after_the_upgrade_sends_the_host_back_and_the_rollback_is_looked_at_too() -> None:
    rollout = Gated(DISK, FINE)
    rollout.run()
    assert rollout.end() == (Outcome.ROLLED_BACK, "gate failed: test_disk: 5 % free")
    assert rollout.world["w1h0"].version == "1.4.0"
    assert rollout.looks() == [("after", "failed"), ("back", "passed")]


def test_what_failed_before_is_not_blamed_on_the_release() -> None:
    rollout = Gated(DISK)
    rollout.already(DISK)
    assert isinstance(rollout.run(), Done)
    assert rollout.end() == (Outcome.SUCCEEDED, "")


def test_a_new_failure_beside_an_old_one_is_blamed() -> None:
    rollout = Gated(BOTH, DISK)
    rollout.already(DISK)
    rollout.run()
    assert rollout.end()[0] is Outcome.ROLLED_BACK, "the rollback equals what was found before"


@pytest.mark.parametrize("found", [BOTH, BROKEN])
def test_a_rollback_that_does_not_equal_what_was_before_needs_a_person(found: GateResult) -> None:
    rollout = Gated(BOTH, found)
    rollout.already(DISK)
    rollout.run()
    outcome, cause = rollout.end()
    assert outcome is Outcome.FAILED
    assert cause.startswith("rollback not verified: gate")


def test_a_host_that_went_back_by_itself_is_looked_at_too() -> None:
    rollout = Gated(BOTH, host=MemoryHost(breaks=frozenset({"1.5.0"})))
    rollout.run()
    assert rollout.end()[0] is Outcome.FAILED
    assert rollout.looks() == [("back", "failed")]


def test_gates_that_cannot_be_measured_pause_and_are_asked_again_by_the_next_controller() -> None:
    rollout = Gated(BROKEN, FINE)
    paused = rollout.run()
    assert paused == Pause(None, "w1h0 is upgraded, and its gates tell nothing: error: pytest was ended by signal 9")
    assert rollout.world["w1h0"].version == "1.5.0", "nobody knows that anything is wrong with it"
    assert isinstance(rollout.run(), Done)
    assert rollout.end()[0] is Outcome.SUCCEEDED


def test_an_upgraded_host_that_the_gates_cannot_reach_is_lost_and_looked_for() -> None:
    rollout = Gated(FINE)
    judge_as_told = rollout.judge

    def judge_one_that_goes_down(names: Sequence[str], stop: Event) -> list[GateResult]:
        if rollout.world["w1h0"].down:
            return [replace(BROKEN, host=name) for name in names]
        rollout.world["w1h0"].down = True
        return judge_one_that_goes_down(names, stop)

    rollout.judge = judge_one_that_goes_down  # type: ignore[method-assign]
    last = rollout.run()
    assert rollout.end()[0] is Outcome.UNREACHABLE
    assert exit_code(rollout.plan, rollout.engine.progress, last) is ExitCode.NEEDS_A_PERSON
    rollout.world["w1h0"].down, rollout.judge = False, judge_as_told  # type: ignore[method-assign]
    assert isinstance(rollout.run(), Done)
    assert rollout.end()[0] is Outcome.SUCCEEDED


def test_told_to_stop_it_keeps_what_the_gates_have_told_and_the_next_controller_asks_for_the_rest() -> None:
    plan = plan_of((2,), replace(POLICY, concurrency=2))
    rollout = Gated(policy=plan.policy)
    rollout.plan, rollout.world["w1h1"] = plan, MemoryHost()
    told_and_gated(rollout.record, plan)
    judge_as_told = rollout.judge

    def judge_until_told_to_stop(names: Sequence[str], stop: Event) -> list[GateResult]:
        assert stop is rollout.engine.stop
        stop.set()
        return [replace(FINE if name == "w1h0" else BROKEN, host=name) for name in names]

    rollout.judge = judge_until_told_to_stop  # type: ignore[method-assign]
    assert isinstance(rollout.run(), Judge)
    assert [line.fact.host for line in rollout.record.lines if is_look(line.fact)] == ["w1h0"]
    assert rollout.engine.progress.count(Standing.SWITCHED) == 2
    rollout.judge, rollout.found = judge_as_told, [FINE]  # type: ignore[method-assign]
    assert isinstance(rollout.run(), Done)
    assert rollout.engine.progress.count(Standing.SUCCEEDED) == 2


def test_the_proof_of_a_rollback_is_not_broken_off() -> None:
    rollout = Gated(DISK, FINE)
    judge_as_told = rollout.judge

    def judge_and_stop(names: Sequence[str], stop: Event) -> list[GateResult]:
        going_back = rollout.world["w1h0"].version == "1.4.0"
        assert (stop is rollout.engine.stop) is not going_back
        if going_back:
            rollout.engine.stop.set()
            assert not stop.is_set()
        return judge_as_told(names, stop)

    rollout.judge = judge_and_stop  # type: ignore[method-assign]
    rollout.run()
    assert rollout.end()[0] is Outcome.ROLLED_BACK
    assert rollout.looks() == [("after", "failed"), ("back", "passed")]


def test_waived_gates_that_tell_nothing_hold_nobody_up() -> None:
    rollout = Gated(BROKEN, BROKEN)
    assert isinstance(rollout.run(), Pause)
    waived(rollout)
    assert isinstance(rollout.run(), Done)
    assert rollout.end() == (Outcome.SUCCEEDED, "")


def test_a_rollback_is_not_doubted_for_waived_gates_that_tell_nothing() -> None:
    rollout = Gated(BROKEN, host=MemoryHost(breaks=frozenset({"1.5.0"})))
    waived(rollout)
    rollout.run()
    assert rollout.end() == (Outcome.ROLLED_BACK, "health: HTTP 500")


def test_a_halted_rollout_still_judges_what_stays_upgraded() -> None:
    plan = plan_of((2,), replace(POLICY, max_failures=0, concurrency=2))
    rollout = Gated(FINE, FINE, policy=plan.policy)
    rollout.plan = plan
    rollout.world["w1h0"].breaks = frozenset({"1.5.0"})
    rollout.world["w1h1"] = MemoryHost()
    rollout.record = MemoryLedger()
    told_and_gated(rollout.record, plan)
    assert isinstance(rollout.run(), Halt)
    assert {fact.occasion for fact in rollout.record.facts(ledger.Judged)} == set(Occasion)  # type: ignore[attr-defined]


def test_a_result_names_the_tests_that_did_not_pass() -> None:
    findings = [
        Finding("test_login", Verdict.ERROR, "no answer"),
        Finding("test_disk", Verdict.FAILED, "full"),
        Finding("test_clock", Verdict.PASSED),
    ]
    assert judge("h1", findings).not_passed == ("test_disk", "test_login")
    assert blamed((), judge("h1", findings)).startswith("gate failed: test_disk: full")
    assert blamed(("test_disk", "test_login"), judge("h1", findings)) == ""
    assert blamed(("test_disk", "test_login"), judge("h1", [], "timed out")) == "gate error: timed out"


# ---- what the later looks are compared with


def waived(rollout: Gated) -> None:
    rollout.record.append(rollout.plan.id, ledger.Waived(rule="gate", reason="disk comes tomorrow", by="ana"), START)


def before(rollout: Gated, found: GateResult) -> None:
    """What the task `gate` records."""
    fact = ledger.Judged(host="w1h0", verdict=found.verdict, reason=found.reason, not_passed=found.not_passed)
    rollout.record.append(rollout.plan.id, fact, START)


def test_a_waiver_lets_a_host_go_and_what_passed_before_is_still_looked_at_again() -> None:
    rollout = Gated(BOTH, DISK)
    before(rollout, DISK)
    waived(rollout)
    rollout.run()
    assert rollout.end()[0] is Outcome.ROLLED_BACK, "the login passed before"
    assert rollout.looks()[1:] == [("after", "failed"), ("back", "failed")]


def test_a_failure_that_was_waived_for_the_start_is_not_blamed_on_the_release() -> None:
    rollout = Gated(DISK)
    before(rollout, DISK)
    waived(rollout)
    assert isinstance(rollout.run(), Done)
    assert rollout.end() == (Outcome.SUCCEEDED, "")


@pytest.mark.parametrize("measured", [BROKEN, None])
def test_waived_gates_that_measured_nothing_before_are_not_asked_again(measured: GateResult | None) -> None:
    rollout = Gated(host=MemoryHost(breaks=frozenset({"1.5.0"})))
    rollout.record = MemoryLedger()
    rollout.record.append(rollout.plan.id, announced(), START)
    if measured:
        before(rollout, measured)
    waived(rollout)
    rollout.run()
    assert rollout.end()[0] is Outcome.ROLLED_BACK
    assert rollout.found == []


def test_gates_run_by_hand_on_an_upgraded_host_do_not_become_what_it_is_compared_with() -> None:
    rollout = Gated(BROKEN, DISK, FINE)
    assert isinstance(rollout.run(), Pause)
    before(rollout, DISK)  # somebody runs `gate` to see what is the matter
    rollout.run()
    assert rollout.end() == (Outcome.ROLLED_BACK, "gate failed: test_disk: 5 % free")


def test_a_run_that_was_cut_short_hides_nothing_behind_what_failed_before() -> None:
    cut = judge("w1h0", [Finding("test_disk", Verdict.FAILED, "full")], "the tests took longer than 60 s")
    assert blamed(("test_disk",), cut).startswith("gate failed")
    assert blamed(("test_disk",), judge("w1h0", [Finding("test_disk", Verdict.FAILED, "full")])) == ""


def test_of_several_failures_the_new_ones_are_named() -> None:
    assert blamed((), BOTH) == "gate failed: test_disk: 5 % free (and 1 more)"
    assert blamed(("test_disk",), BOTH) == "gate failed: test_login passed before"
