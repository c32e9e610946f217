from __future__ import annotations

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import icalendar

from adapters.booked_plans import EVIL, NOW, booked
from liftlock.adapters.ics import publish
from liftlock.maintenance import make_calendar


def published(**changes: Any) -> icalendar.Calendar:
    parsed = icalendar.Calendar.from_ical(publish(booked(**changes), NOW, "Boathouse Software"))
    assert isinstance(parsed, icalendar.Calendar)
    return parsed


def test_one_event_per_customer_window_and_plan_in_the_customers_zone() -> None:
    calendar = published(weeks=8)
    assert calendar["METHOD"] == "PUBLISH"
    events = {(str(event["SUMMARY"])): event for event in calendar.walk("VEVENT")}
    assert set(events) == {
        f"CONFLICT: {EVIL}: boathouse 1.5.0",
        f"CONFLICT: {EVIL}: harbour-db 1.5.0",
        "华信水上运动: boathouse 1.5.0",
        "Lord Howe Island Marina: boathouse 1.5.0",
        "Harbour Trust: boathouse 1.5.0",
    }
    marina = events["Lord Howe Island Marina: boathouse 1.5.0"]
    assert marina["DTSTART"].params["TZID"] == "Australia/Lord_Howe"
    assert marina.start.isoformat() == "2026-12-07T01:00:00+11:00"
    assert events["Harbour Trust: boathouse 1.5.0"]["DTSTART"].to_ical() == b"20261230T010000Z"
    assert {zone.tz_name for zone in calendar.timezones} == {"Asia/Shanghai", "Australia/Lord_Howe", "Europe/Berlin"}
    berlin = next(zone for zone in calendar.timezones if zone.tz_name == "Europe/Berlin").to_tz()
    at = NOW.replace(month=7).astimezone(ZoneInfo("Europe/Berlin")).replace(tzinfo=None)
    assert at.replace(tzinfo=berlin).utcoffset() == timedelta(hours=2)


def test_an_event_is_tentative_until_its_customer_was_told_and_the_plan_approved() -> None:
    states = {str(event["SUMMARY"]): str(event["STATUS"]) for event in published(weeks=8).walk("VEVENT")}
    assert [summary for summary, state in states.items() if state == "TENTATIVE"] == [
        f"CONFLICT: {EVIL}: harbour-db 1.5.0",
        "Harbour Trust: boathouse 1.5.0",
    ]
    text = next(str(event["DESCRIPTION"]) for event in published().walk("VEVENT") if "harbour-db" in event["SUMMARY"])
    assert "2 approvals missing" in text
    assert "Also in another open plan at that time: np-1" in text


def test_an_event_keeps_its_identity_when_it_is_published_again() -> None:
    def uids(calendar: icalendar.Calendar) -> list[str]:
        return [str(event["UID"]) for event in calendar.walk("VEVENT")]

    first, again = uids(published()), uids(published(weeks=3, now=NOW + timedelta(days=1)))
    assert len(first) == len(set(first)) == 4
    assert again == first[:-1]
    assert publish(booked(), NOW, "Boathouse") == publish(booked(), NOW, "Boathouse")


def test_a_calendar_without_windows_is_still_a_calendar() -> None:
    empty = icalendar.Calendar.from_ical(publish(make_calendar([], {}, NOW, 2), NOW, "Boathouse"))
    assert (empty["METHOD"], empty.walk("VEVENT")) == ("PUBLISH", [])
