"""Candidates: each host of one product for itself, planned with its path and its first window, or left out and why."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache

from liftlock.condition import Facts
from liftlock.errors import InputError
from liftlock.model import Catalogue, Exclusion, Fleet, Hop, Host, Observation, Outcome, PlannedHost
from liftlock.needs import Installed
from liftlock.path import NoPathError, find_path, find_release, relevant_facts
from liftlock.timing import Blocked, Openings
from liftlock.window import in_words

_SPACE_FACTOR = 3  # the artifact itself, what it unpacks to, and room to spare for both
_NAMES_LISTED = 20


@dataclass(frozen=True, slots=True)
class Target:
    """One product of a plan: its releases, the version it is brought to, and what is known of its hosts.

    `observations` are by the inventory's host names; a host without one counts as unreachable. `durations` are by
    version how long its hop took in the record; where there are none, the manifest's estimate counts. `way_back` is how
    long rollbacks took in the record; where that is None, the way back counts as long as the upgrade. A product whose
    `wanted` is empty is left as it is: it counts for what others need of it, and for what it needs of them.
    """

    catalogue: Catalogue
    wanted: str = ""
    observations: Mapping[str, Observation] = field(default_factory=dict)
    durations: Mapping[str, timedelta] = field(default_factory=dict)
    way_back: timedelta | None = None

    @property
    def name(self) -> str:
        """The name of the product."""
        return self.catalogue.product.name


@dataclass(frozen=True, slots=True)
class _Route:
    """The path from one observed version and what it asks of a host; `refusal` when there is none.

    `needed` is the time for the upgrade and the way back, which takes `back` of it; `work` says what takes so long.
    """

    hops: tuple[Hop, ...] = ()
    needed: timedelta = timedelta()
    back: timedelta = timedelta()
    work: str = ""
    free_bytes: int = 0
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class _Standing:
    """The version a host is planned from; `unseen` is why it is only the inventory's word, empty when observed."""

    version: str
    note: str = ""
    unseen: str = ""


def running(fleet: Fleet, product: str, *, also: bool) -> list[Host]:
    """The hosts that run a product, by name, as far as the inventory says.

    Where it does not say what a host runs, that is the product a plan is asked for, and none of those `also` in it.
    """
    hosts = (host for host in fleet.hosts if product in host.products or not (also or host.products))
    return sorted(hosts, key=lambda host: host.name)


def asked_for(fleet: Fleet, hosts: Iterable[Host], customers: Collection[str], names: Collection[str]) -> list[Host]:
    """Those of the hosts that the plan is narrowed to. Raises InputError for a customer or host the fleet lacks."""
    _refuse_unknown("customer", customers, fleet.customers, fleet)
    _refuse_unknown("host", names, {host.name for host in fleet.hosts}, fleet)
    return [
        host for host in hosts if (not customers or host.customer in customers) and (not names or host.name in names)
    ]


def _refuse_unknown(word: str, asked: Collection[str], known: Collection[str], fleet: Fleet) -> None:
    if unknown := sorted(set(asked) - set(known)):
        listed = ", ".join(sorted(known)[:_NAMES_LISTED]) or "none"
        more = f" and {len(known) - _NAMES_LISTED} more" if len(known) > _NAMES_LISTED else ""
        raise InputError(f"fleet {fleet.name} has no {word} {', '.join(unknown)}; there are: {listed}{more}")


def name_in_plan(host: Host, product: str) -> str:
    """What a plan calls the host: `<host>/<product>` for one of its further products, which are not empty."""
    return f"{host.name}/{product}" if product else host.name


def candidates(
    target: Target, hosts: Iterable[Host], openings: Openings, *, also: bool, downgrade: bool
) -> Iterator[PlannedHost | Exclusion]:
    """Each host planned, its wave still to be set and with it its window, or left out; `also` in a plan of another."""
    catalogue, product = target.catalogue, target.name if also else ""
    asked = relevant_facts(catalogue)

    @cache
    def route_of(version: str, facts: tuple[tuple[str, str | tuple[str, ...]], ...]) -> _Route:
        return _route(target, version, dict(facts), downgrade=downgrade)

    def route_from(host: Host, version: str) -> _Route:
        return route_of(version, tuple((name, host.facts[name]) for name in asked if name in host.facts))

    for host in hosts:
        own = host.of(target.name)
        yield _candidate(own, product, target.observations.get(host.name), target.wanted, route_from, openings)


