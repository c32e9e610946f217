"""The loop in a world of memory: what is on record before a host is touched, and what holds when something breaks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Event

import pytest

from liftlock import ledger
from liftlock.engine import Engine
from liftlock.errors import ExitCode, LedgerError, LinkLostError, LockedError, UnreachableError
from liftlock.ledger import Entry, Fact
from liftlock.model import (
    Action,
    Host,
    HostAnswer,
    HostResult,
    Observation,
    Outcome,
    Plan,
    Policy,
    Release,
    ReleaseKind,
    RollbackScope,
    Ticket,
    Window,
)
from liftlock.progress import Progress, Standing
from liftlock.rollout import Done, Halt, Pause, Step, exit_code
from world import (
    START,
    MemoryClock,
    MemoryHost,
    MemoryLedger,
    MemoryTransport,
    all_pass,
    announced,
    fleet_of,
    plan_of,
    release,
    started,
    told_and_gated,
)

OLD, MIDDLE, NEW = "1.4.0", "1.4.5", "1.5.0"
PATIENCE = 10.0
"""Seconds after which a test gives up on a thread; nothing here takes as long."""


class Record(MemoryLedger):
    """A record that a test may refuse to write in: `before` is asked about each fact."""

    def __init__(self) -> None:
        super().__init__()
        self.before: Callable[[Fact], None] = lambda _fact: None

    def append_all(self, plan: str, facts: Sequence[Fact], at: datetime) -> list[Entry]:
        for fact in facts:
            self.before(fact)
        return super().append_all(plan, facts, at)


class Hosts(MemoryTransport):
    """Hosts that a test may watch: `touching` is told of each host right before it is worked on."""

    def __init__(self, hosts: dict[str, MemoryHost], clock: MemoryClock) -> None:
        super().__init__(hosts, clock)
        self.tickets: list[tuple[str, Action, str, Ticket]] = []
        self.touching: Callable[[str, Action, str, Ticket], None] = lambda *_: None
        self.looking: Callable[[str], None] = lambda _name: None

    def probe(self, host: Host) -> Observation:
        self.looking(host.name)
        return super().probe(host)

    def upgrade(self, host: Host, from_version: str, release: Release, ticket: Ticket) -> HostAnswer:
        self.tickets.append((host.name, Action.UPGRADE, release.version, ticket))
        self.touching(host.name, Action.UPGRADE, release.version, ticket)
        return super().upgrade(host, from_version, release, ticket)

    def roll_back(self, host: Host, version: str, ticket: Ticket) -> HostAnswer:
        self.tickets.append((host.name, Action.ROLL_BACK, version, ticket))
        self.touching(host.name, Action.ROLL_BACK, version, ticket)
        return super().roll_back(host, version, ticket)


class Rollout:
    """A plan, its hosts and its record; every `engine` is a new controller."""

    def __init__(self, plan: Plan, **hosts: MemoryHost) -> None:
        self.plan, self.clock, self.record = plan, MemoryClock(), Record()
        self.world = {host.name: hosts.get(host.name, MemoryHost(host.observed)) for host in plan.hosts}
        self.hosts = Hosts(self.world, self.clock)
        self.controllers = 0
        told_and_gated(self.record, plan)

    def engine(self) -> Engine:
        self.controllers += 1
        versions = {hop.to_version for host in self.plan.hosts for hop in host.hops}
        return Engine(
            plan=self.plan,
            releases={self.plan.product: {version: release(version) for version in versions}},
            hosts={host.name: host for host in fleet_of(self.plan).hosts},
            transports={self.plan.product: self.hosts},
            store=self.record,
            clock=self.clock,
            session=f"s{self.controllers}",
            controller="test",
            judge=all_pass,
        )

    def run(self) -> tuple[Step, ExitCode]:
        engine = self.engine()
        last = engine.run()
        return last, exit_code(self.plan, engine.progress, last)

    @property
    def progress(self) -> Progress:
        return Progress.of(self.plan).with_entries(self.record.entries(self.plan.id))

    def outcome(self, name: str) -> Outcome | None:
        return self.progress.host(name).outcome

    def outcomes(self) -> set[Outcome | None]:
        return {self.outcome(host.name) for host in self.plan.hosts}

    def story(self) -> list[str]:
        """The facts from the first controller on, each with the host it speaks of."""
        facts = [line.fact for line in self.record.lines]
        first = next(place for place, fact in enumerate(facts) if isinstance(fact, ledger.Opened))
        return [" ".join([fact.fact, getattr(fact, "host", "")]).strip() for fact in facts[first:]]

    def upgrades(self, name: str) -> list[str]:
        return [version for host, action, version, _ in self.hosts.tickets if (host, action) == (name, Action.UPGRADE)]


def policy(**changes: object) -> Policy:
    lead = dict.fromkeys(ReleaseKind, timedelta(0))
    return Policy(
        **{"bake": timedelta(minutes=3), "notice_lead": lead, "concurrency": 2, "gates_after": False, **changes}
    )


def begun_by_one_that_went_away(plan: Plan, **world: MemoryHost) -> Rollout:
    """A rollout whose last controller went away once it had begun with w1h0."""
    rollout = Rollout(plan, **world)
    rollout.record.append(plan.id, ledger.Opened(session="s0", controller="gone"), START)
    rollout.record.append(plan.id, started("w1h0", session="s0"), START)
    return rollout


def held(event: Event) -> None:
    assert event.wait(PATIENCE), "nobody came"


# ---- the record comes first


def test_a_quiet_rollout_is_told_in_order():
    rollout = Rollout(plan_of((1, 1), policy(concurrency=1)))
    assert rollout.run() == (Done(), ExitCode.DONE)
    wave = ["started {0}", "switched {0}", "baking", "ended {0}"]
    waves = [line.format(name) for name in ("w1h0", "w2h0") for line in wave]
    assert rollout.story() == ["opened", *waves, "finished"]
    assert {host.version for host in rollout.world.values()} == {NEW}


def test_a_host_is_touched_only_once_its_start_is_on_record_with_the_fence_it_is_given():
    sick = MemoryHost(OLD, sickens=frozenset({NEW}))
    rollout = Rollout(plan_of((2, 2), policy(max_failures=9)), w1h0=sick)
    unrecorded = []

    def touching(name: str, action: Action, _version: str, ticket: Ticket) -> None:
        last = [line for line in rollout.record.lines if isinstance(line.fact, ledger.Started)]
        known = {
            (line.fact.host, line.fact.action, line.fact.attempt, int(line.at.timestamp() * 1000), line.plan)
            for line in last
        }
        if (name, action, ticket.attempt, ticket.fence, ticket.plan) not in known:
            unrecorded.append((name, action, ticket))

    rollout.hosts.touching = touching
    rollout.run()
    actions = [(name, action) for name, action, _, _ in rollout.hosts.tickets]
    assert ("w1h0", Action.ROLL_BACK) in actions
    assert len(actions) == 5
    assert unrecorded == []
    fences = [ticket.fence for name, _, _, ticket in rollout.hosts.tickets if name == "w1h0"]
    assert fences == sorted(set(fences)), "a later attempt outdates the earlier one"


def test_a_start_names_where_the_host_is_and_where_it_goes():
    rollout = Rollout(plan_of((1,)), w1h0=MemoryHost(OLD, sickens=frozenset({NEW})))
    rollout.run()
    there, back = rollout.record.facts(ledger.Started)
    assert (there.action, there.attempt, there.from_version, there.to_version) == (Action.UPGRADE, 1, OLD, NEW)
    assert (back.action, back.attempt, back.from_version, back.to_version) == (Action.ROLL_BACK, 2, NEW, OLD)


def test_whoever_watches_sees_every_entry_with_the_progress_it_led_to():
    rollout, seen = Rollout(plan_of((2,))), []
    engine = rollout.engine()
    known = len(rollout.record.lines)
    engine.on_entry = lambda entry, progress: seen.append((entry, progress))
    engine.run()
    assert [entry for entry, _ in seen] == rollout.record.lines[known:]
    for place, (_, progress) in enumerate(seen, start=1):
        assert progress == Progress.of(rollout.plan).with_entries(rollout.record.lines[: known + place])


def test_what_the_record_holds_of_other_plans_decides_nothing():
    rollout, other = Rollout(plan_of((2,))), "q" * 64
    for fact in [
        ledger.Aborted(reason="enough", by="ann"),
        ledger.Waived(rule="gate", reason="a fire", by="ann"),
        started("w1h0"),
        ledger.Judged(host="w1h1", verdict=ledger.Verdict.FAILED, reason="no space"),
    ]:
        rollout.record.append(other, fact, START)
    assert rollout.run() == (Done(), ExitCode.DONE)
    assert not rollout.progress.waived


def test_a_notice_of_another_plan_frees_nobody():
    rollout = Rollout(plan_of((1,)))
    rollout.record.lines.clear()
    rollout.record.append("q" * 64, announced(), START)
    rollout.record.append(rollout.plan.id, ledger.Judged(host="w1h0", verdict=ledger.Verdict.PASSED), START)
    assert rollout.run() == (Done(), ExitCode.REFUSED)
    assert rollout.hosts.tickets == []
    assert rollout.outcome("w1h0") is Outcome.REFUSED


# ---- when the record cannot be written


def test_when_a_start_cannot_be_recorded_the_host_is_not_touched_and_hosts_in_hand_finish():
    rollout, broken = Rollout(plan_of((4,))), Event()

    def before(fact: Fact) -> None:
        if isinstance(fact, ledger.Started) and fact.host == "w1h1":
            broken.set()
            raise LedgerError("the disk is full")

    rollout.record.before = before
    rollout.hosts.touching = lambda *_: held(broken)
    with pytest.raises(LedgerError, match="the disk is full"):
        rollout.run()
    assert [name for name, *_ in rollout.hosts.tickets] == ["w1h0"]
    assert rollout.progress.host("w1h0").standing is Standing.SWITCHED, "the host in hand finished and is on record"
    rollout.record.before = lambda _fact: None
    assert rollout.run() == (Done(), ExitCode.DONE)
    assert rollout.upgrades("w1h0") == [NEW], "what was on record is not done twice"


def test_when_an_end_cannot_be_recorded_nothing_else_starts_and_the_next_controller_looks():
    rollout, both = Rollout(plan_of((4,), policy())), Event()

    def before(fact: Fact) -> None:
        if isinstance(fact, ledger.Switched):
            raise LedgerError("the disk is full")

    def touching(name: str, *_: object) -> None:
        if name == "w1h1":
            both.set()
        held(both)

    rollout.record.before, rollout.hosts.touching = before, touching
    with pytest.raises(LedgerError):
        rollout.run()
    assert {name for name, *_ in rollout.hosts.tickets} == {"w1h0", "w1h1"}
    assert {rollout.world[name].version for name in ("w1h0", "w1h1")} == {NEW}, "hosts in hand finished"
    rollout.record.before = lambda _fact: None
    assert rollout.run() == (Done(), ExitCode.DONE)
    assert rollout.upgrades("w1h0") == rollout.upgrades("w1h1") == [NEW], "seen on the wanted version: not tried again"


# ---- two controllers


def when_about_to_start(rollout: Rollout, name: str, do: Callable[[], None]) -> None:
    """Right before the start of this host is recorded, others write."""

    def before(fact: Fact) -> None:
        if isinstance(fact, ledger.Started) and fact.host == name:
            rollout.record.before = lambda _fact: None
            do()

    rollout.record.before = before


def test_a_controller_that_was_taken_over_says_by_whom_and_leaves_its_hosts_to_that_one():
    rollout, taken = Rollout(plan_of((3,))), Event()

    def another() -> None:
        rollout.record.append(rollout.plan.id, ledger.Opened(session="s9", controller="bo@rig (pid 7)"), START)
        rollout.record.append(rollout.plan.id, started("w1h1", session="s9"), START)
        taken.set()

    when_about_to_start(rollout, "w1h1", another)
    rollout.hosts.touching = lambda *_: held(taken)
    with pytest.raises(LockedError, match=r"was taken over by bo@rig \(pid 7\) at 2026-11-21 22:00:00 UTC") as locked:
        rollout.run()
    assert locked.value.exit_code is ExitCode.LOCKED
    assert [name for name, *_ in rollout.hosts.tickets] == ["w1h0"], "the claimed host is not touched, nor any after it"
    assert rollout.progress.host("w1h0").standing is Standing.LOST, "what became of it the other one finds out"
    assert rollout.run() == (Done(), ExitCode.DONE)
    assert rollout.upgrades("w1h0") == [NEW]


def test_a_start_that_comes_after_another_controller_touches_nothing():
    rollout = Rollout(plan_of((1,)))
    opened = ledger.Opened(session="s9", controller="another")
    when_about_to_start(rollout, "w1h0", lambda: rollout.record.append(rollout.plan.id, opened, START))
    with pytest.raises(LockedError):
        rollout.run()
    assert rollout.hosts.tickets == []
    assert rollout.run() == (Done(), ExitCode.DONE)


def test_a_claim_by_one_who_did_not_know_that_we_took_over_is_looked_into_and_the_work_goes_on():
    rollout = Rollout(plan_of((2,)))
    late = started("w1h1", session="s0")
    when_about_to_start(rollout, "w1h1", lambda: rollout.record.append(rollout.plan.id, late, START))
    assert rollout.run() == (Done(), ExitCode.DONE)
    assert rollout.upgrades("w1h1") == [NEW]
    assert rollout.outcomes() == {Outcome.SUCCEEDED}


@pytest.mark.parametrize(("plan_breaks", "there"), [(frozenset(), NEW), (frozenset({NEW}), OLD)], ids=["well", "halts"])
def test_a_switch_that_came_after_the_look_is_the_plans_own_and_is_baked_and_brought_back(plan_breaks, there):
    """The program of a controller that is gone starts when the next one has already found the host untouched."""
    plan = plan_of((1, 1), policy(rollback=RollbackScope.ALL))
    rollout = begun_by_one_that_went_away(plan, w2h0=MemoryHost(OLD, breaks=plan_breaks))

    def switch_late(name: str, action: Action, *_: object) -> None:
        if (name, action) == ("w1h0", Action.UPGRADE):
            host = rollout.world[name]
            host.version, host.journal = NEW, f"{plan.id} 1 upgrade switched"

    rollout.hosts.touching = switch_late
    rollout.run()
    assert rollout.world["w1h0"].version == there
    assert rollout.outcome("w1h0") is (Outcome.ROLLED_BACK if plan_breaks else Outcome.SUCCEEDED)
    assert "baking" in rollout.story()


def test_a_switch_over_several_hops_that_came_after_the_look_is_no_other_version():
    rollout = begun_by_one_that_went_away(long_plan())

    def switch_late(name: str, *_: object) -> None:
        host = rollout.world[name]
        host.version, host.journal = NEW, f"{rollout.plan.id} 1 upgrade switched"

    rollout.hosts.touching = switch_late
    assert rollout.run() == (Done(), ExitCode.DONE)
    assert rollout.outcome("w1h0") is Outcome.SUCCEEDED


def test_a_host_that_somebody_else_upgraded_between_two_attempts_is_already_current():
    rollout = begun_by_one_that_went_away(plan_of((1,)))
    rollout.hosts.touching = lambda name, *_: setattr(rollout.world[name], "version", NEW)
    assert rollout.run() == (Done(), ExitCode.DONE)
    assert rollout.outcome("w1h0") is Outcome.ALREADY_CURRENT


def test_a_host_lost_right_after_a_switch_that_came_late_is_not_untouched():
    rollout = begun_by_one_that_went_away(plan_of((1,)))

    def switch_late(name: str, *_: object) -> None:
        rollout.world[name].version = NEW
        rollout.hosts.looking = lambda name: setattr(rollout.world[name], "down", True)

    rollout.hosts.touching = switch_late
    assert rollout.run()[1] is ExitCode.NEEDS_A_PERSON
    assert rollout.outcome("w1h0") is Outcome.UNREACHABLE


# ---- when something breaks that nobody foresaw


def test_unforeseen_errors_in_two_hosts_lose_nothing_of_the_third():
    rollout = Rollout(plan_of((3, 2), policy(concurrency=3)))
    broken = {"w1h0": Event(), "w1h1": Event()}

    def touching(name: str, *_: object) -> None:
        if name in broken:
            broken[name].set()
            raise ZeroDivisionError(name)
        for event in broken.values():
            held(event)

    rollout.hosts.touching = touching
    with pytest.raises(ZeroDivisionError):
        rollout.run()
    assert {name for name, *_ in rollout.hosts.tickets} == {"w1h0", "w1h1", "w1h2"}
    assert rollout.progress.host("w1h2").standing is Standing.SWITCHED
    rollout.hosts.touching = lambda *_: None
    assert rollout.run() == (Done(), ExitCode.DONE)
    assert rollout.upgrades("w1h2") == [NEW]


# ---- told to stop


def stop_at(engine: Engine, kind: type[Fact], host: str = "") -> None:
    """Tell the engine to stop as soon as such a fact is on record."""

    def on_entry(entry: Entry, _progress: Progress) -> None:
        if isinstance(entry.fact, kind) and host in ("", getattr(entry.fact, "host", "")):
            engine.stop.set()

    engine.on_entry = on_entry


def test_told_to_stop_hosts_in_hand_finish_no_other_starts_and_the_next_run_goes_on():
    rollout = Rollout(plan_of((2, 4)))
    engine = rollout.engine()
    stop_at(engine, ledger.Started, "w1h1")
    engine.run()
    assert sorted(name for name, *_ in rollout.hosts.tickets) == ["w1h0", "w1h1"]
    assert {rollout.progress.host(name).standing for name in ("w1h0", "w1h1")} == {Standing.SWITCHED}
    assert not rollout.progress.group(Standing.IN_HAND)
    assert "finished" not in rollout.story()
    assert rollout.run() == (Done(), ExitCode.DONE)
    assert rollout.outcomes() == {Outcome.SUCCEEDED}
    assert all(rollout.upgrades(host.name) == [NEW] for host in rollout.plan.hosts)


def test_told_to_stop_between_two_starts_the_second_host_does_not_start():
    rollout = Rollout(plan_of((4,), policy(concurrency=4)))
    engine = rollout.engine()
    stop_at(engine, ledger.Started, "w1h0")
    engine.run()
    assert [name for name, *_ in rollout.hosts.tickets] == ["w1h0"]


def test_told_to_stop_before_anything_began_nothing_is_touched():
    rollout = Rollout(plan_of((4,)))
    engine = rollout.engine()
    engine.stop.set()
    engine.run()
    assert (rollout.hosts.tickets, rollout.story()) == ([], ["opened"])


def test_told_to_stop_a_host_in_hand_that_is_found_ailing_goes_back():
    """No host is left on a release that was not verified, not even by an operator in a hurry."""
    rollout = Rollout(plan_of((3,), policy(concurrency=1)))
    rollout.hosts.looking = lambda name: setattr(rollout.world[name], "healthy", rollout.world[name].version != NEW)
    engine = rollout.engine()
    stop_at(engine, ledger.Started)
    engine.run()
    assert [(name, action) for name, action, *_ in rollout.hosts.tickets] == [
        ("w1h0", Action.UPGRADE),
        ("w1h0", Action.ROLL_BACK),
    ]
    assert (rollout.world["w1h0"].version, rollout.outcome("w1h0")) == (OLD, Outcome.ROLLED_BACK)


def test_told_to_stop_while_hosts_are_recalled_those_not_begun_wait_for_the_next_run():
    rollout = Rollout(plan_of((3,), policy(concurrency=1)))
    rollout.run()
    engine = rollout.engine()
    engine.record(ledger.Aborted(reason="a bug", by="ann"))
    for host in rollout.plan.hosts:
        engine.record(ledger.Recalled(host=host.name, reason="a bug"))
    stop_at(engine, ledger.Started)
    engine.run()
    assert sorted(host.version for host in rollout.world.values()) == [OLD, NEW, NEW]
    last, code = rollout.run()
    assert (type(last), code) == (Halt, ExitCode.STOPPED)
    assert {host.version for host in rollout.world.values()} == {OLD}
    assert rollout.outcomes() == {Outcome.ROLLED_BACK}


def test_told_to_stop_in_the_bake_nothing_has_succeeded_and_the_next_run_bakes_from_the_start():
    rollout = Rollout(plan_of((1,)))
    engine = rollout.engine()
    stop_at(engine, ledger.Baking)
    engine.run()
    assert rollout.outcome("w1h0") is None
    assert rollout.run() == (Done(), ExitCode.DONE)
    bakes = [line.at for line in rollout.record.lines if isinstance(line.fact, ledger.Baking)]
    ends = [line.at for line in rollout.record.lines if isinstance(line.fact, ledger.Ended)]
    assert (len(bakes), len(ends)) == (2, 1)
    assert ends[0] >= bakes[1] + rollout.plan.policy.bake


# ---- paths of several hops


def long_plan(**changes: object) -> Plan:
    return plan_of((1,), policy(**changes), (OLD, MIDDLE, NEW))


def test_a_host_goes_up_its_path_hop_by_hop_within_one_attempt():
    rollout = Rollout(long_plan())
    assert rollout.run() == (Done(), ExitCode.DONE)
    assert rollout.upgrades("w1h0") == [MIDDLE, NEW]
    assert {ticket.attempt for *_, ticket in rollout.hosts.tickets} == {1}
    assert [fact.version for fact in rollout.record.facts(ledger.Switched)] == [NEW]


@pytest.mark.parametrize(
    ("drops", "tried"),
    [
        (["before"], [MIDDLE, MIDDLE, NEW]),
        (["after"], [MIDDLE, NEW]),
        (["", "before"], [MIDDLE, NEW, NEW]),
        (["", "after"], [MIDDLE, NEW]),
    ],
)
def test_a_link_lost_on_the_way_is_taken_up_where_the_host_stands(drops, tried):
    rollout = Rollout(long_plan(), w1h0=MemoryHost(OLD, drops=drops))
    assert rollout.run() == (Done(), ExitCode.DONE)
    assert rollout.upgrades("w1h0") == tried
    assert rollout.outcome("w1h0") is Outcome.SUCCEEDED


def test_a_controller_that_died_in_the_middle_of_a_path_is_taken_up_there():
    rollout = Rollout(long_plan(), w1h0=MemoryHost(MIDDLE))
    rollout.record.append(rollout.plan.id, ledger.Opened(session="s0", controller="dead"), START)
    rollout.record.append(rollout.plan.id, started("w1h0", session="s0"), START)
    assert rollout.run() == (Done(), ExitCode.DONE)
    assert rollout.upgrades("w1h0") == [NEW]
    assert [ticket.attempt for *_, ticket in rollout.hosts.tickets] == [2]


def test_a_host_that_goes_back_from_a_later_hop_was_attempted_and_stands_on_the_hop_before():
    rollout = Rollout(long_plan(), w1h0=MemoryHost(OLD, breaks=frozenset({NEW})))
    last, code = rollout.run()
    assert (type(last), code) == (Halt, ExitCode.STOPPED)
    assert (rollout.outcome("w1h0"), rollout.world["w1h0"].version) == (Outcome.ROLLED_BACK, MIDDLE)


@pytest.mark.parametrize("drops", [[], ["after"]], ids=["in one attempt", "taken up after a lost link"])
def test_a_host_that_refuses_a_later_hop_was_attempted_and_needs_a_person(drops):
    rollout = Rollout(long_plan(), w1h0=MemoryHost(OLD, drops=drops))
    refused = HostAnswer(HostResult.REFUSED, None, "not enough space", installed=MIDDLE)
    as_it_is = rollout.hosts.upgrade

    def upgrade(host: Host, there: str, release: Release, ticket: Ticket) -> HostAnswer:
        return refused if release.version == NEW else as_it_is(host, there, release, ticket)

    rollout.hosts.upgrade = upgrade
    last, code = rollout.run()
    assert (type(last), code) == (Halt, ExitCode.NEEDS_A_PERSON)
    assert rollout.outcome("w1h0") is Outcome.FAILED


def test_a_host_unreachable_after_its_first_hop_is_not_untouched():
    rollout = Rollout(long_plan(reconcile_within=timedelta(seconds=3)))

    def touching(name: str, _action: Action, version: str, _ticket: Ticket) -> None:
        rollout.world[name].down = version == NEW

    rollout.hosts.touching = touching
    last, code = rollout.run()
    assert (type(last), code) == (Halt, ExitCode.NEEDS_A_PERSON)
    assert rollout.outcome("w1h0") is Outcome.UNREACHABLE


def on_its_way(rollout: Rollout) -> None:
    """A controller took the host to its first hop and died; nobody has looked since."""
    rollout.world["w1h0"].version = MIDDLE
    rollout.record.append(rollout.plan.id, ledger.Opened(session="s0", controller="dead"), START)
    rollout.record.append(rollout.plan.id, started("w1h0", session="s0"), START)


def test_a_host_found_on_its_way_when_the_rollout_is_over_goes_all_the_way_back():
    plan = plan_of((2,), policy(), (OLD, MIDDLE, NEW))
    rollout = Rollout(plan)
    on_its_way(rollout)
    ended = ledger.Ended(host="w1h1", attempt=1, outcome=Outcome.FAILED, version=None, cause="health: HTTP 500")
    rollout.record.append(plan.id, started("w1h1", session="s0"), START)
    rollout.record.append(plan.id, ended, START)
    last, _ = rollout.run()
    assert isinstance(last, Halt)
    assert (rollout.outcome("w1h0"), rollout.world["w1h0"].version) == (Outcome.ROLLED_BACK, OLD)
    ends = [fact for fact in rollout.record.facts(ledger.Ended) if fact.host == "w1h0"]
    assert [end.version for end in ends] == [OLD]


def test_a_host_that_was_interrupted_on_its_way_is_known_to_stand_there_and_can_be_brought_back():
    rollout = Rollout(long_plan())
    on_its_way(rollout)
    left = ledger.Voided(host="w1h0", attempt=1, cause="interrupted before gate jobs passed", version=MIDDLE)
    rollout.record.append(rollout.plan.id, left, START)
    engine = rollout.engine()
    assert engine.progress.host("w1h0").on_the_way == MIDDLE
    engine.record(
        ledger.Aborted(reason="a bug", by="ann"),
        ledger.Recalled(host="w1h0", reason="a bug"),
    )
    assert isinstance(engine.run(), Halt)
    assert (rollout.outcome("w1h0"), rollout.world["w1h0"].version) == (Outcome.ROLLED_BACK, OLD)
    begun = [fact for fact in rollout.record.facts(ledger.Started) if fact.action is Action.ROLL_BACK]
    assert [(fact.from_version, fact.to_version) for fact in begun] == [(MIDDLE, OLD)]


def test_a_host_that_went_back_to_a_hop_can_be_brought_back_all_the_way():
    rollout = Rollout(long_plan(), w1h0=MemoryHost(OLD, breaks=frozenset({NEW})))
    rollout.run()
    engine = rollout.engine()
    assert engine.progress.host("w1h0").on_the_way == MIDDLE
    engine.record(ledger.Aborted(reason="a bug", by="ann"), ledger.Recalled(host="w1h0", reason="a bug"))
    engine.run()
    assert (rollout.outcome("w1h0"), rollout.world["w1h0"].version) == (Outcome.ROLLED_BACK, OLD)


# ---- lost hosts


def test_who_only_looks_finds_out_what_became_of_a_lost_host_and_begins_nothing():
    rollout = Rollout(plan_of((2,)), w1h0=MemoryHost(NEW))
    rollout.record.append(rollout.plan.id, ledger.Opened(session="s0", controller="dead"), START)
    rollout.record.append(rollout.plan.id, started("w1h0", session="s0"), START)
    engine = rollout.engine()
    engine.look()
    assert engine.progress.host("w1h0").standing is Standing.SWITCHED
    assert rollout.hosts.tickets == []
    assert rollout.world["w1h1"].version == OLD


def test_a_host_busy_with_a_phase_is_looked_at_until_it_is_done():
    rollout, looks = Rollout(plan_of((1,)), w1h0=MemoryHost(OLD, drops=["after"])), []
    as_it_is = rollout.hosts.probe

    def probe(host: Host) -> Observation:
        looks.append(host.name)
        return replace(as_it_is(host), busy=len(looks) < 4)

    rollout.hosts.probe = probe
    assert rollout.run() == (Done(), ExitCode.DONE)
    assert rollout.upgrades("w1h0") == [NEW]
    assert len(looks) > 4


def test_a_host_on_which_a_phase_still_works_is_waited_for_longer_than_one_that_does_not_answer():
    brief = policy(reconcile_within=timedelta(seconds=3))
    rollout = Rollout(plan_of((2,), brief), w1h0=MemoryHost(OLD, drops=["after"]))
    as_it_is, done = rollout.hosts.probe, START + timedelta(minutes=20)

    def probe(host: Host) -> Observation:
        return replace(as_it_is(host), busy=host.name == "w1h0" and rollout.clock.now() < done)

    rollout.hosts.probe = probe
    assert rollout.run() == (Done(), ExitCode.DONE)
    assert rollout.clock.now() >= done


def test_a_host_whose_phase_never_ends_is_given_up_when_no_phase_may_take_longer():
    rollout = Rollout(plan_of((1,)), w1h0=MemoryHost(OLD, drops=["after"]))
    as_it_is = rollout.hosts.probe
    rollout.hosts.probe = lambda host: replace(as_it_is(host), busy=True)
    last, code = rollout.run()
    assert (type(last), code) == (Halt, ExitCode.NEEDS_A_PERSON)
    assert rollout.outcome("w1h0") is Outcome.UNREACHABLE
    limit = rollout.engine().phase_limit
    assert limit <= rollout.clock.now() - START <= limit + timedelta(minutes=2)


def test_a_host_lost_in_the_bake_and_seen_again_succeeds_and_one_that_stays_away_does_not():
    rollout = Rollout(plan_of((2,), policy(max_failures=9, reconcile_within=timedelta(seconds=3))))
    away: set[str] = set()

    def looking(name: str) -> None:
        in_the_bake = any(isinstance(line.fact, ledger.Baking) for line in rollout.record.lines)
        if in_the_bake and name not in away:
            away.add(name)
            rollout.world[name].down = name == "w1h1"
            raise LinkLostError("connection lost")

    rollout.hosts.looking = looking
    last, code = rollout.run()
    assert (type(last), code) == (Done, ExitCode.NEEDS_A_PERSON)
    assert (rollout.outcome("w1h0"), rollout.outcome("w1h1")) == (Outcome.SUCCEEDED, Outcome.UNREACHABLE)
    assert rollout.upgrades("w1h0") == rollout.upgrades("w1h1") == [NEW]
    rollout.world["w1h1"].down = False
    assert rollout.run() == (Done(), ExitCode.DONE)
    assert rollout.outcome("w1h1") is Outcome.SUCCEEDED, "the next run looks again, and watches it to its end"
    assert rollout.upgrades("w1h1") == [NEW]


@pytest.mark.parametrize("link_lost", [False, True])
def test_a_host_that_somebody_took_back_during_the_bake_ends_rolled_back_lost_link_or_not(link_lost):
    rollout, seen = Rollout(plan_of((1,))), Event()

    def looking(name: str) -> None:
        in_the_bake = any(isinstance(line.fact, ledger.Baking) for line in rollout.record.lines)
        if in_the_bake and not seen.is_set():
            seen.set()
            rollout.world[name].version = OLD
            if link_lost:
                raise LinkLostError("connection lost")

    rollout.hosts.looking = looking
    last, code = rollout.run()
    assert (type(last), code) == (Halt, ExitCode.STOPPED)
    assert (rollout.outcome("w1h0"), rollout.world["w1h0"].version) == (Outcome.ROLLED_BACK, OLD)
    assert rollout.upgrades("w1h0") == [NEW]


def test_one_slow_answer_in_the_bake_is_not_yet_an_ailing_host():
    rollout, hiccups = Rollout(plan_of((1,))), []
    as_it_is = rollout.hosts.probe

    def probe(host: Host) -> Observation:
        seen = as_it_is(host)
        if not hiccups and any(isinstance(line.fact, ledger.Baking) for line in rollout.record.lines):
            hiccups.append(host.name)
            return replace(seen, running=None, healthy=False, cause="health: no answer")
        return seen

    rollout.hosts.probe = probe
    assert rollout.run() == (Done(), ExitCode.DONE)
    assert hiccups == ["w1h0"]
    assert rollout.record.facts(ledger.Ailing) == []


def test_a_host_that_was_never_reached_is_not_attempted_and_the_next_run_tries_it():
    rollout = Rollout(plan_of((2,)), w1h0=MemoryHost(OLD, down=True))
    assert rollout.run() == (Done(), ExitCode.NEEDS_A_PERSON)
    assert (rollout.outcome("w1h0"), rollout.outcome("w1h1")) == (Outcome.UNREACHABLE_BEFORE, Outcome.SUCCEEDED)
    rollout.world["w1h0"].down = False
    assert rollout.run() == (Done(), ExitCode.DONE)
    assert rollout.upgrades("w1h1") == [NEW]


def test_a_rollback_whose_link_breaks_is_looked_at_and_done_again():
    rollout, broken = Rollout(plan_of((1,)), w1h0=MemoryHost(OLD, sickens=frozenset({NEW}))), []

    def touching(name: str, action: Action, *_: object) -> None:
        if action is Action.ROLL_BACK and not broken:
            broken.append(name)
            raise UnreachableError("connection refused")

    rollout.hosts.touching = touching
    last, code = rollout.run()
    assert (type(last), code) == (Halt, ExitCode.STOPPED)
    assert (rollout.world["w1h0"].version, rollout.outcome("w1h0")) == (OLD, Outcome.ROLLED_BACK)


# ---- windows


def test_an_impatient_run_returns_when_the_next_window_opens_and_a_patient_one_waits_for_it():
    opens = [START + timedelta(hours=hours) for hours in (3, 1)]
    plan = plan_of((2,), policy())
    windows = [Window(start, start + timedelta(hours=1)) for start in opens]
    hosts = tuple(replace(host, window=window) for host, window in zip(plan.hosts, windows, strict=True))
    rollout = Rollout(replace(plan, hosts=hosts))
    last, code = rollout.run()
    assert isinstance(last, Pause)
    assert (last.until, code) == (opens[1], ExitCode.REFUSED)
    assert (rollout.hosts.tickets, rollout.clock.now()) == ([], START)
    patient = rollout.engine()
    patient.patient = True
    assert patient.run() == Done()
    assert rollout.outcomes() == {Outcome.SUCCEEDED}
    begun = {line.fact.host: line.at for line in rollout.record.lines if isinstance(line.fact, ledger.Started)}
    for host in hosts:
        assert host.window.start <= begun[host.name] < host.window.end


def test_a_patient_run_that_is_told_to_stop_waits_no_longer():
    plan = plan_of((1,), policy())
    later = Window(START + timedelta(hours=1), START + timedelta(hours=2))
    rollout = Rollout(replace(plan, hosts=(replace(plan.hosts[0], window=later),)))
    engine = rollout.engine()
    engine.patient = True
    as_it_is = rollout.clock.sleep

    def sleep(seconds: float) -> None:
        engine.stop.set()  # the operator interrupts, and the clock returns early
        as_it_is(min(seconds, 60))

    rollout.clock.sleep = sleep
    assert isinstance(engine.run(), Pause)
    assert rollout.hosts.tickets == []


# ---- what goes back when a rollout halts


@pytest.mark.parametrize(
    ("scope", "upgraded"),
    [(RollbackScope.HOST, {"w1h0", "w2h1"}), (RollbackScope.WAVE, {"w1h0"}), (RollbackScope.ALL, set())],
)
def test_a_halted_rollout_leaves_every_host_on_a_known_good_release(scope, upgraded):
    plan = plan_of((1, 2, 2), policy(rollback=scope))
    rollout = Rollout(plan, w2h0=MemoryHost(OLD, breaks=frozenset({NEW})))
    last, code = rollout.run()
    assert (type(last), code) == (Halt, ExitCode.STOPPED)
    assert {name for name, host in rollout.world.items() if host.version == NEW} == upgraded
    assert all(host.healthy for host in rollout.world.values())
    assert rollout.upgrades("w3h0") == []
    assert rollout.run()[1] is ExitCode.STOPPED, "running again starts nothing"
    assert rollout.upgrades("w3h0") == []


def test_without_bake_and_gates_the_look_that_confirmed_is_the_one_at_the_end() -> None:
    rollout = Rollout(plan_of((1,), policy(bake=timedelta(0))))
    looked: list[str] = []
    rollout.hosts.looking = looked.append
    assert rollout.run()[0] == Done()
    assert rollout.outcome("w1h0") is Outcome.SUCCEEDED
    assert looked == ["w1h0"]


def test_a_controller_that_takes_over_before_the_end_looks_for_itself() -> None:
    rollout = Rollout(plan_of((1,), policy(bake=timedelta(0))))
    looked: list[str] = []
    rollout.hosts.looking = looked.append

    def dies(fact: Fact) -> None:
        if isinstance(fact, ledger.Ended):
            raise LedgerError("the disk is full")

    rollout.record.before = dies
    with pytest.raises(LedgerError):
        rollout.run()
    rollout.record.before = lambda _fact: None
    rollout.run()
    assert rollout.outcome("w1h0") is Outcome.SUCCEEDED
    assert looked == ["w1h0", "w1h0"]
