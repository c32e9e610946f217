"""Plans: which hosts get the release, by which path, in which wave and window, and which are left out and why."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial

from liftlock.approval import approvers_needed
from liftlock.bounds import with_stand_ins
from liftlock.condition import Facts
from liftlock.document import garbage_collection_resting
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
    Prior,
)
from liftlock.path import NoPathError, find_path, find_release, relevant_facts
from liftlock.plan_document import plan_id
from liftlock.roles import in_order_of_rank, without_forerunners
from liftlock.timing import AND_BACK, Blocked, Openings, in_time
from liftlock.waves import in_rollout_order, in_waves
from liftlock.window import in_words

_SPACE_FACTOR = 3  # the artifact itself, what it unpacks to, and room to spare for both
_NAMES_LISTED = 20


@dataclass(frozen=True, slots=True)
class _Route:
    """The path from one observed version and what it asks of a host; `refusal` when there is none.

    `needed` is the time for the upgrade and the way back, `work` says what takes so long.
    """

    hops: tuple[Hop, ...] = ()
    needed: timedelta = timedelta()
    work: str = ""
    free_bytes: int = 0
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class _Standing:
    """The version a host is planned from; `unseen` is why it is only the inventory's word, empty when observed."""

    version: str
    note: str = ""
    unseen: str = ""


@garbage_collection_resting()
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
    prior: Prior | None = None,
    durations: Mapping[str, timedelta] | None = None,
    waived: Collection[str] = (),
    downgrade: str = "",
) -> Plan:
    """The plan that takes the fleet to the wanted version, with its id.

    `observations` are by host name; a host without one counts as unreachable. `customers` and `hosts`
    narrow the plan: with both given a host must be in both. `prior` is what is known of the failure rate, for
    waves by evidence; None is next to nothing. `durations` are by version how long its hop took in the record; where
    there are none, the manifest's estimate counts. `waived` with `notice` in it sets lead times aside.
    `downgrade` is the reason for taking hosts with a newer version down to the wanted one; without one they are left
    out. Raises InputError when a name or the wanted version is unknown, when no host is left to consider, or when a
    wave cannot be read.
    """
    release = find_release(catalogue, wanted)
    considered = _asked_for(fleet, catalogue.product.name, customers, hosts)

    asked = relevant_facts(catalogue)

    @cache
    def route_of(version: str, facts: tuple[tuple[str, str | tuple[str, ...]], ...]) -> _Route:
        return _route(catalogue, version, wanted, durations or {}, dict(facts), downgrade=bool(downgrade))

    def route_from(host: Host, version: str) -> _Route:
        return route_of(version, tuple((name, host.facts[name]) for name in asked if name in host.facts))

    openings = Openings(fleet, catalogue.product.name, release.kind, policy, now.astimezone(UTC), "notice" in waived)
    judged = [_judge(host, observations.get(host.name), wanted, route_from, openings) for host in considered]
    fit = [entry for entry in judged if isinstance(entry, PlannedHost)]
    left_out = [entry for entry in judged if isinstance(entry, Exclusion)]
    fit, behind = without_forerunners(catalogue.product, fleet, fit, left_out)
    planned = in_order_of_rank(catalogue.product, fleet, in_rollout_order(fleet, fit))
    draft = Plan(
        id="",
        product=catalogue.product.name,
        version=wanted,
        kind=release.kind,
        fleet=fleet.name,
        created_at=now.astimezone(UTC),
        policy=policy,
        hosts=tuple(planned),
        exclusions=tuple(sorted((*left_out, *behind), key=lambda left: left.host)),
        inputs=dict(inputs),
        prior=prior,
        waived=tuple(sorted(waived)),
        downgrade=downgrade,
        only_customers=tuple(sorted(customers)),
        only_hosts=tuple(sorted(hosts)),
    )
    timed = _in_waves_and_time(draft, openings)
    timed = replace(timed, hosts=with_stand_ins(fleet, timed.hosts))
    plan = replace(
        timed,
        approvals=approvers_needed(policy.approvals, release.kind, len(timed.hosts)),
        estimates=_estimates(catalogue, timed.hosts, durations or {}),
    )
    return replace(plan, id=plan_id(plan))


