"""Where a rollout stands: the fold of its ledger entries, one at a time, at constant cost each.

`Progress` is a value. Nothing but entries changes it, so a controller that dies and one that takes
over see the same state. Persistent maps (`immutables`) make a new value share all but one path with
the old one, so folding 100 000 hosts stays linear.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from itertools import accumulate

from immutables import Map

from liftlock import ledger
from liftlock.approval import person
from liftlock.bounds import Bounds, Key, bounds_of, is_redundancy
from liftlock.ledger import Entry
from liftlock.model import Action, NoticeKind, NoticeState, Occasion, Outcome, Plan, PlannedHost, Verdict
from liftlock.notice import promised_leads
from liftlock.roles import forerunners


class Standing(StrEnum):
    """Where one planned host stands. Hosts without any entry have no standing yet."""

    FREE = "free"  # tried or left out before; may be tried again
    IN_HAND = "in_hand"  # an attempt of this session is open
    LOST = "lost"  # what happened is unknown; somebody must look
    SWITCHED = "switched"  # on the wanted version, not yet proven through the bake
    AILING = "ailing"  # had switched, was found unhealthy, must go back
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # attempted and did not succeed; the outcome says how
    BROUGHT_BACK = "brought_back"  # was fine, went back because the rollout halted or an operator said so
    LEFT_OUT = "left_out"  # not attempted; the outcome says why


SETTLED = frozenset({Standing.SUCCEEDED, Standing.FAILED, Standing.BROUGHT_BACK, Standing.LEFT_OUT})


@dataclass(frozen=True, slots=True)
class HostProgress:
    """One host's part: its last attempt, the version it came from, and how it ended."""

    standing: Standing
    attempt: int = 0
    action: Action = Action.UPGRADE
    origin: str = ""
    outcome: Outcome | None = None
    cause: str = ""
    lost_links: int = 0
    well: bool = False  # nothing was wrong with it when it was sent back
    recall: str = ""  # why an operator wants it back, while nobody knows yet where it stands


@dataclass(frozen=True)
class Lineup:
    """The plan's hosts in rollout order, ready to be looked up."""

    plan: Plan

    @cached_property
    def planned(self) -> dict[str, PlannedHost]:
        """Every planned host by name."""
        return {host.name: host for host in self.plan.hosts}

    @cached_property
    def forerunners(self) -> dict[str, tuple[PlannedHost, ...]]:
        """By customer its planned hosts, where some wait for others (`liftlock.roles`)."""
        return forerunners(self.planned)

    @cached_property
    def order(self) -> tuple[str, ...]:
        """Host names in rollout order."""
        return tuple(host.name for host in self.plan.hosts)

    @cached_property
    def by_evidence(self) -> bool:
        """Whether waves are opened by evidence; kept, as every entry asks."""
        return self.plan.policy.by_evidence

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """How many hosts each wave of the plan has."""
        counted = Counter(host.wave for host in self.plan.hosts)
        return tuple(counted[wave] for wave in sorted(counted))

    @cached_property
    def ends(self) -> tuple[int, ...]:
        """For each wave of the plan, the place in `order` right after its last host."""
        return tuple(accumulate(self.sizes))

    @cached_property
    def leads(self) -> dict[str, timedelta]:
        """How long before the work each customer must have been told."""
        return promised_leads(self.plan)

    @cached_property
    def places(self) -> dict[str, int]:
        """For each host its place in `order`."""
        return {name: place for place, name in enumerate(self.order)}

    @cached_property
    def bounds(self) -> Bounds:
        """The bounds on what is acted on at once."""
        return bounds_of(self.plan)


_OUT_OF_SERVICE = frozenset({Outcome.FAILED, Outcome.UNREACHABLE, Outcome.UNREACHABLE_BEFORE})
_UPGRADED = frozenset({Standing.SWITCHED, Standing.SUCCEEDED})
_EMPTY: Map[str, None] = Map()


