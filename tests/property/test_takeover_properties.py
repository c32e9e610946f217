"""Controllers that die or stall, and others that take over: the record alone is enough to end the same way."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from liftlock import ledger
from liftlock.errors import LockedError
from liftlock.ledger import verify_chain
from liftlock.model import Plan
from liftlock.rollout import Halt, Step
from property.drawn_rollouts import (
    Run,
    assert_bakes_are_whole,
    assert_record_agrees,
    evidence_worlds,
    has_ended,
    relaxed,
    worlds,
)

EASY = 30
"""Per cent: a target that no evidence of sixteen hosts refutes.

That rule counts hosts in hand as successes, so with several in hand it is a matter of moments whether it stops.
"""
crashes = st.lists(st.tuples(st.integers(1, 25), st.booleans()), min_size=1, max_size=4)
stalls = st.one_of(
    st.tuples(st.just("record"), st.integers(2, 30)),
    st.tuples(st.just("host"), st.integers(1, 6)),
)
World = tuple[Plan, dict[str, dict[str, object]]]


def the_same_to_every_controller(hosts: dict[str, dict[str, object]]) -> dict[str, dict[str, object]]:
    """Hosts without what a controller that goes on sees in another way than one that takes over.

    A host that stays down cannot tell whether a dead controller had begun with it: it ends as unreachable
    instead of unreachable_before, and truthfully so. Two dropped links use up a host's attempts, but a drop
    that only the dead controller saw cannot count: one drop a host here. Why a host went back only the dead controller
    knew, too, so nothing here is limited by cause.
    """
    return {name: {**facts, "down": False, "drops": facts["drops"][:1]} for name, facts in hosts.items()}


def calm_and_stormy(world: World, crashes: list[tuple[int, bool]]) -> tuple[Run, Run]:
    """The same world twice, the second time with a controller that dies; both must end the same."""
    plan, hosts = world[0], the_same_to_every_controller(world[1])
    calm, stormy = Run(plan, hosts), Run(plan, hosts)
    quiet = calm.go()
    for appends_left, after_writing in crashes:
        stormy.store.dies_at = len(stormy.store.lines) + appends_left
        stormy.store.dies_after_writing = after_writing
        if stormy.go() is not None:
            break
    stormy.store.dies_at = None
    assert_same_ends(calm, quiet, stormy, stormy.go())
    verify_chain(stormy.store.entries())
    return calm, stormy


def assert_same_ends(calm: Run, quiet: Step | None, other: Run, end: Step | None) -> None:
    """Every host ended the same, and runs the same.

    With several hosts in hand the wave in which a rule stopped the rollout is the same, but not which hosts of it had
    begun by then: that follows from who ended first. There the record only has to agree with the hosts.
    """
    assert type(quiet) is type(end), (quiet, end)
    open_wave = None
    if isinstance(quiet, Halt) and calm.plan.policy.concurrency > 1:
        open_wave = last_wave(calm)
        assert last_wave(other) == open_wave
    names = [host.name for host in calm.plan.hosts if calm.progress().wave_of(host.name) != open_wave]
    assert {name: other.outcomes().get(name) for name in names} == {name: calm.outcomes().get(name) for name in names}
    assert {name: other.versions()[name] for name in names} == {name: calm.versions()[name] for name in names}
    assert_record_agrees(other)


def last_wave(run: Run) -> int:
    """The last wave of which a host was begun."""
    progress = run.progress()
    return max((progress.wave_of(name) for name, part in progress.hosts.items() if part.attempt), default=0)


@relaxed
@given(st.one_of(worlds(concurrency=1), worlds(target_percent=EASY)), crashes)
def test_crashed_and_resumed_ends_like_crash_free(world: World, crashes: list[tuple[int, bool]]) -> None:
    _, stormy = calm_and_stormy(world, crashes)
    assert stormy.transport.doubly_busy == []


@relaxed
@given(st.one_of(evidence_worlds(concurrency=1), evidence_worlds(target_percent=EASY)), crashes)
def test_by_evidence_crashed_and_resumed_ends_like_crash_free_with_the_same_waves(
    world: World, crashes: list[tuple[int, bool]]
) -> None:
    calm, stormy = calm_and_stormy(world, crashes)
    assert stormy.store.facts(ledger.WaveOpened) == calm.store.facts(ledger.WaveOpened)


@relaxed
@given(st.one_of(worlds(concurrency=1), worlds(target_percent=EASY)), stalls)
def test_a_controller_that_wakes_up_after_another_took_over_changes_nothing(
    world: World, stall: tuple[str, int]
) -> None:
    """Where it has several hosts in hand, its others go on while one stalls: both controllers are at work at once."""
    plan, hosts = world[0], the_same_to_every_controller(world[1])
    # Time passes here that does not pass there: hosts fall sick in the bake, whenever that comes.
    plan = replace(plan, policy=replace(plan.policy, bake=plan.policy.bake + timedelta(minutes=1)))
    hosts = {name: {**facts, "well_for": timedelta(seconds=30)} for name, facts in hosts.items()}
    calm, raced = Run(plan, hosts), Run(plan, hosts)
    quiet = calm.go()
    ends: list[Step | None] = []
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
    assert_same_ends(calm, quiet, raced, first or ends[0])
    assert raced.transport.doubly_busy == []
    assert_bakes_are_whole(raced)
    verify_chain(raced.store.entries())
