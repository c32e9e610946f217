"""The earliest finish: a moment before which nobody could bring all hosts of a plan through, in whatever order. Pure.

`liftlock.turns` finds one order that fits, not the best: finding that is as hard as any puzzle of its kind (job shops
with machines that come and go). What is found here is a bound from below on every order, wave after wave:

1. A wave is not ready before the one before it can be through and has baked.
2. No host is through before its expected time is over in the first stretch with room for it.
3. Of the hosts under a bound that allows c at once, those that cannot begin before a moment m take their expected
   times together, divided by c, of the time that is open to any host under that bound from m on; and as many rounds of
   c hosts as they make, each of the shortest expected time among them.

Each part only grows when a window shrinks, a freeze, a bound, a bake or a lead time is added, or a path gets longer.
So the same hosts in the same waves are never promised an earlier finish for one more constraint.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter

from liftlock.bounds import Key
from liftlock.turns import Alike, scarce

_INSTANT = timedelta(microseconds=1)
_start = itemgetter(0)


def all_through(hosts: Sequence[Alike], limits: Mapping[Key, int], ready: datetime) -> datetime | None:
    """When the hosts of a wave can be through at the earliest; None when one of them has no slot from `ready` on."""
    under: dict[Key, list[tuple[datetime, Alike]]] = {key: [] for key in scarce(hosts, limits)}
    through = ready
    for alike in hosts:
        if (first := alike.first(ready)) is None:
            return None
        start = first[1].start
        through = max(through, start + alike.expected)
        for key in alike.keys:
            if key in under:
                under[key].append((start, alike))
    return max([through, *(_under_one(bound, limits[key]) for key, bound in under.items())])


def _under_one(hosts: list[tuple[datetime, Alike]], at_once: int) -> datetime:
    """When hosts under one bound can be through; they come with the moment before which they cannot begin."""
    hosts.sort(key=_start, reverse=True)
    pieces = _open(alike for _, alike in hosts)
    shortest = min(alike.expected for _, alike in hosts)
    count, work, through = 0, timedelta(), hosts[0][0]
    for start, together in groupby(hosts, key=_start):
        for _, alike in together:
            count += len(alike.places)
            work += len(alike.places) * alike.expected
        rounds = -(-count // at_once) * shortest
        through = max(through, _spent(pieces, start, rounds, shortest), _spent(pieces, start, work / at_once, _INSTANT))
    return through


def _open(hosts: Iterable[Alike]) -> list[tuple[datetime, datetime]]:
    """The time in which any of the hosts may be in hand, as pieces that do not touch, in order."""
    distinct = {(id(alike.stretches), alike.needed, alike.expected): alike for alike in hosts}
    found = sorted(
        (stretch.start, stretch.end - alike.needed + alike.expected)
        for alike in distinct.values()
        for stretch in alike.stretches
        if stretch.start + alike.needed <= stretch.end
    )
    merged: list[tuple[datetime, datetime]] = []
    for start, end in found:
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        else:
            merged.append((start, end))
    return merged


def _spent(
    pieces: Sequence[tuple[datetime, datetime]], begin: datetime, length: timedelta, unit: timedelta
) -> datetime:
    """When so much time of the pieces is over from `begin` on; what a piece has beyond whole units is of no use."""
    left = length
    for opens, end in pieces:
        start = max(opens, begin)
        room = max(end - start, timedelta()) // unit * unit if unit else left
        if left <= room:
            return start + left
        left -= room
    return max(begin, pieces[-1][1]) + left  # later than every window: whoever looks for turns will say so
