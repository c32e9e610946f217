"""The maintenance calendar: whose hosts the open plans are to work on, when, and what collides. Pure.

* A plan is open while it has a host to act on, and neither a rule nor an operator has stopped it. Hosts that
  were refused or deferred are still to be acted on; hosts that failed or went back are not.
* Plans give way to later ones, host by host (`liftlock.giving_way`).
* A collision is one host in two open plans whose windows overlap, of whatever products.
* A plan of several products books each of them for itself.
* A window belongs to the week (from Monday) in which it begins by the customer's own clock.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import combinations
from zoneinfo import ZoneInfo

from liftlock.giving_way import Seen, heirs
from liftlock.model import Customer, Outcome, Plan, PlannedHost, ReleaseKind, Window
from liftlock.notice import promised_leads
from liftlock.progress import Progress, Standing
from liftlock.stops import stop_reason

_OVER = frozenset({Standing.SUCCEEDED, Standing.FAILED, Standing.BROUGHT_BACK})


@dataclass(frozen=True, slots=True)
class Booking:
    """The hosts of one customer that one plan is to work on in one window, and what it still lacks.

    `colliding` are those of its hosts that stand in another open plan at the same time, `lacking` says in words
    what must still happen before its hosts may start: the notice, approvals.
    """

    plan: str
    product: str
    version: str
    kind: ReleaseKind
    fleet: str
    customer: str
    title: str
    zone: str
    window: Window
    hosts: tuple[str, ...]
    lacking: tuple[str, ...]
    colliding: tuple[str, ...] = ()

    @property
    def local(self) -> tuple[datetime, datetime]:
        """The window by the customer's own clock."""
        zone = ZoneInfo(self.zone)
        return self.window.start.astimezone(zone), self.window.end.astimezone(zone)


@dataclass(frozen=True, slots=True)
class Collision:
    """One host in two open plans (ids) whose windows overlap, and for how long they do."""

    fleet: str
    host: str
    customer: str
    plans: tuple[str, str]
    overlap: Window


@dataclass(frozen=True, slots=True)
class Week:
    """Seven days from a Monday, and the bookings that begin in them."""

    monday: date
    bookings: tuple[Booking, ...]


@dataclass(frozen=True, slots=True)
class Calendar:
    """The weeks asked for, bookings after them, bookings whose window is over, collisions, and plans given way."""

    weeks: tuple[Week, ...]
    later: tuple[Booking, ...]
    missed: tuple[Booking, ...]
    collisions: tuple[Collision, ...]
    superseded: tuple[str, ...]

    @property
    def bookings(self) -> tuple[Booking, ...]:
        """All bookings of the weeks asked for, earliest first."""
        return tuple(booking for week in self.weeks for booking in week.bookings)


def make_calendar(
    rollouts: Sequence[tuple[Plan, Progress]],
    customers: Mapping[tuple[str, str], Customer],
    now: datetime,
    weeks: int,
) -> Calendar:
    """The calendar of all plans on record, for so many weeks from the one that holds `now` (UTC).

    `customers` are by fleet and name, for their titles and zones; one that is not there goes by its name, in UTC.
    """
    seen = {plan.id: Seen(progress, progress.announced) for plan, progress in rollouts}
    newest_first = sorted((plan for plan, _ in rollouts), key=lambda plan: (plan.created_at, plan.id), reverse=True)
    bookings: list[Booking] = []
    superseded = []
    for plan, progress in rollouts:
        to_do = [] if stop_reason(plan, progress) else [host for host in plan.hosts if _to_do(progress, host.name)]
        later = newest_first[: newest_first.index(plan)] if to_do else []
        elsewhere = heirs(plan, seen[plan.id], later, lambda other: seen[other.id], now)
        kept = [host for host in to_do if host.name not in elsewhere]
        bookings += _bookings(plan, progress, kept, customers, now)
        if to_do and not kept:
            superseded.append(plan.id)
    bookings.sort(key=lambda one: (one.window.start, one.fleet, one.customer, one.product, one.plan))
    ahead = [booking for booking in bookings if booking.window.end > now]
    collisions = _collisions(ahead)
    ahead = _marked(ahead, collisions)
    first = _monday(now.date())
    mondays = [first + timedelta(weeks=number) for number in range(weeks)]
    return Calendar(
        weeks=tuple(Week(monday, tuple(b for b in ahead if _week(b, first) == monday)) for monday in mondays),
        later=tuple(booking for booking in ahead if _week(booking, first) > mondays[-1]),
        missed=tuple(booking for booking in bookings if booking.window.end <= now),
        collisions=collisions,
        superseded=tuple(superseded),
    )


