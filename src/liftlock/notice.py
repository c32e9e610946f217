"""Notices: letters, a customer's share of a plan that they tell of, and when they free its hosts. Pure.

A customer counts as told from the moment the first of its recipients was sent the announcement of this very plan,
or the news that it replaces an earlier one: a changed plan is another plan, and starts from nothing. Where it is
asked for an explicit yes, its hosts are free only when somebody there has agreed to this very plan. Which letters
are owed says `liftlock.owed`, where each of them stands `liftlock.outbox`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from liftlock.errors import InputError
from liftlock.model import (
    Catalogue,
    Consent,
    Contact,
    Customer,
    Fleet,
    Host,
    NoticeKind,
    NoticeState,
    Plan,
    PlannedHost,
    Product,
    Release,
    Window,
)


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes with a letter; `media_type` such as `text/calendar; method=REQUEST`."""

    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Letter:
    """One notice to one recipient, ready to send; `language` as in the customer (`en`, `zh-CN`)."""

    message_id: str
    customer: str
    kind: NoticeKind
    recipient: Contact
    subject: str
    text: str
    html: str
    attachments: tuple[Attachment, ...] = ()
    language: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What the mail server said to one letter."""

    message_id: str
    state: NoticeState
    detail: str = ""


@dataclass(frozen=True, slots=True)
class HostShare:
    """One planned host as its customer is told about it: the releases it gets, in order, and what they cost.

    `product` is what is upgraded there, `title` how the customer's language calls it. `expected` and `downtime` are the
    sums over the hops; `backup` says that at least one hop makes one.
    """

    host: Host
    planned: PlannedHost
    releases: tuple[Release, ...]
    product: Product
    title: str

    @property
    def versions(self) -> tuple[str, ...]:
        """The version seen on the host, and every version it passes on its way."""
        return (self.planned.observed, *(release.version for release in self.releases))

    @property
    def window(self) -> Window:
        """When work on this host may start."""
        return self.planned.window

    @property
    def expected(self) -> timedelta:
        """How long all hops of this host take together, by the record where the plan could go by it."""
        return self.planned.expected or sum((release.expected for release in self.releases), timedelta())

    @property
    def downtime(self) -> timedelta:
        """For how long the host's users notice it, all hops together."""
        return sum((release.downtime for release in self.releases), timedelta())

    @property
    def backup(self) -> bool:
        """Whether a backup is made on the host before a switch."""
        return any(release.backup for release in self.releases)


@dataclass(frozen=True, slots=True)
class Share:
    """The part of a plan that concerns one customer: its hosts in rollout order, and the releases on their ways.

    `releases` holds every release that at least one of the hosts gets, product by product, oldest first. `titles` are
    how the customer's language calls the products of its hosts, by name, the plan's own product first.
    """

    plan: Plan
    customer: Customer
    hosts: tuple[HostShare, ...]
    releases: tuple[Release, ...]
    titles: Mapping[str, str]

    @property
    def machines(self) -> tuple[str, ...]:
        """The names of its hosts; one that runs several of the products stands there once."""
        return tuple(dict.fromkeys(host.host.name for host in self.hosts))

    @property
    def goals(self) -> tuple[str, ...]:
        """What the customer has in the end, such as `Boathouse 1.6.0`: a line for each product of its hosts."""
        return tuple(f"{title} {self.plan.products[name]}" for name, title in self.titles.items())

    def label(self, host: HostShare) -> str:
        """The host's name, with the product beside it where the customer gets several: `db-1 (Acme database)`."""
        return f"{host.host.name} ({host.title})" if len(self.titles) > 1 else host.host.name

    def named(self, release: Release) -> str:
        """The release's version, behind its product where the customer gets several: `Acme database 5.2.1`."""
        return f"{self.titles[release.product]} {release.version}" if len(self.titles) > 1 else release.version

    @property
    def windows(self) -> tuple[tuple[Window, tuple[HostShare, ...]], ...]:
        """Every distinct window with its hosts, earliest first."""
        distinct = sorted({host.window for host in self.hosts}, key=lambda window: (window.start, window.end))
        return tuple((window, tuple(h for h in self.hosts if h.window == window)) for window in distinct)


