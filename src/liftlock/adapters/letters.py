"""Letters: news of a plan as subject, text, HTML and calendar invites, from `templates/notices/`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from liftlock.adapters.addresses import one_line, sender_address
from liftlock.adapters.change_news import change_news
from liftlock.adapters.invites import Inviter, appointments, no_longer
from liftlock.adapters.rendering import render
from liftlock.case import Case, is_ahead
from liftlock.errors import InputError
from liftlock.feedback import code_of, links
from liftlock.model import Catalogue, Contact, Customer, Fleet, Host, NoticeKind, NoticeState, Outcome, Window
from liftlock.notice import ANNOUNCEMENTS, Attachment, Letter, Share, share, title_of
from liftlock.owed import Debt
from liftlock.records import HostRecord
from liftlock.settings import Vendor
from liftlock.wording import printable

if TYPE_CHECKING:
    from jinja2 import Environment

WITH_MANUAL = frozenset({*ANNOUNCEMENTS, NoticeKind.REMINDER})
"""The kinds that carry the customer's manual."""
_LONGEST_SUBJECT = 500
_STATES = {
    Outcome.SUCCEEDED: "done",
    Outcome.ALREADY_CURRENT: "already",
    Outcome.ROLLED_BACK: "went_back",
    Outcome.FAILED: "failed",
    Outcome.UNREACHABLE: "unreachable",
    Outcome.UNKNOWN: "in_work",
}
_WENT_WRONG = frozenset({"went_back", "brought_back", "failed", "unreachable"})


@dataclass(frozen=True, slots=True)
class HostNews:
    """Where one host stands, as `state`.

    That is `done`, `already`, `went_back`, `brought_back` (well, with the others), `taken_back` (well, at an operator's
    word), `failed`, `unreachable`, `in_work` or `ahead`. `runs` is the version that it was seen to run last, empty when
    nobody knows.
    """

    label: str
    state: str
    runs: str
    wanted: str


