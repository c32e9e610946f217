"""What the rig itself must notice: runs that end too late, hosts that stray, a watcher that slept."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from faults import watcher as watching_side
from faults.checker import Tally, check, finish
from faults.fault_fleet import DEADLINE, PATIENCE, FaultFleet
from faults.raft import NEW, OLD
from faults.reliability import make_page
from faults.watcher import Watched, Watcher


def test_a_struck_run_that_ended_too_late_is_a_stall_and_counted_once(fleet: FaultFleet) -> None:
    tally = Tally()
    with fleet.new_try() as one:
        struck = one.start_failing("append.after.started", "kill")
        assert struck.wait(PATIENCE) == -signal.SIGKILL
        struck.began -= DEADLINE + 5
        (told,) = finish(one, tally)
        assert f"{DEADLINE} s and 5 s are allowed" in told
        assert (finish(one, tally), tally.stalls) == ([], 1)


def test_a_struck_run_that_has_not_ended_is_a_stall_and_no_other_is_begun(fleet: FaultFleet) -> None:
    tally = Tally()
    with fleet.new_try() as one:
        struck = one.start_failing("append.after.started", "stop")
        assert struck.wait_until_stopped(PATIENCE), struck.output
        struck.began -= PATIENCE
        (told,) = finish(one, tally)
        assert "has not ended" in told
        assert (tally.stalls, len(one.started)) == (1, 1)


def test_a_host_that_was_seen_where_the_record_does_not_put_it_is_told(fleet: FaultFleet, watcher: Watcher) -> None:
    strayed = {
        (OLD, NEW, OLD, NEW): "no way back is on record",
        (OLD, "9.9.9", NEW): "its way is",
        (OLD,): "it was seen on 1.0.0",
        (): "it was seen on nothing",
    }
    with fleet.new_try() as one:
        before = watcher.news()
        assert one.run().code == 0
        news = watcher.news()
        assert set(news.moves.values()) == {(OLD, NEW)}
        assert watcher.seen().samples >= before.samples + news.samples
        assert check(one, Tally(), watched=news) == []
        for moves, told in strayed.items():
            seen = {**news.moves, str(one.hosts["raft-2"]): moves}
            (wrong,) = check(one, Tally(), watched=replace(news, moves=seen))
            assert wrong.startswith("raft-2: ")
            assert told in wrong


def test_a_watcher_that_slept_proves_nothing(watcher: Watcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching_side, "LONGEST_GAP", 0.2)
    os.kill(watcher.pid, signal.SIGSTOP)
    time.sleep(0.5)
    os.kill(watcher.pid, signal.SIGCONT)
    with pytest.raises(AssertionError, match="no host was looked at for"):
        watcher.news()


def test_what_was_seen_adds_up_and_keeps_the_longest_gap() -> None:
    both = Watched(5, 0, (), 80, {"a": (OLD,)}) + Watched(7, 1, ("a: gone",), 20, {"a": (NEW,)})
    assert both == Watched(12, 1, ("a: gone",), 80, {"a": (NEW,)})


def test_a_row_tells_how_often_and_how_closely_hosts_were_looked_at() -> None:
    lines = [
        {"fault": "A", "tries": 1, "seen": "x", "figures": {"samples": 1200, "longest_gap_ms": 80, "broken": 0}},
        {"fault": "A", "tries": 2, "seen": "y", "figures": {"samples": 300, "longest_gap_ms": 1020}},
        {"fault": "B", "tries": 1, "seen": "z", "figures": {"tries": 1}},
    ]
    page = make_page(lines, datetime(2026, 1, 1, tzinfo=UTC)).splitlines()
    assert "| A | 3 | x; y | 1 500 | 1 020 ms |" in page
    assert "| B | 1 | z |  |  |" in page
    assert "| longest time between two looks at a host | 1 020 ms |" in page
