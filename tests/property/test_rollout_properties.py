"""Random worlds, random crashes: the record alone must be enough to finish the work the same way."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liftlock import ledger
from liftlock.engine import Engine
from liftlock.errors import LockedError
from liftlock.ledger import Fact, verify_chain
from liftlock.model import Outcome, Plan, Policy, Prior, ReleaseKind, RollbackScope, Verdict
from liftlock.progress import Progress, Standing
from liftlock.rollout import Done, Halt, Pause, Step
from liftlock.stops import stop_reason
from liftlock.waves import in_waves, next_wave
from world import (
    CrashError,
    MemoryClock,
    MemoryHost,
    MemoryLedger,
    MemoryTransport,
    all_pass,
    fleet_of,
    judged,
    plan_of,
    release,
    told_and_gated,
)

TARGET = "1.5.0"

host_worlds = st.builds(
    dict,
    breaks=st.sampled_from([frozenset(), frozenset(), frozenset(), frozenset({TARGET})]),
    sickens=st.sampled_from([frozenset(), frozenset(), frozenset(), frozenset({TARGET})]),
    stuck=st.sampled_from([False, False, False, True]),
    down=st.sampled_from([False, False, False, False, True]),
    drops=st.lists(st.sampled_from(["before", "after"]), max_size=2),
)


@st.composite
def worlds(
    draw: st.DrawFn, concurrency: int | None = None, per_cause: int | None = None
) -> tuple[Plan, dict[str, dict[str, object]]]:
    policy = Policy(
        bake=timedelta(minutes=draw(st.integers(0, 3))),
        concurrency=concurrency or draw(st.integers(1, 4)),
        rollback=draw(st.sampled_from(RollbackScope)),
        max_failures=draw(st.sampled_from([None, None, 1, 3])),
        reconcile_within=timedelta(seconds=5),
        notice_lead=dict.fromkeys(ReleaseKind, timedelta(0)),
        max_per_cause=per_cause,
        drill=draw(st.booleans()),
    )
    versions = draw(st.sampled_from([("1.4.0", TARGET), ("1.4.0", "1.4.5", TARGET)]))
    plan = plan_of(tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))), policy, versions)
    return plan, {host.name: draw(host_worlds) for host in plan.hosts}


class Run:
    """One world and its record; `go` runs a controller on it until it ends or dies."""

    def __init__(self, plan: Plan, hosts: dict[str, dict[str, object]]) -> None:
        self.plan, self.clock, self.store = plan, MemoryClock(), MemoryLedger()
        worlds = {name: MemoryHost(**{**facts, "drops": list(facts["drops"])}) for name, facts in hosts.items()}
        self.transport = MemoryTransport(worlds, self.clock)
        told_and_gated(self.store, plan)
        self.sessions = 0

    def go(self) -> Step | None:
        self.sessions += 1
        versions = {hop.to_version for host in self.plan.hosts for hop in host.hops}
        engine = Engine(
            plan=self.plan,
            releases={self.plan.product: {version: release(version) for version in versions}},
            hosts={host.name: host for host in fleet_of(self.plan).hosts},
            transports={self.plan.product: self.transport},
            store=self.store,
            clock=self.clock,
            session=f"s{self.sessions}",
            controller="test",
            judge=all_pass,
        )
        try:
            return engine.run()
        except CrashError:
            return None

    def steered(self, *facts: Fact) -> None:
        """What operators write from another terminal."""
        for fact in facts:
            self.store.append(self.plan.id, fact, self.clock.now())

    def progress(self) -> Progress:
        return Progress.of(self.plan).with_entries(self.store.entries())

    def outcomes(self) -> dict[str, Outcome | None]:
        return {name: part.outcome for name, part in self.progress().hosts.items()}

    def versions(self) -> dict[str, str]:
        return {name: host.version for name, host in self.transport.hosts.items()}


def has_ended(run: Run, end: object) -> bool:
    """Whether nothing is left to do; with a wave of which nobody could be attempted, a person has to act first."""
    nobody_went = not any(part.outcome and part.outcome.attempted for part in run.progress().hosts.values())
    return isinstance(end, Done | Halt) or (isinstance(end, Pause) and nobody_went)


relaxed = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@relaxed
@given(worlds())
def test_every_rollout_ends_and_its_record_agrees_with_the_hosts(
    world: tuple[Plan, dict[str, dict[str, object]]],
) -> None:
    run = Run(*world)
    end = run.go()
    verify_chain(run.store.entries())
    progress = run.progress()
    assert has_ended(run, end)
    for standing in (Standing.IN_HAND, Standing.LOST, Standing.AILING, Standing.SWITCHED):
        assert not progress.group(standing), standing
    for name, part in progress.hosts.items():
        host = run.transport.hosts[name]
        if part.outcome is Outcome.SUCCEEDED:
            assert (host.version, host.healthy, host.down) == (TARGET, True, False)
        if part.outcome is Outcome.ROLLED_BACK:
            assert host.version != TARGET
            assert host.healthy
            assert part.seen is not None
            assert part.seen.version == host.version
        if part.outcome is Outcome.UNREACHABLE_BEFORE:
            assert host.down
            assert host.version == "1.4.0"
    untouched = set(run.transport.hosts) - set(progress.hosts)
    assert all(run.transport.hosts[name].version == "1.4.0" for name in untouched)


@relaxed
@given(st.one_of(worlds(), worlds(per_cause=1)))
def test_the_budget_the_limits_and_the_concurrency_are_never_broken(
    world: tuple[Plan, dict[str, dict[str, object]]],
) -> None:
    run = Run(*world)
    run.go()
    policy = run.plan.policy
    assert run.transport.most_at_once <= policy.concurrency
    assert run.transport.doubly_busy == []
    progress, started_over_budget = Progress.of(run.plan), []
    for entry in run.store.entries():
        fact = entry.fact
        if isinstance(fact, ledger.Started) and fact.action == "upgrade":
            failed = [part.cause for part in progress.hosts.values() if part.standing is Standing.FAILED]
            of_one_cause = max(map(failed.count, failed), default=0)
            limit = len(run.plan.hosts) if policy.max_per_cause is None else policy.max_per_cause
            if len(failed) > run.plan.allowed_failures or of_one_cause > limit:
                started_over_budget.append(fact.host)
            earlier = {host.name for host in run.plan.hosts if host.wave < progress.lineup.planned[fact.host].wave}
            assert all(progress.host(name).outcome is not None for name in earlier), "a wave began before its turn"
        progress = progress.with_entry(entry)
    assert started_over_budget == []


@relaxed
@given(worlds())
def test_no_host_succeeds_before_its_bake_is_over(world: tuple[Plan, dict[str, dict[str, object]]]) -> None:
    run = Run(*world)
    run.go()
    switched, bakes = {}, {}
    for entry in run.store.entries():
        match entry.fact:
            case ledger.Switched(host=host):
                switched[host] = entry.at
            case ledger.Baking(wave=wave):
                bakes[wave] = entry.at
            case ledger.Ended(host=host, outcome=Outcome.SUCCEEDED):
                wave = next(planned.wave for planned in run.plan.hosts if planned.name == host)
                assert entry.at >= bakes[wave] + run.plan.policy.bake
                assert host in switched


def calm_and_stormy(
    plan: Plan, hosts: dict[str, dict[str, object]], crashes: list[tuple[int, bool]]
) -> tuple[Run, Run]:
    """The same world twice, the second time with a controller that dies; both must end the same.

    A host that stays down cannot tell whether a dead controller had begun with it: it ends as unreachable
    instead of unreachable_before, and truthfully so. Two dropped links use up a host's attempts, but a drop
    that only the dead controller saw cannot count: one drop a host here. Why a host went back only the dead controller
    knew, too, so nothing here is limited by cause.
    """
    hosts = {name: {**facts, "down": False, "drops": facts["drops"][:1]} for name, facts in hosts.items()}
    calm, stormy = Run(plan, hosts), Run(plan, hosts)
    calm.go()
    for appends_left, after_writing in crashes:
        stormy.store.dies_at = len(stormy.store.lines) + appends_left
        stormy.store.dies_after_writing = after_writing
        if stormy.go() is not None:
            break
    stormy.store.dies_at = None
    assert stormy.go() is not None
    assert stormy.versions() == calm.versions()
    assert stormy.outcomes() == calm.outcomes()
    return calm, stormy


@relaxed
@given(worlds(concurrency=1), st.lists(st.tuples(st.integers(1, 25), st.booleans()), min_size=1, max_size=4))
def test_crashed_and_resumed_ends_like_crash_free(
    world: tuple[Plan, dict[str, dict[str, object]]], crashes: list[tuple[int, bool]]
) -> None:
    _, stormy = calm_and_stormy(*world, crashes)
    verify_chain(stormy.store.entries())


@relaxed
@given(worlds())
def test_running_again_after_success_touches_nothing(world: tuple[Plan, dict[str, dict[str, object]]]) -> None:
    plan, hosts = world
    fine = {name: {"breaks": frozenset(), "drops": []} for name in hosts}
    run = Run(plan, fine)
    assert isinstance(run.go(), Done)
    calls = list(run.transport.calls)
    assert isinstance(run.go(), Done)
    assert run.transport.calls == calls
    assert set(run.outcomes().values()) == {Outcome.SUCCEEDED}


# ---- steered while it runs, and taken over while it is stalled


@relaxed
@given(worlds(concurrency=1), st.lists(st.integers(1, 25), min_size=1, max_size=3))
def test_paused_and_resumed_ends_like_never_paused(
    world: tuple[Plan, dict[str, dict[str, object]]], pauses: list[int]
) -> None:
    plan, hosts = world
    hosts = {name: {**facts, "down": False, "drops": facts["drops"][:1]} for name, facts in hosts.items()}
    calm, steered = Run(plan, hosts), Run(plan, hosts)
    calm.go()
    for appends_left in pauses:
        steered.store.when(appends_left, lambda: steered.steered(ledger.Paused(reason="a storm", by="ann")))
        end = steered.go()
        assert_nothing_begins_while_paused(steered)
        steered.store.when(0, lambda: None)
        if not steered.progress().paused:
            break
        assert isinstance(end, Pause | Halt | Done)
        steered.steered(ledger.Resumed(by="ann"))
    steered.go()
    assert steered.versions() == calm.versions()
    assert steered.outcomes() == calm.outcomes()
    assert_bakes_are_whole(steered)


def assert_nothing_begins_while_paused(run: Run) -> None:
    """A start that came too late for the pause is taken back, and its host was not touched."""
    progress, late = Progress.of(run.plan), set()
    for entry in run.store.entries():
        match entry.fact:
            case ledger.Started(host=host, action="upgrade") if progress.paused:
                late.add(host)
            case ledger.Voided(host=host):
                late.discard(host)
        progress = progress.with_entry(entry)
    assert not late
    begun = [line.fact for line in run.store.lines if isinstance(line.fact, ledger.Started)]
    voided = [line.fact for line in run.store.lines if isinstance(line.fact, ledger.Voided)]
    untouched = sum("paused" in fact.cause for fact in voided)
    assert len([call for call in run.transport.calls if call[0] in {"upgrade", "roll_back"}]) <= (
        (len(begun) - untouched) * max(len(host.hops) for host in run.plan.hosts)
    )


def assert_bakes_are_whole(run: Run) -> None:
    """Nobody has succeeded but at the end of a bake that nothing cut short; who paused after its end cut nothing."""
    over, progress = None, Progress.of(run.plan)
    for entry in run.store.entries():
        before, progress = progress, progress.with_entry(entry)
        if progress is before:  # by a controller that did not know that it was taken over
            continue
        match entry.fact:
            case ledger.Baking():
                over = entry.at + run.plan.policy.bake
            case ledger.Paused() | ledger.Opened() if over and entry.at < over:
                over = None
            case ledger.Ended(outcome=Outcome.SUCCEEDED):
                assert over is not None
                assert entry.at >= over


@relaxed
@given(
    worlds(concurrency=1),
    st.one_of(
        st.tuples(st.just("record"), st.integers(2, 30)),
        st.tuples(st.just("host"), st.integers(1, 6)),
    ),
)
def test_a_controller_that_wakes_up_after_another_took_over_changes_nothing(
    world: tuple[Plan, dict[str, dict[str, object]]], stall: tuple[str, int]
) -> None:
    plan, hosts = world
    steady = {"down": False, "sickens": frozenset()}  # time passes here that does not pass there
    hosts = {name: {**facts, **steady, "drops": facts["drops"][:1]} for name, facts in hosts.items()}
    calm, raced = Run(plan, hosts), Run(plan, hosts)
    calm.go()
    ends: list[object] = []
    place, after = stall

    def meanwhile() -> None:
        raced.clock.sleep(1)
        ends.append(raced.go())

    (raced.store if place == "record" else raced.transport).when(after, meanwhile)
    try:
        first = raced.go()
    except LockedError:
        first = None
    assert first is None or not ends or first == ends[0], "both went on: the first had no more to do than to say so"
    if first is None:
        assert has_ended(raced, ends[0])
    assert raced.versions() == calm.versions()
    assert raced.outcomes() == calm.outcomes()
    assert raced.transport.doubly_busy == []
    assert_bakes_are_whole(raced)
    verify_chain(raced.store.entries())


@relaxed
@given(worlds())
def test_with_a_drill_nobody_moves_before_one_host_went_up_and_back_and_up_again(
    world: tuple[Plan, dict[str, dict[str, object]]],
) -> None:
    plan, hosts = world
    run = Run(replace(plan, policy=replace(plan.policy, drill=True)), hosts)
    assert has_ended(run, run.go())
    progress = Progress.of(run.plan)
    for entry in run.store.entries():
        fact = entry.fact
        if isinstance(fact, ledger.Started) and fact.action == "upgrade" and not progress.drill.is_over:
            assert not any(progress.count(standing) for standing in (Standing.IN_HAND, Standing.SWITCHED))
            assert progress.drill.host in {"", fact.host}
        progress = progress.with_entry(entry)
    drilled = run.store.facts(ledger.Drilled)
    if any(part.outcome is Outcome.SUCCEEDED for part in progress.hosts.values()):
        assert len(drilled) == 1
        assert progress.drill.is_over


# ---- waves by evidence: nothing but the record says which waves there are


@st.composite
def evidence_worlds(draw: st.DrawFn, concurrency: int | None = None) -> tuple[Plan, dict[str, dict[str, object]]]:
    plan, _ = draw(worlds(concurrency))
    policy = replace(plan.policy, waves=("evidence",), risk_percent=draw(st.sampled_from([1, 5, 30])))
    prior = draw(st.sampled_from([None, Prior(0.75, 25.25, "a good history"), Prior(5.5, 20.5, "a bad one")]))
    one_wave = plan_of((draw(st.integers(1, 16)),), policy, ("1.4.0", TARGET))
    plan = replace(one_wave, prior=prior)
    return replace(plan, hosts=tuple(in_waves(plan))), {host.name: draw(host_worlds) for host in plan.hosts}


@relaxed
@given(evidence_worlds(), st.sets(st.integers(0, 15)))
def test_by_evidence_hosts_start_only_in_opened_waves_each_as_large_as_the_record_allows(
    world: tuple[Plan, dict[str, dict[str, object]]], unproven: set[int]
) -> None:
    run = Run(*world)
    refused = [host.name for place, host in enumerate(run.plan.hosts) if place in unproven]
    for name in refused:
        run.store.append(run.plan.id, judged(name, Verdict.FAILED, "no space"), run.clock.now())
    run.go()
    for name in refused:
        run.store.append(run.plan.id, judged(name), run.clock.now())
    end = run.go()
    assert isinstance(end, Done | Halt)
    progress = Progress.of(run.plan)
    for entry in run.store.entries():
        match entry.fact:
            case ledger.WaveOpened(wave=wave, hosts=names):
                assert wave == progress.wave == len(progress.sizes) + 1
                assert all(progress.host(name).outcome is not None for name in progress.waves)
                succeeded, failed = progress.count(Standing.SUCCEEDED), progress.count(Standing.FAILED)
                left = progress.without_outcome
                assert 1 <= len(names) <= next_wave(run.plan, remaining=left, succeeded=succeeded, failed=failed)
                assert names == tuple(progress.in_no_wave())[: len(names)]
            case ledger.Started(host=host, action="upgrade"):
                assert progress.waves[host] == progress.wave, "a host began before its wave was opened"
                assert not stop_reason(run.plan, progress)
            case ledger.Baking(wave=wave):
                assert wave <= len(progress.sizes)
        progress = progress.with_entry(entry)
    if isinstance(end, Done):
        assert progress.wave is None
        attempted = {name for name, part in progress.hosts.items() if part.outcome and part.outcome.attempted}
        assert attempted <= set(progress.waves)


@relaxed
@given(evidence_worlds(concurrency=1), st.lists(st.tuples(st.integers(1, 25), st.booleans()), min_size=1, max_size=4))
def test_by_evidence_crashed_and_resumed_ends_like_crash_free_with_the_same_waves(
    world: tuple[Plan, dict[str, dict[str, object]]], crashes: list[tuple[int, bool]]
) -> None:
    calm, stormy = calm_and_stormy(*world, crashes)
    assert stormy.store.facts(ledger.WaveOpened) == calm.store.facts(ledger.WaveOpened)


@relaxed
@given(evidence_worlds())
def test_by_evidence_running_again_after_success_touches_nothing(
    world: tuple[Plan, dict[str, dict[str, object]]],
) -> None:
    plan, hosts = world
    run = Run(plan, {name: {"breaks": frozenset(), "drops": []} for name in hosts})
    assert isinstance(run.go(), Done)
    calls, waves = list(run.transport.calls), [host.wave for host in plan.hosts]
    assert isinstance(run.go(), Done)
    assert run.transport.calls == calls
    assert set(run.outcomes().values()) == {Outcome.SUCCEEDED}
    progress = run.progress()
    assert [progress.wave_of(host.name) for host in plan.hosts] == waves, "the waves are those that the plan foretold"
