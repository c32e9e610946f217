"""Random worlds, random crashes: the record alone must be enough to finish the work the same way."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from liftlock import ledger
from liftlock.ledger import verify_chain
from liftlock.model import Outcome, Plan, Verdict
from liftlock.progress import Progress, Standing
from liftlock.rollout import Done, Halt, Pause
from liftlock.stops import stop_reason
from liftlock.waves import next_wave
from property.drawn_rollouts import (
    Run,
    assert_bakes_are_whole,
    assert_record_agrees,
    evidence_worlds,
    has_ended,
    relaxed,
    worlds,
)
from world import judged


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
    assert_record_agrees(run)
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