@dataclass(frozen=True)
class Writer:
    """Writes letters about one plan. `manuals` are by customer, the file that goes with its letters first.

    `sender` is an address, with or without a name (`Boathouse <desk@example.com>`). With a `feedback_key` the letter
    that tells that all is done asks what the customer thinks of it (`liftlock.feedback`). The same input makes the same
    bytes.
    """

    case: Case
    fleet: Fleet
    catalogues: Sequence[Catalogue]
    vendor: Vendor
    sender: str
    templates: Environment
    manuals: Mapping[str, Sequence[Attachment]]
    feedback_key: bytes = b""

    def letter(self, message_id: str, debt: Debt, contact: Contact) -> Letter:
        """The news for one recipient. Raises InputError for a template that is missing or wrong, a subject that would
        break out of its header, a zone that nobody knows, and a catalogue that lacks a part of the plan.
        """
        facts = self.facts(debt) | {"contact": contact}
        base = f"notices/{debt.kind}.{facts['language']}"
        subject = _subject(render(self.templates, f"{base}.subject.j2", **facts).strip())
        return Letter(
            message_id=message_id,
            customer=debt.customer,
            kind=debt.kind,
            recipient=contact,
            subject=subject,
            text=render(self.templates, f"{base}.txt.j2", **facts),
            html=render(self.templates, f"{base}.html.j2", **facts),
            attachments=(*self._invites(debt, facts), *facts["manuals"]),
            language=facts["language"],
        )

    def facts(self, debt: Debt) -> dict[str, Any]:
        """What templates may name."""
        plan = self.case.plan
        if not debt.customer:
            return self._inside_facts(debt)
        customer = self.case.customers[debt.customer]
        _check_zone(customer)
        part = self._share(customer, debt)
        manuals = tuple(self.manuals.get(customer.name, ())) if debt.kind in WITH_MANUAL else ()
        hosts, desk = self._news(part), self.vendor.desk(customer.tier)
        code = code_of(self.feedback_key, plan.id, customer.name) if self.feedback_key and desk.email else ""
        return {
            "share": part,
            "plan": plan,
            "customer": customer,
            "language": customer.language,
            "zone": customer.timezone,
            "title": ", ".join(part.titles.values()),
            "goal": ", ".join(part.goals),
            "vendor": self.vendor,
            "desk": desk,
            "code": code,
            "scores": links(code, desk.email) if code else (),
            "manager": customer.manager,
            "manuals": manuals,
            "manual": manuals[0] if manuals else None,
            "training": _training(part),
            "consent_missing": customer.name in self.case.asked and customer.name not in self.case.told.consented,
            "held": [name for name, whose in self.case.held.items() if whose == customer.name],
            "begins": self._begins(debt) or part.windows[0][0].start,
            "hosts": hosts,
            "coming": [part.label(host) for host in part.hosts if host.planned.name in debt.coming],
            "off": [part.label(host) for host in part.hosts if host.planned.name in debt.off],
            "off_windows": _in_windows(part, debt.off),
            "asks": debt.asks,
            "taken_back": _taken_back(hosts),
            "change": change_news(self.case, part, self._titles(customer.language)),
        }

    def _inside_facts(self, debt: Debt) -> dict[str, Any]:
        plan, records = self.case.plan, [record for hosts in self.case.hosts.values() for record in hosts]
        language = self.vendor.language
        incident = self.case.incidents[debt.number] if debt.kind is NoticeKind.INCIDENT else None
        named = self._titles(language)
        causes: dict[str, list[str]] = {}
        for record in records:
            if record.failed and not record.brought_back:
                causes.setdefault(printable(record.cause or str(record.outcome), " "), []).append(record.host)
        return {
            "plan": plan,
            "language": language,
            "title": ", ".join(named.values()),
            "goal": ", ".join(f"{named.get(name, name)} {version}" for name, version in plan.products.items()),
            "vendor": self.vendor,
            "manuals": (),
            "letters": debt.letters,
            "sent": [letter for letter in debt.letters if letter.state is NoticeState.SENT],
            "unsent": [letter for letter in debt.letters if letter.state is not NoticeState.SENT],
            "incident": incident,
            "causes": causes,
            "counts": {
                "succeeded": sum(record.outcome is Outcome.SUCCEEDED for record in records),
                "went_wrong": sum(record.failed for record in records),
                "ahead": sum(map(is_ahead, records)),
            },
        }

    def _news(self, part: Share) -> list[HostNews]:
        by_name = {record.host: record for record in self.case.hosts[part.customer.name]}
        news = []
        for host in part.hosts:
            record, wanted = by_name[host.planned.name], host.planned.wanted
            state = self._state(record)
            if state in {"failed", "unreachable"}:
                runs = record.observed or ""
            else:
                runs = wanted if state in {"done", "already"} else record.observed or host.planned.observed
            news.append(HostNews(part.label(host), state, runs, wanted))
        return news

    def _state(self, record: HostRecord) -> str:
        if record.outcome is None or is_ahead(record):
            return "ahead"
        if not record.brought_back:
            return _STATES[record.outcome]
        well = self.case.taken_back.get(record.host)
        return "brought_back" if well is None else "taken_back" if well else "went_back"

    def _titles(self, language: str) -> dict[str, str]:
        """How a language calls the products, by name."""
        return {one.product.name: title_of(one.product, language) for one in self.catalogues}

    def _begins(self, debt: Debt) -> datetime | None:
        """When the first window opens that is still to come."""
        coming = [self.case.planned[name].window.start for name in debt.coming]
        return min(coming, default=self.case.begins(debt.customer))

    def _share(self, customer: Customer, debt: Debt) -> Share:
        """The customer's part: those hosts of which it hears by this plan, also when the inventory has lost one.

        What promises an upgrade promises it to those alone that may still start.
        """
        plan, names = self.case.plan, {record.host for record in self.case.hosts[customer.name]}
        if debt.kind in WITH_MANUAL and debt.coming:
            names &= set(debt.coming)
        hosts = tuple(host for host in plan.hosts if host.name in names)
        there = {host.name for host in self.fleet.hosts}
        gone = {host.machine: Host(host.machine, customer.name, "") for host in hosts if host.machine not in there}
        fleet = replace(self.fleet, hosts=(*self.fleet.hosts, *gone.values()))
        return share(replace(plan, hosts=hosts), customer, fleet, *self.catalogues)

    def _invites(self, debt: Debt, facts: Mapping[str, Any]) -> list[Attachment]:
        """What puts the customer's calendar right: for new dates, and for dates that are off."""
        if debt.kind not in ANNOUNCEMENTS and debt.off_since is None:
            return []
        case, part = self.case, facts["share"]
        base = f"notices/invite.{facts['language']}"
        title, text = (render(self.templates, f"{base}.{kind}.j2", **facts) for kind in ("subject", "txt"))
        words = (_subject(title.strip()), text)
        inviter = Inviter(part.customer, words, sender_address(self.sender))
        labels = {host.planned.name: part.label(host) for host in part.hosts}
        if debt.off_since is None:
            here = appointments(case, debt.customer, labels)
            return inviter.requests(here, case.plan.created_at, no_longer(case, debt.customer, here))
        off = appointments(case, debt.customer, {name: labels[name] for name in debt.off})
        return inviter.cancellations(off, debt.off_since)


def _in_windows(part: Share, names: Collection[str]) -> list[tuple[Window, list[str]]]:
    """The windows of these hosts, each with them."""
    found = []
    for window, hosts in part.windows:
        if there := [part.label(host) for host in hosts if host.planned.name in names]:
            found.append((window, there))
    return found


def _taken_back(hosts: Sequence[HostNews]) -> list[str]:
    """The hosts that went back at an operator's word; none when something went wrong at one of the customer's."""
    if any(host.state in _WENT_WRONG for host in hosts):
        return []
    return [host.label for host in hosts if host.state == "taken_back"]


def _training(part: Share) -> list[str]:
    """What is offered with the releases on the customer's ways, in its language."""
    offers = (release.training for release in part.releases)
    words = (offer.get(part.customer.language) or offer.get("en") for offer in offers)
    return list(dict.fromkeys(word for word in words if word))


def _subject(text: str) -> str:
    one_line(text, "the subject")
    if len(text) > _LONGEST_SUBJECT:
        raise InputError(f"the subject has {len(text)} characters, {_LONGEST_SUBJECT} at most: {text[:60]!r}...")
    return text


def _check_zone(customer: Customer) -> None:
    try:
        ZoneInfo(customer.timezone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise InputError(f"customer {customer.name}: {customer.timezone!r} is no time zone that we know") from error
