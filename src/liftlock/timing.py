"""When: the window of every planned host, by when its customer must be told, and the earliest finish.

1. No window begins before the lead time promised to the customer is over. It is counted not from the making of the
   plan but from the first full hour (UTC) that is at least `TO_TELL`, or the lead time itself when that is shorter,
   later: until then the plan can be gated, reviewed, approved and announced, and the customer is told in time. Where no
   lead time is promised, or the notice is waived, there is nothing to tell ahead, and a window may begin at once.
2. Waves go one after the other. A wave is ready when the one before it can be through and has baked.
3. A host's window is the first stretch of allowed time that, once its wave is ready, still has room for what the host
   needs: the expected time of its hops, and as much again for the way back. Hosts of one customer and group with the
   same need take turns, as many at once as the policy and the customer allow; who finds no room goes to the next
   stretch.
4. A wave can be through when its last host can be, and not before `concurrency` hosts at once can have done the work:
   for every moment, what cannot begin before it takes at least its expected time divided by `concurrency`. The same
   holds for the hosts under each bound (`liftlock.bounds`): of a site, a customer, a redundancy group.
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
from datetime import UTC, datetime, timedelta
from itertools import groupby, repeat
from operator import attrgetter
from typing import NamedTuple

from liftlock.bounds import Key, bounds_of
from liftlock.model import Exclusion, Fleet, Outcome, Plan, PlannedCustomer, PlannedHost, Policy, ReleaseKind, Window
from liftlock.wall_clock import shown
from liftlock.window import HORIZON, Rules, clock_note, first_fit, occurrences, rules_for, why_blocked

AND_BACK = 2
"""A host needs its upgrade's expected time so many times: for the upgrade and, should it fail, for the rollback."""

TO_TELL = timedelta(hours=4)
"""How long a release manager has, at least, from the plan to the moment when customers must have been told: half a
working day."""

_HOUR, _DAY, _WEEK = timedelta(hours=1), timedelta(days=1), timedelta(weeks=1)
_Group = tuple[str, str | None]
_ALL: Key = ()
"""What `policy.concurrency` bounds, beside the bounds on some of the hosts."""


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
    """When the hosts of a fleet may be worked on for one product; worked out once per customer, group and need.

    `kinds` are those of all releases that the plan is about: the one with the longest lead time counts. What groups
    with the same rules have in common is kept in `alike`, which several may share.
    """

    fleet: Fleet
    product: str
    kinds: frozenset[ReleaseKind]
    policy: Policy
    now: datetime
    waived: bool = False
    alike: dict[tuple[Rules, datetime], tuple[Window, ...]] = field(default_factory=dict)
    _rules: dict[_Group, Rules] = field(default_factory=dict)
    _stretches: dict[_Group, tuple[Window, ...]] = field(default_factory=dict)
    _slots: dict[tuple[_Group, timedelta], Window | Blocked] = field(default_factory=dict)

    def lead(self, customer: str) -> timedelta:
        """How long before the work this customer must be told; nothing when the notice was waived."""
        tier = self.fleet.customers[customer].tier
        return timedelta() if self.waived else max(self.policy.lead(kind, tier) for kind in self.kinds)

    def earliest(self, customer: str) -> datetime:
        """The first moment at which work may begin for this customer."""
        return first_start(self.now, self.lead(customer))

    def slot(self, group: _Group, needed: timedelta, work: str) -> Window | Blocked:
        """The first stretch with room for what is needed, or why there is none; `work` says what needs so long."""
        key = group, needed
        if key not in self._slots:
            after = self.earliest(group[0])
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
            key = self.rules(group), self.earliest(group[0])
            if key not in self.alike:
                self.alike[key] = occurrences(*key)
            self._stretches[group] = self.alike[key]
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


def first_start(planned_at: datetime, lead: timedelta) -> datetime:
    """The first moment at which work can begin that is announced `lead` ahead, by a plan of that moment (rule 1)."""
    if not lead:
        return planned_at
    soonest = planned_at.astimezone(UTC) + min(TO_TELL, lead)
    full_hour = soonest.replace(minute=0, second=0, microsecond=0)
    return (full_hour if full_hour == soonest else full_hour + _HOUR) + lead


def in_time(draft: Plan, openings: Mapping[str, Openings]) -> tuple[Plan, tuple[Exclusion, ...]]:
    """The draft, whose hosts stand in waves, with their windows, its customers and its finish; openings by product.

    When there are hosts that find no slot once their wave is ready, those, and the draft as it was.
    """
    own = openings[draft.product]
    groups = {host.name: host.group for host in own.fleet.hosts if host.group}
    bounds = bounds_of(draft)
    ready = through = draft.created_at
    found: list[tuple[PlannedHost, _Place]] = []
    late: list[Exclusion] = []
    for _, wave in groupby(draft.hosts, key=attrgetter("wave")):
        places: dict[tuple[str, _Group, timedelta], Iterator[_Place]] = {}
        work: dict[Key, dict[datetime, timedelta]] = defaultdict(lambda: defaultdict(timedelta))
        everywhere = work[_ALL]
        for host in wave:
            group = host.customer, groups.get(host.machine) if groups else None
            kind = host.product, group, host.needed
            if kind not in places:
                places[kind] = openings[draft.product_of(host)].places(group, host.needed, ready)
            if place := next(places[kind], None):
                found.append((host, place))
                expected = host.needed / AND_BACK
                everywhere[place.start] += expected
                for bound in bounds.keys.get(host.name, ()):
                    work[bound][place.start] += expected
                through = max(through, place.start + expected)
            else:
                late.append(_late(host, group, ready, openings[draft.product_of(host)]))
        for bound, starts in work.items():
            at_once = bounds.limits.get(bound, draft.policy.concurrency)
            through = max([through, *_capacity_through(starts, at_once)])
        ready = through + draft.policy.bake
    if late:
        return draft, tuple(late)
    placed = tuple(_placed(host, place) for host, place in found)
    blocked = any(left.outcome is Outcome.DEFERRED for left in draft.exclusions)
    finish = None if blocked or not placed else ready
    return replace(draft, hosts=placed, customers=tuple(_customers(placed, own)), finish=finish), ()


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
    limit = shown(openings.earliest(host.customer) + HORIZON, zone).date()
    if next(openings.places(group, host.needed, ready), None):
        why = f"the hosts before it fill every window, {openings.at_once(host.customer)} at once"
    else:
        begins = f"wave {host.wave} can begin on {shown(ready, zone):%Y-%m-%d %H:%M}"
        why = f"{begins}, and no window is long enough after that"
    return Exclusion(host.name, host.customer, Outcome.DEFERRED, f"no slot before {limit}: {why}")


def _capacity_through(work: Mapping[datetime, timedelta], at_once: int) -> Iterator[datetime]:
    """For each start of work, when so many hosts at once can have done all that starts from there on."""
    left = timedelta()
    for start in sorted(work, reverse=True):
        left += work[start]
        yield start + left / at_once


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
