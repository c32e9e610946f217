"""Random worlds under random bounds: none is ever broken, none ever stops the work, none changes how it ends."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from liftlock import ledger
from liftlock.model import Action, Outcome, Plan, PlannedCustomer, PlannedHost
from liftlock.progress import HostProgress, Progress, Standing
from liftlock.rollout import Done, Halt, Pause, Wait, next_step
from property.test_rollout_properties import Run, relaxed, worlds
from world import START, WINDOW, announced

World = tuple[Plan, dict[str, dict[str, object]]]
few = st.sampled_from([None, 1, 1, 2])


@st.composite
def bounded(draw: st.DrawFn) -> World:
    plan, facts = draw(worlds(concurrency=draw(st.integers(2, 6))))
    # With a low target a rollout goes on beside hosts that have failed.
    target = draw(st.sampled_from([98, 1]))
    policy = replace(plan.policy, site_at_once=draw(few), customer_at_once=draw(few), target_percent=target)
    stand_ins = {(name, group): draw(st.integers(0, 1)) for name in ("acme", "weir") for group in ("a", "b")}

    def placed(host: PlannedHost) -> PlannedHost:
        customer, group = draw(st.sampled_from(["acme", "weir"])), draw(st.sampled_from(["", "a", "b"]))
        site, others = draw(st.sampled_from(["", "east", "west"])), stand_ins.get((customer, group), 0)
        return replace(host, customer=customer, site=site, redundancy=group, stand_ins=others)

    acme = PlannedCustomer("acme", START, WINDOW.start, WINDOW.end, at_once=draw(few))
    hosts = tuple(placed(host) for host in plan.hosts)
    return replace(plan, policy=policy, customers=(acme,), hosts=hosts), facts


def run_of(world: World) -> Run:
    run = Run(*world)
    run.store.append(run.plan.id, announced("weir"), START)
    return run


def in_hand(progress: Progress) -> list[PlannedHost]:
    return [progress.lineup.planned[name] for name in progress.group(Standing.IN_HAND)]


def serves(part: HostProgress) -> bool:
    lost = part.outcome in {Outcome.FAILED, Outcome.UNREACHABLE, Outcome.UNREACHABLE_BEFORE}
    ails = part.standing is Standing.AILING and not part.well
    return not lost and not ails and part.standing not in {Standing.IN_HAND, Standing.LOST}


def breaches(plan: Plan, progress: Progress, name: str, *, well: bool) -> list[str]:
    """Which bounds a host that has just been started breaks, counted anew from where every host stands."""
    host, policy, own = progress.lineup.planned[name], plan.policy, {one.name: one.at_once for one in plan.customers}
    busy = in_hand(progress)
    sites, customers = Counter(one.site for one in busy), Counter(one.customer for one in busy)
    found = []
    if policy.site_at_once and host.site and sites[host.site] > policy.site_at_once:
        found.append(f"{sites[host.site]} in hand at {host.site}")
    at_once = own.get(host.customer) or policy.customer_at_once
    if at_once and customers[host.customer] > at_once:
        found.append(f"{customers[host.customer]} in hand of {host.customer}")
    group = [one.name for one in plan.hosts if (one.customer, one.redundancy) == (host.customer, host.redundancy)]
    stand = sum(serves(progress.host(other)) for other in group) + host.stand_ins
    must = not well or any(other != name and progress.host(other).standing is Standing.IN_HAND for other in group)
    if host.redundancy and must and not stand and len(group) + host.stand_ins > 1:
        found.append(f"nobody of {host.redundancy} stands")
    return found


@relaxed
@given(bounded())
def test_no_bound_is_ever_broken_and_nothing_waits_for_nobody(world: World) -> None:
    run = run_of(world)
    assert isinstance(run.go(), Done | Halt | Pause)
    progress = Progress.of(run.plan)
    for entry in run.store.entries():
        fact, before = entry.fact, progress
        progress = progress.with_entry(entry)
        if isinstance(fact, ledger.Started):
            part = before.host(fact.host)
            well = fact.action is Action.ROLL_BACK and (part.standing is not Standing.AILING or part.well)
            if fact.action is Action.UPGRADE or well:
                assert breaches(run.plan, progress, fact.host, well=well) == []
        if isinstance(next_step(run.plan, progress, entry.at), Wait):
            assert progress.group(Standing.IN_HAND)


@relaxed
@given(bounded())
def test_a_world_without_faults_ends_the_same_with_bounds_and_without(world: World) -> None:
    plan, hosts = world
    free = replace(plan.policy, site_at_once=None, customer_at_once=None)
    loose = replace(plan, policy=free, customers=(), hosts=tuple(replace(host, redundancy="") for host in plan.hosts))
    fine = {name: {"breaks": frozenset(), "drops": []} for name in hosts}
    bound, unbound = run_of((plan, fine)), run_of((loose, fine))
    assert isinstance(bound.go(), Done)
    assert isinstance(unbound.go(), Done)
    assert bound.outcomes() == unbound.outcomes()
    assert bound.versions() == unbound.versions()
