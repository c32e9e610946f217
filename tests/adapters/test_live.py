"""A rollout as it happens, told to somebody who may not be able to listen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
sys.path.insert(0, "tests")
from world import START, fold, opened, plan_of, started
from liftlock.adapters.live import watching
from liftlock.ledger import Entry

plan, fact = plan_of((1,)), started("w1h0")
with watching(plan, quiet=False) as on_entry:
    for number in range(1, 4):
        on_entry(Entry(number, START, plan.id, fact, "", ""), fold(plan, opened(), fact))
        print("recorded", number, file=sys.stderr)
sys.exit(4)
"""


def test_a_full_disk_behind_standard_output_keeps_no_rollout_from_going_on() -> None:
    with Path("/dev/full").open("wb", buffering=0) as full:
        ended = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            cwd=Path(__file__).parents[2],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert (ended.returncode, ended.stderr) == (4, "recorded 1\nrecorded 2\nrecorded 3\n")
