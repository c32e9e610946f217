"""Turns: when each host of a wave starts, and in which stretch, so that no bound is broken at any moment. Pure.

It goes as a rollout goes (`liftlock.rollout`) in which every host takes its expected time and none fails: whenever
somebody is through or a window opens, hosts start in the order of the wave, each that has room in its stretch and under
all of its bounds. Who has no room left in a stretch goes on to the next. So whoever is promised a stretch has a turn in
it, together with all others who are promised one at the same time.

Hosts that are alike stand in one queue, of which only the first is ever looked at. A queue that a bound holds back
waits with that bound, and of those that wait one is called for each place that is given back. The work grows with the
hosts and with the stretches that a queue lets pass, not with the hosts that wait.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import heappop, heappush
from typing import NamedTuple

from liftlock.bounds import Key
from liftlock.model import Window


class Turn(NamedTuple):
    """Where one host starts: its stretch, and when it does in it."""

    stretch: Window
    start: datetime


@dataclass(frozen=True, slots=True, eq=False)
class Alike:
    """Hosts of one wave that may be worked on in the same stretches, need the same time and are under the same bounds.

    They need `needed` of a stretch to start in it, and are in hand for `expected`. `places` are theirs in the order of
    the wave, rising.
    """

    stretches: Sequence[Window]
    needed: timedelta
    expected: timedelta
    keys: tuple[Key, ...]
    places: list[int]

    def first(self, ready: datetime, passed: int = 0) -> tuple[int, Turn] | None:
        """The first turn from then on, and which of the stretches it is in; the `passed` first are not looked at."""
        for number in range(passed, len(self.stretches)):
            stretch = self.stretches[number]
            start = max(stretch.start, ready)
            if start + self.needed <= stretch.end:
                return number, Turn(stretch, start)
        return None


@dataclass(slots=True, eq=False)
class _Queue:
    """Hosts that are alike, those with a turn left out; `held_by` is the bound that held them back last."""

    alike: Alike
    keys: tuple[Key, ...]
    gone: int = 0
    passed: int = 0
    held_by: Key | None = None

    @property
    def place(self) -> int:
        return self.alike.places[self.gone]


def scarce(hosts: Iterable[Alike], limits: Mapping[Key, int]) -> set[Key]:
    """The bounds that allow fewer hosts than are under them: the others hold nobody back."""
    under: Counter[Key] = Counter()
    for alike in hosts:
        for key in alike.keys:
            under[key] += len(alike.places)
    return {key for key, count in under.items() if count > limits[key]}


def take_turns(
    hosts: Sequence[Alike], limits: Mapping[Key, int], ready: datetime
) -> tuple[dict[int, Turn], dict[int, Key | None]]:
    """The turns from `ready` on, by place; and for each place without one the bound in its way.

    That is None where no stretch has room even for a host that has everything to itself.
    """
    binding = scarce(hosts, limits)
    turns: dict[int, Turn] = {}
    without: dict[int, Key | None] = {}
    queues: list[tuple[datetime, _Queue]] = []
    for alike in hosts:
        keys = tuple(key for key in alike.keys if key in binding)
        if (first := alike.first(ready)) is None:
            without.update(dict.fromkeys(alike.places))
        elif keys:
            queues.append((first[1].start, _Queue(alike, keys, passed=first[0])))
        else:
            turns.update(dict.fromkeys(alike.places, first[1]))
    if queues:
        _Calendar(limits, turns, without).run(queues)
    return turns, without


class _Calendar:
    """The moments of a wave, one after the other: who is in hand, who waits for a bound, who for a window."""

    def __init__(self, limits: Mapping[Key, int], turns: dict[int, Turn], without: dict[int, Key | None]) -> None:
        self.limits, self.turns, self.without = limits, turns, without
        self.busy: defaultdict[Key, int] = defaultdict(int)
        self.in_hand: list[tuple[datetime, int, tuple[Key, ...]]] = []
        self.later: list[tuple[datetime, int, _Queue]] = []
        self.called: list[tuple[int, _Queue]] = []
        self.waiting: defaultdict[Key, list[tuple[int, _Queue]]] = defaultdict(list)

    def run(self, queues: Iterable[tuple[datetime, _Queue]]) -> None:
        """Give every host of the queues its turn, or the bound in its way."""
        for opens, queue in queues:
            heappush(self.later, (opens, queue.place, queue))
        while self.later or self.in_hand:
            now = min(moments[0][0] for moments in (self.later, self.in_hand) if moments)
            while self.in_hand and self.in_hand[0][0] <= now:
                self._give_back(heappop(self.in_hand)[2])
            while self.later and self.later[0][0] <= now:
                _, place, queue = heappop(self.later)
                heappush(self.called, (place, queue))
            while self.called:
                self._go(heappop(self.called)[1], now)

    def _go(self, queue: _Queue, now: datetime) -> None:
        """Let the first of the queue start, or the queue wait for what it lacks."""
        if (found := queue.alike.first(now, queue.passed)) is None:
            self.without.update(dict.fromkeys(queue.alike.places[queue.gone :], queue.held_by))
            self._call(queue.keys)
            return
        queue.passed, turn = found
        if turn.start > now:
            heappush(self.later, (turn.start, queue.place, queue))
            self._call(queue.keys)
            return
        for key in queue.keys:
            if self.busy[key] >= self.limits[key]:
                queue.held_by = key
                heappush(self.waiting[key], (queue.place, queue))
                self._call(queue.keys)
                return
        self.turns[queue.place] = turn
        for key in queue.keys:
            self.busy[key] += 1
        heappush(self.in_hand, (now + queue.alike.expected, queue.place, queue.keys))
        queue.gone += 1
        if queue.gone < len(queue.alike.places):
            heappush(self.called, (queue.place, queue))

    def _give_back(self, keys: tuple[Key, ...]) -> None:
        for key in keys:
            self.busy[key] -= 1
        self._call(keys)

    def _call(self, keys: tuple[Key, ...]) -> None:
        """Call one queue that waits for each bound with room; a queue that makes no use of its call passes it on."""
        for key in keys:
            if self.waiting[key] and self.busy[key] < self.limits[key]:
                heappush(self.called, heappop(self.waiting[key]))
