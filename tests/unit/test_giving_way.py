"""Which plan a host goes by when several were made for it."""

from __future__ import annotations

from dataclasses import replace

from liftlock import ledger
from liftlock.giving_way import Seen, forerunners, heirs
from liftlock.ledger import Fact
from liftlock.model import Exclusion, Outcome, Plan
from liftlock.progress import Progress
from unit.test_maintenance import NIGHT, NOW, WEEK, later, plan
from world import announced, ended, fold, opened, started

ON_HOLD = (Exclusion("np-2", "acme", Outcome.SKIPPED, "on hold"),)
FIRST = plan("a", ("np-1", "acme", NIGHT), ("np-2", "acme", NIGHT), ("np-3", "acme", NIGHT))
SECOND = plan("b", ("np-1", "acme", later(NIGHT, WEEK)), exclusions=ON_HOLD)


def given_way(first: Plan, *others: Plan, facts: dict[str, tuple[Fact, ...]] | None = None) -> dict[str, str]:
    """Which hosts of the first plan go by which of the others, oldest first, when these facts are on record."""

    def look(of: Plan) -> Seen:
        progress = fold(of, *(facts or {}).get(of.id[0], ()))
        return Seen(progress, progress.announced)

    found = heirs(first, look(first), reversed(others), look, NOW)
    return {host: heir.id[0] for host, heir in found.items()}


def test_a_host_goes_by_the_newest_plan_that_considers_it() -> None:
    third = plan("c", ("np-1", "acme", later(NIGHT, 2 * WEEK)))
    assert given_way(FIRST, SECOND) == {"np-1": "b", "np-2": "b"}
    assert given_way(FIRST, SECOND, third) == {"np-1": "c", "np-2": "b"}
    assert given_way(FIRST, replace(SECOND, product="mast")) == {}
    assert given_way(FIRST, replace(SECOND, fleet="other")) == {}
    db = replace(FIRST.hosts[0], name="np-1/mast", product="mast")
    assert given_way(replace(FIRST, hosts=(db,)), replace(SECOND, product="mast")) == {"np-1/mast": "b"}


def test_a_plan_made_in_place_of_another_takes_over_hosts_that_the_inventory_lost_too() -> None:
    replan = replace(SECOND, replaces=FIRST.id)
    assert given_way(FIRST, replan) == {"np-1": "b", "np-2": "b", "np-3": "b"}


def test_what_was_attempted_or_found_on_the_release_stays_with_its_plan() -> None:
    done = (opened(), started("np-1"), ended("np-1", Outcome.SUCCEEDED))
    current = ledger.LeftOut(host="np-2", outcome=Outcome.ALREADY_CURRENT, reason="has 1.5.0")
    replan = replace(SECOND, replaces=FIRST.id)
    assert given_way(FIRST, replan, facts={"a": (*done, current)}) == {"np-3": "b"}


def test_a_begun_plan_keeps_what_may_still_start_until_the_customer_hears_of_the_later_one() -> None:
    begun = (opened(), started("np-3"), ended("np-3", Outcome.SUCCEEDED))
    assert given_way(FIRST, SECOND, facts={"a": begun}) == {}
    assert given_way(FIRST, SECOND, facts={"a": begun, "b": (announced("acme"),)}) == {"np-1": "b", "np-2": "b"}
    over = (*begun, ledger.Aborted(reason="x", by="anna"))
    assert given_way(FIRST, SECOND, facts={"a": over}) == {"np-1": "b", "np-2": "b"}
    missed = replace(FIRST, hosts=tuple(replace(h, window=later(h.window, -WEEK)) for h in FIRST.hosts))
    assert given_way(missed, SECOND, facts={"a": begun}) == {"np-1": "b", "np-2": "b"}


def test_a_later_plan_that_is_over_or_was_missed_counts_for_those_alone_who_were_told_of_it() -> None:
    ended_by_us = (ledger.Aborted(reason="only a look", by="anna"),)
    assert given_way(FIRST, SECOND, facts={"b": ended_by_us}) == {}
    assert given_way(FIRST, SECOND, facts={"b": (announced("acme"), *ended_by_us)}) == {"np-1": "b", "np-2": "b"}
    missed = replace(SECOND, hosts=(replace(SECOND.hosts[0], window=later(NIGHT, -WEEK)),))
    assert given_way(FIRST, missed) == {}
    assert given_way(FIRST, missed, facts={"b": (announced("acme"),)}) == {"np-1": "b", "np-2": "b"}


def known(new: Plan, *earlier: Plan, told: str = "", facts: tuple[Fact, ...] = ()) -> list[tuple[str, list[str]]]:
    """The earlier plans, oldest first, that customers go by when they were told of those named in `told`."""
    looked = []

    def look(of: Plan) -> Seen:
        looked.append(of)
        return Seen(fold(of, *facts) if facts else Progress.of(of), {"acme"} if of.id[0] in told else ())

    return [(of.id[0], sorted(hosts)) for of, hosts in forerunners(new, reversed(earlier), look)]


def test_a_customer_goes_by_the_last_plan_that_it_was_told_of() -> None:
    third = plan("c", ("np-1", "acme", later(NIGHT, 2 * WEEK)), created_at=NOW)
    assert known(third, FIRST, SECOND) == []
    assert known(third, FIRST, SECOND, told="ab") == [("b", ["np-1"])]
    assert known(third, FIRST, SECOND, told="a") == [("a", ["np-1"])], "nobody heard of the second"
    assert known(SECOND, FIRST, told="a") == [("a", ["np-1", "np-2"])], "who is left out now is taken over, too"
    assert known(replace(SECOND, replaces=FIRST.id), FIRST, told="a") == [("a", ["np-1", "np-2", "np-3"])]
    halves = (plan("d", ("np-1", "acme", NIGHT)), plan("e", ("np-2", "acme", NIGHT)))
    assert known(FIRST, *halves, told="de") == [("e", ["np-2"]), ("d", ["np-1"])]
    upgraded = (opened(), started("np-1"), ended("np-1", Outcome.SUCCEEDED))
    assert known(third, FIRST, told="a", facts=upgraded) == [], "it has what it was told of"


def test_older_plans_are_not_looked_at_once_every_host_is_known() -> None:
    looked: list[str] = []

    def look(of: Plan) -> Seen:
        looked.append(of.id[0])
        return Seen(Progress.of(of), {"acme"})

    forerunners(SECOND, [FIRST, plan("z", ("np-1", "acme", NIGHT))], look)
    assert looked == ["a"]
    looked.clear()
    heirs(SECOND, Seen(Progress.of(SECOND), ()), [plan("c", ("np-1", "acme", NIGHT)), FIRST], look, NOW)
    assert looked == ["c"]
