"""When: the window of every planned host, by when its customer must be told, and when all are through.

1. No window begins before the lead time promised to the customer is over. It is counted not from the making of the
   plan but from the first full hour (UTC) that is at least `TO_TELL`, or the lead time itself when that is shorter,
   later: until then the plan can be gated, reviewed, approved and announced, and the customer is told in time. Where no
   lead time is promised, or the notice is waived, there is nothing to tell ahead, and a window may begin at once.
2. Waves go one after the other. A wave is ready when the one before it is through and has baked; in a wave by evidence
   that has several ranks, the next rank when the one before it is through.
3. A host's window is the stretch of allowed time in which it has its turn (`liftlock.turns`): from its wave's ready on,
   and as many at once as `concurrency` and the bounds (`liftlock.bounds`) allow. A stretch must have room for what a
   host needs: the expected time of its hops and of the way back. Who finds no room goes to the next
   stretch, and who finds none at all is left out.
4. What a plan promises of a stretch longer than a week (`always`) is whole days, until the host can be through.
5. The plan is through when its last wave is through and has baked: when every hop takes its expected time, and no host
   fails. Nobody can be sooner than its earliest finish (`liftlock.earliest`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import attrgetter

from liftlock.bounds import Key, bounds_of
from liftlock.earliest import all_through
from liftlock.model import Exclusion, Fleet, Outcome, Plan, PlannedCustomer, PlannedHost, Policy, ReleaseKind, Window
from liftlock.turns import Alike, Turn, take_turns
from liftlock.wall_clock import shown
from liftlock.window import HORIZON, Rules, clock_note, first_fit, occurrences, rules_for, why_blocked

TO_TELL = timedelta(hours=4)
"""How long a release manager has, at least, from the plan to the moment when customers must have been told: half a
working day."""

_HOUR, _DAY, _WEEK = timedelta(hours=1), timedelta(days=1), timedelta(weeks=1)
_Group = tuple[str, str | None]
_Kind = tuple[str, _Group, timedelta, timedelta, tuple[Key, ...]]
_ALL: Key = ()
"""What `policy.concurrency` bounds, beside the bounds on some of the hosts."""


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
    _notes: dict[tuple[_Group, datetime], str] = field(default_factory=dict)

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

    def note(self, group: _Group, stretch: Window) -> str:
        """What a change of clocks did to a stretch of the group; empty when nothing."""
        key = group, stretch.start
        if key not in self._notes:
            self._notes[key] = clock_note(self.rules(group), stretch)
        return self._notes[key]


def first_start(planned_at: datetime, lead: timedelta) -> datetime:
    """The first moment at which work can begin that is announced `lead` ahead, by a plan of that moment (rule 1)."""
    if not lead:
        return planned_at
    soonest = planned_at.astimezone(UTC) + min(TO_TELL, lead)
    full_hour = soonest.replace(minute=0, second=0, microsecond=0)
    return (full_hour if full_hour == soonest else full_hour + _HOUR) + lead


def in_time(draft: Plan, openings: Mapping[str, Openings]) -> tuple[Plan, tuple[Exclusion, ...]]:
    """The draft, whose hosts stand in waves, with their windows, its customers and its ends; openings by product.

    When there are hosts that find no slot once their wave is ready, those, and the draft as it was.
    """
    own = openings[draft.product]
    bounds = bounds_of(draft, own.fleet.customers.values())
    limits = {**bounds.limits, _ALL: draft.policy.concurrency}
    groups = {host.name: host.group for host in own.fleet.hosts if host.group}
    ready = draft.created_at
    at_best = None if any(left.outcome is not Outcome.ALREADY_CURRENT for left in draft.exclusions) else ready
    placed: list[PlannedHost] = []
    late: list[Exclusion] = []
    for _, wave in groupby(draft.hosts, key=attrgetter("wave")):
        of_wave: list[Alike] = []
        for _, of_rank in groupby(wave, key=attrgetter("rank")):
            hosts = list(of_rank)
            kinds = _alike(draft, hosts, groups, bounds.keys, openings)
            turns, without = take_turns([*kinds.values()], limits, ready)
            for place, bound in without.items():
                host = hosts[place]
                group = host.customer, groups.get(host.machine)
                late.append(_late(host, group, ready, bound, limits, openings[draft.product_of(host)]))
            for (product, group, *_), alike in kinds.items():
                ready = max(ready, _place(hosts, alike, turns, group, openings[product]))
            placed += hosts
            of_wave += kinds.values()
        ready += draft.policy.bake
        at_best = at_best and all_through(of_wave, limits, at_best)
        at_best = at_best and at_best + draft.policy.bake
    if late:
        return draft, tuple(late)
    customers = tuple(_customers(placed, own))
    through, finish = (ready, at_best) if placed else (None, None)
    return replace(draft, hosts=tuple(placed), customers=customers, through=through, finish=finish), ()


def _alike(
    draft: Plan,
    hosts: Sequence[PlannedHost],
    groups: Mapping[str, str | None],
    keys: Mapping[str, tuple[Key, ...]],
    openings: Mapping[str, Openings],
) -> dict[_Kind, Alike]:
    """The hosts by what is alike in them; their places are those in `hosts`."""
    kinds: dict[_Kind, Alike] = {}
    for place, host in enumerate(hosts):
        group = host.customer, groups.get(host.machine) if groups else None
        kind = draft.product_of(host), group, host.needed, host.back, keys.get(host.name, ())
        if (known := kinds.get(kind)) is None:
            stretches = openings[kind[0]].stretches(group)
            known = kinds[kind] = Alike(stretches, host.needed, host.expected, (*kind[4], _ALL), [])
        known.places.append(place)
    return kinds


def _place(
    hosts: list[PlannedHost], alike: Alike, turns: Mapping[int, Turn], group: _Group, openings: Openings
) -> datetime:
    """Give those of the hosts that are alike and have a turn their window; when the last of them is through."""
    before: Turn | None = None
    through = openings.now
    for place in alike.places:
        if (turn := turns.get(place)) is None:
            continue
        if turn is not before:
            before, window, note = turn, _promised(turn, alike.needed), openings.note(group, turn.stretch)
            through = max(through, turn.start + alike.expected)
        host = hosts[place]
        if note or host.window is not window:
            said = "; ".join(part for part in (host.note, note) if part)
            hosts[place] = host.placed(host.wave, window, said)
    return through


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


def _promised(turn: Turn, needed: timedelta) -> Window:
    """What the customer is told: the stretch, or, of one that never ends, the days until the host can be through."""
    if turn.stretch.end - turn.stretch.start <= _WEEK:
        return turn.stretch
    days = -((turn.stretch.start - turn.start - needed) // _DAY)
    return Window(turn.stretch.start, min(turn.stretch.end, turn.stretch.start + days * _DAY))


def _late(
    host: PlannedHost,
    group: _Group,
    ready: datetime,
    bound: Key | None,
    limits: Mapping[Key, int],
    openings: Openings,
) -> Exclusion:
    rules, last = openings.rules(group), openings.earliest(host.customer) + HORIZON
    if bound is not None:
        limit = shown(last, rules.zone).date()
        why = f"no slot before {limit}: the hosts before it fill every window, {_bound_words(bound, limits[bound])}"
    else:
        begins = f"wave {host.wave} can begin on {shown(ready, rules.zone):%Y-%m-%d %H:%M} ({rules.zone})"
        hops = "1 hop" if len(host.hops) == 1 else f"{len(host.hops)} hops"
        why = why_blocked(rules, host.needed, f"{hops} and the way back", ready, last - ready, begins)
    return Exclusion(host.name, host.customer, Outcome.DEFERRED, why)


def _bound_words(bound: Key, limit: int) -> str:
    match bound:
        case ("site", site):
            return f"{limit} at once at site {site}"
        case ("customer", customer):
            return f"{limit} at once of {customer}"
        case ("redundancy", _, group):
            return f"{limit} at once of redundancy group {group}"
        case _:
            return f"{limit} at once in all (policy.concurrency)"


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
