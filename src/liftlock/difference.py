"""What changed between two plans, in the words of those who read plans. Pure.

Hosts with the same change share one `Change`. A window that two plans both cut at the first moment that their
lead time allows (`timing.first_start`) is the same window: its start moves with the clock alone.

A change is *material* when what customers were told, or people approved, no longer holds: the release, the
fleet, which hosts, from which version over which hops, their windows, waves and places (customer, site,
redundancy), how long ahead customers are told and their bounds, the policy, the approvals needed and the rules
set aside; and a host that needs half as long again, or more, than planned. Not material are hashes of inputs,
reasons of hosts left out, when all are through, the finish, and the budget, which follows from hosts and policy.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from liftlock.model import ApprovalRule, Consent, Exclusion, Plan, PlannedCustomer, PlannedHost
from liftlock.timing import first_start
from liftlock.waves import budget_words

NAMED = 6
"""How many hosts the words of a change name; `Change.hosts` has all."""
_LONGER = 1.5


class What(StrEnum):
    """What a change is about."""

    RELEASE = "release"
    FLEET = "fleet"
    ADDED = "added"
    REMOVED = "removed"
    PATH = "path"
    WINDOW = "window"
    WAVE = "wave"
    PLACE = "place"
    LENGTH = "length"
    LEFT_OUT = "left_out"
    CUSTOMER = "customer"
    BUDGET = "budget"
    POLICY = "policy"
    APPROVALS = "approvals"
    WAIVED = "waived"
    THROUGH = "through"
    FINISH = "finish"
    INPUT = "input"


IMMATERIAL = frozenset({What.LENGTH, What.LEFT_OUT, What.BUDGET, What.THROUGH, What.FINISH, What.INPUT})


@dataclass(frozen=True, slots=True)
class Change:
    """One difference: of these hosts, or of `subject` (a policy setting, an input); how it was and how it is now."""

    what: What
    before: str
    after: str
    subject: str = ""
    hosts: tuple[str, ...] = ()
    material: bool = True

    @property
    def words(self) -> str:
        """The change as one line."""
        who = _some(self.hosts)
        match self.what:
            case What.ADDED:
                return f"{who}: added, {self.after} (before: {self.before})"
            case What.REMOVED:
                return f"{who}: no longer planned: {self.after} (before: {self.before})"
            case What.WAVE:
                return f"{who}: moved from wave {self.before} to wave {self.after}"
            case What.LEFT_OUT:
                return f"{who}: left out: {self.after} (before: {self.before})"
            case What.PATH | What.WINDOW | What.PLACE | What.LENGTH:
                return f"{who}: other {self.what}: {self.after} (before: {self.before})"
            case What.CUSTOMER | What.POLICY | What.INPUT:
                return f"{self.what} {self.subject}: {self.after} (before: {self.before})"
            case _:
                return f"{self.what}: {self.after} (before: {self.before})"


def difference(old: Plan, new: Plan, zones: Mapping[str, str] | None = None) -> tuple[Change, ...]:
    """All that changed from `old` to `new`, most weighty first; empty for plans that differ only in their moment.

    `zones` are the customers' IANA zones, in which windows are told; a customer without one is told UTC.
    """
    of_hosts = _of_hosts(old, new, zones or {})
    return (*_of_plan(old, new), *of_hosts, *_of_customers(old, new), *_of_rules(old, new), *_of_inputs(old, new))


def objections(old: Plan, new: Plan, begun: Collection[str], zones: Mapping[str, str] | None = None) -> list[Change]:
    """What stands against going on with `old`, when `new` is what planning again for the same moment gives.

    `begun` are the hosts that `old` has attempted: they have their end there, whatever `new` makes of them. As
    they drop out of `new`, its waves and approvals are of another size by nature, and count only while none is begun.
    """
    changes = difference(_without(old, begun), _without(new, begun), zones)
    by_nature = {What.WAVE, What.APPROVALS} if begun else set()
    return [change for change in changes if change.material and change.what not in by_nature]


def _without(plan: Plan, names: Collection[str]) -> Plan:
    hosts = tuple(host for host in plan.hosts if host.name not in names)
    exclusions = tuple(left for left in plan.exclusions if left.host not in names)
    return replace(plan, hosts=hosts, exclusions=exclusions)


def _of_plan(old: Plan, new: Plan) -> Iterator[Change]:
    yield from _differing(What.RELEASE, _release(old), _release(new))
    yield from _differing(What.FLEET, old.fleet, new.fleet)


def _of_hosts(old: Plan, new: Plan, zones: Mapping[str, str]) -> Iterator[Change]:
    """Changes of hosts, those of the same kind and words together, in the order of their first host."""
    alike: dict[tuple[What, str, str, bool], list[str]] = {}
    for name, what, before, after, material in _by_host(old, new, zones):
        alike.setdefault((what, before, after, material), []).append(name)
    order = list(What)
    for (what, before, after, material), names in sorted(alike.items(), key=lambda item: order.index(item[0][0])):
        yield Change(what, before, after, hosts=tuple(names), material=material)


def _by_host(old: Plan, new: Plan, zones: Mapping[str, str]) -> Iterator[tuple[str, What, str, str, bool]]:
    were, are = {host.name: host for host in old.hosts}, {host.name: host for host in new.hosts}
    out_before, out_now = ({left.host: _reason(left) for left in plan.exclusions} for plan in (old, new))
    first_before, first_now = _first_starts(old), _first_starts(new)
    for name, host in are.items():
        if name not in were:
            planned = f"{_path(host)} in wave {host.wave}, {_window(host, zones)}"
            yield name, What.ADDED, out_before.get(name, "not considered"), planned, True
        else:
            starts = were[name].window.start, host.window.start
            cut_by_planning = starts == (first_before.get(host.customer), first_now.get(host.customer))
            yield from _of_host(were[name], host, zones, cut_by_planning=cut_by_planning)
    for name in (name for name in were if name not in are):
        yield name, What.REMOVED, f"wave {were[name].wave}", out_now.get(name, "not considered"), True
    for name in sorted((out_before.keys() | out_now.keys()) - were.keys() - are.keys()):
        before, after = out_before.get(name, "not considered"), out_now.get(name, "not considered")
        if before != after:
            yield name, What.LEFT_OUT, before, after, False


def _first_starts(plan: Plan) -> dict[str, datetime]:
    """By customer the first moment at which the plan's work could begin."""
    return {customer.name: first_start(plan.created_at, customer.lead) for customer in plan.customers}


