"""Calendar invites for letters (iTIP, RFC 5546): one event for each of a customer's windows.

An event keeps its UID whichever plan moves it: it is made from the plan that it began with (`Case.events`), the
customer, and the window's place among the customer's. SEQUENCE is the second in which its plan was made (or was off),
so it rises with every plan. iTIP allows one event to a file, and one method.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

from liftlock.adapters.addresses import mail_address
from liftlock.adapters.calendar_zones import add_zones
from liftlock.case import Case
from liftlock.errors import InputError
from liftlock.model import Contact, Customer, Window
from liftlock.notice import Attachment, contacts

if TYPE_CHECKING:
    from icalendar import Event, vCalAddress

Method = Literal["REQUEST", "CANCEL"]
_FIRST_SECOND = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Appointment:
    """A window of a customer as an event in its calendar: the plan that it began with, its number, its hosts."""

    began_with: str
    number: int
    window: Window
    hosts: tuple[str, ...]


def appointments(case: Case, customer: str, labels: Mapping[str, str]) -> list[Appointment]:
    """The customer's events with those of its planned hosts that have a label, each by its label."""
    began_with = case.events(customer)
    found = []
    for number, (window, names) in enumerate(case.windows(customer), start=1):
        if hosts := tuple(label for name, label in labels.items() if name in names):
            found.append(Appointment(began_with, number, window, hosts))
    return found


def no_longer(case: Case, customer: str, here: Iterable[Appointment]) -> list[Appointment]:
    """The events of the plans before of which nothing is left, beside those that go on `here`."""
    go_on = {(one.began_with, one.number) for one in here}
    found = []
    for before in case.changed(customer):
        left = {record.host for record in before.case.ahead(customer)} - before.hosts
        windows = [names for _, names in before.case.windows(customer)]
        found += [
            one
            for one in appointments(before.case, customer, {name: name for name in sorted(before.hosts)})
            if (one.began_with, one.number) not in go_on and not windows[one.number - 1] & left
        ]
    return found


class Inviter:
    """Makes the invites of one letter: whom it goes to, what it says, and who sends it."""

    def __init__(self, customer: Customer, words: tuple[str, str], origin: Address) -> None:
        self._customer, self._words, self._origin = customer, words, origin

    def requests(self, here: Sequence[Appointment], at: datetime, over: Sequence[Appointment] = ()) -> list[Attachment]:
        """Invites to these events, made at that moment; those that are over are ended."""
        names = ["invite"] if len(here) == 1 else [f"invite-{number}" for number in range(1, len(here) + 1)]
        made = [self._file(name, "REQUEST", at, one) for name, one in zip(names, here, strict=True)]
        return made + self.cancellations(over, at)

    def cancellations(self, over: Sequence[Appointment], at: datetime) -> list[Attachment]:
        """The end of these events, which are off since that moment."""
        return [self._file(f"cancel-{number}", "CANCEL", at, one) for number, one in enumerate(over, start=1)]

    def _file(self, name: str, method: Method, at: datetime, one: Appointment) -> Attachment:
        from icalendar import Calendar

        calendar = Calendar()
        calendar.add("prodid", "-//liftlock//notices//EN")
        calendar.add("version", "2.0")
        calendar.add("method", method)
        calendar.add_component(self._event(method, at, one))
        add_zones(calendar)
        return Attachment(f"{name}.ics", f"text/calendar; method={method}", calendar.to_ical())

    def _event(self, method: Method, at: datetime, one: Appointment) -> Event:
        from icalendar import Event

        zone, event = ZoneInfo(self._customer.timezone), Event()
        event.add("uid", self._uid(one))
        event.add("sequence", int((at - _FIRST_SECOND).total_seconds()))
        event.add("dtstamp", at)
        event.add("dtstart", one.window.start.astimezone(zone))
        event.add("dtend", one.window.end.astimezone(zone))
        event.add("summary", self._words[0])
        event.add("location", ", ".join(one.hosts))
        if method == "CANCEL":
            event.add("status", "CANCELLED")
        else:
            event.add("description", self._words[1])
        event.add("transp", "TRANSPARENT")  # the window is long; nobody has to keep it free
        event.add("organizer", _party(self._origin.display_name, self._origin.addr_spec))
        for contact in contacts(self._customer):
            if attendee := _attendee(contact, self._customer):
                event.add("attendee", attendee)
        return event

    def _uid(self, one: Appointment) -> str:
        lineage = "\n".join((one.began_with, self._customer.name, str(one.number)))
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
