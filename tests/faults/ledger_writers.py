"""Writers of a ledger that a test kills, what they acknowledged, and what must hold afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from faults.results import ROUNDS
from liftlock.adapters.db import open_ledger
from liftlock.ledger import GENESIS, Baking, verify_chain

CHILD = Path(__file__).with_name("ledger_child.py")


def often(short: int, full: int) -> int:
    """How many tries: a short selection in `make test`, all of them in `make faults`."""
    return full if ROUNDS else short


@dataclass
class Said:
    """What a writer said until it ended: waves by what became of them, and the numbers of acknowledged entries."""

    written: dict[int, int] = field(default_factory=dict)
    failed: list[int] = field(default_factory=list)
    reasons: set[str] = field(default_factory=set)
    found: list[int] = field(default_factory=list)
    killed: bool = False


class Writer:
    """One process that imported everything once and forks a writer for each order."""

    def __init__(self) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen([sys.executable, str(CHILD)], stdin=pipe, stdout=pipe, text=True)
        self._early: list[str] = []
        self.pid = 0

    def begin(self, *order: str) -> None:
        """Fork a writer; `pid` is its process."""
        self._process.stdin.write(" ".join(order) + "\n")
        self._process.stdin.flush()
        self._early = []
        while not (line := self._line()).startswith("begun "):
            self._early.append(line)
        self.pid = int(line.split()[1])

    def await_gate(self) -> None:
        """Until the writer says that it waits."""
        while "waiting" not in self._early:
            self._early.append(self._line())

    def await_written(self, entries: int) -> None:
        """Until it has acknowledged so many."""
        while sum(line.startswith("written ") for line in self._early) < entries:
            self._early.append(self._line())

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def end(self) -> Said:
        """Everything that the writer said, once it has ended."""
        said = Said()
        for line in self._lines():
            match line.split(maxsplit=3):
                case ["written", _, wave, seq]:
                    said.written[int(wave)] = int(seq)
                case ["failed", _, wave, why]:
                    said.failed.append(int(wave))
                    said.reasons.add(why)
                case ["found", _, wave, *_]:
                    said.found.append(int(wave))
                case ["over", status]:
                    said.killed = os.WIFSIGNALED(int(status))
        self.pid = 0
        return said

    def close(self) -> None:
        if self.pid:
            self.kill()
        self._process.communicate()

    def _lines(self) -> Iterator[str]:
        yield from self._early
        while not (line := self._line()).startswith("over "):
            yield line
        yield line

    def _line(self) -> str:
        line = self._process.stdout.readline()
        assert line, "the process that forks the writers is gone"
        return line.rstrip("\n")


@contextmanager
def writers(count: int = 1) -> Iterator[list[Writer]]:
    """Processes that fork writers; what they forked is ended with them."""
    made = [Writer() for _ in range(count)]
    try:
        yield made
    finally:
        for one in made:
            one.close()


@dataclass
class Reader:
    """Reads what came to the ledger since it looked last, verifies the links, and remembers where it was."""

    url: str
    seq: int = 0
    hash: str = GENESIS

    def read_on(self) -> dict[str, dict[int, int]]:
        """The new entries' numbers, by writer and wave; each wave must be there once, in order, without a gap."""
        with open_ledger(self.url) as ledger:
            new = list(ledger.entries(after=self.seq))
        assert verify_chain(new, self.hash) == len(new)
        assert [entry.seq for entry in new] == list(range(self.seq + 1, self.seq + 1 + len(new)))
        found: dict[str, dict[int, int]] = defaultdict(dict)
        for entry in new:
            assert isinstance(entry.fact, Baking)
            assert entry.fact.wave not in found[entry.fact.session], "an entry is there twice"
            found[entry.fact.session][entry.fact.wave] = entry.seq
        if new:
            self.seq, self.hash = new[-1].seq, new[-1].hash
        return found
