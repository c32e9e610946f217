"""Random worlds of a rollout: plans, hosts that break, fall sick or drop their link, and controllers to run on them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from liftlock import ledger
from liftlock.engine import Engine
from liftlock.ledger import Fact
from liftlock.model import Outcome, Plan, Policy, Prior, ReleaseKind, RollbackScope
from liftlock.progress import Progress
from liftlock.rollout import Done, Halt, Pause, Step
from liftlock.waves import in_waves
from world import (
    CrashError,
    MemoryClock,
    MemoryHost,
    MemoryLedger,
    MemoryTransport,
    all_pass,
    fleet_of,
    plan_of,
    release,
    told_and_gated,
)

relaxed = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
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
    draw: st.DrawFn, concurrency: int | None = None, per_cause: int | None = None, target_percent: int = 98
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
        target_percent=target_percent,
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


@st.composite
def evidence_worlds(
    draw: st.DrawFn, concurrency: int | None = None, target_percent: int = 98
) -> tuple[Plan, dict[str, dict[str, object]]]:
    plan, _ = draw(worlds(concurrency, target_percent=target_percent))
    policy = replace(plan.policy, waves=("evidence",), risk_percent=draw(st.sampled_from([1, 5, 30])))
    prior = draw(st.sampled_from([None, Prior(0.75, 25.25, "a good history"), Prior(5.5, 20.5, "a bad one")]))
    one_wave = plan_of((draw(st.integers(1, 16)),), policy, ("1.4.0", TARGET))
    plan = replace(one_wave, prior=prior)
    return replace(plan, hosts=tuple(in_waves(plan))), {host.name: draw(host_worlds) for host in plan.hosts}


def assert_record_agrees(run: Run) -> None:
    """Whatever the record says of a host is what the host is."""
    for name, part in run.progress().hosts.items():
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