def installed(hosts: Iterable[Host], target: Target, *, also: bool) -> dict[tuple[str, str], list[Installed]]:
    """What is known of a product on these hosts, by customer and product, as `Needs` asks for it."""
    found: dict[tuple[str, str], list[Installed]] = {}
    product = target.name if also else ""
    for host in hosts:
        standing = _standing(host.of(target.name), product, target.observations.get(host.name))
        version, unknown = (standing.version, "") if isinstance(standing, _Standing) else ("", standing.reason)
        known = Installed(host.name, name_in_plan(host, product), version, unknown)
        found.setdefault((host.customer, target.name), []).append(known)
    return found


def _candidate(
    host: Host,
    product: str,
    seen: Observation | None,
    wanted: str,
    route_from: Callable[[Host, str], _Route],
    openings: Openings,
) -> PlannedHost | Exclusion:
    name = name_in_plan(host, product)

    def leave_out(outcome: Outcome, reason: str) -> Exclusion:
        return Exclusion(name, host.customer, outcome, reason)

    if host.hold is not None:
        return leave_out(Outcome.SKIPPED, host.hold or "on hold")
    standing = _standing(host, product, seen)
    if isinstance(standing, Exclusion):
        return standing
    route = route_from(host, standing.version)
    if refusal := route.refusal or _lack(seen, route):
        return leave_out(Outcome.REFUSED, f"{refusal} ({standing.note})" if standing.unseen else refusal)
    if not route.hops and standing.unseen:
        return leave_out(Outcome.UNREACHABLE_BEFORE, f"{standing.unseen}; the inventory expects {wanted} already")
    if not route.hops:
        return leave_out(Outcome.ALREADY_CURRENT, f"has {standing.version}")
    slot = openings.slot((host.customer, host.group), route.needed, route.work)
    if isinstance(slot, Blocked):
        return leave_out(Outcome.DEFERRED, slot.reason)
    return PlannedHost(
        name=name,
        customer=host.customer,
        wave=0,
        observed=standing.version,
        hops=route.hops,
        window=slot,
        note=standing.note,
        needed=route.needed,
        back=route.back,
        site=host.labels.get("site", ""),
        redundancy=host.redundancy or "",
        product=product,
    )


def _standing(host: Host, product: str, seen: Observation | None) -> _Standing | Exclusion:
    """What is known of a host: what was observed is the truth, the inventory's word only stands in for it."""

    def leave_out(outcome: Outcome, reason: str) -> Exclusion:
        return Exclusion(name_in_plan(host, product), host.customer, outcome, reason)

    expected = host.expected_version
    if seen is None or not seen.reachable:
        cause = (seen.cause or seen.detail or "unreachable") if seen else "nobody looked"
        if expected is None:
            return leave_out(Outcome.UNREACHABLE_BEFORE, cause)
        return _Standing(expected, f"not observed: {cause}", unseen=cause)
    if not seen.installed:
        why = seen.detail or seen.cause or "nothing is installed there"
        return leave_out(Outcome.REFUSED, f"no installed version found: {why}")
    if expected not in (None, seen.installed):
        drift = f"inventory expects {expected}, the host has {seen.installed}"
        return _Standing(seen.installed, drift)
    return _Standing(seen.installed)


def _route(target: Target, version: str, facts: Facts, *, downgrade: bool) -> _Route:
    catalogue = target.catalogue
    try:
        hops = find_path(catalogue, version, target.wanted, facts, downgrade=downgrade)
    except NoPathError as error:
        return _Route(refusal=error.reason)
    releases = [find_release(catalogue, hop.to_version) for hop in hops]
    expected = [target.durations.get(release.version, release.expected) for release in releases]
    largest = max((release.artifact.length for release in releases), default=0)
    upgrade = sum(expected, timedelta())
    back = upgrade if target.way_back is None else target.way_back
    return _Route(hops, upgrade + back, back, _work(expected, target.way_back), largest * _SPACE_FACTOR)


def _work(expected: Sequence[timedelta], way_back: timedelta | None) -> str:
    """What a host's time goes into, such as `2 hops of 25 min and the way back`."""
    hops = f"{len(expected)} hop{'s' if len(expected) > 1 else ''}"
    alike = len(set(expected)) == 1
    each = in_words(expected[0]) if alike else f"{in_words(sum(expected, timedelta()))} in all"
    return f"{hops} of {each} and the way back{'' if way_back is None else f' of {in_words(way_back)}'}"


def _lack(seen: Observation | None, route: _Route) -> str:
    """What a host is known to be without that its route needs; empty when nothing, or when there is no route."""
    if seen is None or not seen.reachable or not route.hops:
        return ""
    if seen.missing_tools:
        return f"missing tools: {', '.join(seen.missing_tools)}"
    if seen.free_bytes is not None and seen.free_bytes < route.free_bytes:
        return f"too little free space: needs {route.free_bytes:,} bytes, has {seen.free_bytes:,}"
    return ""
