"""The maintenance calendar as an iCalendar file (RFC 5545), published for anybody to subscribe to."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from liftlock.adapters.calendar_zones import add_zones
from liftlock.maintenance import Booking, Calendar

if TYPE_CHECKING:
    from icalendar import Event


def publish(calendar: Calendar, now: datetime, vendor: str) -> bytes:
    """One event per customer, window and plan, in the customer's zone; `now` is when this was computed.

    An event keeps its UID as long as its plan, customer and window are the same. It is tentative until the
    customer was told and the plan approved.
    """
    import icalendar

    made = icalendar.Calendar()
    made.add("prodid", "-//liftlock//maintenance calendar//EN")
    made.add("version", "2.0")
    made.add("method", "PUBLISH")
    made.add("name", f"{vendor}: maintenance")
    made.add("x-wr-calname", f"{vendor}: maintenance")  # the older name that most calendars still read
    for booking in calendar.bookings:
        made.add_component(_event(booking, now))
    add_zones(made)
    content: bytes = made.to_ical()
    return content


def _event(booking: Booking, now: datetime) -> Event:
    import icalendar

    start, end = booking.local
    clash = "CONFLICT: " if booking.colliding else ""
    event = icalendar.Event()
    event.add("uid", _uid(booking))
    event.add("dtstamp", now.astimezone(UTC))
    event.add("dtstart", start.astimezone(UTC) if booking.zone == "UTC" else start)
    event.add("dtend", end.astimezone(UTC) if booking.zone == "UTC" else end)
    event.add("summary", f"{clash}{booking.title}: {booking.product} {booking.version}")
    event.add("location", ", ".join(booking.hosts))
    event.add("description", "\n".join(_description(booking)))
    event.add("categories", [booking.product, booking.kind.value])
    event.add("status", "TENTATIVE" if booking.lacking else "CONFIRMED")
    event.add("transp", "TRANSPARENT")  # the window is long; nobody has to keep it free
    return event


def _description(booking: Booking) -> list[str]:
    count = len(booking.hosts)
    return [
        f"Plan {booking.plan[:8]}: {booking.product} {booking.version} ({booking.kind}), fleet {booking.fleet}",
        f"{count} {'host' if count == 1 else 'hosts'} of {booking.customer}: {', '.join(booking.hosts)}",
        *booking.lacking,
        *([f"Also in another open plan at that time: {', '.join(booking.colliding)}"] if booking.colliding else []),
    ]


def _uid(booking: Booking) -> str:
    parts = (booking.plan, booking.customer, booking.window.start.isoformat(), booking.window.end.isoformat())
    return f"{hashlib.sha256(chr(10).join(parts).encode()).hexdigest()[:32]}@liftlock.invalid"
