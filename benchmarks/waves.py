"""How many hosts a bad release breaks before it is halted, and how often a good one is halted, by way of making waves.

A simulation. Every way judges the same worlds: in each, every host fails by itself with the true rate. What
failed shows at once, or only in the watch at the end of a wave ("late"), which is where wave sizes matter most.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from math import log
from random import Random
from statistics import fmean

from benchmarks.report import Report, Table
from liftlock.evidence import prior_from, refutes_target
from liftlock.model import Plan, PlannedHost, Policy, Prior, ReleaseKind, Window
from liftlock.waves import in_waves, next_wave

FLEETS = (20, 100, 1_000, 10_000)
RATES = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""True failure rates in percent; those of at most 2 meet the target of 98 %."""
WAVES = ("1", "5%", "25%", "100%")
AT_ONCE = 10
START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class World:
    """The places (from 0, rising) of the hosts on which the release fails, and whether that shows only when watched."""

    failures: tuple[int, ...]
    late: bool

    def failed(self, tried: int) -> int:
        """How many of the first hosts fail, when so many are tried."""
        return bisect_left(self.failures, tried)


@dataclass(frozen=True, slots=True)
class Run:
    """How one rollout ended: hosts touched and broken, waves begun, and whether hosts were left untouched."""

    touched: int
    broken: int
    waves: int
    halted: bool


Way = Callable[[World], Run]


def measure(say: Callable[[str], None], *, quick: bool) -> Report:
    """Every fleet and rate with 1 000 worlds each (quick: two fleets, 20 worlds)."""
    fleets, worlds = (FLEETS[:2], 20) if quick else (FLEETS, 1_000)
    tables = []
    for hosts in fleets:
        say(f"waves: {hosts} hosts, {worlds} worlds for each of {len(RATES)} rates")
        tables.append(_table(hosts, worlds))
    return Report(
        "waves",
        f"Simulated: means of {worlds} seeded worlds, the same for every way; {AT_ONCE} hosts at once where a way can "
        "stop inside a wave. Halted: rollouts in % that left hosts untouched; up to a true rate of 2 % these are false "
        "halts. Broken: hosts that failed. Touched: hosts that were tried. Waves: how many were begun. Late: the same "
        "when failures show only in the watch at a wave's end.",
        tuple(tables),
    )


def ways(hosts: int) -> dict[str, Way]:
    """The ways that are compared, by name, for a fleet of so many hosts."""
    fixed = _plan(hosts, WAVES)
    return {
        "fixed waves": _ours(fixed),
        "evidence": _ours(_plan(hosts, ("evidence",))),
        "evidence, known product": _ours(_plan(hosts, ("evidence",), prior_from(1_980, 20))),
        "Ansible, 2 %": _whole_waves(fixed, _ansible_goes_on),
        "hawkBit, 98/2": _whole_waves(fixed, partial(_hawkbit_goes_on, success=98, error=2)),
        "hawkBit, 50/50": _whole_waves(fixed, partial(_hawkbit_goes_on, success=50, error=50)),
    }


def _table(hosts: int, worlds: int) -> Table:
    compared, rows = ways(hosts), []
    for rate in RATES:
        found: dict[tuple[str, bool], list[Run]] = {(name, late): [] for name in compared for late in (False, True)}
        random = Random(f"{hosts} hosts, {rate} %")
        for _ in range(worlds):
            failures = tuple(_failures(random, hosts, rate / 100))
            for (name, late), runs in found.items():
                runs.append(compared[name](World(failures, late)))
        for name in compared:
            at_once, late_runs = found[name, False], found[name, True]
            rows.append((f"{hosts} hosts, {rate:g} %, {name}", *_figures(at_once), *_figures(late_runs)))
    kinds = ("halted", "broken", "touched", "waves")
    return Table(("fleet, true rate, way", *kinds, *(f"{kind}, late" for kind in kinds)), tuple(rows))


def _figures(runs: list[Run]) -> tuple[str, ...]:
    halted = 100 * fmean(run.halted for run in runs)
    means = (fmean(run.broken for run in runs), fmean(run.touched for run in runs), fmean(run.waves for run in runs))
    return (f"{halted:.1f}", *(f"{mean:.1f}" for mean in means))


def _failures(random: Random, hosts: int, rate: float) -> Iterator[int]:
    """The places of the failing hosts: from one to the next the distance is geometric."""
    place = -1
    while True:
        place += 1 + int(log(1.0 - random.random()) / log(1.0 - rate))
        if place >= hosts:
            return
        yield place


def _ours(plan: Plan) -> Way:
    """liftlock's waves and its two stop rules, asked whenever a batch of hosts has ended."""
    sizes, hosts = _sizes(plan), len(plan.hosts)

    @cache
    def by_evidence(through: int, failed: int) -> int:
        return next_wave(plan, remaining=hosts - through, succeeded=through - failed, failed=failed)

    @cache
    def stops(tried: int, failed: int) -> bool:
        return failed > plan.allowed_failures or refutes_target(tried - failed, failed, plan.policy.target_percent)

    def way(world: World) -> Run:
        end = waves = 0
        while end < hosts:
            begin, waves = end, waves + 1
            end += by_evidence(begin, world.failed(begin)) if plan.policy.by_evidence else sizes[waves - 1]
            looks = [end] if world.late else [*range(begin + AT_ONCE, end, AT_ONCE), end]
            for tried in looks:
                if stops(tried, world.failed(tried)):
                    return Run(tried, world.failed(tried), waves, halted=tried < hosts)
        return Run(hosts, world.failed(hosts), waves, halted=False)

    return way


def _whole_waves(plan: Plan, goes_on: Callable[[int, int], bool]) -> Way:
    """The plan's waves, each judged by itself and only when all its hosts have ended."""
    sizes, hosts = _sizes(plan), len(plan.hosts)

    def way(world: World) -> Run:
        end = failed = 0
        for waves, size in enumerate(sizes, start=1):
            end, before, failed = end + size, failed, world.failed(end + size)
            if not goes_on(size, failed - before):
                return Run(end, failed, waves, halted=end < hosts)
        return Run(hosts, failed, len(sizes), halted=False)

    return way


def _ansible_goes_on(size: int, failed: int) -> bool:
    """`max_fail_percentage: 2` of each `serial` batch must be exceeded to abort the play."""
    return 100 * failed <= 2 * size


def _hawkbit_goes_on(size: int, failed: int, *, success: int, error: int) -> bool:
    """A group triggers the next at its success threshold and pauses the rollout above its error threshold."""
    return 100 * failed <= error * size and 100 * (size - failed) >= success * size


def _plan(hosts: int, waves: tuple[str, ...], prior: Prior | None = None) -> Plan:
    window = Window(START, START + timedelta(hours=8))
    planned = tuple(PlannedHost(f"h{number}", "all", 1, "1", (), window) for number in range(hosts))
    plan = Plan(
        id="",
        product="any",
        version="2",
        kind=ReleaseKind.PATCH,
        fleet="any",
        created_at=START,
        policy=Policy(waves=waves),
        hosts=planned,
        exclusions=(),
        inputs={},
        prior=prior,
    )
    return replace(plan, hosts=tuple(in_waves(plan)))


def _sizes(plan: Plan) -> list[int]:
    return [size for _, size in sorted(Counter(host.wave for host in plan.hosts).items())]
