"""The zones of a calendar's events (VTIMEZONE, RFC 5545, 3.6.5): what their clocks do around those events.

Made here, as those of icalendar begin summer an hour late, and lack what is shorter than 64 days (Morocco's Ramadan).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from icalendar import Calendar, Timezone, TimezoneDaylight, TimezoneStandard

_DAY, _SECOND = timedelta(days=1), timedelta(seconds=1)


def add_zones(calendar: Calendar) -> None:
    """Put the zones that the events name before them, with every change of clocks from a year before to a year after.

    Raises ZoneInfoNotFoundError for a zone that nobody knows.
    """
    years = [event.start.year for event in calendar.events]
    if not years:
        return
    first, last = datetime(min(years) - 1, 1, 1, tzinfo=UTC), datetime(max(years) + 2, 1, 1, tzinfo=UTC)
    calendar.subcomponents[:0] = [_zone(name, first, last) for name in sorted(calendar.get_missing_tzids())]


def _zone(name: str, first: datetime, last: datetime) -> Timezone:
    from icalendar import Timezone

    zone, made = ZoneInfo(name), Timezone()
    made.add("tzid", name)
    made.add_component(_observance(zone, first, first))
    for change in _changes(zone, first, last):
        made.add_component(_observance(zone, change - _SECOND, change))
    return made


def _changes(zone: ZoneInfo, first: datetime, last: datetime) -> Iterator[datetime]:
    """The moments (UTC) at which the zone's clocks change, to the second."""
    moment = first
    while moment < last:
        before, after = moment, moment + _DAY
        moment = after
        while _offset(zone, before) != _offset(zone, after):
            middle = before + (after - before) // 2
            if after - before <= _SECOND:
                yield after
                break
            before, after = (middle, after) if _offset(zone, middle) == _offset(zone, before) else (before, middle)


def _observance(zone: ZoneInfo, before: datetime, onset: datetime) -> TimezoneDaylight | TimezoneStandard:
    """What holds from the onset on, which is told by the clocks as they went before."""
    from icalendar import TimezoneDaylight, TimezoneStandard

    local = onset.astimezone(zone)
    made = TimezoneDaylight() if local.dst() else TimezoneStandard()
    made.DTSTART = (onset + _offset(zone, before)).replace(tzinfo=None)
    made.TZOFFSETFROM, made.TZOFFSETTO = _offset(zone, before), _offset(zone, onset)
    made.add("tzname", local.tzname())
    return made


def _offset(zone: ZoneInfo, moment: datetime) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()
