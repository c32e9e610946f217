"""Windows: when change is allowed on the hosts of a customer, or of one of its host groups.

The rule for local time, for windows of every kind: **an instant lies in a window exactly when the customer's wall
clock shows a time inside it.** A length is of the wall clock too: `22:00 for 6h` is from 22:00 to 04:00, whatever
happens to the clock in that night.

* Where the clock is set forward, a start or end that the wall never shows counts as the first instant after the gap.
* Where it is set back, a time shown twice counts twice: a window until 02:30 is open before the first 02:30, shut from
  there to 03:00, and open again from the second 02:00 to the second 02:30.
* A day that a zone skips whole (Samoa, 30 December 2011) has no windows. A monthly window of a weekday that a month
  does not have a fifth time is not in that month.

So no change is ever made while the wall shows a time that the customer did not give. Windows that touch are one. A
freeze wins over every window, whoever declared it; its ends cover both readings of a local time that clocks show
twice or skip. When freezes come that come back says `liftlock.recurring`.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

from liftlock.model import (
    DatedWindow,
    Fleet,
    Freeze,
    FreezeRule,
    MonthlyWindow,
    WeeklyWindow,
    Window,
    WindowRule,
)
from liftlock.recurring import freezes_between
from liftlock.wall_clock import in_utc, is_skipped, shown, steady

HORIZON = timedelta(days=92)
_DAY = timedelta(days=1)
_WEEK = timedelta(weeks=1)
_LOOK_BACK = timedelta(days=35)  # the month between two windows of a monthly one, and some
_MINUTE = timedelta(minutes=1)
_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Rules:
    """When a group of hosts may be changed: its windows, by the clock of its zone, and the freezes that bind it."""

    zone: str
    windows: tuple[WindowRule, ...]
    freezes: tuple[FreezeRule, ...] = ()


def rules_for(fleet: Fleet, customer: str, group: str | None = None, product: str | None = None) -> Rules:
    """The rules for a customer's hosts, or those of one of its groups.

    A group's windows replace the customer's when it has any; freezes add up: the fleet's, the customer's, the group's.
    With `product`, freezes of other products are left out.
    """
    owner = fleet.customers[customer]
    own = owner.groups[group] if group else None
    freezes = (*owner.freezes, *(own.freezes if own else ()), *fleet.freezes)
    binding = tuple(freeze for freeze in freezes if product is None or freeze.product in {None, product})
    return Rules(owner.timezone, (own and own.windows) or owner.windows, binding)


def occurrences(rules: Rules, after: datetime, horizon: timedelta = HORIZON) -> tuple[Window, ...]:
    """Every stretch from `after` to the horizon in which change is allowed, in UTC and in order; none touch.

    A stretch that is already open begins at `after`, one still open at the horizon ends there.
    Raises ValueError when `after` is naive.
    """
    return tuple(_without(_opened(rules, after, horizon), _freezes(rules, after, horizon)))


def first_fit(stretches: Iterable[Window], needed: timedelta) -> Window | None:
    """The first of the stretches that is at least `needed` long."""
    return next((stretch for stretch in stretches if stretch.end - stretch.start >= needed), None)


def why_blocked(
    rules: Rules, needed: timedelta, work: str, after: datetime, horizon: timedelta = HORIZON, since: str = ""
) -> str:
    """Why no stretch is `needed` long, and what would free it: too short windows, or the freezes that take the others.

    `work` is what takes so long, such as `2 hops of 25 min and the way back`; `since` says why only windows from
    `after` on count, such as `wave 2 can begin on 2026-12-06 05:35 (Asia/Shanghai)`.
    """
    until = f"no slot before {shown(after + horizon, rules.zone).date()}{since and f': {since}, and from then on'}"
    if horizon <= timedelta():
        return f"no slot before {shown(after + horizon, rules.zone).date()}: {since}, which is later"
    opened = _opened(rules, after, horizon)
    freezes = [f for f in _freezes(rules, after, horizon) if any(_overlap(f, stretch) for stretch in opened)]
    left = _without(opened, freezes)
    if not opened:
        named = dict.fromkeys(f"{rule.text}{_out_of_reach(rule, rules.zone, after, horizon)}" for rule in rules.windows)
        return f"{until}: no window opens ({', '.join(named) or 'none'})"
    steps = [_frozen(freezes, rules.zone)] if freezes else []
    if left or not freezes:
        longest = in_words(_longest(left or opened))
        steps.append(f"needs {in_words(needed)} ({work}) in a {longest} window")
    relief = ""
    if freed := first_fit(opened, needed):
        them = "it" if len({freeze.name for freeze in freezes}) == 1 else "them"
        relief = f"; without {them} there is one on {shown(freed.start, rules.zone):%Y-%m-%d %H:%M}"
    return f"{until}: {', then '.join(steps)}{relief}"


def _out_of_reach(rule: WindowRule, zone: str, after: datetime, horizon: timedelta) -> str:
    """How a window on one date lies to the days that are looked at; empty for those that come back."""
    if not isinstance(rule, DatedWindow):
        return ""
    if rule.start >= shown(after + horizon, zone).replace(tzinfo=None):
        return f" comes later: plan again from {(rule.start - HORIZON).date() + _DAY} on"
    return " is over by then: give another date"


def clock_note(rules: Rules, window: Window) -> str:
    """What changing clocks decided about this stretch of allowed time; empty when they decided nothing.

    That is how a start or end of a window or freeze was resolved which clocks skip or show twice, and which window
    shortly before this one they skip whole.
    """
    notes = [_lost_before(rules, window), *(_resolved(rules, edge) for edge in (window.start, window.end))]
    return "; ".join(note for note in dict.fromkeys(notes) if note)


def in_words(span: timedelta) -> str:
    """`50 min`, or from two hours on `2 h 30 min`; a part of a minute counts as a whole one."""
    minutes = -(-span // _MINUTE)
    hours, rest = divmod(minutes, 60)
    if hours < 2:
        return f"{minutes} min"
    return f"{hours} h {rest} min" if rest else f"{hours} h"


def _opened(rules: Rules, after: datetime, horizon: timedelta) -> list[Window]:
    """The windows as stretches of UTC, freezes not yet cut out."""
    if after.tzinfo is None:
        raise ValueError("windows are looked for after an aware time")
    start = after.astimezone(UTC)
    return _merged(
        Window(max((begin - ahead).replace(tzinfo=UTC), piece.start), min((end - ahead).replace(tzinfo=UTC), piece.end))
        for piece, ahead in steady(rules.zone, start, start + horizon)
        for rule in rules.windows
        for begin, end in _shown_within(rule, _wall(piece.start, ahead), _wall(piece.end, ahead))
    )


def _wall(moment: datetime, ahead: timedelta) -> datetime:
    """What a clock shows that is so far ahead of UTC."""
    return (moment + ahead).replace(tzinfo=None)


def _shown_within(rule: WindowRule, first: datetime, last: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The window's stretches of local time that meet the one from `first` to `last`."""
    length = _length(rule)
    for start in _starts(rule, first - length, last):
        if start < last and start + length > first:
            yield start, start + length


