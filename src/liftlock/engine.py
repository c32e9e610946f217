"""The only loop: ask `next_step`, perform it through the ports, record what happened.

Facts are appended by one thread, the caller's; worker threads only talk to hosts and hand back
facts. `Started` is written before a host is touched. When the record cannot be written, hosts in
hand finish and nothing else starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from threading import Event

from liftlock import ledger, outcome
from liftlock.attempts import Attempts
from liftlock.errors import LockedError
from liftlock.ledger import Entry, Fact
from liftlock.model import (
    Action,
    GateResult,
    Host,
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

NEWS_EVERY = 1.0
"""Seconds after which, at the latest, what others have written is read: a pause, an abort, another controller."""


@dataclass
class Engine:
    """Carries out one plan. `releases` by product and version, `hosts` by the plan's names and `transports` by product
    must cover it.

    `on_entry` is called after every fact that is recorded, here or by others, with the progress it led to. Set `stop`
    to finish the hosts in hand and start no others. A `patient` engine waits for windows to open and for whoever
    paused it, and says so through `on_pause`. `settled` runs the gate of that name on a host between two hops, `judge`
    the gate suites on hosts by the plan's names, results in the same order, errors for those not judged once its event
    is set. No phase on a host takes longer than `phase_limit`.
    """

    plan: Plan
    releases: Mapping[str, Mapping[str, Release]]
    hosts: Mapping[str, Host]
    transports: Mapping[str, Transport]
    store: LedgerStore
    clock: Clock
    session: str
    controller: str
    judge: Callable[[Sequence[str], Event], Sequence[GateResult]]
    on_pause: Callable[[str], None] = lambda _reason: None
    on_entry: Callable[[Entry, Progress], None] = lambda _entry, _progress: None
    settled: Callable[[str, str], GateResult] = lambda name, _gate: GateResult(name, Verdict.PASSED)
    stop: Event = field(default_factory=Event)
    patient: bool = False
    phase_limit: timedelta = timedelta(minutes=30)

    def __post_init__(self) -> None:
        self._recorder = Recorder(self.plan, self.store, self.clock, self._told)
        self._in_hand: dict[str, Future[Sequence[Fact]]] = {}
        self._attempts = Attempts(
            self.plan,
            self.releases,
            self.hosts,
            self.transports,
            self.clock,
            self.settled,
            self.stop,
            self.phase_limit,
        )

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
        with self._taken_up():
            return self._work()

    def look(self) -> None:
        """Only find out what became of hosts of which nobody knows; nothing else is begun. Raises as `run`."""
        with self._taken_up():
            while isinstance(step := self._next(), Reconcile) and not self.stop.is_set():
                self._reconcile(step.hosts)

    @contextmanager
    def _taken_up(self) -> Iterator[None]:
        """The rollout is this controller's; at the end, however it comes, every host in hand has finished."""
        self.record(ledger.Opened(session=self.session, controller=self.controller))
        with ThreadPoolExecutor(self.plan.policy.concurrency, thread_name_prefix="host") as self._pool:
            try:
                yield
            finally:
                self._finish_hosts_in_hand()

    def _work(self) -> Step:
        while True:
            self._read_news()
            step = self._next()
            if self.stop.is_set() and not isinstance(step, Halt | Done):
                self._finish_or_undo()
                return step
            match step:
                case Upgrade(hosts):
                    self._start_all(hosts, Action.UPGRADE)
                case RollBack(hosts):
                    self._start_all(hosts, Action.ROLL_BACK)
                case Reconcile(hosts):
                    self._reconcile(hosts)
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
        left = part.on_the_way
        there, back = (left or part.origin, wanted) if action is Action.UPGRADE else (left or wanted, part.origin)
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
        work = self._attempts.upgrade if action is Action.UPGRADE else self._attempts.roll_back
        self._submit(name, partial(work, ticket=ticket))
        return True

    def _reconcile(self, names: Iterable[str]) -> None:
        for name in names:
            self._submit(name, self._attempts.look_until_known)
        self._collect()

    def _submit(self, name: str, work: Callable[[Progress, str], Fact | None]) -> None:
        if name not in self._in_hand:
            progress = self.progress
            self._in_hand[name] = self._pool.submit(lambda: self._verified(work(progress, name)))

    def _verified(self, fact: Fact | None) -> Sequence[Fact]:
        """The fact, and what the gates say of a host that is back: only then is its rollback proven."""
        if not (isinstance(fact, ledger.Ended) and fact.outcome is Outcome.ROLLED_BACK):
            return [fact] if fact else []
        if not self.progress.is_looked_at_again(fact.host):
            return [fact]
        judged, waived = self.progress.verdicts.get(fact.host), "gate" in self.progress.waived
        again = self.judge([fact.host], Event())[0]  # whoever is told to stop still finishes the hosts in hand
        return outcome.after_gates_back(fact, judged, again, waived=waived)

    def _judge(self, names: Sequence[str]) -> None:
        judging = self._pool.submit(self._judged, names)
        while not judging.done():
            wait([judging], timeout=NEWS_EVERY)
            self._recorder.catch_up()
        for facts in judging.result():
            self._settle(facts)

    def _judged(self, names: Sequence[str]) -> list[Sequence[Fact]]:
        """What the gates' second look proves of each host; where they could not be run, perhaps that it is lost.

        Told to stop, hosts that are not judged yet are looked at when the rollout is taken up again.
        """
        progress = self.progress
        proven: list[Sequence[Fact]] = []
        for name, result in zip(names, self.judge(names, self.stop), strict=True):
            if result.verdict is Verdict.ERROR and self.stop.is_set():
                continue
            lost = self._attempts.lost_since(progress, name) if result.verdict is Verdict.ERROR else None
            proven.append([lost] if lost else outcome.after_gates(name, progress.verdicts.get(name), result))
        return proven

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
            self._attempts.begin_bake()
            self.record(ledger.Baking(wave=step.wave, session=self.session))
            return
        if not self._wait(min(step.until, self.clock.now() + self.plan.policy.watch_every), step):
            return
        over = self.clock.now() >= step.until
        for name in step.hosts:
            self._submit(name, partial(self._attempts.watch, over=over))
        self._finish_hosts_in_hand()
