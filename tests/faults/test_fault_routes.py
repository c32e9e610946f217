"""A black hole on the way: a router that drops what goes to a host, or comes from it, and tells nobody."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from e2e.harbour import within
from faults import raft
from faults.cable import RoutedCable, far_fleet
from faults.checker import Tally, check, finish
from faults.controllers import Controller
from faults.fault_fleet import DEADLINE, PATIENCE, FaultFleet, Try
from faults.results import record
from faults.watcher import watching
from liftlock.ledger import Ended
from liftlock.model import Outcome

PHASE = 20
"""Seconds that a phase may take: after so long a controller that hears nothing knows that the link is lost."""
LIMIT = PHASE + DEADLINE + 5
RESOLVED_WITHIN = 60
"""Seconds after a host's return within which it must be known how its upgrade ended."""
HOST = "raft-1"
WAYS = {"there": "to the host", "back": "from the host"}

pytestmark = [pytest.mark.long, pytest.mark.needs("root", "ip")]


@pytest.fixture
def routed(tmp_path: Path) -> Iterator[tuple[FaultFleet, RoutedCable]]:
    """One host behind a router."""
    cable = RoutedCable()
    with far_fleet(tmp_path, cable, phase_timeout=f"{PHASE}s") as fleet:
        yield fleet, cable


def swallow_in_mid_switch(one: Try, cable: RoutedCable, way: str) -> Controller:
    """A rollout whose host moves to the new release, behind a black hole from the middle of that on."""
    hold = one.hosts[HOST] / "hold"
    hold.touch()
    first = one.start()
    assert within(lambda: raft.is_held(one.hosts[HOST]), PATIENCE), first.output
    cable.swallow(way)
    hold.unlink()
    return first


def outcomes(one: Try) -> list[Outcome]:
    """What the record says of the host's attempts, so far."""
    with one.ledger() as store:
        return [entry.fact.outcome for entry in store.entries() if isinstance(entry.fact, Ended)]


@pytest.mark.parametrize("way", WAYS)
def test_nobody_is_told_of_a_black_hole(way: str) -> None:
    """Whoever connects through it waits in vain; a route that refuses would say so at once."""
    cable = RoutedCable()
    with ExitStack() as ends:
        ends.callback(cable.pull)
        cable.plug()
        cable.swallow(way)
        with pytest.raises(TimeoutError):
            socket.create_connection((cable.there, 22), timeout=1)
        cable.carry(way)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((cable.there, 22), timeout=5)


@pytest.mark.parametrize("way", WAYS)
def test_a_black_hole_that_is_mended_leaves_an_unknown_host_which_a_look_resolves(
    routed: tuple[FaultFleet, RoutedCable], way: str
) -> None:
    fleet, cable = routed
    tally = Tally()
    with watching(fleet.bases.values()) as watcher, fleet.new_try() as one:
        first = swallow_in_mid_switch(one, cable, way)
        assert within(lambda: Outcome.UNKNOWN in outcomes(one), LIMIT), first.output
        cable.carry(way)
        mended = time.monotonic()
        assert first.wait(RESOLVED_WITHIN) in {0, 4}, first.output
        took = time.monotonic() - mended
        assert first.seconds < LIMIT, first.output
        assert outcomes(one)[0] is Outcome.UNKNOWN
        wrong = finish(one, tally, faulted_within=LIMIT) + check(one, tally)
        assert not wrong, "\n".join(wrong)
        seen = watcher.seen()
    told = f"unknown, then resolved {took:.0f} s after it was mended: {tally.seen()}"
    record(f"Blackhole route swallows all packets {WAYS[way]} in mid-switch, then mended", told, tally, seen)
    assert seen.broken == 0, seen.told
    assert set(tally.ends) <= {"succeeded", "rolled_back"}


@pytest.mark.parametrize("way", WAYS)
def test_a_black_hole_that_stays_stalls_no_run_and_the_host_is_resolved_on_its_return(
    routed: tuple[FaultFleet, RoutedCable], way: str
) -> None:
    fleet, cable = routed
    tally = Tally()
    with watching(fleet.bases.values()) as watcher, fleet.new_try() as one:
        first = swallow_in_mid_switch(one, cable, way)
        assert first.wait(2 * LIMIT) == 5, first.output
        assert first.seconds < LIMIT, first.output
        assert outcomes(one) == [Outcome.UNKNOWN, Outcome.UNREACHABLE]
        again = one.run()
        assert (again.code, outcomes(one)[-1]) == (5, Outcome.UNREACHABLE), again.output
        assert again.seconds < DEADLINE + 5, again.output
        cable.carry(way)
        mended = time.monotonic()
        wrong = finish(one, tally, faulted_within=LIMIT)
        took = time.monotonic() - mended
        assert took < RESOLVED_WITHIN
        wrong += check(one, tally)
        assert not wrong, "\n".join(wrong)
        seen = watcher.seen()
    longest = max(first.seconds, again.seconds)
    told = (
        f"unreachable, given up after {longest:.0f} s at most; resolved {took:.0f} s after its return: {tally.seen()}"
    )
    record(f"Blackhole route swallows all packets {WAYS[way]} in mid-switch, for good", told, tally, seen)
    assert seen.broken == 0, seen.told
    assert set(tally.ends) <= {"succeeded", "rolled_back"}
