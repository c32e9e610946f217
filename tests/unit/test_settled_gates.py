"""Background work of a stop must be finished before the next hop: the engine asks the gate that the stop names."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from liftlock import ledger
from liftlock.engine import Engine
from liftlock.model import GateResult, Outcome, Plan, Verdict
from liftlock.rollout import Step
from world import (
    START,
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

OLD, STOP, NEW = "1.4.0", "1.4.5", "1.5.0"


class Rollout:
    """One host on the way over a stop; `answers` are the gate's verdicts in turn, the last one for good."""

    def __init__(self, plan: Plan, answers: list[Verdict], version: str = OLD) -> None:
        self.plan, self.answers, self.asked = plan, answers, []
        self.clock, self.record = MemoryClock(), MemoryLedger()
        self.hosts = MemoryTransport({"w1h0": MemoryHost(version)}, self.clock)
        told_and_gated(self.record, plan)
        self.engine = Engine(
            plan=plan,
            releases={
                plan.product: {
                    OLD: release(OLD),
                    STOP: replace(release(STOP), stop=True, settled_gate="jobs"),
                    NEW: release(NEW),
                }
            },
            hosts={host.name: host for host in fleet_of(plan).hosts},
            transports={plan.product: self.hosts},
            store=self.record,
            clock=self.clock,
            session="s1",
            controller="test",
            judge=all_pass,
            settled=lambda name, gate: self.judge(name, gate),  # noqa: PLW0108 - a test may replace it
        )

    def judge(self, name: str, gate: str) -> GateResult:
        self.asked.append((gate, self.hosts.hosts[name].version))
        verdict = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return GateResult(name, verdict, "" if verdict is Verdict.PASSED else "3 jobs still run", 1)

    def run(self) -> Step:
        return self.engine.run()

    def last(self) -> ledger.Ended:
        return self.record.facts(ledger.Ended)[-1]


def over_the_stop() -> Plan:
    plan = plan_of((1,), versions=(OLD, STOP, NEW))
    first, second = plan.hosts[0].hops
    hops = (replace(first, settled_gate="jobs"), second)
    return replace(plan, hosts=(replace(plan.hosts[0], hops=hops, needed=timedelta(minutes=20)),))


def test_the_next_hop_waits_until_the_gate_of_the_stop_passes() -> None:
    rollout = Rollout(over_the_stop(), [Verdict.FAILED, Verdict.ERROR, Verdict.PASSED])
    rollout.run()
    assert rollout.asked == [("jobs", STOP)] * 3
    assert (rollout.last().outcome, rollout.hosts.hosts["w1h0"].version) == (Outcome.SUCCEEDED, NEW)
    assert rollout.clock.now() >= START + 2 * rollout.plan.policy.watch_every


def test_a_gate_that_never_passes_leaves_the_host_on_the_stop_for_a_person() -> None:
    rollout = Rollout(over_the_stop(), [Verdict.FAILED])
    rollout.run()
    ended, window = rollout.last(), rollout.plan.hosts[0].window
    assert (ended.outcome, ended.version) == (Outcome.FAILED, STOP)
    assert ended.cause == "gate jobs failed: 3 jobs still run"
    assert rollout.hosts.hosts["w1h0"].version == STOP
    assert rollout.clock.now() + timedelta(minutes=20) <= window.end


def test_a_host_that_stands_on_the_stop_is_asked_before_its_first_hop() -> None:
    plan = plan_of((1,), versions=(STOP, NEW))
    rollout = Rollout(plan, [Verdict.FAILED, Verdict.PASSED], version=STOP)
    rollout.run()
    assert rollout.asked == [("jobs", STOP)] * 2
    assert rollout.last().outcome is Outcome.SUCCEEDED


def test_told_to_stop_while_it_waits_the_next_run_goes_on_from_the_stop() -> None:
    plan = over_the_stop()
    rollout = Rollout(plan, [Verdict.FAILED])
    judge = rollout.judge

    def stopping(name: str, gate: str) -> GateResult:
        rollout.engine.stop.set()
        return judge(name, gate)

    rollout.judge = stopping  # type: ignore[method-assign]
    rollout.run()
    assert rollout.record.facts(ledger.Voided)[-1].cause == "interrupted before gate jobs passed"
    rollout.engine.stop.clear()
    rollout.judge = lambda name, _gate: GateResult(name, Verdict.PASSED)  # type: ignore[method-assign]
    rollout.run()
    assert (rollout.last().outcome, rollout.hosts.hosts["w1h0"].version) == (Outcome.SUCCEEDED, NEW)
    assert [call for call in rollout.hosts.calls if call[0] == "upgrade"] == [("upgrade", "w1h0")] * 2
