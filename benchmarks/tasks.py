"""Listing the tasks, beside starting Python and importing invoke: what somebody waits for before anything happens."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks.measure import Command, run
from benchmarks.report import Report, Table, seconds, times

REPOSITORY = Path(__file__).parents[1]
PYTHON = sys.executable
SCRIPTS = Path(PYTHON).parent
COMMANDS = {
    "python -c pass": (PYTHON, "-c", "pass"),
    'python -c "import invoke"': (PYTHON, "-c", "import invoke"),
    "inv -l": (str(SCRIPTS / "inv"), "-l"),
    "liftlock --list": (str(SCRIPTS / "liftlock"), "--list"),
}


def measure(say: Callable[[str], None], *, quick: bool) -> Report:
    """Each command some 31 times in turn (3 when quick); medians."""
    rounds = 3 if quick else 31
    walls: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for number in range(rounds + 1):
        say(f"tasks: round {number} of {rounds}")
        for name, words in COMMANDS.items():
            used = run(Command(words, REPOSITORY))
            if number:  # round 0 fills the caches
                walls[name].append(used.wall)
    typical = {name: median(found) for name, found in walls.items()}
    bare, invoke = typical["python -c pass"], typical['python -c "import invoke"']
    rows = [
        (
            name,
            seconds(wall),
            f"{seconds(min(walls[name]))} to {seconds(max(walls[name]))}",
            times(wall, bare),
            times(wall, invoke),
        )
        for name, wall in typical.items()
    ]
    return Report(
        "tasks",
        f"Listing the tasks in this repository: median of {rounds} runs of each command, in turn.",
        (Table(("command", "seconds", "least to most", "of `python`", "of `import invoke`"), tuple(rows)),),
    )
