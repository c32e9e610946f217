"""Lifecycle: who runs versions past or near the end of support, and who still lacks a security release. Pure.

* What a host runs is the latest thing known: a look just now, else what the ledger saw last (the end of an
  attempt, a switch, the look that a plan was made from), else the inventory's word; which of them is told.
* A host of which no version is known is told as unknown, with the reason: nothing is said for it.
* A version belongs to the longest support line that begins it (`1.4` is every 1.4.x, `1` every 1.x). A version
  that no line of its product covers is *undeclared*, where the product declares lines at all.
* A security release is open while a host has an older version, unless that host already has a security release
  of its own line (X.Y) that came out on the same day or later: one hole is often closed in several lines.
  Candidates and pre-releases close nothing for anybody, and are not counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from packaging.version import InvalidVersion, Version

from liftlock.model import Catalogue, Channel, Observation, Outcome, Release, ReleaseKind
from liftlock.records import Records
from liftlock.version import parsed


class Source(StrEnum):
    """How the version of a host is known."""

    LOOK = "look"
    LEDGER = "ledger"
    INVENTORY = "inventory"


class Support(StrEnum):
    """How the version of a host stands."""

    PAST = "past"
    NEAR = "near"
    UNDECLARED = "undeclared"


@dataclass(frozen=True, slots=True)
class Installed:
    """One product on one host: its version, how that is known, and since when for the ledger's word."""

    fleet: str
    customer: str
    host: str
    product: str
    version: str
    source: Source
    seen_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """One product on one host of which no version is known, and why; no product where nobody says what runs there."""

    fleet: str
    customer: str
    host: str
    product: str
    why: str


@dataclass(frozen=True, slots=True)
class Ageing:
    """The hosts of a customer on one version that is past its support, near its end, or of no declared line.

    `ends` is the first day without support, `days_left` counts to it from today and is negative after it.
    """

    fleet: str
    customer: str
    product: str
    version: str
    support: Support
    ends: date | None
    days_left: int | None
    hosts: tuple[str, ...]
    sources: Mapping[Source, int]


@dataclass(frozen=True, slots=True)
class OpenSecurity:
    """A security release that is not at every host yet; hosts by customer, days since it came out if it says when."""

    product: str
    version: str
    released: date | None
    days_since: int | None
    lacking: Mapping[str, tuple[str, ...]]
    hosts_lacking: int
    hosts: int


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """The whole account of the `hosts` installations whose version is known.

    `unknown` are those of which none is, `unorderable` those whose version cannot be compared; `silent` are products
    without support lines.
    """

    ageing: tuple[Ageing, ...]
    security: tuple[OpenSecurity, ...]
    unknown: tuple[Unknown, ...]
    unorderable: tuple[Installed, ...]
    silent: tuple[str, ...]
    hosts: int
    sources: Mapping[Source, int]


def seen_in_record(records: Records) -> dict[tuple[str, str, str], tuple[str, datetime]]:
    """The version seen last on each host, by fleet, product and host, and when.

    A plan made without looking at a host saw nothing there.
    """
    seen: dict[tuple[str, str, str], tuple[str, datetime]] = {}
    unseen = {(plan.id, host.name) for plan in records.plans.values() for host in plan.hosts if _unseen(host.note)}
    for record in records.hosts:
        version = record.version if record.outcome is Outcome.ALREADY_CURRENT else record.observed
        if not version or (not record.attempts and (record.plan, record.host) in unseen):
            continue
        place = (records.plans[record.plan].fleet, record.product, record.machine)
        if place not in seen or seen[place][1] <= record.at:
            seen[place] = (version, record.at)
    return seen


def _unseen(note: str) -> bool:
    return note.startswith("not observed")


def known_version(
    place: tuple[str, str, str],
    customer: str,
    expected: str | None,
    recorded: Mapping[tuple[str, str, str], tuple[str, datetime]],
    look: Observation | None,
) -> Installed | Unknown:
    """What is known of a product on a host (`place` is fleet, product, host), or why nothing is."""
    fleet, product, host = place
    if look is not None and look.installed:
        return Installed(fleet, customer, host, product, look.installed, Source.LOOK, look.at)
    if place in recorded:
        version, at = recorded[place]
        return Installed(fleet, customer, host, product, version, Source.LEDGER, at)
    if expected:
        return Installed(fleet, customer, host, product, expected, Source.INVENTORY)
    looked = (look.detail or look.cause or "nothing is installed there") if look else "not looked at"
    return Unknown(fleet, customer, host, product, f"{looked}; not on record, no expected_version")


