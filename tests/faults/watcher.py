"""An independent process that looks at every host's `current` every 5 ms; and the one that asks it what it saw.

A sample is whole when `current` is a link to `releases/<version>` and the release there carries its own seal: the
file COMPLETE, the last of its archive, which names the version. Whoever asks also learns over which versions a host has
moved, and that the process was never asleep for longer than LONGEST_GAP: else its samples would prove nothing.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

EVERY = 0.005
LONGEST_GAP = 5.0
"""Seconds that may lie between two samples of a host; a busy machine of two cores keeps to a tenth of it."""
SEAL = "COMPLETE"
_KEPT = 20


@dataclass(frozen=True)
class Watched:
    """What was seen: samples, those without a working `current` (the first of them told), and the longest gap.

    `moves` tells by base which versions were current one after the other.
    """

    samples: int = 0
    broken: int = 0
    told: tuple[str, ...] = ()
    longest_gap_ms: int = 0
    moves: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __add__(self, later: Watched) -> Watched:
        """Both together; of the moves those that were seen later."""
        return Watched(
            self.samples + later.samples,
            self.broken + later.broken,
            (*self.told, *later.told)[:_KEPT],
            max(self.longest_gap_ms, later.longest_gap_ms),
            later.moves,
        )


def look(base: str) -> tuple[str, str]:
    """The version that is current at this base, and why it does not work now; one of both is empty."""
    try:
        link = os.readlink(f"{base}/current")  # noqa: PTH115  a Path costs more than the look
    except OSError as error:
        return "", f"current: {error.strerror}"
    try:
        descriptor = os.open(f"{base}/{link}/{SEAL}", os.O_RDONLY)
    except OSError as error:
        return "", f"{link}: no seal ({error.strerror})"
    try:
        sealed = os.read(descriptor, 100).decode()
    finally:
        os.close(descriptor)
    return (sealed, "") if link == f"releases/{sealed}" else ("", f"{link}: sealed as {sealed!r}")


class Watcher:
    """The asking side."""

    def __init__(self, bases: Iterable[Path]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-E", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([str(base) for base in bases]).encode() + b"\n")
        self._process.stdin.flush()
        self._seen = Watched()

    def news(self) -> Watched:
        """What it saw since it was asked last."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"tell\n")
        self._process.stdin.flush()
        told = json.loads(self._process.stdout.readline())
        moves = {base: tuple(versions) for base, versions in told["moves"].items()}
        news = Watched(told["samples"], told["broken"], tuple(told["told"]), told["longest_gap_ms"], moves)
        assert news.longest_gap_ms <= 1000 * LONGEST_GAP, f"no host was looked at for {news.longest_gap_ms} ms"
        self._seen += news
        return news

    def seen(self) -> Watched:
        """What it saw since it began."""
        self.news()
        return self._seen

    @property
    def pid(self) -> int:
        """Of the process that looks."""
        return self._process.pid

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


@contextmanager
def watching(bases: Iterable[Path]) -> Iterator[Watcher]:
    """A watcher of these bases, ended with the block; every one of them must have a working `current` now."""
    watcher = Watcher(bases)
    try:
        assert not watcher.news().broken
        yield watcher
    finally:
        watcher.close()


class _Notes:
    """What is told when it is asked for, from then on."""

    def __init__(self, bases: Iterable[str]) -> None:
        self.samples, self.broken, self.gap = 0, 0, 0.0
        self.told: list[str] = []
        self.moves: dict[str, list[str]] = {base: [] for base in bases}

    def take(self, base: str, version: str, wrong: str) -> None:
        self.samples += 1
        if wrong:
            self.broken += 1
            self.told = [*self.told, f"{os.path.basename(os.path.dirname(base))}: {wrong}"][:_KEPT]  # noqa: PTH119, PTH120
        elif self.moves[base][-1:] != [version]:
            self.moves[base].append(version)

    def answer(self) -> bytes:
        told = {"samples": self.samples, "broken": self.broken, "told": self.told, "moves": self.moves}
        return (json.dumps(told | {"longest_gap_ms": round(self.gap * 1000)}) + "\n").encode()


def _watch(bases: list[str]) -> None:
    notes, last = _Notes(bases), time.monotonic()
    while True:
        for base in bases:
            notes.take(base, *look(base))
        now = time.monotonic()
        notes.gap, last = max(notes.gap, now - last), now
        if select.select([0], [], [], EVERY)[0]:
            if not os.read(0, 100):
                return
            notes.gap = max(notes.gap, time.monotonic() - last)  # what it slept before it was woken by this
            os.write(1, notes.answer())
            notes = _Notes(bases)


if __name__ == "__main__":
    asked = b""
    while not asked.endswith(b"\n"):
        asked += os.read(0, 1)
    _watch(json.loads(asked))