def _length(rule: WindowRule) -> timedelta:
    return (rule.end_minute - rule.start_minute) * _MINUTE if isinstance(rule, WeeklyWindow) else rule.length


def _starts(rule: WindowRule, first: datetime, last: datetime) -> Iterator[datetime]:
    """The local times at which the window starts, from before `first` on until `last`."""
    midnight = datetime(first.year, first.month, first.day)  # noqa: DTZ001 - a wall clock has no zone
    match rule:
        case DatedWindow():
            yield rule.start
        case WeeklyWindow():
            start = midnight - first.weekday() * _DAY + rule.start_minute * _MINUTE
            while start < last:
                yield start
                start += _WEEK
        case MonthlyWindow():
            month = midnight.replace(day=1)
            while month < last:
                if day := _day_of_month(month, rule.nth, rule.weekday):
                    yield month.replace(day=day) + rule.start_minute * _MINUTE
                month = (month + 31 * _DAY).replace(day=1)


def _day_of_month(month: datetime, nth: int, weekday: int) -> int | None:
    """The day of the month's nth such weekday, -1 for its last; None when it has not so many."""
    days = monthrange(month.year, month.month)[1]
    first = 1 + (weekday - month.weekday()) % 7
    if nth < 0:
        return first + (days - first) // 7 * 7
    day = first + (nth - 1) * 7
    return day if day <= days else None


