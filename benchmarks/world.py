"""The hosts of a measured rollout: real sshd on loopback, each with an old release."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
            job.write(folder / "job.json")
            yield World(fleet, job, folder)


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
