"""Invites read back by icalendar: one event for each window, moved and ended by later letters."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from icalendar import Calendar, Event

from adapters.announced_plan import (
    ADA,
    FIRST,
    FLEET,
    GRACE,
    LAKE,
    PLAN,
    SECOND,
    WANG,
    announced,
    before,
    case,
    debt_of,
    letters,
    letters_of,
    sent,
)
from liftlock.case import Before, Case
from liftlock.ledger import Aborted, Fact, Queued
from liftlock.model import Contact, NoticeKind, Plan, Window
from liftlock.notice import Letter, contacts
from liftlock.owed import Debt

WEEK = timedelta(days=7)


def letter_to(address: str) -> Letter:
    return next(letter for letter in letters() if letter.recipient.email == address)


def calendars(letter: Letter) -> list[tuple[str, Calendar]]:
    """The method and the calendar of each invite, which must agree."""
    found = []
    for part in letter.attachments:
        if part.media_type.startswith("text/calendar"):
            calendar = Calendar.from_ical(part.content)
            assert part.media_type == f"text/calendar; method={calendar['METHOD']}"
            found.append((str(calendar["METHOD"]), calendar))
    return found


def event_in(calendar: Calendar) -> Event:
    (event,) = calendar.walk("VEVENT")
    return event


def told(of: Case, kind: NoticeKind, customer: str = "harbour") -> list[tuple[str, Event]]:
    """The events that a customer's letter of that kind carries, each with its method."""
    calls_off = kind is NoticeKind.CANCELLED
    debt = debt_of(of, kind, customer) if calls_off else Debt(kind, customer, contacts(FLEET.customers[customer]))
    letter = letters_of(of, [debt])[0]
    return [(method, event_in(calendar)) for method, calendar in calendars(letter)]


def later(plan: Plan = PLAN, **changes: Window) -> Plan:
    """A plan in its place, a day later, with these hosts in other windows."""
    hosts = tuple(replace(h, window=changes.get(h.name.replace("-", "_"), h.window)) for h in plan.hosts)
    return replace(plan, id="9" * 64, created_at=plan.created_at + timedelta(days=1), hosts=hosts, replaces=plan.id)


def rescheduled(plan: Plan) -> list[Fact]:
    """Both customers were told of a plan in place of `PLAN`, with which its events go on."""
    kind = NoticeKind.RESCHEDULED
    facts = [*sent(kind, "lake", WANG, plan=plan), *sent(kind, "harbour", ADA, GRACE, plan=plan)]
    return [replace(fact, events=PLAN.id) if isinstance(fact, Queued) else fact for fact in facts]


def test_each_window_is_one_invite_with_the_plans_times_in_the_customers_zone() -> None:
    letter = letter_to("ada@harbour.example")
    invites = [attachment for attachment in letter.attachments if attachment.name.startswith("invite")]
    assert [invite.name for invite in invites] == ["invite-1.ics", "invite-2.ics"]
    assert {invite.media_type for invite in invites} == {"text/calendar; method=REQUEST"}
    for invite, window, host in zip(invites, (FIRST, SECOND), ("harbour-1", "harbour-2"), strict=True):
        calendar = Calendar.from_ical(invite.content)
        event = event_in(calendar)
        assert calendar["METHOD"] == "REQUEST"
        assert [str(zone["TZID"]) for zone in calendar.walk("VTIMEZONE")] == ["Europe/Berlin"]
        assert event["DTSTART"].params["TZID"] == "Europe/Berlin"
        assert (event["DTSTART"].dt, event["DTEND"].dt) == (window.start, window.end)
        assert event["DTSTAMP"].dt == PLAN.created_at
        assert event["LOCATION"] == host
        assert event["ORGANIZER"] == "mailto:releases@quayside.example"
        assert [str(attendee) for attendee in event["ATTENDEE"]] == [
            "mailto:ada@harbour.example",
            "mailto:grace@harbour.example",
        ]


