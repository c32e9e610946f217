"""A whole rollout to real sshd hosts: liftlock beside OpenSSH alone and beside Fabric as people write it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks import world
from benchmarks.contenders import liftlock_rollout
from benchmarks.job import NEW
from benchmarks.measure import Command, Used, peak_memory, run
from benchmarks.report import Report, Table, seconds, times
from benchmarks.world import World

REPOSITORY = Path(__file__).parents[1]
FLOOR, LIFTLOCK, FABRIC = "OpenSSH alone", "liftlock", "plain Fabric"
CONCURRENCY = 20


@dataclass(slots=True)
class Found:
    """What one contender used, round by round: in all, and without the start of Python and its imports."""

    whole: list[Used] = field(default_factory=list)
    work: list[Used] = field(default_factory=list)
    connections: float = 0.0
    memory: int = 0


def measure(say: Callable[[str], None], *, quick: bool, hosts: int = 0) -> Report:
    """Twenty hosts, twenty at once, seven rounds (quick: two hosts, one round)."""
    hosts, rounds = hosts or (2 if quick else 20), 1 if quick else 7
    with world.running(hosts, min(CONCURRENCY, hosts)) as made:
        commands = {name: _command(made, name) for name in (FLOOR, LIFTLOCK, FABRIC)}
        found = {name: Found() for name in commands}
        for name, command in commands.items():
            say(f"rollout: {name}, {hosts} hosts, memory")
            _memory(made, command, found[name])
        for number in range(rounds):
            for name in _in_turn(tuple(commands), number):
                say(f"rollout: {name}, {hosts} hosts, round {number + 1} of {rounds}")
                _once(made, name, commands[name], found[name])
    return Report(
        "rollout",
        f"{hosts} sshd hosts on loopback, {min(CONCURRENCY, hosts)} at once, an artifact of 1 MiB, every host verified "
        f"on disk after each run: medians of rounds ({rounds}, in turn) as multiples of OpenSSH alone (`xargs -P` over "
        "`ssh`, host keys checked, one connection that works and one that looks). CPU is the client's, with its "
        "children; memory the most held at one time, shared pages counted by share.",
        (
            _table(found, hosts, lambda one: one.whole, "in all"),
            _table(found, hosts, lambda one: one.work, "without start"),
            _costs(found),
        ),
    )


def _command(made: World, name: str) -> Command:
    job = made.job
    if name == FLOOR:
        hosts = made.folder / "floor_hosts"
        hosts.write_text("".join(f"{host.port} {host.base}\n" for host in job.hosts), encoding="utf-8")
        script = str(Path(__file__).parent / "contenders" / "floor.sh")
        settings = {
            "ADDRESS": job.address,
            "ARTIFACT": job.artifact,
            "KEY": job.key,
            "KNOWN_HOSTS": job.known_hosts,
            "SHA256": job.sha256,
            "VERSION": NEW,
        }
        return Command(["xargs", "-P", str(job.concurrency), "-n", "2", "sh", script], REPOSITORY, hosts, settings)
    module = {LIFTLOCK: "liftlock_rollout", FABRIC: "plain_fabric"}[name]
    words = [sys.executable, "-m", f"benchmarks.contenders.{module}", str(made.folder / "job.json"), str(_told(made))]
    return Command(words, REPOSITORY)


def _told(made: World) -> Path:
    return made.folder / "told.json"


def _in_turn(names: tuple[str, ...], number: int) -> tuple[str, ...]:
    """The names, another one first in every round."""
    first = number % len(names)
    return names[first:] + names[:first]


def _prepare(made: World) -> None:
    _told(made).unlink(missing_ok=True)
    liftlock_rollout.prepare(made.job, made.folder)
    made.reset()


def _memory(made: World, command: Command, found: Found) -> None:
    _prepare(made)
    before = made.connections()
    found.memory = peak_memory(command)
    made.verify()
    found.connections = (made.connections() - before) / len(made.job.hosts)


def _once(made: World, name: str, command: Command, found: Found) -> None:
    _prepare(made)
    used = run(command)
    made.verify()
    found.whole.append(used)
    found.work.append(used if name == FLOOR else Used(**json.loads(_told(made).read_text("utf-8"))))


def _table(found: dict[str, Found], hosts: int, which: Callable[[Found], list[Used]], words: str) -> Table:
    walls = {name: median(used.wall for used in which(one)) for name, one in found.items()}
    cpus = {name: median(used.cpu for used in which(one)) for name, one in found.items()}
    rows = tuple(
        (
            name,
            seconds(walls[name]),
            times(walls[name], walls[FLOOR]),
            _spread(which(one)),
            seconds(cpus[name]),
            times(cpus[name], cpus[FLOOR]),
            f"{cpus[name] / hosts * 1000:.1f}",
        )
        for name, one in found.items()
    )
    return Table((words, "seconds", "of OpenSSH", "least to most", "CPU seconds", "of OpenSSH", "CPU ms a host"), rows)


def _spread(used: list[Used]) -> str:
    walls = [one.wall for one in used]
    return f"{seconds(min(walls))} to {seconds(max(walls))}"


def _costs(found: dict[str, Found]) -> Table:
    rows = tuple((name, f"{one.connections:.1f}", f"{one.memory / 2**20:.0f}") for name, one in found.items())
    return Table(("besides", "connections a host", "peak memory, MiB"), rows)