@dataclass(frozen=True)
class Progress:
    """The state of one rollout after some of its entries. Start with `Progress.of(plan)`.

    `busy` are by bound the hosts in hand, `down` by redundancy group those that are down and not in hand.
    `verdicts` are what the gates said before, `after` what they said of a host since its upgrade.
    `approved` are the people who agreed, `inputs` the files the plan was last made from and came out the same.
    `sizes` is how many hosts each wave has, `ends` the place in the plan's order right after its last one. By
    evidence there are only the waves that were opened, `waves` says which hosts are in them, and hosts that were
    left out come free of them when the next controller takes over.
    """

    lineup: Lineup
    session: str = ""
    hosts: Map[str, HostProgress] = field(default_factory=Map)
    groups: Map[Standing, Map[str, None]] = field(default_factory=Map)
    settled: Map[int, int] = field(default_factory=Map)
    busy: Map[Key, int] = field(default_factory=Map)
    down: Map[Key, int] = field(default_factory=Map)
    cursor: int = 0
    baking: tuple[int, datetime] | None = None
    sizes: tuple[int, ...] = ()
    ends: tuple[int, ...] = ()
    waves: Map[str, int] = field(default_factory=Map)
    verdicts: Map[str, ledger.Judged] = field(default_factory=Map)
    after: Map[str, ledger.Judged] = field(default_factory=Map)
    announced: Map[str, datetime] = field(default_factory=Map)
    waived: frozenset[str] = frozenset()
    approved: frozenset[str] = frozenset()
    inputs: Mapping[str, str] = field(default_factory=dict)
    aborted: str = ""

    @staticmethod
    def of(plan: Plan) -> Progress:
        """The progress of a plan that nobody has begun."""
        lineup = Lineup(plan)
        sizes, ends = ((), ()) if lineup.by_evidence else (lineup.sizes, lineup.ends)
        return Progress(lineup, sizes=sizes, ends=ends, inputs=plan.inputs, waived=frozenset(plan.waived))

    def group(self, standing: Standing) -> Map[str, None]:
        """The hosts that stand there."""
        return self.groups.get(standing, _EMPTY)

    def count(self, standing: Standing) -> int:
        """How many hosts stand there."""
        return len(self.group(standing))

    def host(self, name: str) -> HostProgress:
        """One host's part; a fresh one when it has no entry yet."""
        return self.hosts.get(name) or HostProgress(Standing.FREE, origin=self.lineup.planned[name].observed)

    @property
    def without_outcome(self) -> int:
        """How many planned hosts have no outcome."""
        return len(self.lineup.order) - sum(map(self.count, SETTLED))

    @property
    def wave(self) -> int | None:
        """The first wave that has a host without an outcome (from 1); None when every host has one.

        By evidence it may be the one after the last that was opened: it is still to be.
        """
        for number, size in enumerate(self.sizes, start=1):
            if self.settled.get(number, 0) < size:
                return number
        return len(self.sizes) + 1 if self.without_outcome else None

    def wave_of(self, name: str) -> int:
        """The host's wave. By evidence it is only foretold as long as none was opened with the host."""
        return self.waves.get(name) or self.lineup.planned[name].wave

    def _wave_of(self, name: str) -> int:
        """The host's wave; 0 as long as it is in none."""
        return self.waves.get(name, 0) if self.lineup.by_evidence else self.lineup.planned[name].wave

    def untried(self, wave: int) -> Iterator[str]:
        """The wave's hosts that may be started, in order, as far as the record goes."""
        yield from sorted(name for name in self.group(Standing.FREE) if self._wave_of(name) == wave)
        for place in range(self.cursor, self.ends[wave - 1]):
            name = self.lineup.order[place]
            if name not in self.hosts and self._wave_of(name) == wave:
                yield name

    def in_no_wave(self) -> Iterator[str]:
        """By evidence: the hosts without an outcome that are in no opened wave, in rollout order."""
        for name in self.lineup.order:
            if name not in self.waves and (name not in self.hosts or self.hosts[name].standing is Standing.FREE):
                yield name

    def with_entry(self, entry: Entry) -> Progress:
        """The progress after one more entry of the same plan."""
        fact, at = entry.fact, entry.at
        match fact:
            case ledger.Opened():
                return self._opened(fact.session)
            case ledger.LeftOut():
                return self._moved(fact.host, Standing.LEFT_OUT, outcome=fact.outcome, cause=fact.reason)
            case ledger.Started():
                return self._started(fact)
            case ledger.Voided():
                return self._moved(fact.host, Standing.FREE, outcome=None, cause=fact.cause)
            case ledger.Switched():
                recall = self.host(fact.host).recall
                if recall:
                    return self._moved(fact.host, Standing.AILING, outcome=None, cause=recall, well=True)
                return self._moved(fact.host, Standing.SWITCHED, outcome=None, cause="")
            case ledger.Ailing():
                return self._moved(fact.host, Standing.AILING, outcome=None, cause=fact.cause)
            case ledger.Recalled():
                return self._recalled(fact)
            case ledger.Aborted():
                return replace(self, aborted=fact.reason)
            case ledger.Ended():
                part = self.host(fact.host)
                lost_links = part.lost_links + (fact.outcome is Outcome.UNKNOWN)
                standing = _settles(fact.outcome, well=part.well and part.action is Action.ROLL_BACK)
                return self._moved(fact.host, standing, outcome=fact.outcome, cause=fact.cause, lost_links=lost_links)
            case ledger.WaveOpened() if fact.wave == len(self.sizes) + 1:  # said twice, it is opened once
                return self._with_wave(fact.wave, fact.hosts)
            case ledger.Baking():
                return replace(self, baking=(fact.wave, at)) if fact.session == self.session else self
            case ledger.Judged(occasion=Occasion.BEFORE):
                return replace(self, verdicts=self.verdicts.set(fact.host, fact))
            case ledger.Judged(occasion=Occasion.AFTER):
                return replace(self, after=self.after.set(fact.host, fact))
            case ledger.Delivered(state=NoticeState.SENT, kind=NoticeKind.ANNOUNCED) if (
                fact.customer not in self.announced
            ):
                return replace(self, announced=self.announced.set(fact.customer, at))
            case ledger.Waived():
                return replace(self, waived=self.waived | {fact.rule})
            case ledger.Approved():
                return replace(self, approved=self.approved | {person(fact.by)})
            case ledger.Replanned():
                return replace(self, inputs=fact.inputs)
            case _:
                return self

    def with_entries(self, entries: Iterable[Entry]) -> Progress:
        """The progress after several entries in order."""
        progress = self
        for entry in entries:
            progress = progress.with_entry(entry)
        return progress

    def _with_wave(self, wave: int, names: Sequence[str]) -> Progress:
        end = 1 + max(self.lineup.places[name] for name in names)
        waves = self.waves.update(dict.fromkeys(names, wave))
        return replace(self, sizes=(*self.sizes, len(names)), ends=(*self.ends, end), waves=waves)

    def _without_wave(self, name: str) -> Progress:
        if (wave := self.waves.get(name)) is None:
            return self
        sizes = (*self.sizes[: wave - 1], self.sizes[wave - 1] - 1, *self.sizes[wave:])
        return replace(self, sizes=sizes, waves=self.waves.delete(name))

    def _recalled(self, fact: ledger.Recalled) -> Progress:
        """A host whose end is known goes back at once; another one as soon as it is found upgraded."""
        part = self.host(fact.host)
        if part.standing in _UPGRADED | {Standing.AILING} or part.outcome is Outcome.FAILED:
            return self._moved(
                fact.host, Standing.AILING, outcome=None, cause=fact.reason, well=part.outcome is not Outcome.FAILED
            )
        return self._moved(fact.host, part.standing, recall=fact.reason)

    def _started(self, fact: ledger.Started) -> Progress:
        before = self.host(fact.host)
        was_well = before.well if before.standing is Standing.AILING else before.standing in _UPGRADED
        # Who joins a bake late is watched as long as the others.
        late = fact.action is Action.UPGRADE and self.baking and self._wave_of(fact.host) == self.baking[0]
        progress = replace(self, baking=None) if late else self
        return progress._unjudged(fact.host)._moved(
            fact.host,
            Standing.IN_HAND if fact.session == self.session else Standing.LOST,
            attempt=fact.attempt,
            action=fact.action,
            outcome=None,
            cause=before.cause if fact.action is Action.ROLL_BACK else "",
            well=fact.action is Action.ROLL_BACK and was_well,
        )

    def _unjudged(self, name: str) -> Progress:
        """What the gates said after an earlier attempt says nothing of the next."""
        return replace(self, after=self.after.delete(name)) if name in self.after else self

    def _opened(self, session: str) -> Progress:
        """A controller takes up the rollout: what others held is lost, what was merely prevented is free again."""
        progress = replace(self, session=session, baking=None)
        for name in tuple(self.group(Standing.IN_HAND)):
            progress = progress._moved(name, Standing.LOST)
        for name in tuple(self.group(Standing.LEFT_OUT)):
            if self.hosts[name].outcome is not Outcome.ALREADY_CURRENT:
                progress = progress._moved(name, Standing.FREE, outcome=None)._without_wave(name)
        for name in tuple(self.group(Standing.FAILED)):
            if self.hosts[name].outcome is Outcome.UNREACHABLE:
                progress = progress._moved(name, Standing.LOST)
        for name in [name for name, judged in self.after.items() if judged.verdict is not Verdict.PASSED]:
            progress = progress._unjudged(name)
        return progress

    def _moved(self, name: str, standing: Standing, **changes: object) -> Progress:
        before = self.hosts.get(name)
        after = replace(before or self.host(name), standing=standing, **changes)  # type: ignore[arg-type]
        groups = self.groups
        if before is not None:
            groups = groups.set(before.standing, groups[before.standing].delete(name))
        groups = groups.set(standing, groups.get(standing, _EMPTY).set(name, None))
        wave = self._wave_of(name)
        was, now = before is not None and before.standing in SETTLED, standing in SETTLED
        settled = self.settled.set(wave, self.settled.get(wave, 0) + now - was) if now != was else self.settled
        hosts = self.hosts.set(name, after)
        busy, down = self._counted(name, before, after)
        cursor = self._advanced(hosts)
        return replace(self, hosts=hosts, groups=groups, settled=settled, busy=busy, down=down, cursor=cursor)

    def _counted(
        self, name: str, before: HostProgress | None, after: HostProgress
    ) -> tuple[Map[Key, int], Map[Key, int]]:
        """`busy` and `down` after a host has moved; as they were for one under no bound."""
        busy, down = self.busy, self.down
        for key in self.lineup.bounds.keys.get(name, ()):
            if more := _in_hand(after) - _in_hand(before):
                busy = busy.set(key, busy.get(key, 0) + more)
            if is_redundancy(key) and (more := _is_down(after) - _is_down(before)):
                down = down.set(key, down.get(key, 0) + more)
        return busy, down

    def _advanced(self, hosts: Map[str, HostProgress]) -> int:
        cursor, order = self.cursor, self.lineup.order
        while cursor < len(order) and order[cursor] in hosts:
            cursor += 1
        return cursor

    def unproven_gate(self, name: str) -> str:
        """Why the gates do not let this host go; empty when they do."""
        judged = self.verdicts.get(name)
        if judged is None:
            return "no gate was run on it for this plan"
        if judged.verdict is Verdict.PASSED:
            return ""
        return f"gate {judged.verdict}: {judged.reason}"


def _in_hand(part: HostProgress | None) -> bool:
    return part is not None and part.standing is Standing.IN_HAND


def _is_down(part: HostProgress | None) -> bool:
    """Whether it cannot stand in for another; a host that was well when it was recalled still can."""
    if part is None:
        return False
    if part.standing in {Standing.FAILED, Standing.LEFT_OUT}:
        return part.outcome in _OUT_OF_SERVICE
    return part.standing is Standing.LOST or (part.standing is Standing.AILING and not part.well)


def _settles(outcome: Outcome, *, well: bool) -> Standing:
    if outcome is Outcome.SUCCEEDED:
        return Standing.SUCCEEDED
    if outcome is Outcome.UNKNOWN:
        return Standing.LOST
    if outcome is Outcome.ROLLED_BACK and well:
        return Standing.BROUGHT_BACK
    return Standing.FAILED if outcome.attempted else Standing.LEFT_OUT
