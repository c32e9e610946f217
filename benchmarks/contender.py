"""Those who are compared in a rollout: what each is called, and the command that upgrades a world's hosts."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import tools
from benchmarks.job import NEW
from benchmarks.measure import Command
from benchmarks.world import World

REPOSITORY = Path(__file__).parents[1]
SCRIPTS = tools.CONTENDERS
FLOOR, LIFTLOCK, FABRIC = "OpenSSH alone", "liftlock", "plain Fabric"
ANSIBLE, PYINFRA, PSSH = "ansible-core", "pyinfra", "parallel-ssh"
SLOW_HOSTS = 40
"""How many hosts a slow contender upgrades in all its rounds together, unless one round is more."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One who upgrades all hosts of a world.

    `tells` says that it writes beside the job what it used without its start; a `slow` one takes part in fewer rounds.
    """

    name: str
    command: Callable[[World], Command]
    tells: bool = True
    slow: bool = False

    def rounds(self, hosts: int, most: int) -> int:
        """How many of `most` rounds it takes part in."""
        return min(most, max(1, SLOW_HOSTS // hosts)) if self.slow else most


def contenders(others: Iterable[str], say: Callable[[str], None]) -> tuple[Contender, ...]:
    """OpenSSH, liftlock, Fabric, and those of `tools.TOOLS` that are asked for, installed when they are not yet."""
    ours = Path(sys.executable).parent
    return (
        Contender(FLOOR, _floor, tells=False),
        Contender(LIFTLOCK, partial(_module, "liftlock_rollout", ours)),
        Contender(FABRIC, partial(_module, "plain_fabric", ours)),
        *(_OTHERS[tool](tools.commands(SCRIPTS / f"requirements-{tool}.txt", say)) for tool in others),
    )


_OTHERS: dict[str, Callable[[Path], Contender]] = {
    "ansible": lambda installed: Contender(ANSIBLE, partial(_ansible, installed), tells=False, slow=True),
    "pyinfra": lambda installed: Contender(PYINFRA, partial(_pyinfra, installed), tells=False),
    "pssh": lambda installed: Contender(PSSH, partial(_module, "parallel_ssh", installed)),
}


def _floor(made: World) -> Command:
    job = made.job
    hosts = made.folder / "floor_hosts"
    hosts.write_text("".join(f"{host.port} {host.base}\n" for host in job.hosts), encoding="utf-8")
    settings = {
        "ADDRESS": job.address,
        "ARTIFACT": job.artifact,
        "KEY": job.key,
        "KNOWN_HOSTS": job.known_hosts,
        "SHA256": job.sha256,
        "VERSION": NEW,
    }
    words = ["xargs", "-P", str(job.concurrency), "-n", "2", "sh", str(SCRIPTS / "floor.sh")]
    return Command(words, REPOSITORY, hosts, settings)


def _module(module: str, commands: Path, made: World) -> Command:
    words = [str(commands / "python"), "-m", f"benchmarks.contenders.{module}", str(made.job_file), str(made.told)]
    return Command(words, REPOSITORY)


def _pyinfra(commands: Path, made: World) -> Command:
    scripts = [str(SCRIPTS / f"pyinfra_{part}.py") for part in ("inventory", "deploy")]
    words = [str(commands / "pyinfra"), "--yes", "--parallel", str(made.job.concurrency), *scripts]
    return Command(words, REPOSITORY, environment={"JOB": str(made.job_file)})


def _ansible(commands: Path, made: World) -> Command:
    job, home, inventory = made.job, made.folder / "ansible", made.folder / "ansible_inventory.json"
    hosts = {
        host.name: {"ansible_host": job.address, "ansible_port": host.port, "base": host.base} for host in job.hosts
    }
    trusted = f"-F none -o StrictHostKeyChecking=yes -o UserKnownHostsFile={job.known_hosts}"
    told = {
        "ansible_ssh_private_key_file": job.key,
        "ansible_ssh_common_args": f"{trusted} -o GlobalKnownHostsFile=none",
        "ansible_python_interpreter": sys.executable,
        "artifact": job.artifact,
        "sha256": job.sha256,
        "version": NEW,
    }
    inventory.write_text(json.dumps({"all": {"hosts": hosts, "vars": told}}), encoding="utf-8")
    settings = {
        "ANSIBLE_FORKS": str(job.concurrency),
        "ANSIBLE_HOME": str(home),
        "ANSIBLE_HOST_KEY_CHECKING": "true",
        "ANSIBLE_PIPELINING": "true",
    }
    words = [str(commands / "ansible-playbook"), "--inventory", str(inventory), str(SCRIPTS / "ansible_playbook.yml")]
    return Command(words, REPOSITORY, environment=settings, sharing=home)
