"""A network that goes down under an upload: a namespace with a sshd of its own, and a slow link to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.harbour import within
from faults.cable import Cable, far_fleet
from faults.checker import Tally, check, finish
from faults.controllers import Controller
from faults.fault_fleet import DEADLINE, PATIENCE, FaultFleet, Try
from faults.results import record
from faults.watcher import watching

SPEED = "800kbit"
"""So slow that an upload takes several seconds."""
PHASE = 40
"""Seconds that a phase may take."""

pytestmark = pytest.mark.needs("root", "ip", "tc")


@pytest.fixture
def far_away(tmp_path: Path) -> Iterator[tuple[FaultFleet, Cable]]:
    """One host at the other end of a slow cable."""
    cable = Cable()
    with far_fleet(tmp_path, cable, phase_timeout=f"{PHASE}s") as fleet:
        cable.slow_down(SPEED)
        yield fleet, cable


def begin_an_upload(one: Try) -> Controller:
    """A rollout whose artifact is on its way."""
    first = one.start()
    incoming = one.hosts["raft-1"] / ".liftlock" / "incoming"
    assert within(lambda: any(part.stat().st_size > 20_000 for part in incoming.glob(".part.*"))), first.output
    return first


@pytest.mark.long
@pytest.mark.parametrize("seconds", [2, None], ids=["for_a_moment", "until_it_is_given_up"])
def test_a_network_that_goes_down_in_mid_upload_loses_nothing(
    far_away: tuple[FaultFleet, Cable], seconds: float | None
) -> None:
    """After a moment the upload goes on. Down for good, the host is given up at the deadline, and tried again."""
    fleet, cable = far_away
    tally = Tally()
    with watching(fleet.bases.values()) as watcher, fleet.new_try() as one:
        first = begin_an_upload(one)
        cable.switch("down")
        first.wait(seconds or 2 * PATIENCE)
        cable.switch("up")
        assert first.code == (5 if seconds is None else None), first.output
        wrong = finish(one, tally, faulted_within=PHASE + DEADLINE) + check(one, tally)
        assert not wrong, "\n".join(wrong)
        seen = watcher.seen()
    record(f"`ip link down` in mid-upload, {'until it is given up' if seconds is None else f'for {seconds} s'}",
           tally.seen(), tally, seen)  # fmt: skip
    assert (seen.broken, set(tally.ends)) == (0, {"succeeded"}), seen.told
