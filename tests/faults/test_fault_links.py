"""Links that break in mid-conversation, go silent, or carry little at a time."""

from __future__ import annotations

import pytest

from faults.checker import Tally, check, finish
from faults.fault_fleet import DEADLINE, PATIENCE, FaultFleet
from faults.results import ROUNDS, record
from faults.watcher import Watcher

WHOLE = 320 * 1024
"""More bytes than one upgrade of a raft sends to a host."""
CUTS = (1500, 20_000, 250_000)
"""After so many bytes: in the key exchange, in the program, near the end of the artifact."""


def test_a_link_that_is_cut_in_mid_conversation_loses_nothing(fleet: FaultFleet, watcher: Watcher) -> None:
    tally = Tally()
    cuts = range(200, WHOLE, WHOLE // (20 * ROUNDS)) if ROUNDS else CUTS
    for sent in cuts:
        with fleet.new_try() as one:
            one.links["raft-2"].cut_after = sent
            one.start().wait(PATIENCE)
            wrong = finish(one, tally) + check(one, tally)
            assert not wrong, f"cut after {sent} bytes: " + "\n".join(wrong)
    seen = watcher.seen()
    record(f"Link cut after a number of bytes, {len(cuts)} places of the conversation", tally.seen(), tally, seen)
    assert seen.broken == 0, seen.told
    assert set(tally.ends) <= {"succeeded", "rolled_back"}


def test_a_host_behind_a_black_hole_is_given_up_in_time(fleet: FaultFleet, watcher: Watcher) -> None:
    """It accepts connections and never answers: the others go on, and it is tried again once it answers."""
    tally = Tally()
    with fleet.new_try() as one:
        one.links["raft-2"].go_black()
        first = one.run()
        assert first.code == 5, first.output
        assert "connection timed out" in first.output
        one.links["raft-2"].mend()
        wrong = finish(one, tally) + check(one, tally)
        assert not wrong, "\n".join(wrong)
    seen = watcher.seen()
    record("Black hole: connections are accepted and never answered", tally.seen(), tally, seen)
    assert (seen.broken, set(tally.ends)) == (0, {"succeeded"})


@pytest.mark.long
@pytest.mark.parametrize("sent", [20_000, 100_000, 250_000])
def test_a_link_that_goes_silent_in_mid_phase_is_given_up_at_the_deadline(
    fleet: FaultFleet, watcher: Watcher, sent: int
) -> None:
    """The host hears no more and the controller neither; the phase may take 20 s, then the host is looked for."""
    tally = Tally()
    with fleet.new_try() as one:
        one.links["raft-2"].black_after = sent
        one.run()
        one.links["raft-2"].mend()
        wrong = finish(one, tally, faulted_within=20 + DEADLINE) + check(one, tally)
        assert not wrong, "\n".join(wrong)
    seen = watcher.seen()
    record(f"Link silent in mid-phase, after {sent // 1000} kB", tally.seen(), tally, seen)
    assert seen.broken == 0, seen.told


@pytest.mark.long
def test_a_link_that_trickles_only_takes_longer(fleet: FaultFleet, watcher: Watcher) -> None:
    """What is staged too late to be switched in time is switched by the next run."""
    tally = Tally()
    with fleet.new_try() as one:
        one.links["raft-2"].rate = 120_000
        wrong = finish(one, tally) + check(one, tally)
        assert not wrong, "\n".join(wrong)
    seen = watcher.seen()
    record("Link that carries 120 kB/s", tally.seen(), tally, seen)
    assert (seen.broken, set(tally.ends)) == (0, {"succeeded"})