def _to_do(progress: Progress, name: str) -> bool:
    part = progress.hosts.get(name)
    return part is None or not (part.standing in _OVER or part.outcome is Outcome.ALREADY_CURRENT)


def _bookings(
    plan: Plan,
    progress: Progress,
    hosts: Collection[PlannedHost],
    customers: Mapping[tuple[str, str], Customer],
    now: datetime,
) -> Iterator[Booking]:
    together: dict[tuple[str, str, Window], list[str]] = defaultdict(list)
    for host in hosts:
        together[host.customer, plan.product_of(host), host.window].append(host.machine)
    for (name, product, window), names in together.items():
        customer = customers.get((plan.fleet, name))
        yield Booking(
            plan=plan.id,
            product=product,
            version=plan.products[product],
            kind=plan.kind,
            fleet=plan.fleet,
            customer=name,
            title=customer.title if customer else name,
            zone=customer.timezone if customer else "UTC",
            window=window,
            hosts=tuple(sorted(names, key=_as_people_count)),
            lacking=tuple(_lacking(plan, progress, name, now)) if window.end > now else (),
        )


def _as_people_count(name: str) -> list[str | int]:
    """A sort key that puts np-10 after np-9."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]


def _lacking(plan: Plan, progress: Progress, customer: str, now: datetime) -> Iterator[str]:
    """What must still happen before the customer's hosts may start, in words; times in UTC."""
    if customer not in progress.announced and "notice" not in {*progress.waived, *plan.waived}:
        due = next((one.notify_by for one in plan.customers if one.name == customer), None)
        ahead = promised_leads(plan)[customer] > timedelta(0)  # else nothing is owed ahead, and nothing is late
        late = f", due by {due:%a %d %b %H:%M} UTC" if due and due >= now else ", too late" if due and ahead else ""
        yield f"notice not sent{late}"
    if missing := max(0, plan.approvals - len(progress.approved)):
        yield f"{missing} approval{'s' if missing > 1 else ''} missing"


def _collisions(bookings: Iterable[Booking]) -> tuple[Collision, ...]:
    of_host: dict[tuple[str, str], list[Booking]] = defaultdict(list)
    for booking in bookings:
        for host in booking.hosts:
            of_host[booking.fleet, host].append(booking)
    found = []
    for (fleet, host), theirs in of_host.items():
        for one, other in combinations(theirs, 2):
            start, end = max(one.window.start, other.window.start), min(one.window.end, other.window.end)
            if start < end and one.plan != other.plan:
                found.append(Collision(fleet, host, one.customer, (one.plan, other.plan), Window(start, end)))
    return tuple(sorted(found, key=lambda collision: (collision.overlap.start, collision.fleet, collision.host)))


def _marked(bookings: Iterable[Booking], collisions: Iterable[Collision]) -> list[Booking]:
    """The bookings, each with those of its hosts that collide with another plan."""
    hit: dict[tuple[str, str], set[str]] = defaultdict(set)
    for collision in collisions:
        for plan in collision.plans:
            hit[plan, collision.fleet].add(collision.host)
    return [
        replace(booking, colliding=tuple(host for host in booking.hosts if host in hit[booking.plan, booking.fleet]))
        for booking in bookings
    ]


def _week(booking: Booking, first: date) -> date:
    """The Monday of its week; a window that was open before the first week counts there."""
    return max(first, _monday(booking.local[0].date()))


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())
