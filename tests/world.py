"""A world in memory behind the ports: hosts that can break, links that can drop, a clock that jumps, a record."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from liftlock import ledger
from liftlock.errors import LinkLostError, LockedError, UnreachableError
from liftlock.ledger import GENESIS, Entry, Fact
from liftlock.model import (
    Action,
    Artifact,
    Contact,
    Customer,
    Fleet,
    GateResult,
    Hop,
    Host,
    HostAnswer,
    HostResult,
    NoticeKind,
    NoticeState,
    Observation,
    Outcome,
    Plan,
    PlannedHost,
    Policy,
    Release,
    ReleaseKind,
    Ticket,
    Verdict,
    Window,
)
from liftlock.progress import Progress

START = datetime(2026, 11, 21, 22, 0, tzinfo=UTC)
WINDOW = Window(START, START + timedelta(hours=6))


class CrashError(BaseException):
    """The controller died here."""


class Moments:
    """What happens on the side, once, right before the nth of our deeds from now."""

    _left, _then = 0, staticmethod(lambda: None)

    def when(self, left: int, then: Callable[[], object]) -> None:
        self._left, self._then = left, then

    def passes(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._then()


class MemoryClock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self._now = START
        self._lock = threading.Lock()

    def now(self) -> datetime:
        return self._now

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self._now += timedelta(seconds=max(seconds, 0.001))


class MemoryLedger(Moments):
    """A record that keeps its claims, and that can die before or after its nth append."""

    def __init__(self) -> None:
        self.lines: list[Entry] = []
        self.claims: set[tuple[str, str, int]] = set()
        self.dies_at: int | None = None
        self.dies_after_writing = False
        self._lock = threading.Lock()

    def append(self, plan: str, fact: Fact, at: datetime) -> Entry:
        return self.append_all(plan, [fact], at)[0]

    def append_all(self, plan: str, facts: Sequence[Fact], at: datetime) -> list[Entry]:
        self.passes()
        with self._lock:
            return self._append_all(plan, facts, at)

    def _append_all(self, plan: str, facts: Sequence[Fact], at: datetime) -> list[Entry]:
        dies = self.dies_at is not None and len(self.lines) + len(facts) >= self.dies_at
        if dies and not self.dies_after_writing:
            raise CrashError
        for fact in facts:
            if isinstance(fact, ledger.Started) and (plan, fact.host, fact.attempt) in self.claims:
                raise LockedError(f"{fact.host} attempt {fact.attempt} is claimed")
        written = [self._write(plan, fact, at) for fact in facts]
        if dies:
            self.dies_after_writing = False
            raise CrashError
        return written

    def _write(self, plan: str, fact: Fact, at: datetime) -> Entry:
        if isinstance(fact, ledger.Started):
            self.claims.add((plan, fact.host, fact.attempt))
        previous = self.lines[-1].hash if self.lines else GENESIS
        digest = ledger.link(previous, at, plan, ledger.encode(fact))
        self.lines.append(Entry(len(self.lines) + 1, at, plan, fact, previous, digest))
        return self.lines[-1]

    def entries(self, plan: str | None = None, after: int = 0) -> Iterator[Entry]:
        first = after if self.lines and self.lines[0].seq == 1 else 0
        return iter([line for line in self.lines[first:] if line.seq > after and plan in (None, line.plan)])

    def facts(self, kind: type) -> list[Fact]:
        return [line.fact for line in self.lines if isinstance(line.fact, kind)]


@dataclass
class MemoryHost:
    """One host: what it runs, what is wrong with it, and what its journal says last."""

    version: str = "1.4.0"
    healthy: bool = True
    breaks: frozenset[str] = frozenset()
    sickens: frozenset[str] = frozenset()  # healthy at the moment of the switch, unhealthy ever after
    well_for: timedelta = timedelta(0)  # how long after the switch to these it is healthy
    stuck: bool = False  # cannot go back
    down: bool = False
    drops: list[str] = field(default_factory=list)  # "before" or "after" the switch, once each
    journal: str = ""
    since: datetime = START  # its last switch
    fence: int = 0  # controllers older than this are refused


class MemoryTransport(Moments):
    """Hosts in memory; counts how many are acted on at once."""

    def __init__(self, hosts: dict[str, MemoryHost], clock: MemoryClock) -> None:
        self.hosts = hosts
        self.clock = clock
        self.busy: set[str] = set()
        self.doubly_busy: list[str] = []
        self.most_at_once = 0
        self.calls: list[tuple[str, str]] = []

    def probe(self, host: Host) -> Observation:
        world = self._reach(host)
        if world.version in world.sickens and self.clock.now() > world.since + world.well_for:
            world.healthy = False
        running = world.version if world.healthy else None
        return Observation(
            host.name, self.clock.now(), True, world.version, running, world.healthy, journal=world.journal
        )

    def upgrade(self, host: Host, from_version: str, release: Release, ticket: Ticket) -> HostAnswer:
        self.passes()
        world = self._reach(host)
        self.calls.append(("upgrade", host.name))
        with self._in_hand(host.name):
            if stale := self._stale(world, ticket):
                return stale
            return self._switch(world, from_version, release.version, ticket)

    @contextmanager
    def _in_hand(self, name: str) -> Iterator[None]:
        if name in self.busy:
            self.doubly_busy.append(name)
        self.busy.add(name)
        self.most_at_once = max(self.most_at_once, len(self.busy))
        try:
            yield
        finally:
            self.busy.discard(name)

    def _stale(self, world: MemoryHost, ticket: Ticket) -> HostAnswer | None:
        """The refusal of a controller that a later one has outdated; the host keeps the newest fence."""
        if ticket.fence < world.fence:
            return HostAnswer(HostResult.REFUSED, None, "stale fence")
        world.fence = ticket.fence
        return None

    def _switch(self, world: MemoryHost, from_version: str, wanted: str, ticket: Ticket) -> HostAnswer:
        if world.version == wanted:
            return HostAnswer(HostResult.ALREADY_CURRENT, wanted, installed=wanted)
        if world.version != from_version:
            return HostAnswer(HostResult.REFUSED, None, "another version is installed", installed=world.version)
        drop = world.drops.pop(0) if world.drops else ""
        if drop == "before":
            raise LinkLostError("connection lost")
        if wanted in world.breaks:
            world.healthy = not world.stuck
            state = "failed" if world.stuck else "rolled_back"
            answer = HostAnswer(HostResult(state), world.version, "health: HTTP 500")
        else:
            world.version, world.since, state = wanted, self.clock.now(), "switched"
            answer = HostAnswer(HostResult.SWITCHED, wanted)
        world.journal = f"{ticket.plan} {ticket.attempt} upgrade {state}"
        if drop == "after":
            raise LinkLostError("connection lost")
        return answer

    def roll_back(self, host: Host, version: str, ticket: Ticket) -> HostAnswer:
        self.passes()
        world = self._reach(host)
        self.calls.append(("roll_back", host.name))
        with self._in_hand(host.name):
            return self._stale(world, ticket) or self._go_back(world, version, ticket)

    def _go_back(self, world: MemoryHost, version: str, ticket: Ticket) -> HostAnswer:
        world.version, world.healthy = version, not world.stuck
        world.journal = f"{ticket.plan} {ticket.attempt} roll_back switched"
        if world.stuck:
            return HostAnswer(HostResult.FAILED, None, "health: no answer")
        return HostAnswer(HostResult.SWITCHED, version)

    def confirm(self, host: Host, ticket: Ticket) -> Observation:
        self.calls.append(("confirm", host.name))
        return self.probe(host)

    def stage(self, host: Host, release: Release, ticket: Ticket) -> HostAnswer:
        world = self._reach(host)
        self.calls.append(("stage", host.name))
        return HostAnswer(HostResult.STAGED, world.version)

    def prune(self, host: Host, keep: Collection[str], ticket: Ticket) -> HostAnswer:
        world = self._reach(host)
        self.calls.append(("prune", host.name))
        return HostAnswer(HostResult.DONE, world.version)

    def unlock(self, host: Host, ticket: Ticket) -> HostAnswer:
        world = self._reach(host)
        self.calls.append(("unlock", host.name))
        return HostAnswer(HostResult.DONE, world.version)

    def _reach(self, host: Host) -> MemoryHost:
        if self.hosts[host.name].down:
            raise UnreachableError("connection refused")
        return self.hosts[host.name]


def all_pass(names: Sequence[str], _stop: threading.Event) -> list[GateResult]:
    """Gates that find nothing wrong anywhere."""
    return [GateResult(name, Verdict.PASSED, tests=1) for name in names]


CUSTOMER = Customer("acme", "Acme", "en", "UTC", (Contact("Ann", "ann@acme.example"),), ())


def release(version: str = "1.5.0") -> Release:
    return Release("boathouse", version, ReleaseKind.UPGRADE, Artifact("x.tar", "0" * 64, 1))


def plan_of(
    waves: tuple[int, ...] = (1, 2, 3),
    policy: Policy | None = None,
    versions: tuple[str, ...] = ("1.4.0", "1.5.0"),
) -> Plan:
    """A plan with this many hosts per wave, all of one customer, whose window is open from START on."""
    hops = tuple(Hop(a, b, "test") for a, b in itertools.pairwise(versions))
    hosts = []
    for wave, size in enumerate(waves, start=1):
        hosts += [PlannedHost(f"w{wave}h{n}", "acme", wave, versions[0], hops, WINDOW) for n in range(size)]
    free = dict.fromkeys(ReleaseKind, timedelta(0))
    policy = policy or Policy(bake=timedelta(minutes=5), notice_lead=free, gates_after=False)
    return Plan("p" * 64, "boathouse", versions[-1], ReleaseKind.UPGRADE, "test", START, policy, tuple(hosts), (), {})


def fleet_of(plan: Plan) -> Fleet:
    hosts = tuple(Host(host.name, host.customer, "127.0.0.1") for host in plan.hosts)
    return Fleet("test", {"acme": CUSTOMER}, hosts)


def announced(customer: str = "acme") -> Fact:
    return ledger.Delivered(
        message_id=f"<{customer}@x>",
        customer=customer,
        kind=NoticeKind.ANNOUNCED,
        recipient=f"ann@{customer}.example",
        state=NoticeState.SENT,
    )


def opened(session: str = "s1") -> Fact:
    return ledger.Opened(session=session, controller="test")


def started(host: str, attempt: int = 1, action: Action = Action.UPGRADE, session: str = "s1") -> Fact:
    there, back = ("1.4.0", "1.5.0") if action is Action.UPGRADE else ("1.5.0", "1.4.0")
    return ledger.Started(
        host=host, attempt=attempt, action=action, from_version=there, to_version=back, session=session
    )


def switched(host: str, attempt: int = 1) -> Fact:
    return ledger.Switched(host=host, attempt=attempt, version="1.5.0")


def ended(host: str, outcome: Outcome, attempt: int = 1, cause: str = "") -> Fact:
    return ledger.Ended(host=host, attempt=attempt, outcome=outcome, version=None, cause=cause)


def judged(host: str, verdict: Verdict = Verdict.PASSED, reason: str = "") -> Fact:
    return ledger.Judged(host=host, verdict=verdict, reason=reason, tests=1)


def fold(plan: Plan, *facts: Fact, at: datetime = START, onto: Progress | None = None) -> Progress:
    """The progress that these facts lead to, all recorded `at` the same time; `onto` goes on from another."""
    entries = [Entry(seq, at, plan.id, fact, "", "") for seq, fact in enumerate(facts, start=1)]
    return (onto or Progress.of(plan)).with_entries(entries)


def told_and_gated(store: MemoryLedger, plan: Plan, at: datetime = START) -> None:
    """Record what the rollout needs to find: the notice went out and every gate passed."""
    store.append(plan.id, announced(), at)
    for host in plan.hosts:
        store.append(plan.id, judged(host.name), at)
