"""Which plan a host goes by when several were made for it: plans give way to later ones, host by host. Pure.

* A host gives way to the newest later plan of the same fleet and product that considers it, planned or left out, and to
  a plan that was made in place of its own (`--replan`) in any case. A host that was attempted, or found on the
  release, stays with its plan.
* A plan that was begun and may go on keeps the hosts that may still start. It gives them up when their customer was
  told of the later plan, or when that was made in its place.
* A later plan counts while it may go on and has time left for the customer. After that it counts for those customers
  alone who were told of it: what they know is that it stands in for the earlier one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from liftlock.model import Exclusion, Outcome, Plan, PlannedHost
from liftlock.progress import Progress, Standing
from liftlock.stops import is_dead

Place = tuple[str, str]
"""A product, and a host's name in the inventory."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the record says of a plan: how far it is, and which customers were told of it, or may have been."""

    progress: Progress
    told: Collection[str]


Look = Callable[[Plan], Seen]


def settled_in(progress: Progress) -> frozenset[str]:
    """The hosts that a plan has attempted or found on the release: it starts them no more, or has them in hand."""
    to_start = {Standing.FREE, Standing.LEFT_OUT}
    return frozenset(
        name
        for name, part in progress.hosts.items()
        if part.standing not in to_start or part.outcome is Outcome.ALREADY_CURRENT
    )


def heirs(plan: Plan, seen: Seen, later: Iterable[Plan], look: Look, now: datetime) -> dict[str, Plan]:
    """The hosts of a plan that give way, by their names there, each with the plan that it goes by.

    `later` are the plans made after it, newest first; each is looked at only when it matters.
    """
    settled = settled_in(seen.progress)
    waiting = {_place(plan, host): host for host in plan.hosts if host.name not in settled}
    begun = any(part.attempt for part in seen.progress.hosts.values())
    keeps = begun and not is_dead(plan, seen.progress)
    found: dict[str, Plan] = {}
    for other in later:
        if not waiting:
            break
        in_its_place = other.replaces == plan.id
        hit = _hit(plan, waiting, other)
        there = look(other) if hit else None
        counting = _counting(other, there, {waiting[place].customer for place in hit}, now) if there else ()
        for place in hit:
            host = waiting[place]
            told = there is not None and host.customer in there.told
            kept = keeps and not in_its_place and not told and host.latest_start >= now
            if host.customer in counting and not kept:
                found[host.name] = other
                del waiting[place]
    return found


def forerunners(plan: Plan, earlier: Iterable[Plan], look: Look) -> list[tuple[Plan, frozenset[str]]]:
    """The earlier plans that its customers know and go by, each with its hosts (by name there) that it takes over.

    `earlier` are the plans made before it, newest first; each is looked at only when it matters.
    """
    waiting = {_place(plan, host): host for host in plan.hosts}
    found = []
    for other in earlier:
        if not waiting:
            break
        theirs = {_place(other, host): host for host in other.hosts} if other.fleet == plan.fleet else {}
        if not (hit := waiting.keys() & theirs.keys()):
            continue
        there = look(other)
        settled = settled_in(there.progress)
        told = {at for at in hit if theirs[at].customer in there.told}
        for place in hit:
            if place in told or theirs[place].name in settled:
                del waiting[place]
        customers = {theirs[at].customer for at in told if theirs[at].name not in settled}
        taken = _hit(other, theirs, plan)
        names = {theirs[at].name for at in taken if theirs[at].customer in customers} - settled
        if names:
            found.append((other, frozenset(names)))
    return found


def _hit(plan: Plan, waiting: dict[Place, PlannedHost], later: Plan) -> list[Place]:
    """Those of the plan's hosts that the later plan speaks for, in rollout order."""
    if later.replaces == plan.id:
        return list(waiting)
    if later.fleet != plan.fleet:
        return []
    considered: set[Place] = {_place(later, host) for host in later.hosts}
    considered |= {_place(later, left) for left in later.exclusions}
    return [place for place in waiting if place in considered]


def _counting(plan: Plan, seen: Seen, customers: Iterable[str], now: datetime) -> set[str]:
    """The customers for whom a later plan counts."""
    if is_dead(plan, seen.progress):
        return set(customers) & set(seen.told)
    last: dict[str, datetime] = {}
    for host in plan.hosts:
        last[host.customer] = max(last.get(host.customer, host.window.end), host.window.end)
    return {name for name in customers if name in seen.told or last.get(name, now) >= now}


def _place(plan: Plan, host: PlannedHost | Exclusion) -> Place:
    return plan.product_of(host), host.machine
