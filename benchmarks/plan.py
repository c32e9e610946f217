"""Making plans of growing fleets, and reading a large inventory beside what its YAML alone costs."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import yaml

from benchmarks import fleets
from benchmarks.report import Report, Table, seconds, times
from liftlock.document import garbage_collection_resting
from liftlock.errors import InputError
from liftlock.inventory import read_fleet

REPOSITORY = Path(__file__).parents[1]


def measure(say: Callable[[str], None], *, quick: bool) -> Report:
    """Plans of 1 000, 10 000 and 100 000 hosts, an inventory of 10 000 (quick: 100 and 1 000 hosts, and 1 000)."""
    sizes, rounds = ((100, 1_000), 1) if quick else ((1_000, 10_000, 100_000), 3)
    plans = _plans(say, sizes, rounds)
    return Report(
        "plan",
        f"`make_plan` for {fleets.CUSTOMERS} customers, {len(fleets.PRODUCTS)} products that need each other and "
        f"{len(fleets.PRODUCTS) * fleets.LINES * fleets.PATCHES} releases, one in ten hosts not reached, in a process "
        f"each, whose peak includes reading the inventory (the aim for 100 000 hosts: under 3 s and 500 MB); and "
        f"`read_fleet` of an inventory beside what PyYAML's C loader alone takes for the same text, no garbage "
        f"collected by either. Medians of rounds: {rounds}, in turn.",
        (plans, _inventories(say, sizes[-1] if quick else 10_000, rounds)),
    )


def _plans(say: Callable[[str], None], sizes: tuple[int, ...], rounds: int) -> Table:
    found: dict[int, list[dict[str, float]]] = {size: [] for size in sizes}
    for number in range(1, rounds + 1):
        for size in sizes:
            say(f"plan: {size} hosts, round {number} of {rounds}")
            found[size].append(_one_plan(size))
    rows, before = [], 0.0
    for size, results in found.items():
        took = median(result["seconds"] for result in results)
        memory, peak = (f"{median(result[name] for result in results) / 2**20:.1f}" for name in ("bytes", "peak"))
        growth = times(took, before) if before else "-"
        planned = f"{results[0]['planned']:.0f}"
        cpu = seconds(median(result["cpu"] for result in results))
        rows.append((f"{size}", planned, seconds(took), cpu, f"{took / size * 1e6:.1f}", growth, memory, peak))
        before = took
    head = ("hosts", "planned", "seconds", "seconds of CPU", "µs a host", "time of the row above")
    return Table((*head, "growth at the peak, MiB", "peak of the process, MiB"), tuple(rows))


def _one_plan(hosts: int) -> dict[str, float]:
    words = [sys.executable, "-m", "benchmarks.one_plan", str(hosts)]
    told = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    result: dict[str, float] = json.loads(told)
    return result


def _inventories(say: Callable[[str], None], hosts: int, rounds: int) -> Table:
    wrong = hosts // 100
    clean, faulty = fleets.inventory(hosts), fleets.inventory(hosts, wrong)
    ways: dict[str, Callable[[], int]] = {
        f"PyYAML alone, {hosts} hosts": lambda: len(yaml.load(clean, yaml.CSafeLoader)["hosts"]),
        f"read_fleet, {hosts} hosts": lambda: len(read_fleet(clean, "large.yaml").hosts),
        f"read_fleet, the same with {wrong} mistakes": lambda: _mistakes(faulty),
    }
    expected = (hosts, hosts, wrong)
    found: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(1, rounds + 1):
        say(f"inventory: {hosts} hosts, round {number} of {rounds}")
        for (name, way), count in zip(ways.items(), expected, strict=True):
            with garbage_collection_resting():  # as read_fleet does for itself; it would cost more than the reading
                began = time.perf_counter()
                assert way() == count
                found[name].append(time.perf_counter() - began)
            gc.collect()
    alone = median(next(iter(found.values())))
    rows = [(name, seconds(median(took)), times(median(took), alone)) for name, took in found.items()]
    return Table(("reading", "seconds", "of PyYAML alone"), tuple(rows))


def _mistakes(text: str) -> int:
    try:
        read_fleet(text, "large.yaml")
    except InputError as error:
        return len(error.problems)
    return 0