def test_a_rescheduled_window_is_the_same_event_with_a_higher_sequence_and_the_cancellation_ends_it() -> None:
    moved = Window(FIRST.start + WEEK, FIRST.end + WEEK)
    new, known = later(lake_1=moved), before(case(PLAN, *announced()))
    ((_, first),) = told(case(), NoticeKind.ANNOUNCED, "lake")
    ((_, second),) = told(case(new, before=known), NoticeKind.RESCHEDULED, "lake")
    ended = case(new, *rescheduled(new), Aborted(reason="x", by="me"))
    ((method, third),) = told(ended, NoticeKind.CANCELLED, "lake")
    assert (method, third["STATUS"]) == ("CANCEL", "CANCELLED")
    assert first["UID"] == second["UID"] == third["UID"]
    assert all(one["SEQUENCE"] < other["SEQUENCE"] for one, other in pairwise((first, second, third)))
    assert 0 <= first["SEQUENCE"] < 2**31
    assert second["DTSTART"].dt - first["DTSTART"].dt == WEEK
    assert (second["DTSTART"].dt, third["DTEND"].dt) == (moved.start, moved.end)
    assert third["ORGANIZER"] == first["ORGANIZER"]
    assert third["ATTENDEE"] == first["ATTENDEE"]


def test_an_invite_says_in_its_own_words_what_happens_when_where_and_whom_to_call() -> None:
    (_, event), _ = told(case(), NoticeKind.ANNOUNCED)
    assert event["SUMMARY"] == "Upgrade to Boathouse 1.6.0 · Quayside Software"
    said = str(event["DESCRIPTION"])
    for fact in (
        "We are going to upgrade 2 hosts of Harbour Rowing Club to Boathouse 1.6.0.",
        "Sat 28 Nov 2026, 15:00 to 21:00 (UTC+01:00, Europe/Berlin)",
        "harbour-2: 1.5.0 -> 1.6.0",
        "change nothing there",
        "in our letter and in the manual that came with it",
        "Phone: +49 30 1234567",
        "Plan 3f9c2a71",
    ):
        assert fact in said
    for of_the_letter in ("Dear", "attached", "Attached", "invite", "Kind regards"):
        assert of_the_letter not in said
    ((_, chinese),) = told(case(), NoticeKind.ANNOUNCED, "lake")
    for fact in ("东湖赛艇俱乐部的 1 台主机升级到“船坞预订 1.6.0”", "lake-1", "电话：+49 30 1234567"):
        assert fact in str(chinese["DESCRIPTION"])
    assert "您好" not in str(chinese["DESCRIPTION"])
    ((_, ended),) = told(case(PLAN, *announced(), Aborted(reason="x", by="me")), NoticeKind.CANCELLED, "lake")
    assert (ended["SUMMARY"], "DESCRIPTION" in ended) == (chinese["SUMMARY"], False)


def test_a_contact_that_is_listed_twice_is_one_attendee() -> None:
    (wang,) = LAKE.contacts
    twice = replace(LAKE, contacts=(wang, wang, replace(wang, name="王芳（总经理）", email="Wang.Fang@lake.example")))
    fleet = replace(FLEET, customers={**FLEET.customers, "lake": twice})
    (letter,) = letters_of(case(fleet=fleet), [Debt(NoticeKind.ANNOUNCED, "lake", contacts(twice))], fleet)
    assert str(event_in(calendars(letter)[0][1])["ATTENDEE"]) == "mailto:wang.fang@lake.example"


def test_events_differ_between_windows_customers_and_plans() -> None:
    (_, one), (_, two) = told(case(), NoticeKind.ANNOUNCED)
    ((_, lake),) = told(case(), NoticeKind.ANNOUNCED, "lake")
    (_, other), _ = told(case(replace(PLAN, id="5" * 64)), NoticeKind.ANNOUNCED)
    assert len({event["UID"] for event in (one, two, lake, other)}) == 4


def test_a_new_plan_with_fewer_windows_ends_the_event_that_is_too_many() -> None:
    (_, one), (_, two) = told(case(), NoticeKind.ANNOUNCED)
    known = before(case(PLAN, *announced()))
    (kept, gone) = told(case(later(harbour_1=SECOND), before=known), NoticeKind.RESCHEDULED)
    assert (kept[0], kept[1]["UID"]) == ("REQUEST", one["UID"])
    assert (gone[0], gone[1]["UID"]) == ("CANCEL", two["UID"])
    assert gone[1]["SEQUENCE"] > two["SEQUENCE"]
    assert kept[1]["LOCATION"] == "harbour-1, harbour-2"


def only(*names: str, plan: Plan = PLAN, **changes: object) -> Plan:
    """The plan narrowed to these hosts."""
    return replace(plan, hosts=tuple(one for one in plan.hosts if one.name in names), **changes)  # type: ignore[arg-type]


