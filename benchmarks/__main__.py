"""`python -m benchmarks [NAME ...]`: measure and print tables; `--help` tells the rest."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks import ledger, machine, manuals, plan, rollout, tasks, waves
from benchmarks.report import Report
from benchmarks.tools import TOOLS

RESULTS = Path(__file__).with_name("results")
Measure = Callable[..., Report]


def main() -> None:
    """Run the named benchmarks, or all."""
    measures: dict[str, Measure] = {
        "tasks": tasks.measure,
        "plan": plan.measure,
        "ledger": ledger.measure,
        "rollout": rollout.measure,
        "waves": waves.measure,
        "manuals": manuals.measure,
    }
    asked = _arguments(tuple(measures))
    measures["rollout"] = partial(
        rollout.measure, hosts=asked.hosts or 0, others=asked.others, rounds=asked.rounds or 0
    )
    print(about := f"{machine.facts()}\n", flush=True)
    for name in asked.names or measures:
        report = measures[name](_say, quick=asked.quick)
        print(report, flush=True)
        if asked.save:
            RESULTS.mkdir(exist_ok=True)
            (RESULTS / f"{name}.md").write_text(f"{about}\n{report}", encoding="utf-8")


def _arguments(names: tuple[str, ...]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure what liftlock costs.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(names)}; all when none is named")
    parser.add_argument(
        "--quick", action="store_true", help="the smallest size of each: whether it works, not how fast"
    )
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/NAME.md, too")
    parser.add_argument("--hosts", type=int, help="how many hosts the rollout has (20, then 100, then 300)")
    parser.add_argument("--rounds", type=int, help="how many rounds the rollout takes (7, 5, 3)")
    parser.add_argument(
        "--with",
        dest="others",
        type=_others,
        metavar="TOOLS",
        help=f"others in the rollout, installed once in a cache folder: {','.join(TOOLS)} (all; quick: none)",
    )
    asked = parser.parse_args()
    if unknown := [name for name in asked.names if name not in names]:
        parser.error(f"there is no {', '.join(unknown)}: choose from {', '.join(names)}")
    return asked


def _others(text: str) -> tuple[str, ...]:
    names = tuple(name for name in text.split(",") if name)
    if unknown := [name for name in names if name not in TOOLS]:
        raise argparse.ArgumentTypeError(f"there is no {', '.join(unknown)}: choose from {','.join(TOOLS)}")
    return names


def _say(progress: str) -> None:
    print(progress, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
