"""pyinfra as people write it: a folder, an upload, commands, a link; then a new connection that looks."""

from __future__ import annotations

import os
from pathlib import Path

from pyinfra import host
from pyinfra.operations import files, python, server

from benchmarks.job import NEW, Job

_JOB = Job.read(Path(os.environ["JOB"]))
_BASE = host.data.base
_RELEASE, _ARTIFACT = f"{_BASE}/releases/{NEW}", f"{_BASE}/artifact.tar"


def connect_again() -> None:
    """Nothing that follows goes over the connection that did the work."""
    host.disconnect()
    host.connect(raise_exceptions=True)


files.directory(name="Release folder", path=_RELEASE)
files.put(name="Artifact", src=_JOB.artifact, dest=_ARTIFACT)
server.shell(name="Artifact's sha256", commands=[f"echo '{_JOB.sha256}  {_ARTIFACT}' | sha256sum -c"])
server.shell(name="Unpack", commands=[f"tar -xf {_ARTIFACT} -C {_RELEASE}"])
files.link(name="Switch", path=f"{_BASE}/current", target=f"releases/{NEW}")
server.shell(name="Remove the artifact", commands=[f"rm {_ARTIFACT}"])
python.call(name="A new connection", function=connect_again)
server.shell(
    name="Link and version",
    commands=[f"test $(readlink {_BASE}/current) = releases/{NEW} && test $(cat {_BASE}/current/VERSION) = {NEW}"],
)
