"""The hosts of a measured rollout: real sshd on loopback, each with an old release."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from benchmarks.job import NEW, OLD, Job, JobHost
from liftlock.demo.sshd import ADDRESS, LoopbackFleet

BALLAST = Random(4).randbytes(1024 * 1024)  # weight that does not compress


class NotUpgradedError(Exception):
    """A contender said that it was done, and a host says otherwise."""


@dataclass(frozen=True, slots=True)
class World:
    """The running hosts, the job, and a folder for what contenders need."""

    fleet: LoopbackFleet
    job: Job
    folder: Path

    @property
    def job_file(self) -> Path:
        """The job, for contenders to read."""
        return self.folder / "job.json"

    @property
    def told(self) -> Path:
        """Where a contender tells what it used without its start."""
        return self.folder / "told.json"

    def with_a_false_key(self) -> World:
        """The first host alone, and a known_hosts file that has another key for it."""
        host, folder = self.job.hosts[0], self.folder / "false"
        folder.mkdir()
        other = Path(self.job.key).with_suffix(".pub").read_text("ascii")
        (folder / "known_hosts").write_text(f"[{self.job.address}]:{host.port} {other}", encoding="ascii")
        made = World(self.fleet, replace(self.job, hosts=(host,), known_hosts=str(folder / "known_hosts")), folder)
        made.job.write(made.job_file)
        return made

    def is_untouched(self) -> bool:
        """Whether every host has the old release, and nothing else."""
        return all([one.name for one in (Path(host.base) / "releases").iterdir()] == [OLD] for host in self.job.hosts)

    def reset(self) -> None:
        """Every host as before the rollout, and nothing left for the disk to do."""
        for host in self.job.hosts:
            shutil.rmtree(host.base)
            _install(Path(host.base))
        shutil.rmtree(self.folder / "logs", ignore_errors=True)
        os.sync()

    def verify(self) -> None:
        """Look at every host's disk. Raises NotUpgradedError."""
        for host in self.job.hosts:
            current = Path(host.base) / "current"
            link, release = str(current.readlink()), current.resolve()
            whole = (release / "ballast").read_bytes() == BALLAST
            if link != f"releases/{NEW}" or (release / "VERSION").read_text("ascii").strip() != NEW or not whole:
                raise NotUpgradedError(f"{host.name} has {link}, {'whole' if whole else 'not whole'}")

    def connections(self) -> int:
        """How many connections the hosts have accepted so far."""
        return sum(host.log.read_text("utf-8").count("Accepted publickey") for host in self.fleet.hosts.values())


@contextmanager
def running(hosts: int, concurrency: int) -> Iterator[World]:
    """So many hosts, ended and removed at the end."""
    with TemporaryDirectory(prefix="liftlock-bench-") as root:
        folder = Path(root)
        names = [f"host-{number:03}" for number in range(1, hosts + 1)]
        with LoopbackFleet(folder / "fleet", names) as fleet:
            artifact = folder / f"bench-{NEW}.tar"
            artifact.write_bytes(content := _archive())
            settings = fleet.settings()
            job = Job(
                address=ADDRESS,
                key=str(settings.key),
                known_hosts=str(settings.known_hosts),
                artifact=str(artifact),
                sha256=hashlib.sha256(content).hexdigest(),
                length=len(content),
                concurrency=concurrency,
                hosts=tuple(JobHost(host.name, host.port, str(host.base)) for host in fleet.hosts.values()),
            )
            made = World(fleet, job, folder)
            job.write(made.job_file)
            yield made


def _install(base: Path) -> None:
    release = base / "releases" / OLD
    release.mkdir(parents=True)
    (release / "VERSION").write_text(f"{OLD}\n", encoding="ascii")
    (base / "current").symlink_to(f"releases/{OLD}")


def _archive() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in (("VERSION", f"{NEW}\n".encode()), ("ballast", BALLAST)):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
