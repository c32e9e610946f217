"""Where a rollout stands: the fold of its ledger entries, one at a time, at constant cost each.

`Progress` is a value. Nothing but entries changes it, so a controller that dies and one that takes
over see the same state. Persistent maps (`immutables`) make a new value share all but one path with
the old one, so folding 100 000 hosts stays linear.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from immutables import Map

from liftlock import ledger
from liftlock.approval import person
from liftlock.bounds import Key, is_redundancy
from liftlock.cause import normalised
from liftlock.drill import Drill, DrillState
from liftlock.ledger import Entry
from liftlock.lineup import Lineup
from liftlock.model import Action, Occasion, Outcome, Plan, Verdict
from liftlock.outbox import Told
from liftlock.pace import Pace
from liftlock.standing import (
    SETTLED,
    Hold,
    HostProgress,
    Sighting,
    Standing,
    is_down,
    is_in_hand,
    look_of,
    settles,
)

__all__ = ["SETTLED", "HostProgress", "Lineup", "Progress", "Standing"]

_UPGRADED = frozenset({Standing.SWITCHED, Standing.SUCCEEDED})
_NOT_BEGUN = frozenset({Standing.FREE, Standing.LEFT_OUT})
_LEFT = frozenset({Standing.FREE, Standing.LEFT_OUT, Standing.FAILED})
_MEASURED = frozenset({Verdict.PASSED, Verdict.FAILED})
_EMPTY: Map[str, None] = Map()


@dataclass(frozen=True)
class Progress:
    """The state of one rollout after some of its entries. Start with `Progress.of(plan)`.

    `busy` are by bound the hosts in hand, `down` by redundancy group those that are down and not in hand.
    `verdicts` are what the gates said before, `after` what they said of a host since its upgrade. Gates that somebody
    runs on a host once it was begun with are not what they said before.
    `approved` are the people who agreed, `inputs` the files the plan was last made from and came out the same.
    `sizes` is how many hosts each wave has, `ends` the place in the plan's order right after its last one. By
    evidence there are only the waves that were opened, `waves` says which hosts are in them, and hosts that were
    left out come free of them when the next controller takes over.
    `paused` says who suspended it, `causes` how many hosts failed of which cause, `pace` how long hosts have been
    worked on in vain, `drill` how far the drill is, if there is one.
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
    told: Told = field(default_factory=Told)
    waived: frozenset[str] = frozenset()
    approved: frozenset[str] = frozenset()
    inputs: Mapping[str, str] = field(default_factory=dict)
    aborted: str = ""
    paused: Hold | None = None
    causes: Map[str, int] = field(default_factory=Map)
    pace: Pace = field(default_factory=Pace)
    drill: Drill = field(default_factory=Drill)

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
    def announced(self) -> Map[str, datetime]:
        """The customers that were told of the plan, each since when."""
        return self.told.since

    @property
    def taken_up(self) -> Progress:
        """As the next controller would find it: what was merely prevented is free, what was lost is to be looked at."""
        return self._opened(self.session)

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
        if self._is_outdated(fact):
            return self
        after = self._with(fact, at)
        in_hand, now_in_hand = (len(one.groups.get(Standing.IN_HAND, _EMPTY)) for one in (self, after))
        pace = self.pace.after(fact, at, in_hand, now_in_hand)
        drill = self.drill
        if self.lineup.plan.policy.drill:
            drill = drill.after(fact, self.hosts.get(getattr(fact, "host", "")))
        return after if pace is self.pace and drill is self.drill else after._but(pace=pace, drill=drill)

    def _but(self, **changes: object) -> Progress:
        """`dataclasses.replace`, written out because every entry asks for it."""
        made = object.__new__(Progress)
        made.__dict__.update(self.__dict__, **changes)
        return made

    def _is_outdated(self, fact: ledger.Fact) -> bool:
        """Whether a controller that did not know yet that it was taken over speaks of what has gone on since."""
        match fact:
            case ledger.Switched() | ledger.Ended() | ledger.Voided() | ledger.Drilled():
                part = self.hosts.get(fact.host)
                return part is not None and (
                    fact.attempt < part.attempt or (fact.attempt == part.attempt and part.standing in SETTLED)
                )
            case ledger.Ailing(attempt=int() as attempt):
                part = self.host(fact.host)
                return attempt < part.attempt or (attempt == part.attempt and part.standing in SETTLED)
            case ledger.LeftOut():
                part = self.hosts.get(fact.host)
                return part is not None and part.standing not in {Standing.FREE, Standing.LEFT_OUT}
        return False

    def _with(self, fact: ledger.Fact, at: datetime) -> Progress:
        match fact:
            case ledger.Opened():
                return self._opened(fact.session)
            case ledger.Paused():
                return self._but(paused=Hold(fact.reason, fact.by, at), baking=None)
            case ledger.Resumed():
                return self._but(paused=None)
            case ledger.LeftOut():
                return self._moved(fact.host, Standing.LEFT_OUT, outcome=fact.outcome, cause=fact.reason)
            case ledger.Started():
                return self._started(fact, at)
            case ledger.Voided():
                there = fact.version or self.host(fact.host).on_the_way
                return self._moved(fact.host, Standing.FREE, outcome=None, cause=fact.cause, on_the_way=there)
            case ledger.Switched():
                return self._switched(fact, at)
            case ledger.Drilled():
                seen = self._sighting(fact, at, Outcome.ROLLED_BACK)
                return self._moved(fact.host, Standing.FREE, outcome=None, cause="", drilling=False, seen=seen)
            case ledger.Ailing():
                return self._moved(fact.host, Standing.AILING, outcome=None, cause=fact.cause, detail=fact.detail)
            case ledger.Recalled():
                return self._recalled(fact)
            case ledger.Aborted():
                return self._but(aborted=fact.reason, paused=None)
            case ledger.Ended():
                return self._ended(fact, at)
            case ledger.WaveOpened() if fact.wave == len(self.sizes) + 1:  # said twice, it is opened once
                return self._with_wave(fact.wave, fact.hosts)
            case ledger.Baking():
                return self._but(baking=(fact.wave, at)) if fact.session == self.session else self
            case ledger.Judged(occasion=Occasion.BEFORE) if self.host(fact.host).standing in _NOT_BEGUN:
                return self._but(verdicts=self.verdicts.set(fact.host, fact))
            case ledger.Judged(occasion=Occasion.AFTER):
                return self._but(after=self.after.set(fact.host, fact))
            case ledger.Queued() | ledger.Sending() | ledger.Delivered() | ledger.Settled() | ledger.Consented():
                return self._but(told=self.told.with_fact(fact, at))
            case ledger.Waived():
                return self._but(waived=self.waived | {fact.rule})
            case ledger.Approved():
                return self._but(approved=self.approved | {person(fact.by)})
            case ledger.Replanned():
                return self._but(inputs=fact.inputs)
            case _:
                return self

    def with_entries(self, entries: Iterable[Entry]) -> Progress:
        """The progress after several entries in order."""
        progress = self
        for entry in entries:
            progress = progress.with_entry(entry)
        return progress

    def _switched(self, fact: ledger.Switched, at: datetime) -> Progress:
        recall, seen = self.host(fact.host).recall, self._sighting(fact, at, None)
        if recall:
            return self._moved(
                fact.host, Standing.AILING, outcome=None, cause=recall, well=True, seen=seen, on_the_way=""
            )
        return self._moved(fact.host, Standing.SWITCHED, outcome=None, cause="", seen=seen, on_the_way="")

    def _ended(self, fact: ledger.Ended, at: datetime) -> Progress:
        part = self.host(fact.host)
        left = part.on_the_way
        if fact.outcome is Outcome.ROLLED_BACK:
            left = fact.version if fact.version and fact.version != part.origin else ""
        return self._moved(
            fact.host,
            settles(fact.outcome, well=part.well and part.action is Action.ROLL_BACK),
            outcome=fact.outcome,
            cause=fact.cause,
            detail=fact.detail,
            lost_links=part.lost_links + (fact.outcome is Outcome.UNKNOWN),
            seen=self._sighting(fact, at, fact.outcome),
            on_the_way=left,
        )

    def _sighting(
        self, fact: ledger.Switched | ledger.Ended | ledger.Drilled, at: datetime, outcome: Outcome | None
    ) -> Sighting | None:
        """What a fact says was seen; a fact that names no version leaves nothing that is known."""
        return Sighting(fact.version, at, look_of(self.host(fact.host), outcome)) if fact.version else None

    def _with_wave(self, wave: int, names: Sequence[str]) -> Progress:
        end = 1 + max(self.lineup.places[name] for name in names)
        waves = self.waves.update(dict.fromkeys(names, wave))
        return self._but(sizes=(*self.sizes, len(names)), ends=(*self.ends, end), waves=waves)

    def _without_wave(self, name: str) -> Progress:
        if (wave := self.waves.get(name)) is None:
            return self
        sizes = (*self.sizes[: wave - 1], self.sizes[wave - 1] - 1, *self.sizes[wave:])
        return self._but(sizes=sizes, waves=self.waves.delete(name))

    def _recalled(self, fact: ledger.Recalled) -> Progress:
        """A host whose end is known goes back at once; another one as soon as it is found upgraded."""
        part = self.host(fact.host)
        is_left = bool(part.on_the_way) and part.standing in _LEFT
        if part.standing in _UPGRADED | {Standing.AILING} or part.outcome is Outcome.FAILED or is_left:
            well = part.standing is not Standing.FAILED
            cause = fact.reason if well else part.cause  # why it failed is not forgotten
            return self._moved(fact.host, Standing.AILING, outcome=None, cause=cause, well=well, ways_back=0)
        return self._moved(fact.host, part.standing, recall=fact.reason, ways_back=0)

    def _started(self, fact: ledger.Started, at: datetime) -> Progress:
        before = self.host(fact.host)
        was_well = before.well if before.standing is Standing.AILING else before.standing in _UPGRADED
        # Who joins a bake late is watched as long as the others.
        late = fact.action is Action.UPGRADE and self.baking and self._wave_of(fact.host) == self.baking[0]
        progress = self._but(baking=None) if late else self
        drills = before.drilling or (
            before.standing is Standing.SWITCHED and (self.drill.host, self.drill.state) == (fact.host, DrillState.UP)
        )
        return progress._unjudged(fact.host)._moved(
            fact.host,
            Standing.IN_HAND if fact.session == self.session else Standing.LOST,
            attempt=fact.attempt,
            action=fact.action,
            outcome=None,
            cause=before.cause if fact.action is Action.ROLL_BACK else "",
            well=fact.action is Action.ROLL_BACK and was_well,
            drilling=fact.action is Action.ROLL_BACK and drills,
            ways_back=before.ways_back + 1 if fact.action is Action.ROLL_BACK else 0,
            fence=max(before.fence + 1, int(at.timestamp() * 1000)),
        )

    def _unjudged(self, name: str) -> Progress:
        """What the gates said after an earlier attempt says nothing of the next."""
        return self._but(after=self.after.delete(name)) if name in self.after else self

    def _opened(self, session: str) -> Progress:
        """A controller takes up the rollout: what others held is lost, what was merely prevented is free again."""
        progress = self._but(session=session, baking=None)
        for name in tuple(self.group(Standing.IN_HAND)):
            progress = progress._moved(name, Standing.LOST)
        for name in () if self.aborted else tuple(self.group(Standing.LEFT_OUT)):
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
        if "cause" in changes:  # the detail of one cause says nothing of another
            changes = {"detail": "", **changes}
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
        causes, cursor = self._causes(name, before, after), self._advanced(hosts)
        return self._but(
            hosts=hosts, groups=groups, settled=settled, busy=busy, down=down, causes=causes, cursor=cursor
        )

    def _counted(
        self, name: str, before: HostProgress | None, after: HostProgress
    ) -> tuple[Map[Key, int], Map[Key, int]]:
        """`busy` and `down` after a host has moved; as they were for one under no bound."""
        busy, down = self.busy, self.down
        for key in self.lineup.bounds.keys.get(name, ()):
            if more := is_in_hand(after) - is_in_hand(before):
                busy = busy.set(key, busy.get(key, 0) + more)
            if is_redundancy(key) and (more := is_down(after) - is_down(before)):
                down = down.set(key, down.get(key, 0) + more)
        return busy, down

    def _causes(self, name: str, before: HostProgress | None, after: HostProgress) -> Map[str, int]:
        """`causes` after a host has moved."""
        causes = self.causes
        for part, more in ((before, -1), (after, 1)):
            if part is not None and part.standing is Standing.FAILED:
                cause = normalised(part.cause, name)
                causes = causes.set(cause, causes.get(cause, 0) + more)
        return causes

    def _advanced(self, hosts: Map[str, HostProgress]) -> int:
        cursor, order = self.cursor, self.lineup.order
        while cursor < len(order) and order[cursor] in hosts:
            cursor += 1
        return cursor

    def is_looked_at_again(self, name: str) -> bool:
        """Whether the gates look again after its upgrade or rollback: there must be something to compare with."""
        judged = self.verdicts.get(name)
        return self.lineup.plan.policy.gates_after and judged is not None and judged.verdict in _MEASURED

    def unproven_gate(self, name: str) -> str:
        """Why the gates do not let this host go; empty when they do."""
        judged = self.verdicts.get(name)
        if judged is None:
            return "no gate was run on it for this plan"
        if judged.verdict is Verdict.PASSED:
            return ""
        return f"gate {judged.verdict}: {judged.reason}"
