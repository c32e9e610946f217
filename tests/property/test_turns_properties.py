"""What a plan promises fits: replayed host by host, nobody breaks a bound and nobody is too late for its window."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter

from hypothesis import event, given
from hypothesis import strategies as st

from liftlock.model import Fleet, Observation, Plan, PlannedHost, Policy
from liftlock.plan import Target, make_plan
from property.test_plan_properties import CATALOGUE, NOW, fleets, policies, relaxed

few = st.sampled_from([None, None, 1, 2])


@st.composite
def bounded(draw: st.DrawFn) -> tuple[Fleet, dict[str, Observation], Policy]:
    fleet, observations = draw(fleets())
    groups = st.sampled_from([None, None, "pair", "trio"])
    hosts = tuple(replace(host, redundancy=draw(groups)) for host in fleet.hosts)
    concurrency = draw(st.sampled_from([1, 2, 3, 12]))
    policy = replace(draw(policies()), site_at_once=draw(few), customer_at_once=draw(few), concurrency=concurrency)
    if draw(st.booleans()):
        policy = replace(policy, waves=("evidence",))
    return replace(fleet, hosts=hosts), observations, policy


def has_room(plan: Plan, fleet: Fleet, host: PlannedHost, busy: list[PlannedHost]) -> bool:
    """Whether it may start beside those in hand, counted anew from the rules in the docs."""
    policy = plan.policy
    own = fleet.customers[host.customer].at_once or policy.customer_at_once or len(fleet.hosts)
    site = policy.site_at_once if policy.site_at_once and host.site else len(fleet.hosts)
    others = {one.name for one in plan.hosts if (one.customer, one.redundancy) == (host.customer, host.redundancy)}
    down = {one.name for one in busy if one.name in others}
    last_one = bool(host.redundancy) and len(down) + 1 == len(others) + host.stand_ins > 1
    return (
        len(busy) < policy.concurrency
        and sum(one.site == host.site for one in busy) < site
        and sum(one.customer == host.customer for one in busy) < own
        and not last_one
    )


def replayed(plan: Plan, fleet: Fleet) -> tuple[datetime, list[str]]:
    """When all are through, and who was too late, as a rollout does it in which every host takes its expected time."""
    ready, late = NOW, []
    for _, of_wave in groupby(plan.hosts, key=attrgetter("wave")):
        pending, in_hand, now = list(of_wave), list[tuple[datetime, PlannedHost]](), ready
        while pending or in_hand:
            in_hand = [(end, host) for end, host in in_hand if end > now]
            late += [host.name for host in pending if now + host.needed > host.window.end]
            pending = [host for host in pending if host.name not in late]
            for host in list(pending):
                if host.window.start <= now and has_room(plan, fleet, host, [busy for _, busy in in_hand]):
                    in_hand.append((now + host.expected, host))
                    pending.remove(host)
            ends = [end for end, _ in in_hand]
            ready = max([ready, *ends])
            opens = [host.window.start for host in pending if host.window.start > now]
            now = min([*ends, *opens], default=now)
        ready += plan.policy.bake
    return ready, late


@relaxed
@given(bounded())
def test_all_hosts_that_are_promised_a_window_have_their_turn_in_it_under_every_bound(
    drawn: tuple[Fleet, dict[str, Observation], Policy],
) -> None:
    fleet, observations, policy = drawn
    plan = make_plan(Target(CATALOGUE, "1.2.0", observations), fleet, policy, {}, NOW)
    through, late = replayed(plan, fleet)
    assert late == []
    crowded = any("fill every window" in left.reason for left in plan.exclusions)
    event(f"left out for want of room: {crowded}; late windows: {len({host.window for host in plan.hosts}) > 4}")
    if plan.hosts:
        assert plan.through == through
        assert plan.finish is None or plan.finish <= through


@relaxed
@given(bounded(), st.timedeltas(timedelta(minutes=1), timedelta(days=20)))
def test_the_finish_lies_in_a_window_or_in_the_bake_after_one(
    drawn: tuple[Fleet, dict[str, Observation], Policy], bake: timedelta
) -> None:
    fleet, observations, policy = drawn
    plan = make_plan(Target(CATALOGUE, "1.2.0", observations), fleet, replace(policy, bake=bake), {}, NOW)
    if plan.through:
        worked = plan.through - bake
        assert any(host.window.start < worked <= host.window.end for host in plan.hosts)
