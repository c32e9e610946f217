"""When: the window of every planned host, by when its customer must be told, and the earliest finish.

1. No window begins before the lead time promised to the customer is over, counted from the making of the plan.
2. Waves go one after the other. A wave is ready when the one before it can be through and has baked.
3. A host's window is the first stretch of allowed time that, once its wave is ready, still has room for what the host
   needs: the expected time of its hops, and as much again for the way back. Hosts of one customer and group with the
   same need take turns, as many at once as the policy and the customer allow; who finds no room goes to the next
   stretch.
4. A wave can be through when its last host can be, and not before `concurrency` hosts at once can have done the work:
   for every moment, what cannot begin before it takes at least its expected time divided by `concurrency`.
5. What a plan promises of a stretch longer than a week (`always`) is whole days, until the host can be through.
6. The plan can be finished when its last wave is through and has baked. When a host has no slot at all, not all can
   be through, and there is no finish.

Everything here is a bound from below: hosts that fail, and hosts of other customers in the same hour, only add to it.
One more rule, or one window less, can therefore never make the same hosts start or finish earlier.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import groupby, repeat
from operator import attrgetter
from typing import NamedTuple

from liftlock.model import Exclusion, Fleet, Outcome, Plan, PlannedCustomer, PlannedHost, Policy, ReleaseKind, Window
from liftlock.wall_clock import shown
from liftlock.window import HORIZON, Rules, clock_note, first_fit, occurrences, rules_for, why_blocked

AND_BACK = 2
"""A host needs its upgrade's expected time so many times: for the upgrade and, should it fail, for the rollback."""

_DAY, _WEEK = timedelta(days=1), timedelta(weeks=1)
_Group = tuple[str, str | None]


class _Place(NamedTuple):
    """Where one host starts: its window, when it does in it, and what a change of clocks did to the window."""

    window: Window
    start: datetime
    note: str


@dataclass(frozen=True, slots=True)
class Blocked:
    """There is no slot, and why in words."""

    reason: str


@dataclass(frozen=True)
class Openings:
    """When the hosts of a fleet may be worked on for one release; worked out once per customer, group and need."""

    fleet: Fleet
    product: str
    kind: ReleaseKind
    policy: Policy
    now: datetime
    waived: bool = False
    _rules: dict[_Group, Rules] = field(default_factory=dict)
    _stretches: dict[_Group, tuple[Window, ...]] = field(default_factory=dict)
    _slots: dict[tuple[_Group, timedelta], Window | Blocked] = field(default_factory=dict)

    def lead(self, customer: str) -> timedelta:
        """How long before the work this customer must be told; nothing when the notice was waived."""
        return timedelta() if self.waived else self.policy.lead(self.kind, self.fleet.customers[customer].tier)

    def slot(self, group: _Group, needed: timedelta, work: str) -> Window | Blocked:
        """The first stretch with room for what is needed, or why there is none; `work` says what needs so long."""
        key = group, needed
        if key not in self._slots:
            after = self.now + self.lead(group[0])
            self._slots[key] = first_fit(self.stretches(group), needed) or Blocked(
                why_blocked(self.rules(group), needed, work, after)
            )
        return self._slots[key]

    def rules(self, group: _Group) -> Rules:
        """The windows and freezes of the group."""
        if group not in self._rules:
            self._rules[group] = rules_for(self.fleet, *group, product=self.product)
        return self._rules[group]

    def stretches(self, group: _Group) -> tuple[Window, ...]:
        """When the group may be worked on, from the end of its customer's lead time to the horizon."""
        if group not in self._stretches:
            self._stretches[group] = occurrences(self.rules(group), self.now + self.lead(group[0]))
        return self._stretches[group]

    def at_once(self, customer: str) -> int:
        """How many of a customer's hosts may be worked on at the same time."""
        own = self.fleet.customers[customer].at_once or self.policy.customer_at_once
        return min(self.policy.concurrency, own or self.policy.concurrency)

    def places(self, group: _Group, needed: timedelta, ready: datetime) -> Iterator[_Place]:
        """The places of hosts with the same need, one after the other."""
        at_once = self.at_once(group[0])
        for stretch in self.stretches(group):
            start = max(stretch.start, ready)
            if start + needed <= stretch.end:
                note = clock_note(self.rules(group), stretch)
            while start + needed <= stretch.end:
                yield from repeat(_Place(stretch, start, note), at_once)
                start += needed / AND_BACK


