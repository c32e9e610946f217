"""Windows, freezes and stretches of time near the changes of clocks, and what they mean minute by minute."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from liftlock.model import (
    DatedWindow,
    Every,
    Freeze,
    FreezeRule,
    MonthlyWindow,
    RecurringFreeze,
    WeeklyWindow,
    WindowRule,
)
from liftlock.window import Rules

MINUTE = timedelta(minutes=1)
DAY = 24 * 60
CLOCK_CHANGES = {
    "Europe/Berlin": ("2026-03-29T01:00", "2026-10-25T01:00"),
    "America/New_York": ("2026-03-08T07:00", "2026-11-01T06:00"),
    "Australia/Lord_Howe": ("2026-04-04T15:00", "2026-10-03T15:30"),
    "America/Santiago": ("2026-04-05T03:00", "2026-09-06T04:00"),
    "Africa/Casablanca": ("2027-02-07T02:00", "2027-03-14T02:00"),
    "Pacific/Apia": ("2011-12-30T10:00", "2012-03-31T14:00"),
    "Asia/Shanghai": ("2026-06-01T00:00", "2026-12-31T16:00"),
}


@st.composite
def window_rules(draw: st.DrawFn, near: datetime) -> tuple[WindowRule, ...]:
    """One or two windows of any kind, those on one date within days of `near`."""
    return tuple(draw(st.lists(_weekly() | _monthly() | _dated(near), min_size=1, max_size=2)))


@st.composite
def spans(draw: st.DrawFn) -> tuple[str, datetime, timedelta]:
    """A zone and a few days around one of its clock changes."""
    zone = draw(st.sampled_from(sorted(CLOCK_CHANGES)))
    change = datetime.fromisoformat(draw(st.sampled_from(CLOCK_CHANGES[zone]))).replace(tzinfo=UTC)
    return zone, change - draw(st.integers(0, 2000)) * MINUTE, draw(st.integers(1, 4000)) * MINUTE


@st.composite
def _weekly(draw: st.DrawFn) -> WeeklyWindow:
    start = draw(st.integers(0, 7 * DAY - 1) | st.integers(6 * DAY, 6 * DAY + 240))
    length = draw(st.integers(1, 600) | st.integers(1, 7 * DAY))
    return WeeklyWindow("drawn", start, start + length)


@st.composite
def _monthly(draw: st.DrawFn) -> MonthlyWindow:
    nth, weekday = draw(st.sampled_from([1, 2, 3, 4, 5, -1])), draw(st.integers(0, 6) | st.just(6))
    return MonthlyWindow("drawn", nth, weekday, draw(st.integers(0, DAY - 1)), draw(st.integers(1, 3000)) * MINUTE)


@st.composite
def _dated(draw: st.DrawFn, near: datetime) -> DatedWindow:
    start = near.replace(tzinfo=None) + draw(st.integers(-2000, 5000)) * MINUTE
    return DatedWindow("drawn", start, draw(st.integers(1, 3000)) * MINUTE)


@st.composite
def allowed(draw: st.DrawFn, rule: WindowRule) -> WindowRule:
    """The same window, or a shorter one that lies in it."""
    if not draw(st.booleans()):
        return rule
    late, early = draw(st.integers(0, 300)), draw(st.integers(0, 300))
    if isinstance(rule, WeeklyWindow):
        end = max(rule.end_minute - early, rule.start_minute + 1)
        return replace(rule, end_minute=end)
    length = max(rule.length - (late + early) * MINUTE, MINUTE)
    if isinstance(rule, DatedWindow):
        start = min(rule.start + late * MINUTE, rule.start + rule.length - length)
        return replace(rule, start=start, length=length)
    return replace(rule, length=length)


@st.composite
def freezes(draw: st.DrawFn, near: datetime) -> tuple[FreezeRule, ...]:
    """Up to two freezes, of one date or that come back, within days of `near`."""
    starts = draw(st.lists(st.integers(-1000, 3000), max_size=2))
    return tuple(draw(_freeze(f"freeze {n}", near + n * MINUTE)) for n in starts)


@st.composite
def _freeze(draw: st.DrawFn, name: str, start: datetime) -> FreezeRule:
    end = start + draw(st.integers(0, 900)) * MINUTE
    product = draw(st.sampled_from([None, None, "gate", "lock"]))
    if end == start or draw(st.booleans()):
        return Freeze(name, start, end, product)
    zone = draw(st.sampled_from(["UTC", "Asia/Shanghai"]))  # what clock changes do to a freeze is in test_dst.py
    every = draw(st.sampled_from(list(Every)))
    return RecurringFreeze(name, _said(start, every), _said(end, every), zone, product, every)


def _said(moment: datetime, every: Every) -> str:
    """What a recurring freeze says of a time."""
    days = {Every.YEAR: f"{moment:%m-%d}", Every.MONTH: f"{moment:%d}", Every.WEEK: f"{moment:%a}".lower()}
    return f"{days[every]} {moment:%H:%M}"


def is_open(rules: Rules, minute: datetime) -> bool:
    """The definition: the wall clock shows a time inside a window, and nothing is frozen."""
    wall = minute.astimezone(ZoneInfo(rules.zone)).replace(tzinfo=None, fold=0)
    inside = any(start <= wall < end for rule in rules.windows for start, end in _local(rule, wall))
    return inside and not any(_frozen(freeze, minute) for freeze in rules.freezes)


def _local(rule: WindowRule, wall: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The window's stretches of local time that may hold this one, found by looking at every day before it."""
    if isinstance(rule, DatedWindow):
        yield rule.start, rule.start + rule.length
        return
    midnight = wall.replace(hour=0, minute=0, second=0, microsecond=0)
    length = rule.length if isinstance(rule, MonthlyWindow) else (rule.end_minute - rule.start_minute) * MINUTE
    for day in (midnight - back * timedelta(days=1) for back in range(length // timedelta(days=1) + 2)):
        if _is_its_day(rule, day):
            start = day + rule.start_minute % DAY * MINUTE
            yield start, start + length


def _is_its_day(rule: WeeklyWindow | MonthlyWindow, day: datetime) -> bool:
    if isinstance(rule, WeeklyWindow):
        return day.weekday() == rule.start_minute // DAY
    is_last = (day + timedelta(days=7)).month != day.month
    return day.weekday() == rule.weekday and (is_last if rule.nth < 0 else (day.day - 1) // 7 + 1 == rule.nth)


def _frozen(freeze: FreezeRule, minute: datetime) -> bool:
    if isinstance(freeze, Freeze):
        return freeze.start <= minute < freeze.end
    wall = minute.astimezone(ZoneInfo(freeze.zone))
    shown, start, end = (_order(said, freeze.every) for said in (_said(wall, freeze.every), freeze.start, freeze.end))
    if start < end:
        return start <= shown < end
    return shown >= start or shown < end


def _order(said: str, every: Every) -> str:
    days = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    return f"{days.index(said[:3])} {said[4:]}" if every is Every.WEEK else said
