"""The texts of weekly windows and of local times, as inventories write them. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from liftlock.model import WeeklyWindow

DAY = 24 * 60
WEEK = 7 * DAY

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WINDOW = re.compile(
    r"(?P<day>mon|tue|wed|thu|fri|sat|sun|daily)\s+(?P<start>\d\d:\d\d)\s*-\s*"
    r"(?:(?P<last>mon|tue|wed|thu|fri|sat|sun)\s+)?(?P<end>\d\d:\d\d)",
    re.ASCII,
)
_LOCAL_TIME = re.compile(r"2\d{3}-\d\d-\d\d \d\d:\d\d", re.ASCII)


def weekly_windows(text: str) -> tuple[WeeklyWindow, ...]:
    """The windows that `sat 22:00-sun 04:00`, `sat 22:00-04:00`, `daily 22:00-04:00` or `always` stand for.

    An end that is not after its start is on the next day; `24:00` may stand as an end. Raises ValueError.
    """
    if text.strip().lower() == "always":
        return (WeeklyWindow(text, 0, WEEK),)
    found = _WINDOW.fullmatch(text.strip().lower())
    if not found or (found["day"] == "daily" and found["last"]):
        raise ValueError(f"`{text[:60]}` is not a window: write `sat 22:00-sun 04:00`, `daily 22:00-04:00` or `always`")
    start, end = _minute(found["start"]), _minute(found["end"], last=DAY)
    if found["day"] == "daily":
        end += DAY if end <= start else 0
        return tuple(WeeklyWindow(text, day * DAY + start, day * DAY + end) for day in range(7))
    first = _DAYS.index(found["day"])
    if found["last"] == found["day"] and end <= start:
        raise ValueError(f"`{text}` ends before it starts: name the day it ends on, or write `always`")
    days = (_DAYS.index(found["last"]) - first) % 7 if found["last"] else int(end <= start)
    return (WeeklyWindow(text, first * DAY + start, (first + days) * DAY + end),)


def local_time(text: str) -> datetime:
    """`2026-12-20 00:00` without a zone yet. Raises ValueError."""
    try:
        if not _LOCAL_TIME.fullmatch(text):
            raise ValueError
        return datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"`{text[:60]}` is not a local time such as `2026-12-20 00:00`") from None


def in_utc(local: datetime, zone: str) -> tuple[datetime, datetime]:
    """The earliest and the latest moment that a local time can mean; they differ only where clocks change."""
    both = [local.replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC) for fold in (0, 1)]
    return min(both), max(both)


def _minute(clock: str, last: int = DAY - 1) -> int:
    hours, minutes = int(clock[:2]), int(clock[3:])
    if minutes > 59 or hours * 60 + minutes > last:
        raise ValueError(f"`{clock}` is not a time of day")
    return hours * 60 + minutes
