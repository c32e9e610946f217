"""What is to be done in a measured rollout, as a file that every contender can read without liftlock."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

OLD, NEW = "1.0.0", "2.0.0"


@dataclass(frozen=True, slots=True)
class JobHost:
    """Where a host is reached and where its product lives."""

    name: str
    port: int
    base: str


@dataclass(frozen=True, slots=True)
class Job:
    """What every contender is told: the hosts, how to reach them, the artifact, how many hosts at once."""

    address: str
    key: str
    known_hosts: str
    artifact: str
    sha256: str
    length: int
    concurrency: int
    hosts: tuple[JobHost, ...]

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @staticmethod
    def read(path: Path) -> Job:
        """The job that `write` wrote."""
        told = json.loads(path.read_text("utf-8"))
        return Job(**told | {"hosts": tuple(JobHost(**host) for host in told["hosts"])})
