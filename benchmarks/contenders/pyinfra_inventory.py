"""The hosts for pyinfra, host keys checked; the job is the file that JOB names."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.job import Job

_JOB = Job.read(Path(os.environ["JOB"]))

hosts = [
    (
        host.name,
        {
            "ssh_hostname": _JOB.address,
            "ssh_port": host.port,
            "ssh_key": _JOB.key,
            "ssh_known_hosts_file": _JOB.known_hosts,
            "ssh_strict_host_key_checking": "yes",
            "base": host.base,
        },
    )
    for host in _JOB.hosts
]
