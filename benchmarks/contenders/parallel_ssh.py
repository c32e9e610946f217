"""parallel-ssh: an SFTP copy and a command on every host, then new connections. Arguments: the job, where to tell.

The library checks no host keys. They are checked here, as its users would have to: before it authenticates.
"""

from __future__ import annotations

import base64
import sys
from pathlib import Path

from gevent import joinall
from pssh.clients.native import ParallelSSHClient, SSHClient, parallel
from pssh.config import HostConfig

from benchmarks.job import NEW, Job
from benchmarks.measure import without_start


class UntrustedHostKeyError(Exception):
    """A host offers another key than the one that is recorded."""


def main(job: Job) -> None:
    """Upgrade every host. Raises at the first that fails."""
    parallel.SSHClient = _checking(_recorded(Path(job.known_hosts)))  # the one place where it could be told
    bases = [{"base": host.base} for host in job.hosts]
    copies = [{"local_file": job.artifact, "remote_file": f"{host.base}/artifact.tar"} for host in job.hosts]
    client = _client(job)
    joinall(client.copy_file("%(local_file)s", "%(remote_file)s", copy_args=copies), raise_error=True)
    _run(
        client,
        f"cd %(base)s && echo '{job.sha256}  artifact.tar' | sha256sum -c --status && mkdir releases/{NEW} && "
        f"tar -xf artifact.tar -C releases/{NEW} && ln -s releases/{NEW} next && mv -fT next current && "
        "rm artifact.tar",
        bases,
    )
    seen = _run(_client(job), "cd %(base)s && readlink current && cat current/VERSION", bases)
    assert all(lines == [f"releases/{NEW}", NEW] for lines in seen), seen


def _client(job: Job) -> ParallelSSHClient:
    return ParallelSSHClient(
        [job.address] * len(job.hosts),
        pkey=job.key,
        host_config=[HostConfig(port=host.port) for host in job.hosts],
        pool_size=job.concurrency,
        num_retries=1,
        allow_agent=False,
        identity_auth=False,
    )


def _run(client: ParallelSSHClient, command: str, bases: list[dict[str, str]]) -> list[list[str]]:
    """What the command printed on each host. Raises when it failed on one."""
    outputs = client.run_command(command, host_args=bases)
    client.join(outputs)
    assert all(output.exit_code == 0 for output in outputs), [output.exit_code for output in outputs]
    return [list(output.stdout) for output in outputs]


def _recorded(known_hosts: Path) -> dict[str, bytes]:
    """The key of each `[address]:port`."""
    lines = (line.split() for line in known_hosts.read_text("ascii").splitlines())
    return {words[0]: base64.b64decode(words[2]) for words in lines}


def _checking(recorded: dict[str, bytes]) -> type[SSHClient]:
    class CheckingClient(SSHClient):
        def auth(self) -> None:
            offered, _ = self.session.hostkey()
            if offered != recorded.get(f"[{self.host}]:{self.port}"):
                raise UntrustedHostKeyError(f"{self.host}:{self.port}")
            super().auth()

    return CheckingClient


if __name__ == "__main__":
    with without_start(Path(sys.argv[2])):
        main(Job.read(Path(sys.argv[1])))
