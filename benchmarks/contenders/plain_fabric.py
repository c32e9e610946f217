"""Fabric as people write it: connect, run, put, run, run, run; then look again. Arguments: the job, where to tell.

Host keys are not checked: Fabric alone accepts any.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from fabric import Connection

from benchmarks.job import NEW, Job, JobHost
from benchmarks.measure import without_start


def main(job: Job) -> None:
    """Upgrade every host. Raises at the first that fails."""
    with ThreadPoolExecutor(job.concurrency) as pool:
        list(pool.map(partial(_upgrade, job), job.hosts))


def _upgrade(job: Job, host: JobHost) -> None:
    release, artifact = f"{host.base}/releases/{NEW}", f"{host.base}/artifact.tar"
    with _connection(job, host) as connection:
        connection.put(job.artifact, artifact)
        connection.run(f"echo '{job.sha256}  {artifact}' | sha256sum -c", hide=True)
        connection.run(f"mkdir -p {release} && tar -xf {artifact} -C {release}", hide=True)
        connection.run(
            f"ln -s releases/{NEW} {host.base}/next && mv -fT {host.base}/next {host.base}/current", hide=True
        )
        connection.run(f"rm {artifact}", hide=True)
    with _connection(job, host) as connection:
        seen = connection.run(f"readlink {host.base}/current && cat {host.base}/current/VERSION", hide=True)
    assert seen.stdout.split() == [f"releases/{NEW}", NEW]


def _connection(job: Job, host: JobHost) -> Connection:
    settings = {"key_filename": job.key}
    return Connection(job.address, port=host.port, connect_kwargs=settings)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    with without_start(Path(sys.argv[2])):
        main(Job.read(Path(sys.argv[1])))
