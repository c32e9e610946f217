"""Database before application: who waits for whom by role, in the plan and while it is carried out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from liftlock import ledger
from liftlock.model import Exclusion, Fleet, Health, Host, Outcome, Plan, Product
from liftlock.roles import in_order_of_rank, rank, without_forerunners
from liftlock.rollout import LeaveOut, Upgrade, next_step
from liftlock.waves import in_waves
from world import CUSTOMER, START, announced, ended, fold, judged, opened, plan_of, started, switched

PRODUCT = Product("boathouse", {"en": "Boathouse"}, Health(command="true"), roles=("database", "application"))
ROLES = {"w1h0": "application", "w1h1": "database", "w1h2": None, "w1h3": "database"}
FLEET = Fleet(
    "test", {"acme": CUSTOMER}, tuple(Host(name, "acme", "127.0.0.1", role=role) for name, role in ROLES.items())
)


def planned() -> Plan:
    plan = plan_of((4,))
    plan = replace(plan, hosts=tuple(in_order_of_rank([PRODUCT], "boathouse", FLEET, plan.hosts)))
    return replace(plan, hosts=tuple(in_waves(replace(plan, policy=replace(plan.policy, waves=("1", "100%"))))))


PLAN = planned()
READY = (opened(), announced(), *(judged(name) for name in ROLES))


def test_ranks_follow_the_products_order_and_hosts_without_a_listed_role_come_last() -> None:
    assert [rank(PRODUCT, role) for role in ("database", "application", "cache", None)] == [0, 1, 2, 2]
    assert [(host.name, host.rank, host.wave) for host in PLAN.hosts] == [
        ("w1h1", 0, 1),
        ("w1h3", 0, 2),
        ("w1h0", 1, 3),
        ("w1h2", 2, 4),
    ]


def test_a_product_without_roles_changes_nothing() -> None:
    plain = replace(PRODUCT, roles=())
    assert in_order_of_rank([plain], "boathouse", FLEET, plan_of((4,)).hosts) == list(plan_of((4,)).hosts)


def test_who_comes_after_a_host_that_the_plan_leaves_out_is_left_out_with_it() -> None:
    held = Exclusion("w1h1", "acme", Outcome.SKIPPED, "on hold")
    others = [host for host in PLAN.hosts if host.name != "w1h1"]
    leaving = without_forerunners(PRODUCT, FLEET, others, [held])
    assert [(left.host, left.outcome) for left in leaving] == [
        ("w1h0", Outcome.DEFERRED),
        ("w1h2", Outcome.DEFERRED),
    ]
    assert leaving[0].reason == "its customer's database host w1h1 comes first and is left out: on hold"
    current = replace(held, outcome=Outcome.ALREADY_CURRENT)
    assert without_forerunners(PRODUCT, FLEET, others, [current]) == []


def in_one_wave() -> Plan:
    return replace(PLAN, hosts=tuple(replace(host, wave=1) for host in PLAN.hosts))


def test_in_one_wave_the_application_starts_once_the_databases_answer_on_the_new_version() -> None:
    plan = in_one_wave()
    databases = ("w1h1", "w1h3")
    assert next_step(plan, fold(plan, *READY), START) == Upgrade(databases)
    begun = fold(plan, *READY, *map(started, databases), switched("w1h1"))
    assert next_step(plan, begun, START) != Upgrade(("w1h0",))
    through = fold(plan, switched("w1h3"), onto=begun)
    assert next_step(plan, through, START) == Upgrade(("w1h0",))


@pytest.mark.parametrize("outcome", [Outcome.ROLLED_BACK, Outcome.REFUSED])
def test_an_application_whose_database_was_not_upgraded_does_not_go(outcome: Outcome) -> None:
    plan = in_one_wave()
    plan = replace(plan, policy=replace(plan.policy, max_failures=9))
    facts = (
        *(fact for name in ("w1h1", "w1h3") for fact in (started(name), switched(name))),
        ended("w1h3", Outcome.SUCCEEDED),
        ended("w1h1", outcome, cause="health: HTTP 500"),
    )
    step = next_step(plan, fold(plan, *READY, *facts), START)
    assert isinstance(step, LeaveOut)
    assert step.hosts[0] == (
        "w1h0",
        Outcome.REFUSED,
        "w1h1 comes first and was not upgraded: health: HTTP 500",
    )


def test_a_database_that_was_current_already_holds_nobody_back() -> None:
    plan = in_one_wave()
    facts = [ledger.LeftOut(host=name, outcome=Outcome.ALREADY_CURRENT, reason="") for name in ("w1h1", "w1h3")]
    assert next_step(plan, fold(plan, *READY, *facts), START) == Upgrade(("w1h0",))


def test_who_waits_for_a_host_that_nobody_brings_through_is_left_out_instead_of_waiting_for_ever() -> None:
    plan = replace(PLAN, hosts=tuple(replace(host, wave=2 if host.rank == 0 else 1) for host in reversed(PLAN.hosts)))
    step = next_step(plan, fold(plan, *READY), START)
    assert isinstance(step, LeaveOut)
    assert {(name, outcome) for name, outcome, _ in step.hosts} == {
        ("w1h0", Outcome.REFUSED),
        ("w1h2", Outcome.REFUSED),
    }
