"""Raft, the product of these tests: as little as can be upgraded, restarted, asked for its version, and broken.

Its "daemon" is the file `running` in its base, which a restart writes from the release that is current; so a host
whose `current` moved without a restart is told from one that runs what it shows. Its seal is the archive's last file.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path

from faults.watcher import SEAL

OLD, NEW = "1.0.0", "1.1.0"
BULK = os.urandom(256 * 1024)

RESTART = f"""\
version=$(cat VERSION)
echo "$version" >>"$LIFTLOCK_BASE/restarts"
if [ -e "$LIFTLOCK_BASE/ill" ] && [ "$version" = {NEW} ]; then echo "the raft leaks"; exit 1; fi
echo "$version" >"$LIFTLOCK_BASE/running.new" && mv -f "$LIFTLOCK_BASE/running.new" "$LIFTLOCK_BASE/running"
"""
PRODUCT = """\
product: raft
title: {en: Raft}
method: archive
restart: sh restart.sh
health: {command: 'cat "$LIFTLOCK_BASE/running"', times: 2, interval: 10ms, deadline: 5s}
"""
MANIFEST = """\
version: "{version}"
kind: patch
summary: {{en: Drier feet.}}
artifact: {{path: artifacts/raft-{version}.tar, sha256: {sha256}, length: {length}}}
"""


def contents(version: str) -> dict[str, bytes]:
    """The files of a release, in the archive's order."""
    return {
        "VERSION": version.encode(),
        "restart.sh": RESTART.encode(),
        "bulk": version.encode() + BULK,
        SEAL: version.encode(),
    }


def archive(version: str) -> bytes:
    """The artifact of a release."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in contents(version).items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def offer(releases: Path, *versions: str) -> None:
    """Write the product and these releases of it into a workspace's folder of releases."""
    folder = releases / "raft"
    (folder / "artifacts").mkdir(parents=True)
    (folder / "product.yaml").write_text(PRODUCT, encoding="utf-8")
    for version in versions:
        packed = archive(version)
        (folder / "artifacts" / f"raft-{version}.tar").write_bytes(packed)
        told = MANIFEST.format(version=version, sha256=hashlib.sha256(packed).hexdigest(), length=len(packed))
        (folder / f"{version}.yaml").write_text(told, encoding="utf-8")


def lay_down(base: Path) -> None:
    """Bring a base to the old release and nothing else, without `current` failing for an instant."""
    release = base / "releases" / OLD
    if not (release / SEAL).exists():
        release.mkdir(parents=True, exist_ok=True)
        for name, content in contents(OLD).items():
            (release / name).write_bytes(content)
    (base / "running").write_text(f"{OLD}\n", encoding="utf-8")
    (base / "link").unlink(missing_ok=True)
    (base / "link").symlink_to(f"releases/{OLD}")
    (base / "link").replace(base / "current")
    for path in [*base.iterdir(), *(base / "releases").iterdir()]:
        if path.name not in {"current", "running", "releases", OLD}:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@dataclass(frozen=True)
class Afloat:
    """What a host is, by its own files: the release that is current, and the one that runs; empty when there is none."""

    installed: str
    running: str
    whole: bool
    """Whether every byte of the current release is what its archive holds."""


def look_at(base: Path) -> Afloat:
    """A host as it is now, without liftlock having a say."""
    current = base / "current"
    installed = current.readlink().name if current.is_symlink() else ""
    running = (base / "running").read_text(encoding="utf-8").strip() if (base / "running").exists() else ""
    whole = all(
        (current / name).is_file() and (current / name).read_bytes() == content
        for name, content in contents(installed).items()
    )
    return Afloat(installed, running, whole)
