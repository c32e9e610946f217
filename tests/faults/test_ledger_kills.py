"""kill -9 during commits to a ledger in SQLite: at random moments, and at every system call of two commits and a close.

Nothing that was acknowledged may be lost, nothing may be there twice, and the ledger must open and go on.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from faults.ledger_writers import Reader, Said, Writer, often, writers
from faults.results import record

WRITES = ("pwrite64", "write", "fdatasync", "fsync", "ftruncate", "fallocate")


def test_kill_9_at_any_moment_loses_no_acknowledged_entry_and_doubles_none(tmp_path: Path) -> None:
    reader, rounds = Reader(f"sqlite:///{tmp_path}/ledger.db"), often(12, 500)
    acknowledged = unheard = 0
    with writers(2) as pair:
        for number in range(rounds):
            names = [f"r{number}w{one}" for one in range(2)]
            for writer, name in zip(pair, names, strict=True):
                writer.begin("write_on", reader.url, name)
            for writer in random.sample(pair, 2):
                writer.await_written(random.randint(0, 4))
                time.sleep(random.uniform(0, 0.004))
                writer.kill()
            said = [writer.end() for writer in pair]
            found = reader.read_on()
            for one, name in zip(said, names, strict=True):
                assert one.killed
                assert one.failed == []
                kept = found[name]
                assert list(kept) == list(range(1, len(kept) + 1))
                assert {wave: kept.get(wave) for wave in one.written} == one.written, "an acknowledged entry is lost"
                assert len(kept) - len(one.written) in {0, 1}
                acknowledged, unheard = acknowledged + len(one.written), unheard + len(kept) - len(one.written)
    assert Reader(reader.url).read_on().keys()
    assert acknowledged >= rounds
    seen = f"0 of {acknowledged} acknowledged entries lost, 0 doubled, the chain holds"
    record(
        "kill -9 of two writers during ledger commits, SQLite", f"{seen}; {unheard} in, unheard of", tries=rounds * 2
    )


def test_kill_9_while_a_new_ledger_is_made_leaves_one_that_opens(tmp_path: Path) -> None:
    rounds, made = often(5, 100), 0
    with writers() as [writer]:
        for number in range(rounds):
            reader = Reader(f"sqlite:///{tmp_path}/{number}/ledger.db")
            writer.begin("write_on", reader.url, "w")
            time.sleep(random.uniform(0, 0.15))
            writer.kill()
            said = writer.end()
            kept = reader.read_on()["w"]
            assert {wave: kept.get(wave) for wave in said.written} == said.written
            made += bool(said.written)
    record("kill -9 while a new ledger is made, SQLite", f"every one opens; {made} had entries, 0 lost", tries=rounds)


def go(writer: Writer, gate: Path, reader: Reader, name: str, strace: Sequence[str]) -> Said:
    """Let a writer append two entries and close, under strace."""
    writer.begin("write_twice", reader.url, name, str(gate))
    writer.await_gate()
    command = ["strace", "-f", "-p", str(writer.pid), *strace]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
        said = ""
        while "attached" not in said:  # it may warn first
            said = tracer.stderr.readline()
            assert said, "strace is gone"
        with gate.open("r+b", buffering=0) as opened:  # for reading as well: it may be killed before it reads
            opened.write(b"go\n")
            ended = writer.end()
        tracer.stderr.read()
    return ended


def moments(writer: Writer, gate: Path, reader: Reader, log: Path) -> list[tuple[str, int]]:
    """Every system call of two appends and a close, by name and by which of that name it is."""
    assert go(writer, gate, reader, "plain", ["-o", str(log)]).written == {1: 1, 2: 2}
    reader.read_on()
    calls = Counter(re.findall(r"^\d+ +(\w+)\(", log.read_text(), re.MULTILINE))
    assert {"pwrite64", "fdatasync"} <= calls.keys(), calls
    return [(name, nth) for name, count in calls.items() for nth in range(1, count + 1)]


def spread(all_of_them: list[tuple[str, int]], short: int) -> list[tuple[str, int]]:
    step = len(all_of_them) / often(min(short, len(all_of_them)), len(all_of_them))
    return [all_of_them[int(place * step)] for place in range(int(len(all_of_them) / step))]


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "gate")
    return tmp_path / "gate"


@pytest.mark.needs("strace")
def test_kill_9_at_every_system_call_of_a_commit_loses_no_acknowledged_entry(tmp_path: Path, gate: Path) -> None:
    reader, kills, acknowledged = Reader(f"sqlite:///{tmp_path}/ledger.db"), 0, 0
    with writers() as [writer]:
        every = moments(writer, gate, reader, tmp_path / "log")
        for name, nth in spread(every, 25):
            inject = ["-e", f"trace={name}", "-e", f"inject={name}:signal=KILL:when={nth}", "-o", os.devnull]
            said = go(writer, gate, reader, f"{name}{nth}", inject)
            kept = reader.read_on()[f"{name}{nth}"]
            assert said.failed == []
            assert {wave: kept.get(wave) for wave in said.written} == said.written, f"lost at {name} {nth}"
            assert len(kept) - len(said.written) in {0, 1}
            kills, acknowledged = kills + said.killed, acknowledged + len(said.written)
    assert kills > 20
    seen = f"killed at {kills}: 0 of {acknowledged} acknowledged entries lost, 0 doubled, the chain holds"
    record("kill -9 at every system call of two commits and a close, SQLite", seen, tries=len(spread(every, 25)))


@pytest.mark.needs("strace")
def test_a_disk_that_fails_at_any_write_or_sync_is_told_and_loses_nothing(tmp_path: Path, gate: Path) -> None:
    reader, told, tries = Reader(f"sqlite:///{tmp_path}/ledger.db"), 0, 0
    with writers() as [writer]:
        every = [one for one in moments(writer, gate, reader, tmp_path / "log") if one[0] in WRITES]
        for name, nth in spread([one for one in every if one[0] != "write"], 12):
            for error, why in [("EIO", "the disk reports an error"), ("ENOSPC", "the disk is full")]:
                inject = ["-e", f"trace={name}", "-e", f"inject={name}:error={error}:when={nth}", "-o", os.devnull]
                said = go(writer, gate, reader, f"{name}{nth}{error}", inject)
                kept = reader.read_on()[f"{name}{nth}{error}"]
                assert not said.killed
                assert {*said.written, *said.failed} == {1, 2}
                assert {wave: kept.get(wave) for wave in said.written} == said.written, f"lost at {name} {nth} {error}"
                assert all(why in one or "the disk reports an error" in one for one in said.reasons), said.reasons
                told, tries = told + len(said.failed), tries + 1
    assert told > 0
    record("a write or sync of the ledger's disk fails, SQLite", f"{told} told, 0 acknowledged lost", tries=tries)
