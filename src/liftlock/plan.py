"""Plans: which hosts get the release, by which path, in which wave and window, and which are left out and why.

Order and waves: hosts of low-risk customers come first (tier `internal` or `low`, then `standard` and
any other, then `key`). Within a tier customers take turns, and within a customer its sites (the host
label `site`) take turns, so that an early wave is spread; ties go by name. `Policy.waves` are
cumulative: `"5"` means that up to 5 hosts are through in total, `"25%"` that a quarter of all planned
hosts is, rounded up; each is at least one host. A wave that adds nobody is dropped; hosts left over
by the last entry make one more wave.

A plan is stored as canonical JSON: keys sorted, no spaces, UTF-8 kept, times in ISO 8601. Its id is
the sha256 of that JSON without the id, so the same inputs make the same bytes and an edit shows.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import cache, partial
from operator import itemgetter
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json as parse_json

from liftlock.errors import InputError, Problem
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
from liftlock.window import Blocked, first_fit, occurrences, why_blocked

_TIERS = {"internal": 0, "low": 0, "standard": 1, "key": 2}
_SPACE_FACTOR = 3  # the artifact itself, what it unpacks to, and room to spare for both
_WINDOW_FACTOR = 2  # the upgrade and, should it fail, the rollback
_NAMES_LISTED = 20
_PLAN: TypeAdapter[Plan] = TypeAdapter(Plan)


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
    planned = _in_rollout_order(fleet, (entry for entry in judged if isinstance(entry, PlannedHost)))
    draft = Plan(
        id="",
        product=catalogue.product.name,
        version=wanted,
        kind=release.kind,
        fleet=fleet.name,
        created_at=now.astimezone(UTC),
        policy=policy,
        hosts=tuple(_in_waves(planned, policy.waves)),
        exclusions=tuple(entry for entry in judged if isinstance(entry, Exclusion)),
        inputs=dict(inputs),
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


def _in_rollout_order(fleet: Fleet, planned: Iterable[PlannedHost]) -> list[PlannedHost]:
    """By the order in this module's docstring; `planned` comes in by name."""
    sites = {host.name: host.labels.get("site", "") for host in fleet.hosts}
    by_site = _taking_turns(planned, lambda host: (host.customer, sites[host.name]))
    by_customer = _taking_turns(by_site, lambda host: host.customer)
    return sorted(by_customer, key=lambda host: _TIERS.get(fleet.customers[host.customer].tier, _TIERS["standard"]))


def _taking_turns(
    hosts: Iterable[PlannedHost], party: Callable[[PlannedHost], str | tuple[str, str]]
) -> list[PlannedHost]:
    """First the first host of each party, in the order of the parties' names, then the second of each, and so on."""
    turns: Counter[str | tuple[str, str]] = Counter()
    placed = []
    for host in hosts:
        turns[party(host)] += 1
        placed.append((turns[party(host)], party(host), host))
    return [host for _, _, host in sorted(placed, key=itemgetter(0, 1))]


def _in_waves(hosts: Sequence[PlannedHost], waves: Iterable[str]) -> Iterator[PlannedHost]:
    ends = [min(_end_of_wave(wave, len(hosts)), len(hosts)) for wave in waves]
    number = through = 0
    for end in (*ends, len(hosts)):
        if end > through:
            number += 1
            yield from (replace(host, wave=number) for host in hosts[through:end])
            through = end


def _end_of_wave(wave: str, planned: int) -> int:
    """How many hosts are through after the wave."""
    if re.fullmatch(r"[0-9]+", wave):
        return max(1, int(wave))
    if share := re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)%", wave):
        return max(1, math.ceil(planned * Fraction(share[1]) / 100))
    raise InputError(f"policy: the wave {wave!r} is neither a number of hosts nor a percentage")


def to_document(plan: Plan) -> dict[str, Any]:
    """The plan as plain values that JSON knows."""
    document: dict[str, Any] = _PLAN.dump_python(plan, mode="json")
    return document


def from_document(document: Mapping[str, Any]) -> Plan:
    """The plan that `to_document` made."""
    return _PLAN.validate_python(document)


def to_json(plan: Plan) -> str:
    """The plan as one line of canonical JSON, newline at the end."""
    return _canonical(to_document(plan)) + "\n"


def from_json(text: str, file: str) -> Plan:
    """The plan that `to_json` wrote; `file` is named in errors.

    Raises InputError when the text is no plan, or when its content does not match its id.
    """
    try:
        document = parse_json(text)
        plan = from_document(document)
    except ValidationError as error:
        mistakes = error.errors(include_url=False, include_context=False, include_input=False)
        raise InputError(
            Problem(file, f"not a plan: {mistake['msg']}", path=".".join(map(str, mistake["loc"])))
            for mistake in mistakes
        ) from None
    except ValueError as error:
        raise InputError([Problem(file, f"not a plan: not JSON: {error}")]) from None
    if _content_hash(document) != plan.id:
        raise InputError([Problem(file, f"the plan {short_id(plan)} was edited: its content does not match its id")])
    return plan


def plan_id(plan: Plan) -> str:
    """The sha256 (hex) of the plan's canonical JSON without its id."""
    return _content_hash(to_document(plan))


def _content_hash(document: Mapping[str, Any]) -> str:
    content = {key: value for key, value in document.items() if key != "id"}
    return hashlib.sha256(_canonical(content).encode()).hexdigest()


def _canonical(document: Mapping[str, Any]) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def short_id(plan: Plan) -> str:
    """The first eight digits of the id, for people."""
    return plan.id[:8]


def plan_file_name(plan: Plan) -> str:
    """Such as `boathouse-1.5.0-3fa9c1d2.json`: product, version, short id."""
    return f"{plan.product}-{plan.version}-{short_id(plan)}.json"


def budget_words(plan: Plan) -> str:
    """What the target means for this plan, in one sentence: the failures it allows and what the first wave risks."""
    total, target = len(plan.hosts), plan.policy.target_percent
    if not total:
        return "No host is planned."
    by_target = total * (100 - target) // 100
    allows = f"{target} % of {_count(total, 'host')} allows {_count(by_target, 'failure')}"
    if plan.policy.max_failures is not None:
        by_policy = _count(plan.policy.max_failures, "failure")
        allows = f"The policy allows {by_policy} ({target} % of {_count(total, 'host')} would allow {by_target})"
    if plan.allowed_failures == 0:
        return f"{allows}: one failure stops the rollout."
    risked = sum(host.wave == 1 for host in plan.hosts)
    return f"{allows}; wave 1 risks {_count(risked, 'host')}."


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
