"""What may be acted on at once: sites, customers and redundancy groups, judged by the steps of a rollout."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from liftlock import ledger
from liftlock.ledger import Fact
from liftlock.model import Action, Outcome, Plan, PlannedCustomer, Policy, ReleaseKind, RollbackScope
from liftlock.progress import Progress
from liftlock.rollout import Judge, LeaveOut, RollBack, Step, Upgrade, Wait, next_step
from world import START, WINDOW, announced, ended, fold, judged, opened, plan_of, started, switched

POLICY = Policy(bake=timedelta(minutes=5), notice_lead=dict.fromkeys(ReleaseKind, timedelta(0)), max_failures=5)


def plan_with(*hosts: dict[str, object], **policy: object) -> Plan:
    """One wave; each mapping is what is particular about a host: h0, h1 and so on."""
    plan = plan_of((len(hosts),), replace(POLICY, **policy))
    planned = [replace(host, name=f"h{n}", **own) for n, (host, own) in enumerate(zip(plan.hosts, hosts, strict=True))]
    return replace(plan, hosts=tuple(planned))


def pair(stand_ins: int = 0, **policy: object) -> Plan:
    return plan_with(*[{"redundancy": "pair-a", "stand_ins": stand_ins}] * 2, **policy)


def after(plan: Plan, *facts: Fact) -> Progress:
    told = map(announced, sorted({host.customer for host in plan.hosts}))
    return fold(plan, *told, *(judged(host.name) for host in plan.hosts), opened(), *facts)


def step(plan: Plan, *facts: Fact) -> Step:
    return next_step(plan, after(plan, *facts), START)


def succeeded(*hosts: str) -> list[Fact]:
    return [fact for name in hosts for fact in (started(name), switched(name), ended(name, Outcome.SUCCEEDED))]


def test_a_site_has_no_more_hosts_in_hand_than_the_policy_says_whoever_they_belong_to():
    east, west = {"site": "east"}, {"site": "west"}
    plan = plan_with(east, {**east, "customer": "weir"}, east, west, {}, {}, site_at_once=2)
    assert step(plan) == Upgrade(("h0", "h1", "h3", "h4", "h5"))
    started_all = [started(name) for name in ("h0", "h1", "h3", "h4", "h5")]
    assert step(plan, *started_all) == Wait()
    assert step(plan, *started_all, switched("h1")) == Upgrade(("h2",))


@pytest.mark.parametrize(
    ("own", "expected"), [(None, ("h0", "h1", "h3")), (1, ("h0", "h3")), (3, ("h0", "h1", "h2", "h3"))]
)
def test_a_customer_has_no_more_hosts_in_hand_than_it_allows_or_else_the_policy(own, expected):
    plan = plan_with({}, {}, {}, {"customer": "weir"}, customer_at_once=2)
    acme = PlannedCustomer("acme", START, WINDOW.start, WINDOW.end, at_once=own)
    assert step(replace(plan, customers=(acme,))) == Upgrade(expected)


def test_the_hosts_of_a_redundancy_group_go_one_after_the_other():
    assert step(pair()) == Upgrade(("h0",))
    assert step(pair(), started("h0")) == Wait()
    assert step(pair(), started("h0"), switched("h0")) == Upgrade(("h1",)), "a switched host serves"
    assert isinstance(step(pair(), started("h0"), switched("h0"), started("h1"), switched("h1")), Judge)
    assert step(pair(), started("h0"), ended("h0", Outcome.ROLLED_BACK)) == Upgrade(("h1",)), "so does its old release"


def test_one_host_of_a_redundancy_group_always_stands():
    three = plan_with(*[{"redundancy": "db"}] * 3)
    assert step(three) == Upgrade(("h0", "h1"))
    assert step(three, started("h0"), ended("h0", Outcome.FAILED)) == Upgrade(("h1",))
    assert step(pair(stand_ins=1)) == Upgrade(("h0", "h1")), "hosts outside the plan stand"
    assert step(plan_with({"redundancy": "alone"})) == Upgrade(("h0",)), "one host has nothing to keep"
    two_customers = plan_with({"redundancy": "db"}, {"redundancy": "db", "customer": "weir"})
    assert step(two_customers) == Upgrade(("h0", "h1")), "a group is one customer's"


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.UNREACHABLE, Outcome.UNREACHABLE_BEFORE])
def test_the_last_host_that_stands_is_left_alone(outcome):
    left = (("h1", Outcome.DEFERRED, "no other host of pair-a stands"),)
    assert step(pair(), started("h0"), ended("h0", outcome)) == LeaveOut(left)


def test_who_is_ailing_goes_back_at_once_and_who_is_well_as_the_bounds_allow():
    plan = pair(customer_at_once=1)
    up = succeeded("h0", "h1")
    ailing = [ledger.Ailing(host=name, cause="health") for name in ("h0", "h1")]
    why = "found unhealthy, or recalled by an operator"
    assert step(plan, *up, *ailing) == RollBack(("h0", "h1"), why)
    recalled = [ledger.Recalled(host=name, reason="the customer called") for name in ("h0", "h1")]
    assert step(plan, *up, *recalled) == RollBack(("h0",), why)
    on_its_way = [*up, *recalled, started("h0", 2, Action.ROLL_BACK)]
    assert step(plan, *on_its_way) == Wait()
    assert step(plan, *on_its_way, ended("h0", Outcome.ROLLED_BACK, 2)) == RollBack(("h1",), why)
    assert step(plan, *on_its_way, ended("h0", Outcome.FAILED, 2)) == RollBack(("h1",), why), "it cannot stay"


def test_a_halted_wave_goes_back_as_the_bounds_allow():
    plan = plan_with({}, *[{"redundancy": "pair-a"}] * 2, max_failures=0, rollback=RollbackScope.WAVE)
    halted = [*succeeded("h1", "h2"), started("h0"), ended("h0", Outcome.ROLLED_BACK, cause="health")]
    assert step(plan, *halted).hosts == ("h1",)
    back = [*halted, started("h1", 2, Action.ROLL_BACK), ended("h1", Outcome.ROLLED_BACK, 2)]
    assert step(plan, *back).hosts == ("h2",)


def test_many_hosts_that_bounds_hold_back_are_not_all_looked_at():
    plan = plan_with(*[{}] * 800, {"customer": "weir"}, customer_at_once=1, concurrency=5)
    assert step(plan) == Upgrade(("h0",))
    assert step(plan, started("h0")) == Wait()
    assert step(plan, *[fact for n in range(600) for fact in (started(f"h{n}"), switched(f"h{n}"))]) == Upgrade(
        ("h600", "h800")
    )
