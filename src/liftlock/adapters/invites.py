"""Calendar invites for letters (iTIP, RFC 5546): one event for each of a customer's windows.

An event keeps its UID whichever plan moves it: it is made from fleet, product, version, customer and the window's
place among the customer's windows. SEQUENCE is the second in which its plan was made (or ended), so it rises with
every plan. iTIP allows one event to a file, and one method.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from email.headerregistry import Address
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

from liftlock.adapters.addresses import mail_address
from liftlock.adapters.calendar_zones import add_zones
from liftlock.errors import InputError
from liftlock.model import Contact, Customer, Plan, Window
from liftlock.notice import Attachment, contacts

if TYPE_CHECKING:
    from icalendar import Event, vCalAddress

Method = Literal["REQUEST", "CANCEL"]
_FIRST_SECOND = datetime(2020, 1, 1, tzinfo=UTC)


class Inviter:
    """Makes the invites of one letter: whose plan and customer it is about, what it says, and who sends it."""

    def __init__(self, plan: Plan, customer: Customer, words: tuple[str, str], origin: Address) -> None:
        self._plan, self._customer, self._words, self._origin = plan, customer, words, origin

    def requests(self, windows: Sequence[tuple[Window, str]], *, before: Sequence[Window] = ()) -> list[Attachment]:
        """Invites to these windows, each with its place in words; of `before` those that are too many are ended."""
        at = self._plan.created_at
        names = ["invite"] if len(windows) == 1 else [f"invite-{number}" for number in range(1, len(windows) + 1)]
        made = [
            self._file(name, "REQUEST", at, number, window, place)
            for number, (name, (window, place)) in enumerate(zip(names, windows, strict=True), start=1)
        ]
        over = list(enumerate(before, start=1))[len(windows) :]
        return made + [self.cancellation(number, window, at) for number, window in over]

    def cancellation(self, number: int, window: Window, at: datetime) -> Attachment:
        """The end of the event of the customer's window of that number, counted from 1."""
        return self._file(f"cancel-{number}", "CANCEL", at, number, window, "")

    def _file(self, name: str, method: Method, at: datetime, number: int, window: Window, place: str) -> Attachment:
        from icalendar import Calendar

        calendar = Calendar()
        calendar.add("prodid", "-//liftlock//notices//EN")
        calendar.add("version", "2.0")
        calendar.add("method", method)
        calendar.add_component(self._event(method, at, number, window, place))
        add_zones(calendar)
        return Attachment(f"{name}.ics", f"text/calendar; method={method}", calendar.to_ical())

    def _event(self, method: Method, at: datetime, number: int, window: Window, place: str) -> Event:
        from icalendar import Event

        zone, event = ZoneInfo(self._customer.timezone), Event()
        event.add("uid", self._uid(number))
        event.add("sequence", int((at - _FIRST_SECOND).total_seconds()))
        event.add("dtstamp", at)
        event.add("dtstart", window.start.astimezone(zone))
        event.add("dtend", window.end.astimezone(zone))
        event.add("summary", self._words[0])
        if method == "CANCEL":
            event.add("status", "CANCELLED")
        else:
            event.add("location", place)
            event.add("description", self._words[1])
        event.add("transp", "TRANSPARENT")  # the window is long; nobody has to keep it free
        event.add("organizer", _party(self._origin.display_name, self._origin.addr_spec))
        for contact in contacts(self._customer):
            if attendee := _attendee(contact, self._customer):
                event.add("attendee", attendee)
        return event

    def _uid(self, number: int) -> str:
        plan = self._plan
        lineage = "\n".join((plan.fleet, plan.product, plan.version, self._customer.name, str(number)))
        return f"{hashlib.sha256(lineage.encode()).hexdigest()[:32]}@liftlock.invalid"


def _attendee(contact: Contact, customer: Customer) -> vCalAddress | None:
    """The contact as the calendar names it; nobody for a room, or an address that is none: its letter is refused."""
    try:
        checked = mail_address(contact.name, contact.email)
    except InputError:
        return None
    address = _party(checked.display_name, checked.addr_spec)
    address.params["ROLE"] = "REQ-PARTICIPANT"
    address.params["PARTSTAT"] = "NEEDS-ACTION"
    address.params["RSVP"] = "TRUE"
    address.params["LANGUAGE"] = customer.language
    return address


def _party(name: str, email: str) -> vCalAddress:
    from icalendar import vCalAddress

    address = vCalAddress(f"mailto:{email}")
    if name:
        address.params["CN"] = name.replace('"', "'")  # a parameter value cannot carry a double quote
    return address
