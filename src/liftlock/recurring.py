"""Freezes that come back every year, month or week: when they do. Pure.

Their times are local and name no year: `12-20 00:00` in a year, `28 18:00` in a month, `fri 18:00` in a week. An end
that is not after its start is in the next year, month or week. A day that a year or month does not have (29 February,
the 31st) counts as the first of the month after it.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from datetime import datetime, timedelta

from liftlock.model import Every, Freeze, RecurringFreeze
from liftlock.wall_clock import freeze_between
from liftlock.window_text import DAYS

_DAY = timedelta(days=1)


def freezes_between(rule: RecurringFreeze, first: datetime, last: datetime) -> Iterator[Freeze]:
    """The freezes of a rule that may touch the stretch between these moments, earliest first."""
    over = _place(rule.every, rule.end) <= _place(rule.every, rule.start)
    for number in range(_number(rule.every, first) - 2, _number(rule.every, last) + 2):
        start, end = _local(rule.every, number, rule.start), _local(rule.every, number + over, rule.end)
        yield freeze_between(rule.name, start, end, rule.zone, rule.product)


def _place(every: Every, text: str) -> tuple[int, str]:
    """What orders the times of one year, month or week."""
    day, clock = text.split()
    return (DAYS.index(day), clock) if every is Every.WEEK else (int(day.replace("-", "")), clock)


def _number(every: Every, moment: datetime) -> int:
    """Which year, month or week it is, counted from the first there was."""
    match every:
        case Every.YEAR:
            return moment.year
        case Every.MONTH:
            return moment.year * 12 + moment.month - 1
        case Every.WEEK:
            return (moment.toordinal() - 1) // 7


def _local(every: Every, number: int, text: str) -> datetime:
    """The local time that a text means in that year, month or week."""
    day, clock = text.split()
    if every is Every.WEEK:
        date = datetime.fromordinal(number * 7 + 1) + DAYS.index(day) * _DAY
    else:
        year, month = (number, int(day[:2]) - 1) if every is Every.YEAR else divmod(number, 12)
        first = datetime(year, month + 1, 1)  # noqa: DTZ001 - a wall clock has no zone
        length = monthrange(year, month + 1)[1]
        if int(day[-2:]) > length:
            return first + length * _DAY
        date = first + (int(day[-2:]) - 1) * _DAY
    return date + timedelta(hours=int(clock[:2]), minutes=int(clock[3:]))
