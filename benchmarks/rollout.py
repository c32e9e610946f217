"""A whole rollout to real sshd hosts: liftlock beside OpenSSH alone and beside what people use for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks import machine, world
from benchmarks.contender import FLOOR, Contender, contenders
from benchmarks.contenders import liftlock_rollout
from benchmarks.measure import CommandFailedError, Used, peak_memory, run
from benchmarks.report import Report, Table, seconds, times
from benchmarks.tools import TOOLS
from benchmarks.world import World

CONCURRENCY = 20
SIZES = {20: 7, 100: 5, 300: 3}
"""How many hosts, and how many rounds they take when none are asked for."""
MANY_HOSTS = 100
"""The largest fleet that a slow contender is let loose on without being asked for."""


@dataclass(slots=True)
class Found:
    """What one contender used, round by round: in all, and without the start of Python and its imports."""

    whole: list[Used] = field(default_factory=list)
    work: list[Used] = field(default_factory=list)
    connections: float = 0.0
    memory: int = 0
    false_key: str = ""


def measure(
    say: Callable[[str], None], *, quick: bool, hosts: int = 0, others: Sequence[str] | None = None, rounds: int = 0
) -> Report:
    """Twenty hosts at once, of fleets as `SIZES` has them, or of one of `hosts` (quick: two hosts, one round).

    `others` of `tools.TOOLS` take part; None is all of them, slow ones only where hosts are few (quick: none).
    """
    chosen = contenders(others if others is not None else () if quick else TOOLS, say)
    sizes, load = (hosts,) if hosts else (2,) if quick else tuple(SIZES), machine.load()
    found = {}
    for size in sizes:
        taking_part = [one for one in chosen if others is not None or not one.slow or size <= MANY_HOSTS]
        found[size] = _upgrade(say, size, rounds or (1 if quick else SIZES.get(size, 3)), taking_part)
    return Report(
        "rollout",
        f"sshd hosts on loopback, {CONCURRENCY} at once, an artifact of 1 MiB, every host verified "
        "on disk after each run: medians of rounds, in turn, as multiples of OpenSSH alone (`xargs -P` over `ssh`, "
        "host keys checked, one connection that works and one that looks). CPU is the client's, with its children; "
        "memory the most held at one time, shared pages counted by share. "
        f"Load {load:.1f} before, {machine.load():.1f} after.",
        tuple(table for size in sizes for table in _tables(found[size], size)),
    )


def _upgrade(say: Callable[[str], None], hosts: int, rounds: int, taking_part: list[Contender]) -> dict[str, Found]:
    """What each used to upgrade a fleet of so many hosts, in turn."""
    found = {one.name: Found() for one in taking_part}
    with world.running(hosts, min(CONCURRENCY, hosts)) as made:
        strangers = made.with_a_false_key()
        for one in taking_part:
            say(f"rollout: {one.name}, a false host key")
            found[one.name].false_key = _trust(strangers, one)
        for one in taking_part:
            say(f"rollout: {one.name}, {hosts} hosts, memory")
            _memory(made, one, found[one.name])
        for number in range(rounds):
            for one in _in_turn(taking_part, number):
                if number < one.rounds(hosts, rounds):
                    say(f"rollout: {one.name}, {hosts} hosts, round {number + 1} of {one.rounds(hosts, rounds)}")
                    _once(made, one, found[one.name])
    return found


def _tables(found: dict[str, Found], hosts: int) -> tuple[Table, ...]:
    return (
        _table(found, hosts, lambda one: one.whole, f"{hosts} hosts, in all"),
        _table(found, hosts, lambda one: one.work, f"{hosts} hosts, without start"),
        _costs(found, hosts),
    )


def _in_turn(contenders: list[Contender], number: int) -> list[Contender]:
    """The contenders, another one first in every round."""
    first = number % len(contenders)
    return contenders[first:] + contenders[:first]


def _prepare(made: World) -> None:
    made.told.unlink(missing_ok=True)
    liftlock_rollout.prepare(made.job, made.folder)
    made.reset()


def _trust(strangers: World, one: Contender) -> str:
    """What it does with a host whose key is another than the recorded one."""
    _prepare(strangers)
    try:
        run(one.command(strangers))
    except CommandFailedError:
        return "refused" if strangers.is_untouched() else "touched"
    return "trusted"


def _memory(made: World, one: Contender, found: Found) -> None:
    _prepare(made)
    before = made.connections()
    found.memory = peak_memory(one.command(made))
    made.verify()
    found.connections = (made.connections() - before) / len(made.job.hosts)


def _once(made: World, one: Contender, found: Found) -> None:
    _prepare(made)
    used = run(one.command(made))
    made.verify()
    found.whole.append(used)
    if one.tells:
        found.work.append(Used(**json.loads(made.told.read_text("utf-8"))))
    elif one.name == FLOOR:
        found.work.append(used)


def _table(found: dict[str, Found], hosts: int, which: Callable[[Found], list[Used]], words: str) -> Table:
    told = {name: which(one) for name, one in found.items() if which(one)}
    walls = {name: median(used.wall for used in rounds) for name, rounds in told.items()}
    cpus = {name: median(used.cpu for used in rounds) for name, rounds in told.items()}
    rows = tuple(
        (
            name,
            str(len(told[name])),
            seconds(walls[name]),
            times(walls[name], walls[FLOOR]),
            _spread(told[name]),
            seconds(cpus[name]),
            times(cpus[name], cpus[FLOOR]),
            f"{cpus[name] / hosts * 1000:.1f}",
        )
        for name in told
    )
    head = ("rounds", "seconds", "of OpenSSH", "least to most", "CPU seconds", "of OpenSSH", "CPU ms a host")
    return Table((words, *head), rows)


def _spread(used: list[Used]) -> str:
    walls = [one.wall for one in used]
    return f"{seconds(min(walls))} to {seconds(max(walls))}"


def _costs(found: dict[str, Found], hosts: int) -> Table:
    rows = tuple(
        (name, f"{one.connections:.1f}", f"{one.memory / 2**20:.0f}", one.false_key) for name, one in found.items()
    )
    return Table((f"{hosts} hosts, besides", "connections a host", "peak memory, MiB", "a false host key is"), rows)
