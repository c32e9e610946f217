"""What the tests of faults saw, a JSON line each in the file LIFTLOCK_FAULT_RESULTS, for docs/reliability.md."""

from __future__ import annotations

import json
import os
from pathlib import Path

from faults.checker import Tally
from faults.watcher import Watched

ROUNDS = int(os.environ.get("LIFTLOCK_FAULT_ROUNDS", "0"))
"""How often the whole matrix is gone through; 0 for the short selection alone."""


def record(fault: str, seen: str, tally: Tally | None = None, watched: Watched | None = None, tries: int = 1) -> None:
    """Write one line of the table, if a table is wanted."""
    if not (place := os.environ.get("LIFTLOCK_FAULT_RESULTS")):
        return
    figures = tally.figures() if tally else {"tries": tries}
    if watched:
        figures |= {"samples": watched.samples, "broken": watched.broken, "longest_gap_ms": watched.longest_gap_ms}
    line = {"fault": fault, "tries": figures["tries"], "seen": seen, "figures": figures}
    with Path(place).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")
