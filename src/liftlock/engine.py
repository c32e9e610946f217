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
from liftlock.errors import HostError, LinkLostError, LockedError
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
from liftlock.recorder import Recorder
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
NEWS_EVERY = 1.0
"""Seconds after which, at the latest, what others have written is read: a pause, an abort, another controller."""


@dataclass
class Engine:
    """Carries out one plan. `releases` by product and version, `hosts` by the plan's names and `transports` by product
    must cover it.

    `on_entry` is called after every fact that is recorded, here or by others, with the progress it led to. Set `stop`
    to finish the hosts in hand and start no others. A `patient` engine waits for windows to open and for whoever
    paused it, and says so through `on_pause`. `settled` runs the gate of that name on a host between two hops, `judge`
    the gate suites on hosts by the plan's names, results in the same order.
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
    settled: Callable[[str, str], GateResult] = lambda name, _gate: GateResult(name, Verdict.PASSED)
    stop: Event = field(default_factory=Event)
    patient: bool = False

    def __post_init__(self) -> None:
        self._recorder = Recorder(self.plan, self.store, self.clock, self._told)
        self._in_hand: dict[str, Future[Sequence[Fact]]] = {}
        self._unsteady: set[str] = set()  # answered badly once in this bake, and well a moment later

    @property
    def progress(self) -> Progress:
        """Where the rollout stands, by what was recorded and read."""
        return self._recorder.progress

    def run(self) -> Step:
        """Work until done, halted, paused or told to stop; return the last step.

        Raises LedgerError when the record cannot be written, LockedError when another controller took the rollout up
        since; what became of the hosts in hand is then that one's to find out. Hosts in hand have finished in every
        case; told to stop, those of them that were found ailing have gone back.
        """
        self.record(ledger.Opened(session=self.session, controller=self.controller))
        with ThreadPoolExecutor(self.plan.policy.concurrency, thread_name_prefix="host") as self._pool:
            try:
                return self._work()
            finally:
                self._finish_hosts_in_hand()

    def _work(self) -> Step:
        while True:
            self._read_news()
            step = self._next()
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
                    self.record(*(ledger.LeftOut(host=name, outcome=how, reason=why) for name, how, why in hosts))
                case OpenWave(wave, hosts):
                    self.record(ledger.WaveOpened(wave=wave, hosts=hosts))
                case Judge(_, hosts):
                    self._judge(hosts)
                case Bake():
                    self._bake(step)
                case Pause(until, reason) if self.patient and (until or self.progress.paused):
                    self.on_pause(reason)
                    self._wait(until, step)
                case Pause():
                    return step
                case Halt(reason):
                    self.record(ledger.Halted(reason=reason))
                    return step
                case Done():
                    self.record(ledger.Finished())
                    return step

    def record(self, *facts: Fact) -> Entry:
        """Append facts, all or none, to the ledger and to the progress; return the last one's entry."""
        return self._recorder.append(*facts)

    def _told(self, entry: Entry, progress: Progress) -> None:
        self.on_entry(entry, progress)

    def _next(self) -> Step:
        return next_step(self.plan, self.progress, self.clock.now())

    def _read_news(self) -> bool:
        """Fold what others have written; whether there was anything. Raises LockedError when taken over."""
        news = self._recorder.catch_up()
        if taken := self._recorder.taken_over(self.session):
            raise taken
        return news

    def _wait(self, until: datetime | None, step: Step) -> bool:
        """Wait, as long as this remains the step; whether it did until then. `until` None is for ever."""
        while not self.stop.is_set():
            left = (until - self.clock.now()).total_seconds() if until else NEWS_EVERY
            if left <= 0:
                return True
            self.clock.sleep(min(left, NEWS_EVERY))
            if self._read_news() and self._next() != step:
                break
        return False

    def _start_all(self, names: Iterable[str], action: Action) -> None:
        for name in names:
            if self.stop.is_set() or not self._start(name, action):
                return

    def _start(self, name: str, action: Action) -> bool:
        """Begin with a host, unless what others wrote before its start speaks against it; whether it has begun."""
        part, planned = self.progress.host(name), self.progress.lineup.planned[name]
        wanted = planned.wanted
        there, back = (part.origin, wanted) if action is Action.UPGRADE else (wanted, part.origin)
        attempt = part.attempt + 1
        started = ledger.Started(
            host=name, attempt=attempt, action=action, from_version=there, to_version=back, session=self.session
        )
        try:
            self.record(started)
        except LockedError:
            if not self._read_news():
                raise
            return False  # by one who did not know yet that we took over; who looks will see what came of it
        if self._recorder.taken_over(self.session):
            return False
        if action is Action.UPGRADE and (self.progress.paused or self.progress.aborted):
            self.record(ledger.Voided(host=name, attempt=attempt, cause="paused or ended before it began"))
            return False
        ticket = Ticket(self.plan.id, attempt, self.progress.host(name).fence)
        work = self._upgrade if action is Action.UPGRADE else self._roll_back
        self._submit(name, lambda name: work(name, ticket))
        return True

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
        judging = self._pool.submit(self.judge, names)
        while not judging.done():
            wait([judging], timeout=NEWS_EVERY)
            self._recorder.catch_up()
        for name, result in zip(names, judging.result(), strict=True):
            self._settle(outcome.after_gates(name, self.progress.verdicts.get(name), result))

    def _collect(self) -> None:
        """Wait for the next hosts to end, not for ever, and record what they have proven."""
        done, _ = wait(self._in_hand.values(), timeout=NEWS_EVERY, return_when=FIRST_COMPLETED)
        self._recorder.catch_up()
        for name in [name for name, future in self._in_hand.items() if future in done]:
            self._settle(self._in_hand.pop(name).result())

    def _settle(self, facts: Iterable[Fact]) -> None:
        """Record what hosts have proven; nothing when another controller has to find it out by now."""
        if self._recorder.taken_over(self.session):
            return
        if true := outcome.in_place(facts, self.progress):
            self.record(*true)

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
            self._unsteady.clear()
            self.record(ledger.Baking(wave=step.wave, session=self.session))
            return
        if not self._wait(min(step.until, self.clock.now() + self.plan.policy.watch_every), step):
            return
        over = self.clock.now() >= step.until
        for name in step.hosts:
            self._submit(name, lambda name: self._watch(name, over=over))
        self._finish_hosts_in_hand()

    def _watch(self, name: str, *, over: bool) -> Fact | None:
        planned, part = self.progress.lineup.planned[name], self.progress.host(name)
        try:
            fact = outcome.after_bake(planned, part, self._look(name), over=over)
            if not isinstance(fact, ledger.Ailing):
                return fact
            self.clock.sleep(LOOK_AGAIN)
            again = outcome.after_bake(planned, part, self._look(name), over=over)
        except HostError as error:
            return outcome.after_error(name, part.attempt, error, touched=True)
        if isinstance(again, ledger.Ailing):
            return again
        if name in self._unsteady:
            return outcome.by_turns(name, fact.cause)
        self._unsteady.add(name)  # one slow answer is not yet an ailing host, and not yet a success
        return None

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
        while (judged := self.settled(name, gate)).verdict is not Verdict.PASSED:
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
