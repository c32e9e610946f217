"""The texts of windows, freezes and local times, as inventories write them. Pure."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from liftlock.fields import span
from liftlock.model import DatedWindow, Every, MonthlyWindow, WeeklyWindow, WindowRule

DAY = 24 * 60
WEEK = 7 * DAY
LONGEST = timedelta(days=28)

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "last": -1}
_WEEKLY = re.compile(
    r"(?P<day>mon|tue|wed|thu|fri|sat|sun|daily)\s+(?P<start>\d\d:\d\d)\s*-\s*"
    r"(?:(?P<last>mon|tue|wed|thu|fri|sat|sun)\s+)?(?P<end>\d\d:\d\d)",
    re.ASCII,
)
_MONTHLY = re.compile(
    r"(?P<nth>first|second|third|fourth|fifth|last)\s+(?P<day>mon|tue|wed|thu|fri|sat|sun)(?P<rest>[a-z]*)\s+"
    r"(?P<start>\d\d:\d\d)\s+for\s+(?P<length>\w+)",
    re.ASCII,
)
_DATED = re.compile(r"(?P<start>2\d{3}-\d\d-\d\d \d\d:\d\d)\s+for\s+(?P<length>\w+)", re.ASCII)
_LOCAL_TIME = re.compile(r"2\d{3}-\d\d-\d\d \d\d:\d\d", re.ASCII)
_RECURRING_DAY = {Every.YEAR: r"\d\d-\d\d", Every.MONTH: r"\d\d", Every.WEEK: "|".join(DAYS)}
_RECURRING_SAMPLE = {Every.YEAR: "12-20 00:00", Every.MONTH: "28 18:00", Every.WEEK: "fri 18:00"}
_KNOWN = (
    "`sat 22:00-sun 04:00`, `daily 22:00-04:00`, `always`, `third saturday 22:00 for 6h` or `2026-12-05 22:00 for 6h`"
)


def window_rules(text: str) -> tuple[WindowRule, ...]:
    """The windows that a text stands for: weekly, `daily` or `always`, monthly, or on one date.

    A weekly end that is not after its start is on the next day; `24:00` may stand as an end. A length counts on the
    wall clock: `22:00 for 6h` is from 22:00 to 04:00. Raises ValueError.
    """
    said = text.strip().lower()
    if said == "always":
        return (WeeklyWindow(text, 0, WEEK),)
    if weekly := _WEEKLY.fullmatch(said):
        return _weekly(text, weekly)
    if monthly := _MONTHLY.fullmatch(said):
        return (_monthly(text, monthly),)
    if dated := _DATED.fullmatch(said):
        return (DatedWindow(text, local_time(dated["start"]), _length(dated["length"])),)
    raise _no_window(text)


def local_time(text: str) -> datetime:
    """`2026-12-20 00:00` without a zone yet. Raises ValueError."""
    try:
        if not _LOCAL_TIME.fullmatch(text):
            raise ValueError
        return datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"`{text[:60]}` is not a local time such as `2026-12-20 00:00`") from None


def recurring_time(text: str, every: Every) -> str:
    """`text` if it is a day and time of every year, month or week, such as `12-20 00:00`. Raises ValueError."""
    said = text.strip().lower()
    try:
        if not re.fullmatch(rf"({_RECURRING_DAY[every]}) \d\d:\d\d", said, re.ASCII):
            raise ValueError
        day, clock = said.split()
        of_all = {Every.YEAR: day, Every.MONTH: f"01-{day}", Every.WEEK: "01-01"}  # January has every day there is
        datetime.fromisoformat(f"2024-{of_all[every]} {clock}")  # and a leap year as well
    except ValueError:
        sample = _RECURRING_SAMPLE[every]
        raise ValueError(f"`{text[:60]}` is not a time of every {every} such as `{sample}`") from None
    return said


def _weekly(text: str, found: re.Match[str]) -> tuple[WeeklyWindow, ...]:
    start, end = _minute(found["start"]), _minute(found["end"], last=DAY)
    if found["day"] == "daily":
        if found["last"]:
            raise _no_window(text)
        end += DAY if end <= start else 0
        return tuple(WeeklyWindow(text, day * DAY + start, day * DAY + end) for day in range(7))
    first = DAYS.index(found["day"])
    if found["last"] == found["day"] and end <= start:
        raise ValueError(f"`{text}` ends before it starts: name the day it ends on, or write `always`")
    days = (DAYS.index(found["last"]) - first) % 7 if found["last"] else int(end <= start)
    return (WeeklyWindow(text, first * DAY + start, (first + days) * DAY + end),)


def _monthly(text: str, found: re.Match[str]) -> MonthlyWindow:
    name = found["day"] + found["rest"]
    if name not in DAYS and name not in _DAY_NAMES:
        raise _no_window(text)
    weekday, minute = DAYS.index(found["day"]), _minute(found["start"])
    return MonthlyWindow(text, _ORDINALS[found["nth"]], weekday, minute, _length(found["length"]))


def _length(text: str) -> timedelta:
    length = span(text)
    if not timedelta() < length <= LONGEST:
        raise ValueError(f"`{text}` must be longer than zero and at most 28d")
    return length


def _minute(clock: str, last: int = DAY - 1) -> int:
    hours, minutes = int(clock[:2]), int(clock[3:])
    if minutes > 59 or hours * 60 + minutes > last:
        raise ValueError(f"`{clock}` is not a time of day")
    return hours * 60 + minutes


def _no_window(text: str) -> ValueError:
    return ValueError(f"`{text[:60]}` is not a window: write {_KNOWN}")