def review(
    found: Collection[Installed | Unknown], catalogues: Iterable[Catalogue], today: date, near: timedelta
) -> Lifecycle:
    """The account of all that is installed, as far as it was found out, by the catalogues of its products."""
    installed = [one for one in found if isinstance(one, Installed)]
    by_product: dict[str, list[Installed]] = defaultdict(list)
    unorderable: list[Installed] = []
    for one in installed:
        (by_product[one.product] if _version(one.version) else unorderable).append(one)
    ageing: list[Ageing] = []
    security: list[OpenSecurity] = []
    silent = []
    for catalogue in catalogues:
        theirs = by_product[catalogue.product.name]
        if not catalogue.product.support:
            silent.append(catalogue.product.name)
        ageing += _ageing(catalogue, theirs, today, near)
        security += _open_security(catalogue, theirs, today)
    return Lifecycle(
        ageing=tuple(sorted(ageing, key=lambda one: (one.ends is None, one.ends, one.customer, one.product))),
        security=tuple(sorted(security, key=lambda one: -(one.days_since or 0))),
        unknown=tuple(one for one in found if isinstance(one, Unknown)),
        unorderable=tuple(unorderable),
        silent=tuple(silent),
        hosts=len(installed),
        sources=_sources(installed),
    )


def _ageing(catalogue: Catalogue, theirs: Iterable[Installed], today: date, near: timedelta) -> Iterable[Ageing]:
    if not catalogue.product.support:
        return
    alike: dict[tuple[str, str, str], list[Installed]] = defaultdict(list)
    for one in theirs:
        alike[one.fleet, one.customer, one.version].append(one)
    for (fleet, customer, version), hosts in alike.items():
        ends = _support_end(catalogue, version)
        if ends is not None and ends - today > near:
            continue
        support = Support.UNDECLARED if ends is None else Support.PAST if ends <= today else Support.NEAR
        yield Ageing(
            fleet=fleet,
            customer=customer,
            product=catalogue.product.name,
            version=version,
            support=support,
            ends=ends,
            days_left=None if ends is None else (ends - today).days,
            hosts=tuple(sorted(host.host for host in hosts)),
            sources=_sources(hosts),
        )


def _support_end(catalogue: Catalogue, version: str) -> date | None:
    """The first day without support of the longest line that begins the version; None when no line does."""
    release = parsed(version).release
    ends: tuple[int, date | None] = (0, None)
    for line in catalogue.product.support:
        parts = tuple(int(part) for part in line.line.split("."))
        padded = release + (0,) * (len(parts) - len(release))
        if padded[: len(parts)] == parts and len(parts) > ends[0]:
            ends = (len(parts), line.ends)
    return ends[1]


def _open_security(catalogue: Catalogue, theirs: Collection[Installed], today: date) -> Iterable[OpenSecurity]:
    fixes = [release for release in catalogue.releases if _counts(release)]
    versions = {one.version: parsed(one.version) for one in theirs}
    for fix in fixes:
        lacking_versions = {text for text, version in versions.items() if _lacks(version, fix, fixes)}
        lacking: dict[str, list[str]] = defaultdict(list)
        for one in theirs:
            if one.version in lacking_versions:
                lacking[one.customer].append(one.host)
        if lacking:
            yield OpenSecurity(
                product=catalogue.product.name,
                version=fix.version,
                released=fix.released,
                days_since=None if fix.released is None else (today - fix.released).days,
                lacking={customer: tuple(sorted(hosts)) for customer, hosts in sorted(lacking.items())},
                hosts_lacking=sum(map(len, lacking.values())),
                hosts=len(theirs),
            )


def _counts(release: Release) -> bool:
    stable = release.channel is Channel.STABLE and not parsed(release.version).is_prerelease
    return release.kind is ReleaseKind.SECURITY and stable


def _lacks(version: Version, fix: Release, fixes: Iterable[Release]) -> bool:
    if version >= parsed(fix.version):
        return False
    return not any(_closes(version, other, fix) for other in fixes)


def _closes(version: Version, other: Release, fix: Release) -> bool:
    """Whether a host of this version has, with `other`, a security release of its own line as new as the fix."""
    if other.released is None or fix.released is None or other.released < fix.released:
        return False
    had = parsed(other.version)
    return had <= version and _line(had) == _line(version)


def _line(version: Version) -> tuple[int, int, int]:
    return version.epoch, version.major, version.minor


def _sources(hosts: Iterable[Installed]) -> dict[Source, int]:
    counted: dict[Source, int] = {}
    for one in hosts:
        counted[one.source] = counted.get(one.source, 0) + 1
    return dict(sorted(counted.items()))


def _version(text: str) -> Version | None:
    try:
        return parsed(text)
    except InvalidVersion:
        return None
