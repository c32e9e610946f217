"""The only loop: ask `next_step`, perform it through the ports, record what happened.

Facts are appended by one thread, the caller's; worker threads only talk to hosts and hand back
facts. `Started` is written before a host is touched. When the record cannot be written, hosts in
hand finish and nothing else starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Event

from liftlock import ledger, outcome
from liftlock.errors import HostError, LinkLostError
from liftlock.ledger import Entry, Fact
from liftlock.model import (
    Action,
    GateResult,
    Hop,
    Host,
    HostResult,
    Observation,
    Outcome,
    Plan,
    Release,
    Ticket,
    Verdict,
)
from liftlock.ports import Clock, LedgerStore, Transport
from liftlock.progress import Progress, Standing
from liftlock.rollout import (
    Bake,
    Done,
    Halt,
    Judge,
    LeaveOut,
    OpenWave,
    Pause,
    Reconcile,
    RollBack,
    Step,
    Upgrade,
    Wait,
    next_step,
)

BROUGHT_BACK = "brought back as the rollout halted"
"""The cause of a rollback that only the policy asked for."""
LOOK_AGAIN = 1.0
"""Seconds between two looks at a host that is lost or was found unhealthy."""


@dataclass
class Engine:
    """Carries out one plan. `releases` by product and version, `hosts` by the plan's names and `transports` by product
    must cover it.

    `on_entry` is called after every recorded fact, with the progress it led to. Set `stop` to finish
    the hosts in hand and start no others. A `patient` engine waits for windows to open, and says so
    through `on_pause`. `settled` runs the gate of that name on a host between two hops, `judge` the gate suites on
    hosts by the plan's names, results in the same order.
    """

    plan: Plan
    releases: Mapping[str, Mapping[str, Release]]
    hosts: Mapping[str, Host]
    transports: Mapping[str, Transport]
    store: LedgerStore
    clock: Clock
    session: str
    controller: str
    judge: Callable[[Sequence[str]], Sequence[GateResult]]
    on_pause: Callable[[str], None] = lambda _reason: None
    on_entry: Callable[[Entry, Progress], None] = lambda _entry, _progress: None
    settled: Callable[[Host, str], GateResult] = lambda host, _gate: GateResult(host.name, Verdict.PASSED)
    stop: Event = field(default_factory=Event)
    patient: bool = False

    def __post_init__(self) -> None:
        self.progress = Progress.of(self.plan).with_entries(self.store.entries(self.plan.id))
        self._in_hand: dict[str, Future[Sequence[Fact]]] = {}

    def run(self) -> Step:
        """Work until done, halted, paused or told to stop; return the last step.

        Raises LedgerError when the record cannot be written, LockedError when another controller
        claims one of our hosts. Hosts in hand have finished in every case; told to stop, those of them
        that were found ailing have gone back.
        """
        self.record(ledger.Opened(session=self.session, controller=self.controller))
        with ThreadPoolExecutor(self.plan.policy.concurrency, thread_name_prefix="host") as self._pool:
            try:
                return self._work()
            finally:
                self._finish_hosts_in_hand()

    def _work(self) -> Step:
        while True:
            step = next_step(self.plan, self.progress, self.clock.now())
            if self.stop.is_set():
                self._finish_or_undo()
                return step
            match step:
                case Upgrade(hosts):
                    self._start_all(hosts, Action.UPGRADE)
                case RollBack(hosts):
                    self._start_all(hosts, Action.ROLL_BACK)
                case Reconcile(hosts):
                    for name in hosts:
                        self._submit(name, self._look_until_known)
                    self._collect()
                case Wait():
                    self._collect()
                case LeaveOut(hosts):
                    for name, how, why in hosts:
                        self.record(ledger.LeftOut(host=name, outcome=how, reason=why))
                case OpenWave(wave, hosts):
                    self.record(ledger.WaveOpened(wave=wave, hosts=hosts))
                case Judge(_, hosts):
                    self._judge(hosts)
                case Bake():
                    self._bake(step)
                case Pause(datetime() as until, reason) if self.patient:
                    self.on_pause(reason)
                    self.clock.sleep((until - self.clock.now()).total_seconds())
                case Pause():
                    return step
                case Halt(reason):
                    self.record(ledger.Halted(reason=reason))
                    return step
                case Done():
                    self.record(ledger.Finished())
                    return step

    def record(self, fact: Fact) -> Entry:
        """Append one fact to the ledger and to the progress."""
        entry = self.store.append(self.plan.id, fact, self.clock.now())
        self.progress = self.progress.with_entry(entry)
        self.on_entry(entry, self.progress)
        return entry

    def _start_all(self, names: Iterable[str], action: Action) -> None:
        for name in names:
            if self.stop.is_set():
                return
            self._start(name, action)

    def _start(self, name: str, action: Action) -> None:
        part, planned = self.progress.host(name), self.progress.lineup.planned[name]
        wanted = planned.wanted
        there, back = (part.origin, wanted) if action is Action.UPGRADE else (wanted, part.origin)
        attempt = part.attempt + 1
        started = ledger.Started(
            host=name, attempt=attempt, action=action, from_version=there, to_version=back, session=self.session
        )
        # Time, not the entry's number: a host outlives a ledger, and a new ledger counts from 1 again.
        fence = int(self.record(started).at.timestamp() * 1000)
        ticket = Ticket(self.plan.id, attempt, fence)
        work = self._upgrade if action is Action.UPGRADE else self._roll_back
        self._submit(name, lambda name: work(name, ticket))

    def _submit(self, name: str, work: Callable[[str], Fact | None]) -> None:
        if name not in self._in_hand:
            self._in_hand[name] = self._pool.submit(lambda: self._verified(work(name)))

    def _verified(self, fact: Fact | None) -> Sequence[Fact]:
        """The fact, and what the gates say of a host that is back: only then is its rollback proven."""
        gates = self.plan.policy.gates_after and "gate" not in self.progress.waived
        if not (isinstance(fact, ledger.Ended) and fact.outcome is Outcome.ROLLED_BACK and gates):
            return [fact] if fact else []
        return outcome.after_gates_back(fact, self.progress.verdicts.get(fact.host), self.judge([fact.host])[0])

    def _judge(self, names: Sequence[str]) -> None:
        for name, result in zip(names, self.judge(names), strict=True):
            for fact in outcome.after_gates(name, self.progress.verdicts.get(name), result):
                self.record(fact)

    def _collect(self) -> None:
        """Wait for the next hosts to end and record what they have proven."""
        done, _ = wait(self._in_hand.values(), return_when=FIRST_COMPLETED)
        for name in [name for name, future in self._in_hand.items() if future in done]:
            for fact in self._in_hand.pop(name).result():
                self.record(fact)

    def _finish_hosts_in_hand(self) -> None:
        """Collect every host in hand; one that cannot be recorded keeps no other from it, and is raised at the end."""
        trouble: Exception | None = None
        while self._in_hand:
            try:
                self._collect()
            except Exception as error:
                trouble = trouble or error
        if trouble is not None:
            raise trouble

    def _finish_or_undo(self) -> None:
        """Told to stop: hosts in hand finish, and go back when they are found ailing; recalled ones can wait."""
        self._finish_hosts_in_hand()
        for name in sorted(self.progress.group(Standing.AILING)):
            if not self.progress.host(name).well:
                self._start(name, Action.ROLL_BACK)
        self._finish_hosts_in_hand()

    def _bake(self, step: Bake) -> None:
        """One round of watching a wave: wait, then look at each of its hosts."""
        if step.until is None:
            self.record(ledger.Baking(wave=step.wave, session=self.session))
            return
        left = step.until - self.clock.now()
        self.clock.sleep(max(0.0, min(left, self.plan.policy.watch_every).total_seconds()))
        if self.stop.is_set():
            return
        over = self.clock.now() >= step.until
        for name in step.hosts:
            self._submit(name, lambda name: self._watch(name, over=over))
        self._finish_hosts_in_hand()

    def _watch(self, name: str, *, over: bool) -> Fact | None:
        planned, part = self.progress.lineup.planned[name], self.progress.host(name)
        try:
            fact = outcome.after_bake(planned, part, self._look(name), over=over)
            if isinstance(fact, ledger.Ailing):  # one slow answer is not yet an ailing host
                self.clock.sleep(LOOK_AGAIN)
                fact = outcome.after_bake(planned, part, self._look(name), over=over)
        except HostError as error:
            return outcome.after_error(name, part.attempt, error, touched=True)
        return fact

    def _upgrade(self, name: str, ticket: Ticket) -> Fact:
        """Take one host up its path, hop by hop, then look at it over a fresh connection."""
        host, transport, releases = self.hosts[name], self._way_to(name), self._releases_of(name)
        touched, planned = self.progress.host(name).lost_links > 0, self.progress.lineup.planned[name]
        seen, moved = None, False
        try:
            hops = self._hops_left(name, ticket)
            moved = len(hops) < len(planned.hops)
            for hop in hops:
                if unsettled := self._wait_until_settled(name, ticket, hop):
                    return unsettled
                release = releases[hop.to_version]
                answer = transport.upgrade(host, hop.from_version, release, ticket)
                if answer.result not in {HostResult.SWITCHED, HostResult.ALREADY_CURRENT}:
                    break
                moved = moved or answer.result is HostResult.SWITCHED
                if answer.result is HostResult.SWITCHED and (hop is hops[-1] or release.confirm_within):
                    seen = transport.confirm(host, ticket)
                    if not outcome.runs(seen, hop.to_version):
                        break
        except HostError as error:
            return outcome.after_error(name, ticket.attempt, error, touched=touched or moved)
        return outcome.after_upgrade(name, ticket.attempt, planned.wanted, answer, seen, moved=moved)

    def _way_to(self, name: str) -> Transport:
        return self.transports[self.plan.product_of(self.progress.lineup.planned[name])]

    def _releases_of(self, name: str) -> Mapping[str, Release]:
        return self.releases[self.plan.product_of(self.progress.lineup.planned[name])]

    def _look(self, name: str) -> Observation:
        return self._way_to(name).probe(self.hosts[name])

    def _wait_until_settled(self, name: str, ticket: Ticket, hop: Hop) -> Fact | None:
        """Wait for background work of the stop the host stands on; a fact when the next hop must not be taken.

        The stop's gate is asked every `watch_every`, as long as the rest still fits the window. The host
        is healthy on the stop; it needs a person when the gate does not pass in time.
        """
        gate, planned = self._gate_of(name, hop), self.progress.lineup.planned[name]
        if not gate:
            return None
        while (judged := self.settled(self.hosts[name], gate)).verdict is not Verdict.PASSED:
            if self.stop.is_set():
                return ledger.Voided(host=name, attempt=ticket.attempt, cause=f"interrupted before gate {gate} passed")
            if self.clock.now() + self.plan.policy.watch_every + planned.needed > planned.window.end:
                cause = f"gate {gate} {judged.verdict}: {judged.reason}"
                return outcome.not_settled(name, ticket.attempt, hop.from_version, cause)
            self.clock.sleep(self.plan.policy.watch_every.total_seconds())
        return None

    def _may_go_back_within(self, name: str) -> timedelta:
        """The longest time after which one of the host's releases goes back by itself, unconfirmed."""
        releases = self._releases_of(name)
        on_the_way = [releases[hop.to_version] for hop in self.progress.lineup.planned[name].hops]
        return max((release.confirm_within or timedelta() for release in on_the_way), default=timedelta())

    def _gate_of(self, name: str, hop: Hop) -> str:
        """The gate that must pass before this hop: named by the hop before it, or by the release the host stands on."""
        before = [one for one in self.progress.lineup.planned[name].hops if one.to_version == hop.from_version]
        release = self._releases_of(name).get(hop.from_version)
        return before[0].settled_gate if before else release.settled_gate if release else ""

    def _hops_left(self, name: str, ticket: Ticket) -> tuple[Hop, ...]:
        """The host's path, from where it stands now when an earlier attempt got part of the way."""
        hops = self.progress.lineup.planned[name].hops
        if ticket.attempt == 1 or len(hops) == 1:
            return hops
        installed = self._look(name).installed
        begun = [place for place, hop in enumerate(hops) if hop.from_version == installed]
        return hops[begun[0] :] if begun else hops

    def _roll_back(self, name: str, ticket: Ticket) -> Fact:
        part = self.progress.host(name)
        origin, why = part.origin, part.cause or BROUGHT_BACK
        try:
            answer = self._way_to(name).roll_back(self.hosts[name], origin, ticket)
        except HostError as error:
            return outcome.after_error(name, ticket.attempt, error, touched=True)
        return outcome.after_roll_back(name, ticket.attempt, origin, answer, why)

    def _look_until_known(self, name: str) -> Fact | None:
        """Look at a lost host until it tells what happened, as long as the policy says; None when interrupted."""
        planned, part = self.progress.lineup.planned[name], self.progress.host(name)
        deadline = self.clock.now() + self.plan.policy.reconcile_within + self._may_go_back_within(name)
        # Found upgraded, it is confirmed in the same breath: it would go back by itself otherwise.
        ticket, forward = Ticket(self.plan.id, part.attempt, 0), part.action is Action.UPGRADE
        while True:
            try:
                seen = self._way_to(name).confirm(self.hosts[name], ticket) if forward else self._look(name)
                fact = outcome.after_look(self.plan, planned, part, seen)
            except HostError as error:
                fact, unseen = None, error
            else:
                unseen = LinkLostError("a phase still runs there")
            if fact is not None or self.stop.is_set():
                return fact
            if self.clock.now() >= deadline:
                return outcome.never_seen_again(planned, part, unseen)
            self.clock.sleep(LOOK_AGAIN)