def test_two_plans_of_one_release_for_hosts_of_one_customer_have_events_of_their_own() -> None:
    one, two = only("harbour-1", id="1" * 64), only("harbour-2", id="2" * 64)
    ((_, first),) = told(case(one), NoticeKind.ANNOUNCED)
    ((_, second),) = told(case(two), NoticeKind.ANNOUNCED)
    ended = case(one, *sent(NoticeKind.ANNOUNCED, "harbour", ADA, plan=one), Aborted(reason="x", by="me"))
    ((_, gone),) = told(ended, NoticeKind.CANCELLED)
    assert first["UID"] == gone["UID"] != second["UID"]
    assert gone["LOCATION"] == "harbour-1"
    cancelled = letters_of(ended, [debt_of(ended, NoticeKind.CANCELLED)])[0]
    for words in (cancelled.subject, cancelled.text, cancelled.html):
        assert "harbour-1" in words
        assert "harbour-2" not in words

    whole = replace(PLAN, id="3" * 64, created_at=PLAN.created_at + timedelta(days=1))
    known = tuple(
        Before(case(plan, *sent(NoticeKind.ANNOUNCED, "harbour", ADA, plan=plan)), frozenset({plan.hosts[0].name}))
        for plan in (two, one)
    )
    after = told(case(whole, before=known), NoticeKind.RESCHEDULED)
    assert [method for method, _ in after] == ["REQUEST", "REQUEST", "CANCEL", "CANCEL"]
    assert {event["UID"] for _, event in after[2:]} == {first["UID"], second["UID"]}
    assert not {event["UID"] for _, event in after[:2]} & {first["UID"], second["UID"]}


def test_a_plan_that_takes_over_one_host_of_two_leaves_the_event_of_the_other_alone() -> None:
    (_, one), (_, two) = told(case(), NoticeKind.ANNOUNCED)
    known = (Before(case(PLAN, *announced()), frozenset({"harbour-2"})),)
    moved = only("harbour-2", plan=later(harbour_2=Window(SECOND.start + WEEK, SECOND.end + WEEK)))
    (new, gone) = told(case(moved, before=known), NoticeKind.RESCHEDULED)
    assert (new[0], gone[0], gone[1]["UID"]) == ("REQUEST", "CANCEL", two["UID"])
    assert new[1]["UID"] not in {one["UID"], two["UID"]}
    (letter, *_) = letters_of(case(moved, before=known), [debt_of(case(moved, before=known), NoticeKind.RESCHEDULED)])
    assert "What we announced before for harbour-2 no longer holds" in letter.text
    assert "What we announced for harbour-1 still holds." in letter.text
    assert "No longer in the plan" not in letter.text


def test_only_windows_with_hosts_that_are_still_ahead_are_cancelled() -> None:
    from adapters.test_letters import ended

    (_, _), (_, two) = told(case(), NoticeKind.ANNOUNCED)
    half = case(PLAN, *announced(), *ended("harbour-1"), Aborted(reason="x", by="me"))
    ((_, gone),) = told(half, NoticeKind.CANCELLED)
    assert gone["UID"] == two["UID"]


@pytest.mark.parametrize("kind", [NoticeKind.STARTED, NoticeKind.COMPLETED, NoticeKind.REMINDER])
def test_other_letters_leave_the_calendar_alone(kind: NoticeKind) -> None:
    assert told(case(), kind) == []


def test_the_chinese_attendee_survives_the_calendar_and_a_room_or_a_broken_name_is_nobody() -> None:
    event = event_in(calendars(letter_to("wang.fang@lake.example"))[0][1])
    assert event["ATTENDEE"].params["CN"] == "王芳"
    assert event["SUMMARY"] == "船坞预订 1.6.0 版本升级 · Quayside Software"
    odd = (Contact("Ops", channel="ops"), Contact("Eve\r\nATTENDEE:x", "eve@lake.example"), *LAKE.contacts)
    fleet = replace(FLEET, customers={**FLEET.customers, "lake": replace(LAKE, contacts=odd)})
    of = case(fleet=fleet)
    (letter, *_) = letters_of(of, [Debt(NoticeKind.ANNOUNCED, "lake", LAKE.contacts)], fleet)
    assert str(event_in(calendars(letter)[0][1])["ATTENDEE"]) == "mailto:wang.fang@lake.example"
