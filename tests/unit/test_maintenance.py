from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from liftlock import ledger
from liftlock.ledger import Fact
from liftlock.maintenance import Calendar, make_calendar
from liftlock.model import (
    Customer,
    Exclusion,
    Hop,
    Outcome,
    Plan,
    PlannedCustomer,
    PlannedHost,
    Policy,
    ReleaseKind,
    Window,
)
from liftlock.progress import Progress
from world import announced, ended, fold, opened, started

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)  # a Friday
NIGHT = Window(datetime(2026, 11, 21, 21, 0, tzinfo=UTC), datetime(2026, 11, 22, 3, 0, tzinfo=UTC))
WEEK = timedelta(weeks=1)
CUSTOMERS = {
    ("example", "acme"): Customer("acme", "Acme Rowing", "en", "Europe/Berlin", (), ()),
    ("example", "huaxin"): Customer("huaxin", "华信", "zh-CN", "Asia/Shanghai", (), ()),
}


def later(window: Window, by: timedelta) -> Window:
    return Window(window.start + by, window.end + by)


def plan(id_: str, *hosts: tuple[str, str, Window], product: str = "boathouse", **changes: object) -> Plan:
    planned = tuple(PlannedHost(name, c, 1, "1.4.0", (Hop("1.4.0", "1.5.0", "r"),), w) for name, c, w in hosts)
    told = {c: PlannedCustomer(c, w.start - WEEK, w.start, w.end) for _, c, w in hosts}
    made = Plan(id_ * 8, product, "1.5.0", ReleaseKind.UPGRADE, "example", NOW - WEEK, Policy(), planned, (), {})
    return replace(made, customers=tuple(told.values()), **changes)  # type: ignore[arg-type]


def calendar(*rollouts: Plan | tuple[Plan, Progress], weeks: int = 3, now: datetime = NOW) -> Calendar:
    pairs = [(one, Progress.of(one)) if isinstance(one, Plan) else one for one in rollouts]
    return make_calendar(pairs, CUSTOMERS, now, weeks)


def test_hosts_of_one_customer_plan_and_window_are_one_booking_in_the_week_it_begins_by_the_customers_clock() -> None:
    sunday_night = Window(datetime(2026, 11, 22, 17, 0, tzinfo=UTC), datetime(2026, 11, 22, 20, 0, tzinfo=UTC))
    mine = plan(
        "a",
        *((f"np-{number}", "acme", NIGHT) for number in (1, 10, 9)),
        ("np-2", "acme", later(NIGHT, WEEK)),
        ("hx-1", "huaxin", sunday_night),  # 01:00 on Monday in Shanghai
        ("zz-1", "gone", NIGHT),
    )
    made = calendar(mine)
    by_week = [[(one.title, one.zone, one.hosts) for one in week.bookings] for week in made.weeks]
    assert by_week == [
        [("Acme Rowing", "Europe/Berlin", ("np-1", "np-9", "np-10")), ("gone", "UTC", ("zz-1",))],
        [("华信", "Asia/Shanghai", ("hx-1",)), ("Acme Rowing", "Europe/Berlin", ("np-2",))],
        [],
    ]
    assert [week.monday.isoformat() for week in made.weeks] == ["2026-11-16", "2026-11-23", "2026-11-30"]
    assert made.bookings[0].local[0].isoformat() == "2026-11-21T22:00:00+01:00"
    assert made.collisions == made.later == made.missed == made.superseded == ()


def test_a_window_that_was_open_before_this_week_stands_in_it_one_that_is_over_was_missed_the_rest_comes_later() -> (
    None
):
    monday = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
    begun_on_sunday = Window(monday - timedelta(hours=3), monday + timedelta(hours=3))
    mine = plan(
        "a",
        ("np-1", "acme", begun_on_sunday),
        ("np-2", "acme", later(begun_on_sunday, 3 * WEEK)),
        ("np-3", "acme", NIGHT),
    )
    made = calendar(mine, now=monday, weeks=2)
    assert [booking.hosts for booking in made.weeks[0].bookings] == [("np-1",)]
    assert [booking.hosts for booking in made.later] == [("np-2",)]
    assert [(booking.hosts, booking.lacking) for booking in made.missed] == [(("np-3",), ())]


def test_a_booking_says_what_is_still_lacking() -> None:
    soon = plan("a", ("np-1", "acme", NIGHT), ("hx-1", "huaxin", later(NIGHT, WEEK)), approvals=2)
    (too_late, in_time) = calendar(soon).bookings
    assert too_late.lacking == ("notice not sent, too late", "2 approvals missing")
    assert in_time.lacking == ("notice not sent, due by Sat 21 Nov 21:00 UTC", "2 approvals missing")
    night = PlannedCustomer("acme", NIGHT.start, NIGHT.start, NIGHT.end)
    at_once = replace(plan("a", ("np-1", "acme", NIGHT)), customers=(night,))
    (begun,) = calendar(at_once, now=NIGHT.start + timedelta(hours=1)).bookings
    assert begun.lacking == ("notice not sent",), "nothing is owed ahead, so nothing is late"
    anna, tom = ledger.Approved(by="Anna"), ledger.Approved(by="Tom")
    half = fold(soon, announced("acme"), anna)
    assert calendar((soon, half)).bookings[0].lacking == ("1 approval missing",)
    ready = fold(soon, ledger.Waived(rule="notice", reason="a hole", by="anna"), anna, tom)
    assert [booking.lacking for booking in calendar((soon, ready)).bookings] == [(), ()]