def in_time(draft: Plan, openings: Openings) -> tuple[Plan, tuple[Exclusion, ...]]:
    """The draft, whose hosts stand in waves, with their windows, its customers and its finish.

    When there are hosts that find no slot once their wave is ready, those, and the draft as it was.
    """
    groups = {host.name: host.group for host in openings.fleet.hosts if host.group}
    ready = through = draft.created_at
    found: list[tuple[PlannedHost, _Place]] = []
    late: list[Exclusion] = []
    for _, wave in groupby(draft.hosts, key=attrgetter("wave")):
        places: dict[tuple[_Group, timedelta], Iterator[_Place]] = {}
        work: dict[datetime, timedelta] = defaultdict(timedelta)
        for host in wave:
            group = host.customer, groups.get(host.name)
            kind = group, host.needed
            if kind not in places:
                places[kind] = openings.places(group, host.needed, ready)
            if place := next(places[kind], None):
                found.append((host, place))
                expected = host.needed / AND_BACK
                work[place.start] += expected
                through = max(through, place.start + expected)
            else:
                late.append(_late(host, group, ready, openings))
        through = max([through, *_capacity_through(work, draft.policy.concurrency)])
        ready = through + draft.policy.bake
    if late:
        return draft, tuple(late)
    placed = tuple(_placed(host, place) for host, place in found)
    blocked = any(left.outcome is Outcome.DEFERRED for left in draft.exclusions)
    finish = None if blocked or not placed else ready
    return replace(draft, hosts=placed, customers=tuple(_customers(placed, openings)), finish=finish), ()


def blocked_lines(plan: Plan) -> list[str]:
    """A line per customer that has no slot, and why; hosts are named where not all of the customer's share it."""
    together: dict[tuple[str, str], list[str]] = {}
    for left in plan.exclusions:
        if left.outcome is Outcome.DEFERRED:
            together.setdefault((left.customer, left.reason), []).append(left.host)
    reasons = Counter(customer for customer, _ in together)
    divided = {host.customer for host in plan.hosts} | {customer for customer, count in reasons.items() if count > 1}
    return [
        f"{customer}{f' ({_named(hosts)})' if customer in divided else ''}: {reason}"
        for (customer, reason), hosts in together.items()
    ]


def _named(hosts: Sequence[str]) -> str:
    return ", ".join(hosts[:3]) + (f" and {len(hosts) - 3} more" if len(hosts) > 3 else "")


def _promised(place: _Place, needed: timedelta) -> Window:
    """What the customer is told: the stretch, or, of one that never ends, the days until the host can be through."""
    if place.window.end - place.window.start <= _WEEK:
        return place.window
    days = -((place.window.start - place.start - needed) // _DAY)
    return Window(place.window.start, min(place.window.end, place.window.start + days * _DAY))


def _placed(host: PlannedHost, place: _Place) -> PlannedHost:
    window = _promised(place, host.needed)
    if host.window is window and not place.note:
        return host
    return host.placed(host.wave, window, "; ".join(part for part in (host.note, place.note) if part))


def _late(host: PlannedHost, group: _Group, ready: datetime, openings: Openings) -> Exclusion:
    zone = openings.rules(group).zone
    limit = shown(openings.now + openings.lead(host.customer) + HORIZON, zone).date()
    if next(openings.places(group, host.needed, ready), None):
        why = f"the hosts before it fill every window, {openings.at_once(host.customer)} at once"
    else:
        begins = f"wave {host.wave} can begin on {shown(ready, zone):%Y-%m-%d %H:%M}"
        why = f"{begins}, and no window is long enough after that"
    return Exclusion(host.name, host.customer, Outcome.DEFERRED, f"no slot before {limit}: {why}")


def _capacity_through(work: Mapping[datetime, timedelta], concurrency: int) -> Iterator[datetime]:
    """For each start of work, when so many hosts at once can have done all that starts from there on."""
    left = timedelta()
    for start in sorted(work, reverse=True):
        left += work[start]
        yield start + left / concurrency


def _customers(hosts: Iterable[PlannedHost], openings: Openings) -> Iterator[PlannedCustomer]:
    begins: dict[str, datetime] = {}
    ends: dict[str, datetime] = {}
    distinct = {(host.customer, id(host.window)): host.window for host in hosts}  # few, where comparing times is slow
    for (name, _), window in distinct.items():
        begins[name] = min(begins.get(name, window.start), window.start)
        ends[name] = max(ends.get(name, window.end), window.end)
    for name in sorted(begins):
        customer, notify_by = openings.fleet.customers[name], begins[name] - openings.lead(name)
        yield PlannedCustomer(name, notify_by, begins[name], ends[name], customer.at_once, customer.consent)
