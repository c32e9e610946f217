"""Wall clocks: which moments a local time means, and when a zone's clock is set. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from liftlock.model import Freeze, Window

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)


def in_utc(local: datetime, zone: str) -> tuple[datetime, datetime]:
    """The earliest and the latest moment that a local time can mean; they differ only where clocks change.

    For a time that the clock skips, the two lie before and after the moment of the change.
    """
    both = [local.replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC) for fold in (0, 1)]
    return min(both), max(both)


def freeze_between(name: str, start: datetime, end: datetime, zone: str, product: str | None) -> Freeze:
    """The freeze between two local times; it covers both readings of those that clocks show twice or skip."""
    return Freeze(name, in_utc(start, zone)[0], in_utc(end, zone)[1], product, (start, end), zone)


def is_skipped(local: datetime, zone: str) -> bool:
    """Whether the clocks of the zone never show this local time."""
    earliest, _ = in_utc(local, zone)
    return shown(earliest, zone) != local


def shown(moment: datetime, zone: str) -> datetime:
    """What the clocks of the zone show at that moment, as a time without a zone."""
    return moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)


@lru_cache(maxsize=4096)
def steady(zone_name: str, start: datetime, end: datetime) -> tuple[tuple[Window, timedelta], ...]:
    """The stretch of UTC cut where the zone's clock is set: each piece with how far that clock is ahead of UTC.

    No zone sets its clock twice within a day, so it is looked at once a day.
    """
    zone = ZoneInfo(zone_name)
    pieces = []
    begin = day = start
    while day < end:
        following = min(day + _DAY, end)
        if _ahead(zone, following) != _ahead(zone, day):
            change = _change(zone, day, following)
            pieces.append((Window(begin, change), _ahead(zone, begin)))
            begin = change
        day = following
    if begin < end:
        pieces.append((Window(begin, end), _ahead(zone, begin)))
    return tuple(pieces)


def _change(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """The first whole second by the new clock, by halving."""
    old = _ahead(zone, before)
    low, high = before.replace(microsecond=0), after.replace(microsecond=0)
    while high - low > _SECOND:
        middle = low + (high - low) // _SECOND // 2 * _SECOND
        low, high = (middle, high) if _ahead(zone, middle) == old else (low, middle)
    return high


def _ahead(zone: ZoneInfo, at: datetime) -> timedelta:
    return at.astimezone(zone).utcoffset() or timedelta()