def _of_host(
    old: PlannedHost, new: PlannedHost, zones: Mapping[str, str], *, cut_by_planning: bool
) -> Iterator[tuple[str, What, str, str, bool]]:
    if _path(old) != _path(new):
        yield new.name, What.PATH, _path(old), _path(new), True
    if old.window != new.window and not (cut_by_planning and old.window.end == new.window.end):
        yield new.name, What.WINDOW, _window(old, zones), _window(new, zones), True
    if old.wave != new.wave:
        yield new.name, What.WAVE, str(old.wave), str(new.wave), True
    if _place(old) != _place(new):
        yield new.name, What.PLACE, _place(old), _place(new), True
    if old.needed != new.needed:
        yield new.name, What.LENGTH, _span(old.needed), _span(new.needed), new.needed >= old.needed * _LONGER


def _of_customers(old: Plan, new: Plan) -> Iterator[Change]:
    """Changes of those that both plans have: how long ahead they are told, and their bound."""
    were = {customer.name: _terms(customer) for customer in old.customers}
    for customer in new.customers:
        before = were.get(customer.name, _terms(customer))
        yield from _differing(What.CUSTOMER, before, _terms(customer), customer.name)


def _terms(customer: PlannedCustomer) -> str:
    bound = "" if customer.at_once is None else f", at most {customer.at_once} at once"
    asked = ", asked for an explicit yes" if customer.consent is Consent.EXPLICIT else ""
    return f"told {_span(customer.lead)} ahead{bound}{asked}"


def _of_rules(old: Plan, new: Plan) -> Iterator[Change]:
    yield from _differing(What.BUDGET, budget_words(old), budget_words(new))
    for setting in fields(old.policy):
        before, after = getattr(old.policy, setting.name), getattr(new.policy, setting.name)
        yield from _differing(What.POLICY, _value(before), _value(after), setting.name)
    yield from _differing(What.APPROVALS, str(old.approvals), str(new.approvals))
    yield from _differing(What.WAIVED, _value(old.waived), _value(new.waived))
    yield from _differing(What.THROUGH, _value(old.through), _value(new.through))
    yield from _differing(What.FINISH, _value(old.finish), _value(new.finish))


def _of_inputs(old: Plan, new: Plan) -> Iterator[Change]:
    for name in sorted(old.inputs.keys() | new.inputs.keys()):
        before, after = (plan.inputs.get(name, "")[:8] or "not there" for plan in (old, new))
        if old.inputs.get(name) != new.inputs.get(name):
            yield Change(What.INPUT, before, after, name, material=False)


def _differing(what: What, before: str, after: str, subject: str = "") -> Iterator[Change]:
    if before != after:
        yield Change(what, before, after, subject, material=what not in IMMATERIAL)


def _release(plan: Plan) -> str:
    back = f", downgrade: {plan.downgrade}" if plan.downgrade else ""
    return f"{plan.brings} ({plan.kind}{back})"


def _path(host: PlannedHost) -> str:
    return " > ".join((host.observed, *(hop.to_version for hop in host.hops)))


def _window(host: PlannedHost, zones: Mapping[str, str]) -> str:
    zone = ZoneInfo(zones.get(host.customer, "UTC"))
    start, end = host.window.start.astimezone(zone), host.window.end.astimezone(zone)
    return f"{start:%a %d %b %Y %H:%M}-{end:%a %H:%M %Z}"


def _place(host: PlannedHost) -> str:
    """What the bounds on hosts at once go by."""
    return f"customer {host.customer}, site {host.site or 'none'}, redundancy {host.redundancy or 'none'}"


def _reason(left: Exclusion) -> str:
    return f"{left.outcome}: {left.reason}"


def _value(value: Any) -> str:
    """A value of the policy as its file writes it."""
    match value:
        case timedelta():
            return _span(value)
        case datetime():
            return f"{value:%Y-%m-%d %H:%M} UTC"
        case ApprovalRule():
            kinds = "/".join(value.kinds) or "any kind"
            return f"{value.approvers} for {kinds} over {value.over_hosts} hosts"
        case Mapping():
            return ", ".join(f"{key} {_value(inner)}" for key, inner in sorted(value.items())) or "none"
        case tuple():
            return ", ".join(map(_value, value)) or "none"
        case None:
            return "none"
        case _:
            return str(value)


def _span(length: timedelta) -> str:
    """As our files write lengths of time: `1h30m`; thousandths only where there are any."""
    thousandths = length // timedelta(milliseconds=1)
    parts = []
    for size, unit in ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")):
        count, thousandths = divmod(thousandths, size)
        parts.append(f"{count}{unit}" if count else "")
    return "".join(parts) or "0s"


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
