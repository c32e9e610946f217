"""The zones in invites and in the published calendar, read as RFC 5545 says, tell the time that zoneinfo tells."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import icalendar
import pytest

from adapters.announced_plan import FLEET, LAKE, case, letters_of
from adapters.booked_plans import NOW, booked
from liftlock.adapters.ics import publish
from liftlock.model import NoticeKind
from liftlock.owed import Debt

HOUR = timedelta(hours=1)


def offset(zone: icalendar.Timezone, moment: datetime) -> timedelta:
    """The zone's offset by its VTIMEZONE: that of the latest onset, which is local time in the offset from before."""
    onsets = [
        (datetime.combine(local.date(), local.time(), UTC) - part.TZOFFSETFROM, part.TZOFFSETTO)
        for part in (*zone.standard, *zone.daylight)
        for local in (part.DTSTART, *(date.dt for date in (part["RDATE"].dts if "RDATE" in part else ())))
    ]
    latest: tuple[datetime, timedelta] = max(one for one in onsets if one[0] <= moment)
    return latest[1]


def check(zone: icalendar.Timezone, name: str, first: datetime, hours: int) -> None:
    assert zone.tz_name == name
    told = [offset(zone, first + number * HOUR / 2) for number in range(2 * hours)]
    true = [(first + number * HOUR / 2).astimezone(ZoneInfo(name)).utcoffset() for number in range(2 * hours)]
    assert told == true


@pytest.mark.parametrize(
    "name",
    [
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "America/Santiago",
        "Africa/Casablanca",
        "Asia/Shanghai",
        "Europe/Dublin",
    ],
)
def test_an_invites_zone_tells_every_change_of_clocks_to_the_half_hour(name: str) -> None:
    fleet = replace(FLEET, customers={**FLEET.customers, "lake": replace(LAKE, timezone=name)})
    (letter,) = letters_of(case(fleet=fleet), [Debt(NoticeKind.ANNOUNCED, "lake", LAKE.contacts)], fleet)
    (invite,) = [part for part in letter.attachments if part.name == "invite.ics"]
    (zone,) = icalendar.Calendar.from_ical(invite.content).timezones
    check(zone, name, datetime(2026, 1, 1, tzinfo=UTC), 2 * 365 * 24)


def test_the_published_calendars_zones_do_so_too() -> None:
    zones = icalendar.Calendar.from_ical(publish(booked(weeks=8), NOW, "Boathouse")).timezones
    for zone, name in zip(zones, ("Asia/Shanghai", "Australia/Lord_Howe", "Europe/Berlin"), strict=True):
        check(zone, name, NOW, 365 * 24)
