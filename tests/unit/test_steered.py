"""A rollout that others steer while it runs: paused, resumed, ended; and one that pauses itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from liftlock import ledger
from liftlock.engine import Engine
from liftlock.errors import ExitCode, LinkLostError
from liftlock.ledger import Fact
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
)
from liftlock.progress import Progress, Standing
from liftlock.rollout import Done, Halt, Pause, Step, exit_code, next_step
from world import (
    START,
    MemoryClock,
    MemoryHost,
    MemoryLedger,
    MemoryTransport,
    all_pass,
    ended,
    fleet_of,
    fold,
    opened,
    plan_of,
    release,
    started,
    switched,
    told_and_gated,
)

OLD, NEW = "1.4.0", "1.5.0"
PAUSED = ledger.Paused(reason="a storm", by="ann")
RESUMED = ledger.Resumed(by="ann")
ABORTED = ledger.Aborted(reason="the wrong release", by="ann")
WORDS = "paused by ann since 2026-11-21 22:00 UTC: a storm"


def policy(**changes: object) -> Policy:
    usual = {"bake": timedelta(minutes=3), "notice_lead": dict.fromkeys(ReleaseKind, timedelta(0)), "concurrency": 1}
    return Policy(**{**usual, "gates_after": False, "max_failures": 9, **changes})


class Rollout:
    """A rollout, its record, and what others write in it: `others` is asked before each of our entries."""

    def __init__(self, plan: Plan, **hosts: MemoryHost) -> None:
        self.plan, self.clock, self.record = plan, MemoryClock(), MemoryLedger()
        self.world = {host.name: hosts.get(host.name, MemoryHost()) for host in plan.hosts}
        self.hosts = MemoryTransport(self.world, self.clock)
        self.sessions, self.said = 0, list[str]()
        told_and_gated(self.record, plan)

    def write(self, *facts: Fact) -> None:
        for fact in facts:
            self.record.append(self.plan.id, fact, self.clock.now())

    def once(self, has_happened: Callable[[Progress], bool], *facts: Fact) -> None:
        """As soon as time passes in such a state, somebody writes these facts."""
        as_it_is, left = self.clock.sleep, list(facts)

        def sleep(seconds: float) -> None:
            as_it_is(seconds)
            if left and has_happened(self.progress):
                self.write(left.pop(0))

        self.clock.sleep = sleep

    def run(self, *, patient: bool = False) -> tuple[Step, ExitCode]:
        self.sessions += 1
        engine = Engine(
            plan=self.plan,
            releases={self.plan.product: {NEW: release(NEW)}},
            hosts={host.name: host for host in fleet_of(self.plan).hosts},
            transports={self.plan.product: self.hosts},
            store=self.record,
            clock=self.clock,
            session=f"s{self.sessions}",
            controller="test",
            judge=all_pass,
            patient=patient,
            on_pause=self.said.append,
        )
        last = engine.run()
        assert engine.progress == self.progress, "every entry was folded once, whoever wrote it"
        return last, exit_code(self.plan, engine.progress, last)

    @property
    def progress(self) -> Progress:
        return Progress.of(self.plan).with_entries(self.record.entries(self.plan.id))

    def upgraded(self) -> list[str]:
        return [name for what, name in self.hosts.calls if what == "upgrade"]


# ---- the rules


def test_while_it_is_paused_hosts_in_hand_finish_and_ailing_ones_go_back_and_nothing_else_starts():
    plan = plan_of((2, 2), policy())
    in_hand = fold(plan, opened(), started("w1h0"), PAUSED)
    assert type(next_step(plan, in_hand, START)).__name__ == "Wait"
    through = fold(plan, switched("w1h0"), onto=in_hand)
    assert next_step(plan, through, START) == Pause(None, WORDS)
    ailing = fold(plan, ledger.Ailing(host="w1h0", cause="health"), onto=through)
    assert type(next_step(plan, ailing, START)).__name__ == "RollBack"
    assert next_step(plan, fold(plan, ABORTED, onto=through), START) != Pause(None, WORDS)


def test_an_operators_pause_holds_back_the_policys_rollbacks_and_our_own_pause_does_not():
    plan = plan_of((2,), policy(max_failures=0))
    failed = fold(plan, opened(), started("w1h0"), ended("w1h0", Outcome.ROLLED_BACK, cause="health: HTTP 500"))
    assert next_step(plan, fold(plan, PAUSED, onto=failed), START) == Pause(None, WORDS)
    ours = ledger.Paused(reason="w1h0: health: not steady", by="liftlock")
    assert isinstance(next_step(plan, fold(plan, ours, onto=failed), START), Halt)


def test_a_rollout_whose_hosts_are_all_through_is_done_paused_or_not():
    plan = plan_of((1,), policy())
    through = fold(plan, opened(), started("w1h0"), switched("w1h0"), ended("w1h0", Outcome.SUCCEEDED), PAUSED)
    assert next_step(plan, through, START) == Done()


# ---- the engine


def test_a_rollout_of_a_paused_plan_says_who_paused_it_and_touches_nothing():
    rollout = Rollout(plan_of((2,), policy()))
    rollout.write(PAUSED)
    assert rollout.run() == (Pause(None, WORDS), ExitCode.REFUSED)
    assert rollout.hosts.calls == []
    rollout.write(RESUMED)
    assert rollout.run() == (Done(), ExitCode.DONE)


@pytest.mark.parametrize("appends", range(2, 12))
def test_a_pause_at_any_moment_lets_nothing_begin_after_it(appends):
    rollout = Rollout(plan_of((3,), policy()))
    rollout.record.when(appends, lambda: rollout.write(PAUSED))
    last, code = rollout.run()
    place = next(n for n, line in enumerate(rollout.record.lines) if line.fact == PAUSED)
    late = [line.fact for line in rollout.record.lines[place:] if isinstance(line.fact, ledger.Started)]
    voided = [line.fact for line in rollout.record.lines[place:] if isinstance(line.fact, ledger.Voided)]
    assert [fact.host for fact in late] == [fact.host for fact in voided]
    assert not {fact.host for fact in late} & set(rollout.upgraded())
    if isinstance(last, Pause):
        assert code is ExitCode.REFUSED
        rollout.write(RESUMED)
        last, code = rollout.run()
    assert (last, code) == (Done(), ExitCode.DONE)
    assert sorted(rollout.upgraded()) == ["w1h0", "w1h1", "w1h2"], "nobody was upgraded twice"


def test_a_patient_rollout_waits_while_it_is_paused_and_goes_on_by_itself():
    rollout = Rollout(plan_of((1, 2), policy()))
    rollout.once(lambda progress: bool(progress.baking or progress.paused), PAUSED, RESUMED)
    assert rollout.run(patient=True) == (Done(), ExitCode.DONE)
    assert [said for said in rollout.said if "paused by ann" in said] != []
    assert len(rollout.record.facts(ledger.Baking)) == 3, "the bake that was cut short begins anew"
    resumed = next(line.at for line in rollout.record.lines if line.fact == RESUMED)
    first = next(line.at for line in rollout.record.lines if isinstance(line.fact, ledger.Ended))
    assert first >= resumed + rollout.plan.policy.bake


def test_a_rollout_that_another_terminal_ends_in_the_bake_starts_no_other_wave():
    rollout = Rollout(plan_of((1, 2), policy()))
    rollout.once(lambda progress: progress.baking is not None, ABORTED)
    last, code = rollout.run(patient=True)
    assert (last, code) == (Halt("aborted: the wrong release"), ExitCode.STOPPED)
    assert rollout.upgraded() == ["w1h0"]
    assert rollout.progress.host("w1h0").outcome is Outcome.SUCCEEDED, "hosts in the bake are watched to its end"


def test_a_rollout_that_is_ended_while_its_last_host_bakes_has_done_all_the_same():
    rollout = Rollout(plan_of((1,), policy()))
    rollout.once(lambda progress: progress.baking is not None, ABORTED)
    last, code = rollout.run(patient=True)
    assert (last, code) == (Halt("aborted: the wrong release"), ExitCode.DONE), "as the next run of it says, too"


def test_a_patient_rollout_that_waits_for_its_window_ends_when_it_is_ended():
    plan = plan_of((1,), policy())
    later = replace(plan.hosts[0].window, start=START + timedelta(hours=3))
    rollout = Rollout(replace(plan, hosts=(replace(plan.hosts[0], window=later),)))
    rollout.once(lambda _progress: True, ABORTED)
    last, _ = rollout.run(patient=True)
    assert isinstance(last, Halt)
    assert rollout.clock.now() < START + timedelta(minutes=1), "it was read within seconds"
    assert len(rollout.said) == 1, "and what it waited for was said once"


# ---- it pauses itself


def answers(rollout: Rollout, name: str, pattern: str) -> None:
    """In the bake the host answers by this pattern: `+` well, `-` badly; then well for ever."""
    as_it_is, left = rollout.hosts.probe, list(pattern)

    def probe(host: Host) -> Observation:
        seen = as_it_is(host)
        if host.name == name and rollout.progress.baking and left and left.pop(0) == "-":
            return replace(seen, running=None, healthy=False, cause="health: no answer")
        return seen

    rollout.hosts.probe = probe


def test_a_host_that_answers_well_and_badly_by_turns_is_neither_rolled_back_nor_a_success():
    rollout = Rollout(plan_of((2, 1), policy()))
    answers(rollout, "w1h1", "-+-+")
    last, code = rollout.run()
    assert isinstance(last, Pause)
    assert "w1h1 answers well and badly by turns (health: no answer)" in last.reason
    assert code is ExitCode.REFUSED
    assert rollout.progress.host("w1h1").standing is Standing.SWITCHED
    assert ("roll_back", "w1h1") not in rollout.hosts.calls
    rollout.write(RESUMED)
    assert rollout.run() == (Done(), ExitCode.DONE)


def test_a_host_is_no_success_on_a_look_that_needed_a_second_one():
    rollout = Rollout(plan_of((1,), policy(bake=timedelta(seconds=1))))
    answers(rollout, "w1h0", "-+-+")
    last, _ = rollout.run()
    assert isinstance(last, Pause)
    assert rollout.progress.host("w1h0").outcome is None


def test_a_host_that_answered_badly_twice_in_a_row_goes_back_at_once():
    rollout = Rollout(plan_of((1,), policy()))
    answers(rollout, "w1h0", "--")
    rollout.run()
    assert rollout.progress.host("w1h0").outcome is Outcome.ROLLED_BACK


@pytest.mark.parametrize(("allowed", "end"), [(9, Pause), (0, Halt)])
def test_after_a_host_that_was_not_steady_a_person_decides_unless_a_rule_has_already(allowed, end):
    rollout = Rollout(plan_of((2,), policy(max_failures=allowed)), w1h0=MemoryHost(breaks=frozenset({NEW})))
    as_it_is = rollout.hosts.upgrade
    unsteady = HostAnswer(HostResult.ROLLED_BACK, OLD, "health: not steady")
    rollout.hosts.upgrade = lambda host, *rest: unsteady if host.name == "w1h0" else as_it_is(host, *rest)
    last, _ = rollout.run()
    assert isinstance(last, end)
    assert rollout.upgraded() == []
    if end is Pause:
        assert "w1h0: health: not steady" in last.reason
        rollout.write(RESUMED)
        assert rollout.run()[0] == Done()
        assert rollout.upgraded() == ["w1h1"]


# ---- the drill


def test_the_first_host_goes_up_back_and_up_again_before_any_other_moves():
    rollout = Rollout(plan_of((2, 1), policy(drill=True, concurrency=3)))
    assert rollout.run() == (Done(), ExitCode.DONE)
    moves = [call for call in rollout.hosts.calls if call[0] in {"upgrade", "roll_back"}]
    assert moves[:3] == [("upgrade", "w1h0"), ("roll_back", "w1h0"), ("upgrade", "w1h0")]
    assert sorted(moves[3:]) == [("upgrade", "w1h1"), ("upgrade", "w2h0")]
    assert {part.outcome for part in rollout.progress.hosts.values()} == {Outcome.SUCCEEDED}


@pytest.mark.parametrize("allowed", [0, 9])
def test_a_drill_that_does_not_come_back_stops_the_rollout(allowed):
    rollout = Rollout(plan_of((2,), policy(drill=True, max_failures=allowed)), w1h0=MemoryHost(stuck=True))
    last, code = rollout.run()
    assert (last, code) == (Halt("drill: w1h0 did not come back: health: no answer"), ExitCode.NEEDS_A_PERSON)
    assert rollout.upgraded() == ["w1h0"]


def test_a_drill_that_does_not_come_up_again_stops_the_rollout():
    rollout = Rollout(plan_of((2,), policy(drill=True)))
    as_it_is = rollout.hosts.roll_back

    def roll_back(host: Host, version: str, ticket: Ticket) -> HostAnswer:
        rollout.world[host.name].breaks = frozenset({NEW})
        return as_it_is(host, version, ticket)

    rollout.hosts.roll_back = roll_back
    last, code = rollout.run()
    assert last == Halt("drill: w1h0 did not come up again: health: HTTP 500")
    assert code is ExitCode.STOPPED
    assert rollout.upgraded() == ["w1h0", "w1h0"]


def test_a_host_that_could_not_go_up_hands_the_drill_over_to_the_next():
    rollout = Rollout(plan_of((3,), policy(drill=True)), w1h0=MemoryHost(breaks=frozenset({NEW})))
    assert isinstance(rollout.run()[0], Done)
    assert rollout.progress.drill.host == "w1h1"
    assert rollout.upgraded() == ["w1h0", "w1h1", "w1h1", "w1h2"]


def test_a_drill_cut_short_by_a_lost_link_goes_on_where_the_host_stands():
    rollout = Rollout(plan_of((2,), policy(drill=True)))
    rollout.write(opened("s0"), started("w1h0", session="s0"), switched("w1h0"))
    rollout.write(started("w1h0", 2, Action.ROLL_BACK, session="s0"))
    rollout.world["w1h0"].version = OLD  # it went back, and nobody heard of it
    assert rollout.run() == (Done(), ExitCode.DONE)
    assert [fact.attempt for fact in rollout.record.facts(ledger.Drilled)] == [2]
    assert rollout.upgraded() == ["w1h0", "w1h1"]


# ---- stop rules


def failed(*hosts: str, cause: str) -> list[Fact]:
    return [fact for name in hosts for fact in (started(name), ended(name, Outcome.ROLLED_BACK, cause=cause))]


def test_so_many_failures_of_one_cause_stop_it_and_of_several_do_not():
    plan = plan_of((9,), policy(max_per_cause=1, target_percent=50))
    one = [*failed("w1h0", cause="health: HTTP 500"), *failed("w1h1", cause="health: HTTP 503")]
    stopped = next_step(plan, fold(plan, opened(), *one), START)
    assert stopped == Halt("limit: 2 hosts failed of one cause (health: HTTP *), the policy allows 1")
    several = [*failed("w1h0", cause="health: HTTP 500"), *failed("w1h1", cause="unpack failed")]
    assert not isinstance(next_step(plan, fold(plan, opened(), *several), START), Halt)


def test_hosts_worked_on_too_long_without_one_becoming_healthy_stop_it():
    plan = plan_of((3,), policy(progress_within=timedelta(minutes=30), target_percent=50))
    begun = fold(plan, opened(), started("w1h0"))
    after = {minutes: START + timedelta(minutes=minutes) for minutes in (20, 29, 30, 49, 50, 300)}
    stuck = fold(plan, ended("w1h0", Outcome.ROLLED_BACK), started("w1h1"), onto=begun, at=after[20])
    assert next_step(plan, stuck, after[29]) != Halt("")
    over = fold(plan, ended("w1h1", Outcome.ROLLED_BACK), onto=stuck, at=after[30])
    stopped = next_step(plan, over, after[300])
    assert stopped == Halt("progress: hosts were worked on for 30 min, and none became healthy")
    healthy = fold(plan, switched("w1h1"), started("w1h2"), onto=stuck, at=after[20])
    assert not isinstance(next_step(plan, healthy, after[49]), Halt)
    taken_up = fold(plan, opened("s2"), onto=over, at=after[300])
    assert not isinstance(next_step(plan, taken_up, after[300]), Halt), "who takes it up begins the time anew"


def test_waiting_for_a_bake_or_a_person_is_no_standstill():
    plan = plan_of((2,), policy(progress_within=timedelta(minutes=30)))
    idle = fold(plan, opened(), started("w1h0"), ended("w1h0", Outcome.ROLLED_BACK, cause="x"), PAUSED)
    resumed = fold(plan, RESUMED, onto=idle, at=START + timedelta(hours=9))
    assert not isinstance(next_step(plan, resumed, START + timedelta(hours=9)), Halt)


def test_a_rollout_that_brought_hosts_back_does_not_go_on_with_who_comes_later():
    rollout = Rollout(plan_of((1, 2), policy(rollback=RollbackScope.ALL, max_failures=0)))
    away = rollout.world["w2h0"]
    upgrade = rollout.hosts.upgrade

    def goes_away(host: Host, from_version: str, release: Release, ticket: Ticket) -> HostAnswer:
        if host.name == "w2h0":
            away.down = True
            raise LinkLostError("connection lost")
        return upgrade(host, from_version, release, ticket)

    rollout.hosts.upgrade = goes_away
    assert isinstance(rollout.run()[0], Halt)
    assert rollout.world["w1h0"].version == OLD, "brought back by the policy"
    away.down, rollout.hosts.upgrade = False, upgrade
    last, _ = rollout.run()
    assert isinstance(last, Halt)
    assert rollout.progress.host("w2h0").outcome is Outcome.ROLLED_BACK
    assert {host.version for host in rollout.world.values()} == {OLD}