def standing(*facts: Fact) -> Calendar:
    both = plan("a", ("np-1", "acme", NIGHT), ("np-2", "acme", NIGHT), policy=Policy(max_failures=1))
    return calendar((both, fold(both, opened(), *facts)))


def test_only_what_is_still_to_do_stands_in_it() -> None:
    done = (started("np-1"), ended("np-1", Outcome.SUCCEEDED))
    assert [one.hosts for one in standing(*done).bookings] == [("np-2",)]
    refused = ledger.LeftOut(host="np-2", outcome=Outcome.REFUSED, reason="notice")
    assert [one.hosts for one in standing(*done, refused, ledger.Finished()).bookings] == [("np-2",)]
    current = ledger.LeftOut(host="np-2", outcome=Outcome.ALREADY_CURRENT, reason="has 1.5.0")
    assert standing(*done, current, ledger.Finished()).bookings == ()
    assert standing(ledger.Aborted(reason="called off", by="anna")).bookings == ()
    failed = [fact for name in ("np-1", "np-2") for fact in (started(name), ended(name, Outcome.FAILED))]
    assert standing(*failed, ledger.Halted(reason="budget")).bookings == ()


def test_an_untouched_plan_gives_way_to_a_later_one_on_the_hosts_that_this_one_considers() -> None:
    first = plan("a", ("np-1", "acme", NIGHT), ("np-2", "acme", NIGHT), ("np-3", "acme", NIGHT))
    left = (Exclusion("np-2", "acme", Outcome.SKIPPED, "on hold"),)
    second = plan("b", ("np-1", "acme", later(NIGHT, WEEK)), created_at=NOW, exclusions=left)
    assert [(one.plan[0], one.hosts) for one in calendar(first, second).bookings] == [
        ("a", ("np-3",)),
        ("b", ("np-1",)),
    ]

    everything = plan("c", *((f"np-{n}", "acme", NIGHT) for n in (1, 2, 3)), created_at=NOW)
    made = calendar(first, everything)
    assert ([one.plan[0] for one in made.bookings], made.superseded) == (["c"], (first.id,))
    assert {one.plan[0] for one in calendar(first, replace(everything, product="mast")).bookings} == {"a", "c"}
    assert {one.plan[0] for one in calendar(first, replace(everything, fleet="other")).bookings} == {"a", "c"}


def test_a_later_plan_that_was_ended_before_anybody_heard_of_it_gives_the_hosts_back() -> None:
    first, look = plan("a", ("np-1", "acme", NIGHT)), plan("b", ("np-1", "acme", NIGHT), created_at=NOW)
    ended_by_us = ledger.Aborted(reason="only a look", by="anna")
    made = calendar(first, (look, fold(look, ended_by_us)))
    assert ([one.plan[0] for one in made.bookings], made.superseded) == (["a"], ())
    made = calendar(first, (look, fold(look, announced("acme"), ended_by_us)))
    assert (made.bookings, made.superseded) == ((), (first.id,)), "they know that it stands in for the first"


def test_a_plan_that_was_begun_keeps_its_hosts_and_collides() -> None:
    first = plan("a", ("np-1", "acme", NIGHT), ("np-2", "acme", NIGHT))
    begun = fold(first, opened(), started("np-1"), ended("np-1", Outcome.SUCCEEDED))
    second = plan("b", ("np-2", "acme", later(NIGHT, timedelta(hours=4))), created_at=NOW)
    made = calendar((first, begun), second)
    (collision,) = made.collisions
    assert (collision.host, collision.plans) == ("np-2", (first.id, second.id))
    assert collision.overlap == Window(NIGHT.start + timedelta(hours=4), NIGHT.end)
    assert [one.colliding for one in made.bookings] == [("np-2",), ("np-2",)]


HOURS = st.integers(0, 24 * 14)
WINDOWS = st.builds(
    lambda start, length: Window(NOW + timedelta(hours=start), NOW + timedelta(hours=start + length)),
    HOURS,
    st.integers(1, 48),
)


@given(st.lists(st.lists(st.tuples(st.integers(0, 3), WINDOWS), unique_by=lambda one: one[0]), max_size=4))
def test_a_host_collides_exactly_when_two_plans_of_different_products_overlap_on_it(
    plans: list[list[tuple[int, Window]]],
) -> None:
    made = [
        plan(str(number), *((f"h{host}", "acme", window) for host, window in hosts), product=f"p{number}")
        for number, hosts in enumerate(plans)
    ]
    expected = {
        (f"h{host}", frozenset({made[one].id, made[other].id}))
        for one, hosts in enumerate(plans)
        for other in range(one)
        for host, window in hosts
        for their_host, theirs in plans[other]
        if host == their_host and window.start < theirs.end and theirs.start < window.end
    }
    found = calendar(*made, weeks=10)
    assert {(one.host, frozenset(one.plans)) for one in found.collisions} == expected
    assert {(one.plan, host) for one in found.bookings for host in one.colliding} == {
        (id_, host) for host, ids in expected for id_ in ids
    }
    assert sorted(host for one in found.bookings for host in one.hosts) == sorted(
        f"h{host}" for hosts in plans for host, _ in hosts
    )
