"""An independent process that looks at every host's `current` every 5 ms; and the one that asks it what it saw.

A sample is whole when `current` is a link to `releases/<version>` and the release there carries its own seal: the
file COMPLETE, the last of its archive, which names the version.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

EVERY = 0.005
SEAL = "COMPLETE"
_KEPT = 20


@dataclass(frozen=True)
class Watched:
    """What was seen: samples, those without a working `current` (the first of them told), and the longest gap."""

    samples: int
    broken: int
    told: tuple[str, ...]
    longest_gap_ms: int


def what_is_wrong(base: str) -> str:
    """Why `current` of this base does not work now; empty when it does."""
    try:
        link = os.readlink(f"{base}/current")  # noqa: PTH115  a Path costs more than the look
    except OSError as error:
        return f"current: {error.strerror}"
    try:
        descriptor = os.open(f"{base}/{link}/{SEAL}", os.O_RDONLY)
    except OSError as error:
        return f"{link}: no seal ({error.strerror})"
    try:
        sealed = os.read(descriptor, 100).decode()
    finally:
        os.close(descriptor)
    return "" if link == f"releases/{sealed}" else f"{link}: sealed as {sealed!r}"


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

    def seen(self) -> Watched:
        """Everything since the last time it was asked."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"tell\n")
        self._process.stdin.flush()
        told = json.loads(self._process.stdout.readline())
        return Watched(told["samples"], told["broken"], tuple(told["told"]), told["longest_gap_ms"])

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


@contextmanager
def watching(bases: Iterable[Path]) -> Iterator[Watcher]:
    """A watcher of these bases, ended with the block; every one of them must have a working `current` now."""
    watcher = Watcher(bases)
    try:
        watcher.seen()
        yield watcher
    finally:
        watcher.close()


def _watch(bases: list[str]) -> None:
    samples, broken, gap, told, last = 0, 0, 0.0, [], time.monotonic()
    while True:
        for base in bases:
            samples += 1
            if wrong := what_is_wrong(base):
                broken += 1
                told = [*told, f"{os.path.basename(os.path.dirname(base))}: {wrong}"][:_KEPT]  # noqa: PTH119, PTH120
        now = time.monotonic()
        gap, last = max(gap, now - last), now
        if select.select([0], [], [], EVERY)[0]:
            if not os.read(0, 100):
                return
            answer = {"samples": samples, "broken": broken, "told": told, "longest_gap_ms": round(gap * 1000)}
            os.write(1, (json.dumps(answer) + "\n").encode())
            samples, broken, gap, told, last = 0, 0, 0.0, [], time.monotonic()


if __name__ == "__main__":
    asked = b""
    while not asked.endswith(b"\n"):
        asked += os.read(0, 1)
    _watch(json.loads(asked))
