"""Disks that are full, read-only or out of inodes, of a host and of the controller; and limits on its files."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from e2e.harbour import within
from faults import raft
from faults.checker import OR_NEEDS_A_PERSON, Tally, check, finish
from faults.fault_fleet import PATIENCE, FaultFleet, Try
from faults.results import ROUNDS, record
from faults.watcher import Watched, Watcher, watching

HOST_DISKS = ("size=400k", "size=1000k", "size=10m,nr_inodes=16")
AMPLE = "size=20m,nr_inodes=10000"


@contextmanager
def disk(folder: Path, options: str) -> Iterator[None]:
    """A file system of its own at this folder, in memory."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


def fill(folder: Path, left: int = 0) -> Path:
    """Fill the disk but for so many bytes; the file that does it."""
    filler = folder / "filler"
    with filler.open("wb") as file:
        size = max(0, shutil.disk_usage(folder).free - left)
        file.write(b"\0" * (size // 4096 * 4096))
    return filler


@pytest.mark.needs("root")
def test_a_disk_of_a_host_that_is_too_small_is_refused_or_gone_back_from(fleet: FaultFleet) -> None:
    tally, firsts, seen = Tally(), [], Watched()
    sizes = [f"size={size}k" for size in range(300, 1500, 100)] if ROUNDS else []
    sizes += [f"size=10m,nr_inodes={inodes}" for inodes in range(12, 120, 12)] if ROUNDS else []
    for options in (*HOST_DISKS, *sizes):
        with fleet.new_try() as one, disk(one.hosts["raft-2"], options):
            raft.lay_down(one.hosts["raft-2"])
            with watching(one.hosts.values()) as watcher:
                firsts.append(one.run().code)
                assert raft.look_at(one.hosts["raft-2"]).running in {raft.OLD, raft.NEW}
                remount(one.hosts["raft-2"], AMPLE)
                wrong = finish(one, tally) + check(one, tally)
                assert not wrong, f"{options}: " + "\n".join(wrong)
                seen += watcher.seen()
    record(f"Disk or inodes of a host too small, {len(firsts)} sizes, then ample", tally.seen(), tally, seen)
    assert seen.broken == 0, seen.told
    assert 3 in firsts
    assert set(tally.ends) <= {"succeeded", "rolled_back"}


@pytest.mark.needs("root")
def test_a_disk_of_a_host_that_fills_up_in_mid_switch_loses_nothing(fleet: FaultFleet) -> None:
    tally = Tally()
    with fleet.new_try() as one, disk(one.hosts["raft-2"], "size=3m"):
        base = one.hosts["raft-2"]
        raft.lay_down(base)
        (base / "hold").touch()
        with watching(one.hosts.values()) as watcher:
            first = one.start()
            assert within(lambda: raft.is_held(base), PATIENCE), first.output
            fill(base)
            (base / "hold").unlink()
            first.wait(PATIENCE)
            wrong = finish(one, tally, OR_NEEDS_A_PERSON) + check(one, tally, person=True)
            assert not wrong, "\n".join(wrong)
            (base / "filler").unlink()
            back = one.run("rollback", one.plan, "--reason", "the disk was full")
            assert back.code == 0, back.output
            assert {raft.look_at(base).running for base in one.hosts.values()} == {raft.OLD}
            seen = watcher.seen()
    record("Disk of a host full in mid-switch, then free, and rolled back", tally.seen(), tally, seen)
    assert seen.broken == 0, seen.told


@pytest.mark.needs("root")
def test_a_disk_of_a_host_that_is_read_only_is_refused_untouched(fleet: FaultFleet) -> None:
    tally = Tally()
    with fleet.new_try() as one, disk(one.hosts["raft-2"], AMPLE):
        raft.lay_down(one.hosts["raft-2"])
        remount(one.hosts["raft-2"], "ro")
        with watching(one.hosts.values()) as watcher:
            first = one.run()
            assert (first.code, "base not writable" in first.output) == (3, True), first.output
            remount(one.hosts["raft-2"], "rw")
            wrong = finish(one, tally) + check(one, tally)
            assert not wrong, "\n".join(wrong)
            seen = watcher.seen()
    record("Disk of a host read-only, then not", f"refused; {tally.seen()}", tally, seen)
    assert (seen.broken, set(tally.ends)) == (0, {"succeeded"})


def assert_stopped_for_the_record(one: Try, code: int | None, output: str) -> None:
    """A controller that could not write has stopped with 5 and said why; or it had room enough."""
    assert code in {0, 5}, output
    assert "Traceback" not in output
    if code == 5:
        assert "ledger" in output or "No space left" in output, output


@pytest.mark.needs("root")
def test_a_full_disk_under_the_record_stops_before_the_next_host(fleet: FaultFleet, watcher: Watcher) -> None:
    tally, stopped = Tally(), 0
    rooms = range(0, 300_000, 8192 if ROUNDS else 140_000)
    for room in rooms:
        with fleet.new_try() as one:
            state = one.workspace / ".liftlock"
            kept = shutil.copytree(state, one.workspace / "kept")
            with disk(state, "size=2m"):
                shutil.copytree(kept, state, dirs_exist_ok=True)
                filler = fill(state, room)
                first = one.run()
                assert_stopped_for_the_record(one, first.code, first.output)
                stopped += first.code == 5
                filler.unlink()
                wrong = finish(one, tally) + check(one, tally)
                assert not wrong, f"{room} bytes left: " + "\n".join(wrong)
    seen = watcher.seen()
    record(
        f"Disk under the record full, {len(rooms)} sizes, then free", f"stopped {stopped} times; {tally.seen()}",
        tally, seen,
    )  # fmt: skip
    assert stopped > 0
    assert (seen.broken, set(tally.ends)) == (0, {"succeeded"})


def test_a_record_that_may_not_grow_stops_before_the_next_host(fleet: FaultFleet, watcher: Watcher) -> None:
    """RLIMIT_FSIZE on the controller: each write beyond it fails."""
    tally, stopped = Tally(), 0
    limits = range(4096, 300_000, 8192 if ROUNDS else 140_000)
    for limit in limits:
        with fleet.new_try() as one:
            first = one.run(largest_file=limit)
            assert_stopped_for_the_record(one, first.code, first.output)
            stopped += first.code == 5
            wrong = finish(one, tally) + check(one, tally)
            assert not wrong, f"limit {limit}: " + "\n".join(wrong)
    seen = watcher.seen()
    record(
        f"Files of the controller may not grow (RLIMIT_FSIZE), {len(limits)} limits",
        f"stopped {stopped} times; {tally.seen()}",
        tally,
        seen,
    )
    assert stopped > 0
    assert (seen.broken, set(tally.ends)) == (0, {"succeeded"})