def share(plan: Plan, customer: Customer, fleet: Fleet, *catalogues: Catalogue) -> Share:
    """What of the plan concerns this customer; the catalogues are those of the plan's products.

    Raises InputError when fleet or catalogues lack a part of it.
    """
    known_hosts = {host.name: host for host in fleet.hosts}
    by_product = {catalogue.product.name: catalogue for catalogue in catalogues}
    known = {(release.product, release.version): release for each in catalogues for release in each.releases}
    hosts = []
    for planned in plan.hosts:
        if planned.customer != customer.name:
            continue
        if planned.machine not in known_hosts:
            raise InputError(f"plan {plan.id[:8]} names host {planned.machine!r}, which fleet {fleet.name!r} lacks")
        name = plan.product_of(planned)
        for hop in planned.hops:
            if (name, hop.to_version) not in known:
                raise InputError(f"plan {plan.id[:8]} passes {name} {hop.to_version}, which has no manifest")
        product = by_product[name].product
        hosts.append(
            HostShare(
                host=known_hosts[planned.machine],
                planned=planned,
                releases=tuple(known[name, hop.to_version] for hop in planned.hops),
                product=product,
                title=title_of(product, customer.language),
            )
        )
    titles = {host.product.name: host.title for host in hosts}
    passed = {(release.product, release.version) for host in hosts for release in host.releases}
    there = [name for name in plan.products if name in titles]
    return Share(
        plan=plan,
        customer=customer,
        hosts=tuple(hosts),
        releases=tuple(r for name in there for r in by_product[name].releases if (name, r.version) in passed),
        titles={name: titles[name] for name in there},
    )


def title_of(product: Product, language: str) -> str:
    """How a language calls the product: English, or else its name, where nobody said."""
    return product.title.get(language) or product.title.get("en") or product.name


def customers(plan: Plan, fleet: Fleet) -> list[Customer]:
    """The customers with planned hosts, in rollout order. Raises InputError when the fleet lacks one."""
    names = list(dict.fromkeys(host.customer for host in plan.hosts))
    unknown = [name for name in names if name not in fleet.customers]
    if unknown:
        raise InputError(f"plan {plan.id[:8]} names customers that fleet {fleet.name!r} lacks: {', '.join(unknown)}")
    return [fleet.customers[name] for name in names]


def contacts(customer: Customer) -> tuple[Contact, ...]:
    """Who is told at this customer: every recipient once, also when it is listed twice."""
    distinct: dict[str, Contact] = {}
    for contact in customer.contacts:
        distinct.setdefault(contact.recipient.casefold(), contact)
    return tuple(distinct.values())


def promised_leads(plan: Plan) -> dict[str, timedelta]:
    """How long before the work each customer with planned hosts is owed the notice: what the plan promised it.

    A plan that does not name its customers owes all of them what its policy says for its kind.
    """
    by_kind = plan.policy.notice_lead[plan.kind]
    return {host.customer: by_kind for host in plan.hosts} | {one.name: one.lead for one in plan.customers}


ANNOUNCEMENTS = frozenset({NoticeKind.ANNOUNCED, NoticeKind.RESCHEDULED})
"""The kinds that tell a customer of a plan for the first time; either counts as its notice."""


def untold(
    plan: Plan, customer: str, lead: timedelta, sent: datetime | None, now: datetime, *, called_off: bool = False
) -> str:
    """Why this customer's hosts are not free yet; empty when the notice of this plan was sent `lead` ago or longer.

    Where it was `called_off` since, they are never free again under this plan.
    """
    if called_off:
        return f"{customer} has been told that nothing more comes of plan {plan.id[:8]}; plan again"
    promise = f"{_hours(lead)} before the work ({plan.kind.value} release)"
    if sent is None:
        return (
            f"{customer} has not been sent the notice of plan {plan.id[:8]}, owed {promise};"
            f" send it with: liftlock notify {plan.id[:8]}; sent now, its hosts are free from {_utc(now + lead)} on"
        )
    if sent + lead > now:
        return (
            f"{customer} was sent the notice of plan {plan.id[:8]} at {sent.astimezone(UTC):%Y-%m-%d %H:%M} UTC,"
            f" but is owed it {promise};"
            f" its hosts are free from {_utc(sent + lead)} on"
        )
    return ""


def explicit(plan: Plan) -> frozenset[str]:
    """The customers of the plan that are asked for an explicit yes."""
    return frozenset(one.name for one in plan.customers if one.consent is Consent.EXPLICIT)


def unconsented(plan: Plan, customer: str, asked: Collection[str], consented: Collection[str]) -> str:
    """Why this customer's hosts are not free yet; empty when nobody need agree there, or somebody has.

    `asked` are the customers that `explicit` names, `consented` those that have agreed to this plan.
    """
    if customer not in asked or customer in consented:
        return ""
    return (
        f"{customer} has not agreed to plan {plan.id[:8]}, and silence is no consent there;"
        f" record its yes with: liftlock consent {plan.id[:8]} {customer} --by NAME"
    )


def _hours(span: timedelta) -> str:
    return f"{span / timedelta(hours=1):g} h"


def _utc(moment: datetime) -> str:
    # Rounded up, so that the minute shown is never too early.
    up = moment.astimezone(UTC) + timedelta(minutes=1) - timedelta(microseconds=1)
    return f"{up:%Y-%m-%d %H:%M} UTC"
