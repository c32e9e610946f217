"""Letters: a customer's share of a plan as subject, text, HTML and calendar invites, from `templates/notices/`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from email.headerregistry import Address
from email.utils import parseaddr
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from liftlock.adapters.rendering import render
from liftlock.errors import InputError
from liftlock.model import Catalogue, Contact, Customer, Fleet, NoticeKind, Plan, Product, Window
from liftlock.notice import Attachment, HostShare, Letter, Share, message_id, owed, share
from liftlock.settings import Vendor

if TYPE_CHECKING:
    from icalendar import vCalAddress
    from jinja2 import Environment


def make_letters(
    plan: Plan,
    fleet: Fleet,
    catalogue: Catalogue,
    *,
    vendor: Vendor,
    sender: str,
    manuals: Mapping[str, Attachment],
    templates: Environment,
    also: Sequence[Catalogue] = (),
) -> list[Letter]:
    """The announcement to every contact the plan owes one, each with its manual and one invite per window.

    `sender` is an address, with or without a name (`Boathouse <desk@example.com>`); `manuals` is by
    customer, `also` are the catalogues of the plan's further products. The same input makes the same bytes. Raises InputError for a template that is missing or
    wrong, and for an address or subject that would break out of its header.
    """
    origin = sender_address(sender)
    letters = []
    for customer, contact in owed(plan, fleet):
        part = share(plan, customer, fleet, catalogue, *also)
        manual = manuals.get(customer.name)
        facts = {**facts_of(part, catalogue.product, vendor), "contact": contact, "manual": manual}
        base = f"notices/announced.{customer.language}"
        subject = _one_line(render(templates, f"{base}.subject.j2", **facts).strip(), "the subject")
        text = render(templates, f"{base}.txt.j2", **facts)
        invites = _invites(part, subject, text, origin)
        letters.append(
            Letter(
                message_id=message_id(plan.id, customer.name, NoticeKind.ANNOUNCED, contact.email, origin.domain),
                customer=customer.name,
                kind=NoticeKind.ANNOUNCED,
                recipient=contact,
                subject=subject,
                text=text,
                html=render(templates, f"{base}.html.j2", **facts),
                attachments=(*invites, *([manual] if manual else [])),
                language=customer.language,
            )
        )
    return letters


def facts_of(part: Share, product: Product, vendor: Vendor) -> dict[str, Any]:
    """What templates may name, for notices and manuals alike."""
    language = part.customer.language
    return {
        "share": part,
        "plan": part.plan,
        "customer": part.customer,
        "language": language,
        "zone": part.customer.timezone,
        "product": product,
        "title": ", ".join(part.titles.values()),
        "goal": ", ".join(part.goals),
        "vendor": vendor,
    }


def mail_address(name: str, email: str) -> Address:
    """A mail address that is safe in a header. Raises InputError when it is not one, or carries a line break."""
    _one_line(name, "the name of a contact")
    _one_line(email, "an address")
    try:
        address = Address(display_name=name, addr_spec=email)
    except (ValueError, IndexError) as error:
        raise InputError(f"{email!r} is not a mail address") from error
    if not (address.username and address.domain and email.isascii()):
        raise InputError(f"{email!r} is not a mail address")
    return address


def sender_address(sender: str) -> Address:
    """The address letters come from, as the settings write it. Raises InputError when it is not one."""
    return mail_address(*parseaddr(_one_line(sender, "the sender")))


def _one_line(text: str, what: str) -> str:
    if any(character in text for character in "\r\n\0\v\f\x1c\x1d\x1e\x85\u2028\u2029"):
        raise InputError(f"{what} contains a line break: {text!r}")
    return text


def _invites(part: Share, subject: str, text: str, origin: Address) -> list[Attachment]:
    """One calendar file per window: iTIP allows a request to carry one event only (RFC 5546, 3.2.2)."""
    windows = part.windows
    names = ["invite.ics"] if len(windows) == 1 else [f"invite-{number}.ics" for number in range(1, len(windows) + 1)]
    return [
        Attachment(
            name=name,
            media_type="text/calendar; method=REQUEST",
            content=_invite(
                part, window, hosts, uid=_uid(part, index, origin.domain), words=(subject, text), origin=origin
            ),
        )
        for index, (name, (window, hosts)) in enumerate(zip(names, windows, strict=True))
    ]


def _invite(
    part: Share, window: Window, hosts: tuple[HostShare, ...], *, uid: str, words: tuple[str, str], origin: Address
) -> bytes:
    from icalendar import Calendar, Event

    zone = ZoneInfo(part.customer.timezone)
    event = Event()
    event.add("uid", uid)
    event.add("sequence", 0)
    event.add("dtstamp", part.plan.created_at)
    event.add("dtstart", window.start.astimezone(zone))
    event.add("dtend", window.end.astimezone(zone))
    event.add("summary", words[0])
    event.add("location", ", ".join(map(part.label, hosts)))
    event.add("description", words[1])
    event.add("transp", "TRANSPARENT")  # the window is long; nobody has to keep it free
    event.add("organizer", _party(origin.display_name, origin.addr_spec))
    for contact in part.customer.contacts:
        event.add("attendee", _attendee(contact, part.customer))
    calendar = Calendar()
    calendar.add("prodid", "-//liftlock//notices//EN")
    calendar.add("version", "2.0")
    calendar.add("method", "REQUEST")
    calendar.add_component(event)
    calendar.add_missing_timezones()
    content: bytes = calendar.to_ical()
    return content


def _uid(part: Share, index: int, domain: str) -> str:
    """The same for every plan that brings this release to this customer, so that a new plan moves the event."""
    plan = part.plan
    lineage = "\n".join((plan.fleet, plan.product, plan.version, part.customer.name, str(index)))
    return f"{hashlib.sha256(lineage.encode()).hexdigest()[:32]}@{domain}"


def _attendee(contact: Contact, customer: Customer) -> vCalAddress:
    checked = mail_address(contact.name, contact.email)
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
