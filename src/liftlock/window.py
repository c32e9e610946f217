"""Windows: when change is allowed at a customer.

The rule for local time: **an instant lies in a weekly window exactly when the customer's wall clock
shows a time inside it.** Where the clock is set forward, a start or end that the wall never shows
counts as the first instant after the gap. Where it is set back, a time shown twice counts twice: a
window until 02:30 is open before the first 02:30, shut from there to 03:00, and open again from the
second 02:00 to the second 02:30. So no change is ever made while the wall shows a time that the
customer did not give. Windows that touch are one; a freeze, the customer's or the fleet's, wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from liftlock.model import Customer, Freeze, WeeklyWindow, Window

HORIZON = timedelta(days=92)
_DAY = timedelta(days=1)
_WEEK = timedelta(weeks=1)
_MINUTE = timedelta(minutes=1)
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Blocked:
    """No window is long enough, and why in words."""

    reason: str


def next_window(
    customer: Customer,
    fleet_freezes: Iterable[Freeze],
    needed: timedelta,
    after: datetime,
    horizon: timedelta = HORIZON,
) -> Window | Blocked:
    """The first stretch of at least `needed` that begins within `horizon` after `after`, in UTC.

    A stretch that is already open begins at `after`, one still open at the horizon ends there.
    Raises ValueError when `after` is naive.
    """
    freezes = tuple(fleet_freezes)
    open_stretches = occurrences(customer, freezes, after, horizon)
    return first_fit(open_stretches, needed) or Blocked(why_blocked(customer, freezes, needed, after, horizon))


def occurrences(
    customer: Customer, fleet_freezes: Iterable[Freeze], after: datetime, horizon: timedelta = HORIZON
) -> tuple[Window, ...]:
    """Every stretch from `after` to the horizon in which change is allowed, in UTC and in order; none touch.

    Raises ValueError when `after` is naive.
    """
    return tuple(_without(_weekly(customer, after, horizon), (*customer.freezes, *fleet_freezes)))


def first_fit(stretches: Iterable[Window], needed: timedelta) -> Window | None:
    """The first of the stretches that is at least `needed` long."""
    return next((stretch for stretch in stretches if stretch.end - stretch.start >= needed), None)


def why_blocked(
    customer: Customer,
    fleet_freezes: Iterable[Freeze],
    needed: timedelta,
    after: datetime,
    horizon: timedelta = HORIZON,
) -> str:
    """Why no stretch is `needed` long: the freezes that took those that were, or how long the longest is."""
    weekly = _weekly(customer, after, horizon)
    need = f"needs {_in_words(-(-needed // _MINUTE))}"
    limit = f"before {(after + horizon).astimezone(ZoneInfo(customer.timezone)).date()}"
    long_enough = [stretch for stretch in weekly if stretch.end - stretch.start >= needed]
    if long_enough:
        cutting = (f for f in (*customer.freezes, *fleet_freezes) if any(_overlap(f, s) for s in long_enough))
        names = dict.fromkeys(f"{freeze.name!r}" for freeze in sorted(cutting, key=lambda f: (f.start, f.name)))
        word = "freeze" if len(names) == 1 else "freezes"
        return f"{need}, and no window {limit} is left that long by the {word} {' and '.join(names)}"
    longest = max((stretch.end - stretch.start for stretch in weekly), default=None)
    if longest is None:
        return f"{need}, and no window opens {limit}"
    return f"{need}, the longest window {limit} has {_in_words(longest // _MINUTE)}"


def _weekly(customer: Customer, after: datetime, horizon: timedelta) -> list[Window]:
    """The customer's weekly windows as stretches of UTC, freezes not yet cut out."""
    if after.tzinfo is None:
        raise ValueError("windows are looked for after an aware time")
    start = after.astimezone(UTC)
    return _merged(
        Window(max(begin, span.start), min(end, span.end))
        for span, offset in _spans(customer.timezone, start, start + horizon)
        for window in customer.windows
        for begin, end in _repeated(window, span, offset)
    )


def _repeated(window: WeeklyWindow, span: Window, offset: timedelta) -> Iterator[tuple[datetime, datetime]]:
    """The window's weeks that meet the span, by a wall clock that is `offset` ahead of UTC."""
    wall = span.start + offset
    monday = wall.replace(hour=0, minute=0, second=0, microsecond=0) - wall.weekday() * _DAY - offset
    opens, shuts = timedelta(minutes=window.start_minute), timedelta(minutes=window.end_minute)
    monday -= shuts // _WEEK * _WEEK
    while monday + opens < span.end:
        if monday + shuts > span.start:
            yield monday + opens, monday + shuts
        monday += _WEEK


@lru_cache(maxsize=1024)
def _spans(zone_name: str, start: datetime, end: datetime) -> tuple[tuple[Window, timedelta], ...]:
    """The stretch cut where the zone's UTC offset changes (no zone changes it twice within a day)."""
    zone = ZoneInfo(zone_name)
    spans = []
    begin = day = start
    while day < end:
        following = min(day + _DAY, end)
        if _offset(zone, following) != _offset(zone, day):
            change = _change(zone, day, following)
            spans.append((Window(begin, change), _offset(zone, begin)))
            begin = change
        day = following
    if begin < end:
        spans.append((Window(begin, end), _offset(zone, begin)))
    return tuple(spans)


def _change(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """The first whole second with the new offset, by halving."""
    old = _offset(zone, before)
    low, high = before.replace(microsecond=0), after.replace(microsecond=0)
    while high - low > _SECOND:
        middle = low + (high - low) // _SECOND // 2 * _SECOND
        low, high = (middle, high) if _offset(zone, middle) == old else (low, middle)
    return high


def _offset(zone: ZoneInfo, at: datetime) -> timedelta:
    return at.astimezone(zone).utcoffset() or timedelta()


def _merged(stretches: Iterable[Window]) -> list[Window]:
    merged: list[Window] = []
    for stretch in sorted(stretches, key=lambda s: s.start):
        if merged and stretch.start <= merged[-1].end:
            merged[-1] = Window(merged[-1].start, max(merged[-1].end, stretch.end))
        elif stretch.start < stretch.end:
            merged.append(stretch)
    return merged


def _without(stretches: Sequence[Window], freezes: Iterable[Freeze]) -> list[Window]:
    for freeze in freezes:
        stretches = [piece for stretch in stretches for piece in _cut(stretch, freeze)]
    return list(stretches)


def _cut(stretch: Window, freeze: Freeze) -> Iterator[Window]:
    if not _overlap(freeze, stretch):
        yield stretch
        return
    start, end = freeze.start.astimezone(UTC), freeze.end.astimezone(UTC)
    if stretch.start < start:
        yield Window(stretch.start, start)
    if end < stretch.end:
        yield Window(end, stretch.end)


def _overlap(freeze: Freeze, stretch: Window) -> bool:
    return freeze.start < stretch.end and stretch.start < freeze.end and freeze.start < freeze.end


def _in_words(minutes: int) -> str:
    """`50 min`, or from two hours on `2 h 30 min`."""
    hours, rest = divmod(minutes, 60)
    if hours < 2:
        return f"{minutes} min"
    return f"{hours} h {rest} min" if rest else f"{hours} h"
