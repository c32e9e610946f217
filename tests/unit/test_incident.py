"""Incidents: when they open, who has them, and when they are over; all from the record."""

from __future__ import annotations

from datetime import timedelta

from liftlock import ledger
from liftlock.incident import Incident, incidents
from liftlock.ledger import GENESIS, Entry, Fact
from liftlock.model import Action, Outcome, Policy, ReleaseKind, RollbackScope
from world import START, ended, opened, plan_of, started, switched

POLICY = Policy(bake=timedelta(minutes=5), notice_lead=dict.fromkeys(ReleaseKind, timedelta(0)))
ACK = ledger.Acknowledged(by="ana")
BUDGET = "budget: 1 of 2 planned hosts failed, 98 % allows 0"


def of(*facts: Fact, policy: Policy = POLICY) -> tuple[Incident, ...]:
    """The incidents of a plan of two hosts, whose facts are a minute apart."""
    plan = plan_of((2,), policy)
    return incidents(
        plan,
        [Entry(n, minute(n), plan.id, fact, GENESIS, GENESIS) for n, fact in enumerate([opened(), *facts], start=1)],
    )


def minute(number: int):
    return START + timedelta(minutes=number)


def test_a_quiet_rollout_and_one_that_an_operator_ends_have_no_incident():
    through = [started("w1h0"), switched("w1h0"), ended("w1h0", Outcome.SUCCEEDED)]
    assert of(*through) == ()
    enough = [*through, ledger.Aborted(reason="enough", by="ann")]
    assert of(*enough, ledger.Halted(reason="aborted: enough")) == ()
    back = [started("w1h0", 2, Action.ROLL_BACK), ended("w1h0", Outcome.ROLLED_BACK, 2)]
    assert of(*enough, ledger.Recalled(host="w1h0", reason="enough"), *back) == (), "an operator asked for it"


def test_it_opens_when_the_rule_is_broken_and_is_over_when_nobody_is_left_on_a_bad_release():
    (one,) = of(started("w1h0"), ended("w1h0", Outcome.ROLLED_BACK, cause="x"), ledger.Halted(reason=BUDGET), ACK)
    assert one == Incident(minute(3), BUDGET, minute(5), "ana", minute(3))
    assert one.left_to_acknowledge(minute(99)) == timedelta(minutes=28)


def test_an_operator_who_takes_hosts_back_later_makes_it_last_no_longer():
    halted = [started("w1h1"), switched("w1h1"), started("w1h0"), ended("w1h0", Outcome.ROLLED_BACK, cause="x")]
    (before,) = of(*halted, ended("w1h1", Outcome.SUCCEEDED), ledger.Halted(reason=BUDGET), ACK)
    later = [ledger.Aborted(reason="enough", by="ann"), ledger.Recalled(host="w1h1", reason="enough")]
    back = [started("w1h1", 2, Action.ROLL_BACK), ended("w1h1", Outcome.ROLLED_BACK, 2)]
    told = (*halted, ended("w1h1", Outcome.SUCCEEDED), ledger.Halted(reason=BUDGET), ACK, *later, *back)
    assert before.recovered_at is not None
    assert of(*told) == (before,)
    (stuck,) = of(*told[:-1], ended("w1h1", Outcome.FAILED, 2, cause="restart: exit 1"))
    assert stuck.recovered_at is None, "this one needs a person"


def test_a_host_that_needs_a_person_keeps_it_open():
    (one,) = of(started("w1h0"), ended("w1h0", Outcome.FAILED, cause="x"), ledger.Halted(reason=BUDGET))
    assert (one.acknowledged_at, one.recovered_at) == (None, None)
    assert one.left_to_acknowledge(minute(33)) == timedelta(0)
    assert one.left_to_recover(minute(124)) == timedelta(minutes=-1)


def test_it_is_over_only_when_the_policys_rollbacks_are_through():
    policy = Policy(rollback=RollbackScope.ALL, notice_lead=POLICY.notice_lead)
    (one,) = of(
        started("w1h0"),
        switched("w1h0"),
        started("w1h1"),
        ended("w1h1", Outcome.ROLLED_BACK, cause="x"),
        started("w1h0", 2, Action.ROLL_BACK),
        ended("w1h0", Outcome.ROLLED_BACK, 2),
        policy=policy,
    )
    assert (one.opened_at, one.recovered_at) == (minute(5), minute(7))


def test_a_halt_for_want_of_progress_opens_one_and_the_next_halt_another():
    halt = ledger.Halted(reason="progress: hosts were worked on for 60 min, and none became healthy")
    one, two = of(started("w1h0"), ended("w1h0", Outcome.REFUSED), halt, opened("s2"), halt)
    assert (one.opened_at, two.opened_at) == (minute(4), minute(6))
    assert one.reason == two.reason == halt.reason


def test_a_host_that_stays_away_run_after_run_is_one_incident_and_whoever_has_it_keeps_it():
    lost = [started("w1h0"), ended("w1h0", Outcome.UNREACHABLE), ledger.Halted(reason=BUDGET), ACK]
    (one,) = of(*lost, opened("s2"), ended("w1h0", Outcome.UNREACHABLE), ledger.Halted(reason=BUDGET))
    assert one == Incident(minute(3), BUDGET, minute(5), "ana")