def _in_waves_and_time(draft: Plan, openings: Openings) -> Plan:
    """The draft with waves and windows; hosts that find no slot once their wave is ready are left out of both."""
    while True:
        draft = replace(draft, hosts=tuple(in_waves(draft)))
        timed, late = in_time(draft, openings)
        if not late:
            return timed
        gone = {left.host for left in late}
        left_out = sorted((*draft.exclusions, *late), key=lambda left: left.host)
        staying = tuple(host for host in draft.hosts if host.name not in gone)
        draft = replace(draft, hosts=staying, exclusions=tuple(left_out))


def _asked_for(fleet: Fleet, product: str, customers: Collection[str], hosts: Collection[str]) -> list[Host]:
    """The hosts to consider, by name: those that run the product, as far as the inventory says what they run."""
    _refuse_unknown("customer", customers, fleet.customers, fleet)
    _refuse_unknown("host", hosts, {host.name for host in fleet.hosts}, fleet)
    considered = [
        host
        for host in sorted(fleet.hosts, key=lambda host: host.name)
        if (not customers or host.customer in customers)
        and (not hosts or host.name in hosts)
        and (not host.products or product in host.products)
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
    route_from: Callable[[Host, str], _Route],
    openings: Openings,
) -> PlannedHost | Exclusion:
    """One host: planned, its wave and with it its window still to be set, or left out."""
    leave_out = partial(Exclusion, host.name, host.customer)
    standing = _standing(host, seen)
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
        name=host.name,
        customer=host.customer,
        wave=0,
        observed=standing.version,
        hops=route.hops,
        window=slot,
        note=standing.note,
        needed=route.needed,
        site=host.labels.get("site", ""),
        redundancy=host.redundancy or "",
    )


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


def _route(
    catalogue: Catalogue,
    version: str,
    wanted: str,
    durations: Mapping[str, timedelta],
    facts: Facts,
    *,
    downgrade: bool,
) -> _Route:
    try:
        hops = find_path(catalogue, version, wanted, facts, downgrade=downgrade)
    except NoPathError as error:
        return _Route(refusal=error.reason)
    releases = [find_release(catalogue, hop.to_version) for hop in hops]
    expected = [durations.get(release.version, release.expected) for release in releases]
    largest = max((release.artifact.length for release in releases), default=0)
    return _Route(hops, sum(expected, timedelta()) * AND_BACK, _work(expected), largest * _SPACE_FACTOR)


def _work(expected: Sequence[timedelta]) -> str:
    """What a host's time goes into, such as `2 hops of 25 min and the way back`."""
    hops = f"{len(expected)} hop{'s' if len(expected) > 1 else ''}"
    alike = len(set(expected)) == 1
    each = in_words(expected[0]) if alike else f"{in_words(sum(expected, timedelta()))} in all"
    return f"{hops} of {each} and the way back"


def _estimates(
    catalogue: Catalogue, hosts: Iterable[PlannedHost], durations: Mapping[str, timedelta]
) -> dict[str, str]:
    """For every version on the way of a planned host, how long its hop is expected to take, and by what."""
    paths = {id(host.hops): host.hops for host in hosts}
    passed = {hop.to_version for hops in paths.values() for hop in hops}
    return {
        release.version: f"{in_words(durations[release.version])} by the record"
        if release.version in durations
        else f"{in_words(release.expected)} by its manifest"
        for release in catalogue.releases
        if release.version in passed
    }


def _lack(seen: Observation | None, route: _Route) -> str:
    """What a host is known to be without that its route needs; empty when nothing, or when there is no route."""
    if seen is None or not seen.reachable or not route.hops:
        return ""
    if seen.missing_tools:
        return f"missing tools: {', '.join(seen.missing_tools)}"
    if seen.free_bytes is not None and seen.free_bytes < route.free_bytes:
        return f"too little free space: needs {route.free_bytes:,} bytes, has {seen.free_bytes:,}"
    return ""
