"""Plans: which hosts get the release, by which path, in which wave and window, and which are left out and why."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial

from liftlock.approval import approvers_needed
from liftlock.errors import InputError
from liftlock.model import (
    Catalogue,
    Exclusion,
    Fleet,
    Hop,
    Host,
    Observation,
    Outcome,
    Plan,
    PlannedHost,
    Policy,
    Window,
)
from liftlock.path import NoPathError, find_path, find_release
from liftlock.plan_document import plan_id
from liftlock.waves import in_rollout_order, in_waves
from liftlock.window import Blocked, first_fit, occurrences, why_blocked

_SPACE_FACTOR = 3  # the artifact itself, what it unpacks to, and room to spare for both
_WINDOW_FACTOR = 2  # the upgrade and, should it fail, the rollback
_NAMES_LISTED = 20


@dataclass(frozen=True, slots=True)
class _Route:
    """The path from one observed version and what it asks of a host; `refusal` when there is none."""

    hops: tuple[Hop, ...] = ()
    needed: timedelta = timedelta()
    free_bytes: int = 0
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class _Standing:
    """The version a host is planned from; `unseen` is why it is only the inventory's word, empty when observed."""

    version: str
    note: str = ""
    unseen: str = ""


def make_plan(
    catalogue: Catalogue,
    fleet: Fleet,
    policy: Policy,
    observations: Mapping[str, Observation],
    wanted: str,
    inputs: Mapping[str, str],
    now: datetime,
    customers: Collection[str] = (),
    hosts: Collection[str] = (),
) -> Plan:
    """The plan that takes the fleet to the wanted version, with its id.

    `observations` are by host name; a host without one counts as unreachable. `customers` and `hosts`
    narrow the plan: with both given a host must be in both. Raises InputError when a name or the
    wanted version is unknown, when no host is left to consider, or when a wave cannot be read.
    """
    release = find_release(catalogue, wanted)
    considered = _asked_for(fleet, customers, hosts)

    @cache
    def route_from(version: str) -> _Route:
        return _route(catalogue, version, wanted)

    @cache
    def stretches_of(customer: str) -> tuple[Window, ...]:
        return occurrences(fleet.customers[customer], fleet.freezes, now)

    @cache
    def window_for(customer: str, needed: timedelta) -> Window | Blocked:
        fit = first_fit(stretches_of(customer), needed)
        return fit or Blocked(why_blocked(fleet.customers[customer], fleet.freezes, needed, now))

    judged = [_judge(host, observations.get(host.name), wanted, route_from, window_for) for host in considered]
    planned = in_rollout_order(fleet, (entry for entry in judged if isinstance(entry, PlannedHost)))
    draft = Plan(
        id="",
        product=catalogue.product.name,
        version=wanted,
        kind=release.kind,
        fleet=fleet.name,
        created_at=now.astimezone(UTC),
        policy=policy,
        hosts=tuple(in_waves(planned, policy.waves)),
        exclusions=tuple(entry for entry in judged if isinstance(entry, Exclusion)),
        inputs=dict(inputs),
        approvals=approvers_needed(policy.approvals, release.kind, len(planned)),
    )
    return replace(draft, id=plan_id(draft))


def _asked_for(fleet: Fleet, customers: Collection[str], hosts: Collection[str]) -> list[Host]:
    """The hosts to consider, by name."""
    _refuse_unknown("customer", customers, fleet.customers, fleet)
    _refuse_unknown("host", hosts, {host.name for host in fleet.hosts}, fleet)
    considered = [
        host
        for host in sorted(fleet.hosts, key=lambda host: host.name)
        if (not customers or host.customer in customers) and (not hosts or host.name in hosts)
    ]
    if (customers or hosts) and not considered:
        raise InputError(f"fleet {fleet.name} has no host of the customers and hosts asked for")
    return considered


def _refuse_unknown(word: str, asked: Collection[str], known: Collection[str], fleet: Fleet) -> None:
    if unknown := sorted(set(asked) - set(known)):
        listed = ", ".join(sorted(known)[:_NAMES_LISTED]) or "none"
        more = f" and {len(known) - _NAMES_LISTED} more" if len(known) > _NAMES_LISTED else ""
        raise InputError(f"fleet {fleet.name} has no {word} {', '.join(unknown)}; there are: {listed}{more}")


def _judge(
    host: Host,
    seen: Observation | None,
    wanted: str,
    route_from: Callable[[str], _Route],
    window_for: Callable[[str, timedelta], Window | Blocked],
) -> PlannedHost | Exclusion:
    """One host: planned, its wave still to be set, or left out."""
    leave_out = partial(Exclusion, host.name, host.customer)
    standing = _standing(host, seen)
    if isinstance(standing, Exclusion):
        return standing
    route = route_from(standing.version)
    if refusal := route.refusal or _lack(seen, route):
        return leave_out(Outcome.REFUSED, f"{refusal} ({standing.note})" if standing.unseen else refusal)
    if not route.hops and standing.unseen:
        return leave_out(Outcome.UNREACHABLE_BEFORE, f"{standing.unseen}; the inventory expects {wanted} already")
    if not route.hops:
        return leave_out(Outcome.ALREADY_CURRENT, f"has {standing.version}")
    window = window_for(host.customer, route.needed)
    if isinstance(window, Blocked):
        return leave_out(Outcome.DEFERRED, window.reason)
    return PlannedHost(host.name, host.customer, 0, standing.version, route.hops, window, standing.note)


def _standing(host: Host, seen: Observation | None) -> _Standing | Exclusion:
    """What is known of a host: what was observed is the truth, the inventory's word only stands in for it."""
    if host.hold is not None:
        return Exclusion(host.name, host.customer, Outcome.SKIPPED, host.hold or "on hold")
    if seen is None or not seen.reachable:
        cause = (seen.cause or seen.detail or "unreachable") if seen else "nobody looked"
        if host.expected_version is None:
            return Exclusion(host.name, host.customer, Outcome.UNREACHABLE_BEFORE, cause)
        return _Standing(host.expected_version, f"not observed: {cause}", unseen=cause)
    if not seen.installed:
        why = seen.detail or seen.cause or "nothing is installed there"
        return Exclusion(host.name, host.customer, Outcome.REFUSED, f"no installed version found: {why}")
    if host.expected_version not in (None, seen.installed):
        drift = f"inventory expects {host.expected_version}, the host has {seen.installed}"
        return _Standing(seen.installed, drift)
    return _Standing(seen.installed)


def _route(catalogue: Catalogue, version: str, wanted: str) -> _Route:
    try:
        hops = find_path(catalogue, version, wanted)
    except NoPathError as error:
        return _Route(refusal=error.reason)
    releases = [find_release(catalogue, hop.to_version) for hop in hops]
    expected = sum((release.expected for release in releases), timedelta())
    largest = max((release.artifact.length for release in releases), default=0)
    return _Route(hops, expected * _WINDOW_FACTOR, largest * _SPACE_FACTOR)


def _lack(seen: Observation | None, route: _Route) -> str:
    """What a host is known to be without that its route needs; empty when nothing, or when there is no route."""
    if seen is None or not seen.reachable or not route.hops:
        return ""
    if seen.missing_tools:
        return f"missing tools: {', '.join(seen.missing_tools)}"
    if seen.free_bytes is not None and seen.free_bytes < route.free_bytes:
        return f"too little free space: needs {route.free_bytes:,} bytes, has {seen.free_bytes:,}"
    return ""
