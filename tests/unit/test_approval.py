from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from liftlock import ledger
from liftlock.approval import approvals, approvers_needed, person, unapproved
from liftlock.ledger import Entry
from liftlock.model import ApprovalRule, Outcome, ReleaseKind
from liftlock.rollout import LeaveOut, Upgrade, next_step
from world import START, announced, fold, judged, opened, plan_of

UPGRADE, PATCH = ReleaseKind.UPGRADE, ReleaseKind.PATCH
RULES = (
    ApprovalRule((UPGRADE,), over_hosts=50, approvers=2),
    ApprovalRule((), over_hosts=500, approvers=3),
    ApprovalRule((PATCH,), over_hosts=5, approvers=1),
)


@pytest.mark.parametrize(
    ("kind", "hosts", "needed"),
    [
        (UPGRADE, 50, 0),
        (UPGRADE, 51, 2),
        (UPGRADE, 501, 3),
        (PATCH, 5, 0),
        (PATCH, 6, 1),
        (PATCH, 501, 3),
        (ReleaseKind.SECURITY, 500, 0),
    ],
)
def test_of_the_rules_that_apply_the_most_approvers_count(kind: ReleaseKind, hosts: int, needed: int) -> None:
    assert approvers_needed(RULES, kind, hosts) == needed
    assert approvers_needed((), kind, hosts) == 0


def approved(*names: str) -> list[Entry]:
    facts = [ledger.Approved(by=name, note=f"note {number}") for number, name in enumerate(names)]
    return [Entry(n, START + timedelta(hours=n), "p", fact, "", "") for n, fact in enumerate(facts, start=1)]


def test_the_same_person_counts_once_however_the_name_is_written() -> None:
    given = approvals(approved("Anna Brandt", " anna  brandt", "ANNA BRANDT", "Tom"))
    assert [(one.by, one.note, one.at - START) for one in given] == [
        ("Anna Brandt", "note 0", timedelta(hours=1)),
        ("Tom", "note 3", timedelta(hours=4)),
    ]
    assert person("Anna  Brandt ") == person("anna brandt") != person("anna")


def test_the_words_name_how_many_people_are_missing_and_what_each_has_to_say() -> None:
    plan = replace(plan_of((2,)), approvals=2)
    assert "2 people to approve it, 2 people more" in unapproved(plan, ())
    assert "2 people to approve it, 1 person more" in unapproved(plan, {"anna"})
    assert f"liftlock approve {plan.id[:8]} --by NAME" in unapproved(plan, {"anna"})
    assert unapproved(plan, {"anna", "tom"}) == unapproved(plan_of((2,)), ()) == ""


def test_no_host_starts_before_enough_people_approved_even_when_all_other_rules_are_waived() -> None:
    plan = replace(plan_of((1, 2)), approvals=2)
    waived = [ledger.Waived(rule=rule, reason="a fire", by="ann") for rule in ("notice", "gate", "window")]
    ready = [announced(), *(judged(host.name) for host in plan.hosts), opened(), *waived]
    anna, anna_again, tom = (ledger.Approved(by=name) for name in ("Anna", "anna ", "Tom"))
    for facts in ([], [anna], [anna, anna_again]):
        refused = next_step(plan, fold(plan, *ready, *facts), START)
        assert isinstance(refused, LeaveOut)
        assert {(how, why.partition(":")[0]) for _, how, why in refused.hosts} == {(Outcome.REFUSED, "approval")}
    assert next_step(plan, fold(plan, *ready, anna, tom), START) == Upgrade(("w1h0",))
