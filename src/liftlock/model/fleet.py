"""Customers, their hosts, and when change is allowed there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class WeeklyWindow:
    """A weekly stretch of local time in which change is allowed, as written (`sat 22:00-sun 04:00`).

    Minutes count from Monday 00:00 in the customer's zone; `end_minute` may pass the week's end.
    """

    text: str
    start_minute: int
    end_minute: int


@dataclass(frozen=True, slots=True)
class MonthlyWindow:
    """A monthly stretch of local time, as written (`third saturday 22:00 for 6h`).

    `nth` counts from 1 within the month, -1 is the last; `weekday` counts from Monday = 0;
    `start_minute` from local midnight of that day.
    """

    text: str
    nth: int
    weekday: int
    start_minute: int
    length: timedelta


@dataclass(frozen=True, slots=True)
class DatedWindow:
    """A stretch of local time on one date, as written (`2026-12-05 22:00 for 6h`); `start` is local, without a zone."""

    text: str
    start: datetime
    length: timedelta


WindowRule = WeeklyWindow | MonthlyWindow | DatedWindow


@dataclass(frozen=True, slots=True)
class Window:
    """One concrete stretch of time in which change is allowed; end exclusive."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Freeze:
    """A stretch of time in which change is forbidden; it wins over every window. `product` narrows it to one.

    `said` are its start and end as a person said them, by the clock of `zone`; none where nobody did.
    """

    name: str
    start: datetime
    end: datetime
    product: str | None = None
    said: tuple[datetime, datetime] | None = field(default=None, compare=False)
    zone: str = field(default="UTC", compare=False)


class Every(StrEnum):
    """How often a freeze comes back."""

    YEAR = "year"
    MONTH = "month"
    WEEK = "week"


@dataclass(frozen=True, slots=True)
class RecurringFreeze:
    """A freeze that comes back every year, month or week: from `start` to `end`, both local, in `zone`.

    They are `12-20 00:00` in a year, `28 18:00` in a month, `fri 18:00` in a week (`liftlock.recurring`).
    """

    name: str
    start: str
    end: str
    zone: str
    product: str | None = None
    every: Every = Every.YEAR


FreezeRule = Freeze | RecurringFreeze


@dataclass(frozen=True, slots=True)
class Contact:
    """Who receives notices: a person at a customer by `email`, or a room of theirs by `channel` (never both)."""

    name: str
    email: str = ""
    channel: str = ""

    @property
    def recipient(self) -> str:
        """Where letters go, as the record names it: an address, or `channel:<name>`."""
        return f"channel:{self.channel}" if self.channel else self.email


@dataclass(frozen=True, slots=True)
class Manager:
    """The vendor's person who looks after one customer; whom its letters name first."""

    name: str
    email: str = ""
    phone: str = ""


class Consent(StrEnum):
    """What a customer that was told of a plan has to say before its hosts are free: nothing, or an explicit yes."""

    SILENCE = "silence"
    EXPLICIT = "explicit"


@dataclass(frozen=True, slots=True)
class HostGroup:
    """Hosts of one customer with windows of their own (empty: the customer's) and more freezes."""

    name: str
    windows: tuple[WindowRule, ...] = ()
    freezes: tuple[FreezeRule, ...] = ()


@dataclass(frozen=True, slots=True)
class Customer:
    """Whose hosts they are: language (`en`, `zh-CN`), IANA zone, contacts, and when change is allowed.

    `at_once` is how many of its hosts may be acted on at the same time; None leaves it to the policy. `consent` says
    whether silence on a notice is consent, `manager` is the vendor's person who looks after it.
    """

    name: str
    title: str
    language: str
    timezone: str
    contacts: tuple[Contact, ...]
    windows: tuple[WindowRule, ...]
    freezes: tuple[FreezeRule, ...] = ()
    tier: str = "standard"
    groups: Mapping[str, HostGroup] = field(default_factory=dict)
    at_once: int | None = None
    consent: Consent = Consent.SILENCE
    manager: Manager | None = None


@dataclass(frozen=True, slots=True)
class HostProduct:
    """What is particular to one product on a host that runs several: its folder, and the version believed there."""

    base: str | None = None
    expected_version: str | None = None


@dataclass(frozen=True, slots=True)
class Host:
    """One machine of a customer; `expected_version` is only what the inventory believes.

    `base` overrides the product's, `variables` fill the product's commands, `hold` is the reason
    why this host is to be left alone. `group` names one of its customer's host groups, `redundancy` the
    hosts that stand in for each other (never all of them at once), `facts` what conditions on releases ask.
    `products` are those that it runs, as far as the inventory says; `base` and `expected_version` are those of its
    only one, or of the one that `per_product` does not name.
    """

    name: str
    customer: str
    address: str
    port: int = 22
    user: str | None = None
    base: str | None = None
    expected_version: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    hold: str | None = None
    group: str | None = None
    redundancy: str | None = None
    role: str | None = None
    products: tuple[str, ...] = ()
    facts: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    per_product: Mapping[str, HostProduct] = field(default_factory=dict)

    def of(self, product: str) -> Host:
        """The host as this product is installed there."""
        own = self.per_product.get(product)
        if own is None:
            return self
        return replace(self, base=own.base, expected_version=own.expected_version)


@dataclass(frozen=True, slots=True)
class Fleet:
    """The hosts and customers of one inventory file, and the freezes that bind them all."""

    name: str
    customers: Mapping[str, Customer]
    hosts: tuple[Host, ...]
    freezes: tuple[FreezeRule, ...] = ()
