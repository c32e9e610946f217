"""The maintenance calendar as one HTML page that needs nothing else: no script, no network.

This module says what stands where; `templates/calendar.html.j2` draws it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from liftlock.adapters.rendering import environment, render
from liftlock.maintenance import Booking, Calendar


@dataclass(frozen=True, slots=True)
class Row:
    """One customer's line of the grid: its bookings, a cell for each week."""

    customer: str
    title: str
    zone: str
    cells: tuple[tuple[Booking, ...], ...]


def calendar_page(calendar: Calendar, generated_at: datetime, title: str) -> str:
    """The whole page as HTML. `generated_at` is aware; every text of the calendar is escaped."""
    bookings = calendar.bookings
    return render(
        environment(),
        "calendar.html.j2",
        calendar=calendar,
        title=title,
        generated_at=generated_at.astimezone(UTC),
        rows=_rows(calendar),
        plans=len({booking.plan for booking in bookings}),
        hosts=len({(booking.fleet, host) for booking in bookings for host in booking.hosts}),
        lacking=sum(bool(booking.lacking) for booking in bookings),
    )


def _rows(calendar: Calendar) -> list[Row]:
    """The customers of the weeks shown, by name."""
    theirs = {(booking.customer, booking.fleet): booking for booking in calendar.bookings}
    return [
        Row(
            customer=customer,
            title=theirs[customer, fleet].title,
            zone=theirs[customer, fleet].zone,
            cells=tuple(
                tuple(one for one in week.bookings if (one.customer, one.fleet) == (customer, fleet))
                for week in calendar.weeks
            ),
        )
        for customer, fleet in sorted(theirs)
    ]
