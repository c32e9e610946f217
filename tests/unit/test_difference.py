from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftlock.difference import Change, What, difference, objections
from liftlock.model import (
    ApprovalRule,
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
from liftlock.timing import first_start

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
NIGHT = Window(datetime(2026, 11, 21, 21, 0, tzinfo=UTC), datetime(2026, 11, 22, 3, 0, tzinfo=UTC))
HOUR, WEEK = timedelta(hours=1), timedelta(weeks=1)
ZONES = {"acme": "Europe/Berlin", "huaxin": "Asia/Shanghai"}


def host(name: str, *versions: str, wave: int = 1, window: Window = NIGHT, customer: str = "acme") -> PlannedHost:
    passed = versions or ("1.4.0", "1.5.0")
    hops = tuple(Hop(there, here, "rule") for there, here in pairwise(passed))
    return PlannedHost(name, customer, wave, passed[0], hops, window, needed=timedelta(minutes=20))


def plan(*hosts: PlannedHost, left: tuple[Exclusion, ...] = (), **changes: object) -> Plan:
    made = Plan("a" * 64, "boathouse", "1.5.0", ReleaseKind.UPGRADE, "example", NOW, Policy(), hosts, left, {})
    return replace(made, **changes)  # type: ignore[arg-type]


def out(name: str, reason: str = "on hold") -> Exclusion:
    return Exclusion(name, "acme", Outcome.SKIPPED, reason)


def words(old: Plan, new: Plan) -> list[str]:
    return [change.words for change in difference(old, new, ZONES)]


def only(changes: tuple[Change, ...], what: What) -> Change:
    (found,) = [change for change in changes if change.what is what]
    return found


def test_hosts_added_removed_and_left_out_are_told_with_where_they_were_before() -> None:
    old = plan(host("np-1"), host("np-2", wave=2), left=(out("np-3"), out("np-4"), out("np-5")))
    new = plan(host("np-1"), host("np-3"), left=(out("np-2", "after the regatta"), out("np-4", "sold")))
    said = words(old, new)
    assert said[:4] == [
        "np-3: added, 1.4.0 > 1.5.0 in wave 1, Sat 21 Nov 2026 22:00-Sun 04:00 CET (before: skipped: on hold)",
        "np-2: no longer planned: skipped: after the regatta (before: wave 2)",
        "np-4: left out: skipped: sold (before: skipped: on hold)",
        "np-5: left out: not considered (before: skipped: on hold)",
    ]


def test_another_path_wave_window_and_length_are_told_the_window_in_the_customers_zone() -> None:
    later = Window(NIGHT.start + WEEK, NIGHT.end + WEEK)
    changed = host("hx-1", "1.4.0", "1.4.2", "1.5.0", wave=2, window=later, customer="huaxin")
    assert words(
        plan(host("hx-1", customer="huaxin")), plan(replace(changed, needed=timedelta(hours=1, minutes=30)))
    ) == [
        "hx-1: other path: 1.4.0 > 1.4.2 > 1.5.0 (before: 1.4.0 > 1.5.0)",
        "hx-1: other window: Sun 29 Nov 2026 05:00-Sun 11:00 CST (before: Sun 22 Nov 2026 05:00-Sun 11:00 CST)",
        "hx-1: moved from wave 1 to wave 2",
        "hx-1: other length: 1h30m (before: 20m)",
    ]
    assert "21:00-Sun 03:00 UTC" in difference(plan(host("x")), plan(host("x", window=later)))[0].before


def test_hosts_with_the_same_change_share_a_line_that_names_a_few_and_counts_the_rest() -> None:
    old, new = plan(*(host(f"np-{n}") for n in range(9))), plan(*(host(f"np-{n}", wave=2) for n in range(9)))
    change = only(difference(old, new), What.WAVE)
    assert change.hosts == tuple(f"np-{n}" for n in range(9))
    assert change.words == "np-0, np-1, np-2, np-3, np-4, np-5 and 3 more: moved from wave 1 to wave 2"


def test_rules_and_inputs_are_told_as_their_files_write_them() -> None:
    policy = Policy(
        bake=timedelta(hours=1), waves=("1", "100%"), approvals=(ApprovalRule((ReleaseKind.UPGRADE,), 50, 2),)
    )
    old = plan(host("np-1"), inputs={"liftlock.yaml": "1" * 64, "inventories/old.yaml": "2" * 64})
    new = plan(host("np-1"), policy=policy, approvals=2, waived=("notice",), inputs={"liftlock.yaml": "3" * 64})
    bound = replace(ACME, notify_by=NIGHT.start - timedelta(days=1), at_once=2)
    assert words(replace(old, customers=(ACME,)), replace(new, customers=(bound,))) == [
        "customer acme: told 1d ahead, at most 2 at once (before: told 7d ahead)",
        "policy waves: 1, 100% (before: 1, 25%, 100%)",
        "policy bake: 1h (before: 30m)",
        "policy approvals: 2 for upgrade over 50 hosts (before: none)",
        "approvals: 2 (before: 0)",
        "waived: notice (before: none)",
        "input inventories/old.yaml: not there (before: 22222222)",
        "input liftlock.yaml: 33333333 (before: 11111111)",
    ]
    of_budget = words(plan(host("np-1")), plan(*(host(f"np-{n}") for n in range(1, 61))))
    assert any("98 % of 60 hosts allows 1 failure" in line for line in of_budget)
    assert words(plan(), plan(version="1.6.0", fleet="other"))[:2] == [
        "release: boathouse 1.6.0 (upgrade) (before: boathouse 1.5.0 (upgrade))",
        "fleet: other (before: example)",
    ]


def test_a_window_that_both_plans_cut_at_their_own_moment_is_the_same_window() -> None:
    def made_at(
        now: datetime, start: datetime | None = None, end: datetime = NIGHT.end, lead: timedelta = WEEK
    ) -> Plan:
        start = start or first_start(now, lead)
        told = PlannedCustomer("acme", start - lead, start, end)
        return plan(host("np-1", window=Window(start, end)), created_at=now, customers=(told,))

    planned = NIGHT.start - WEEK - timedelta(hours=2)
    an_hour_on = planned + timedelta(hours=1)
    assert only(difference(made_at(planned), made_at(an_hour_on, NIGHT.end - HOUR)), What.WINDOW).hosts == ("np-1",)
    assert difference(made_at(planned), made_at(an_hour_on)) == ()
    assert difference(made_at(planned, lead=0 * HOUR), made_at(an_hour_on, lead=0 * HOUR)) == ()
    shorter = made_at(an_hour_on, end=NIGHT.end - HOUR)
    assert only(difference(made_at(planned), shorter), What.WINDOW).hosts == ("np-1",)


ACME = PlannedCustomer("acme", NIGHT.start - WEEK, NIGHT.start, NIGHT.end)
OLD = plan(host("np-1"), host("np-2", wave=2), left=(out("np-3"),), inputs={"a": "1"}, customers=(ACME,))


@pytest.mark.parametrize(
    "new",
    [
        replace(OLD, inputs={"a": "2"}, id="b" * 64),
        replace(OLD, exclusions=(out("np-3", "sold"),)),
        replace(OLD, hosts=tuple(replace(host, needed=timedelta(minutes=29)) for host in OLD.hosts)),
        replace(OLD, hosts=tuple(replace(host, note="not observed: refused") for host in OLD.hosts)),
        replace(OLD, finish=NIGHT.end),
        replace(OLD, through=NIGHT.end),
    ],
    ids=["hashes", "reasons", "a little longer", "notes", "finish", "through"],
)
def test_nothing_stands_against_going_on_when_only_hashes_and_remarks_changed(new: Plan) -> None:
    assert objections(OLD, new, ()) == []


@pytest.mark.parametrize(
    ("new", "what"),
    [
        (replace(OLD, hosts=OLD.hosts[:1]), What.REMOVED),
        (replace(OLD, hosts=(*OLD.hosts, host("np-9", wave=2))), What.ADDED),
        (replace(OLD, hosts=(host("np-1", "1.3.0", "1.5.0"), OLD.hosts[1])), What.PATH),
        (replace(OLD, hosts=(host("np-1", "1.4.0", "1.4.2", "1.5.0"), OLD.hosts[1])), What.PATH),
        (
            replace(OLD, hosts=(host("np-1", window=replace(NIGHT, start=NIGHT.start + WEEK / 84)), OLD.hosts[1])),
            What.WINDOW,
        ),
        (replace(OLD, hosts=(replace(OLD.hosts[0], wave=2), OLD.hosts[1])), What.WAVE),
        (replace(OLD, hosts=(replace(OLD.hosts[0], needed=timedelta(minutes=30)), OLD.hosts[1])), What.LENGTH),
        (replace(OLD, hosts=(replace(OLD.hosts[0], redundancy="booking"), OLD.hosts[1])), What.PLACE),
        (replace(OLD, customers=(replace(ACME, at_once=1),)), What.CUSTOMER),
        (replace(OLD, customers=(replace(ACME, notify_by=NOW),)), What.CUSTOMER),
        (replace(OLD, policy=Policy(max_failures=5)), What.POLICY),
        (replace(OLD, approvals=1), What.APPROVALS),
        (replace(OLD, waived=("notice",)), What.WAIVED),
        (replace(OLD, kind=ReleaseKind.SECURITY), What.RELEASE),
    ],
    ids=lambda value: value.value if isinstance(value, What) else "",
)
def test_what_people_were_told_or_approved_stands_against_going_on(new: Plan, what: What) -> None:
    assert what in {change.what for change in objections(OLD, new, ())}


def test_hosts_that_were_attempted_have_their_end_and_object_to_nothing() -> None:
    rest = replace(OLD.hosts[1], wave=1)
    after_np_1 = replace(OLD, hosts=(rest,), exclusions=(out("np-3"), out("np-1", "has 1.5.0")), approvals=0)
    needing_two = replace(OLD, approvals=2)
    assert objections(needing_two, after_np_1, {"np-1"}) == []
    assert {change.what for change in objections(needing_two, after_np_1, ())} == {
        What.REMOVED,
        What.WAVE,
        What.APPROVALS,
    }
    moved = replace(after_np_1, hosts=(replace(rest, window=Window(NIGHT.start + WEEK, NIGHT.end + WEEK)),))
    assert [change.what for change in objections(OLD, moved, {"np-1"})] == [What.WINDOW]


HOSTS = st.lists(
    st.builds(
        host,
        st.sampled_from([f"h{n}" for n in range(6)]),
        wave=st.integers(1, 3),
        window=st.sampled_from([NIGHT, Window(NIGHT.start + WEEK, NIGHT.end + WEEK)]),
    ),
    unique_by=lambda host: host.name,
)


@given(HOSTS, HOSTS)
def test_every_host_that_differs_is_named_and_no_other(before: list[PlannedHost], after: list[PlannedHost]) -> None:
    old, new = {one.name: one for one in before}, {one.name: one for one in after}
    changes = difference(plan(*before), plan(*after))
    named = {name for change in changes for name in change.hosts}
    assert named == {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
    assert [change for change in difference(plan(*after), plan(*after)) if change] == []