def _freezes(rules: Rules, after: datetime, horizon: timedelta) -> list[Freeze]:
    """The freezes between `after` and the horizon, earliest first; those that come back each time they do."""
    start, end = after.astimezone(UTC), after.astimezone(UTC) + horizon
    dated = (
        freeze
        for rule in rules.freezes
        for freeze in ((rule,) if isinstance(rule, Freeze) else freezes_between(rule, start, end))
    )
    return sorted(
        (freeze for freeze in dated if _overlap(freeze, Window(start, end))), key=lambda f: (f.start, f.end, f.name)
    )


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


def _longest(stretches: Sequence[Window]) -> timedelta:
    return max(stretch.end - stretch.start for stretch in stretches) // _MINUTE * _MINUTE


def _frozen(freezes: Sequence[Freeze], zone: str) -> str:
    """Each by name, with its last day or, of one that comes more than once, with that of the last."""
    last_days: dict[str, list[date]] = {}
    for freeze in freezes:
        last_days.setdefault(freeze.name, []).append(shown(freeze.end - _INSTANT, zone).date())
    named = [
        f"{name} to {days[-1]}{f' ({len(days)} times)' if len(days) > 1 else ''}" for name, days in last_days.items()
    ]
    return f"{'freeze' if len(named) == 1 else 'freezes'} {' and '.join(named)}"


def _near_a_change(zone: str, moment: datetime) -> bool:
    day = moment.replace(minute=0, second=0, microsecond=0)
    return len(steady(zone, day - _DAY, day + _DAY)) > 1


def _resolved(rules: Rules, edge: datetime) -> str:
    """The note for the start or end of a window rule or freeze that stands at `edge`, if that took a decision."""
    if _near_a_change(rules.zone, edge):
        local = shown(edge, rules.zone)
        for rule in rules.windows:
            for bounds in _shown_within(rule, local - 2 * _DAY, local + 2 * _DAY):
                for word, bound in zip(("starts", "ends"), bounds, strict=True):
                    if said := _reading(bound, rules.zone, edge, _after_gap(bound, rules.zone)):
                        return f"its window {word} at {bound:%H:%M}, which {said}"
    for freeze in _freezes(rules, edge - _INSTANT, 2 * _INSTANT):
        for word, moment, bound in zip(("starts", "ends"), (freeze.start, freeze.end), freeze.said or (), strict=False):
            if moment == edge and (said := _reading(bound, freeze.zone, edge, edge)):
                return f"freeze {freeze.name} {word} at {bound:%H:%M}, which {said}"
    return ""


def _lost_before(rules: Rules, window: Window) -> str:
    """The note for a window shortly before this one that never comes, because clocks skip all of it."""
    day = window.start.replace(hour=0, minute=0, second=0, microsecond=0)
    for (_, old), (piece, new) in pairwise(steady(rules.zone, day - _LOOK_BACK, day)):
        gap = _wall(piece.start, old), _wall(piece.start, new)
        lost = [
            (start, end)
            for rule in rules.windows
            for start, end in _shown_within(rule, *gap)
            if gap[0] <= start and end <= gap[1]
        ]
        if lost and not occurrences(rules, piece.start, window.start - piece.start):
            start, end = lost[0]
            return f"its window {start:%H:%M}-{end:%H:%M} on {start:%Y-%m-%d} never comes: {rules.zone} skips that time"
    return ""


def _after_gap(local: datetime, zone: str) -> datetime:
    """The first moment after the gap in which clocks skip this local time; for any other, what it means at once."""
    earliest, latest = in_utc(local, zone)
    return steady(zone, earliest, latest)[0][0].end if is_skipped(local, zone) else earliest


def _reading(bound: datetime, zone: str, edge: datetime, instead: datetime) -> str:
    """How `edge` came of this local time, if it did and there was something to decide; else empty.

    `instead` is the moment that counts where clocks skip it.
    """
    earliest, latest = in_utc(bound, zone)
    on = f"{zone} {{}} on {bound:%Y-%m-%d}"
    if earliest == latest:
        return ""
    if is_skipped(bound, zone):
        return f"{on.format('skips')}: {_at(instead, zone)} counts instead" if edge == instead else ""
    which = {earliest: "first", latest: "second"}.get(edge)
    return f"{on.format('shows twice')}: here it is the {which} time, {edge:%H:%M} UTC" if which else ""


def _at(moment: datetime, zone: str) -> str:
    return f"{shown(moment, zone):%H:%M} ({moment:%H:%M} UTC)"
