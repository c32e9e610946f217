"""Raft, the product of these tests: as little as can be upgraded, restarted, asked for its version, and broken.

Its "daemon" is the file `running` in its base, which a restart writes from the release that is current; so a host
whose `current` moved without a restart is told from one that runs what it shows. Its data is the file `data`, which
each release changes so that the one before cannot run on it; none can read what is two releases old, so NEW is a stop
on the way to NEWEST. Its seal is the archive's last file. A release's own last step, after the switch, leaves the file
`moored-<version>`.
In a base with a file `ill` the version that it names does not start; with a file `hold`, every restart waits until it
is gone.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from faults.watcher import SEAL

OLD, NEW, NEWEST = WAY = ("1.0.0", "1.1.0", "1.2.0")
BULK = os.urandom(256 * 1024)

RESTART = f"""\
version=$(cat VERSION) data=$(cat "$LIFTLOCK_BASE/data")
echo "$version" >>"$LIFTLOCK_BASE/restarts"
while [ -e "$LIFTLOCK_BASE/hold" ]; do sleep 0.02; done
if [ "$data" != "$version" ]; then
    case $data:$version in
    {OLD}:{NEW} | {NEW}:{NEWEST}) ;;
    *) echo "data of $data cannot be read"; exit 1 ;;
    esac
    echo "$version" >"$LIFTLOCK_BASE/data.new" && mv -f "$LIFTLOCK_BASE/data.new" "$LIFTLOCK_BASE/data" || exit 1
fi
if [ "$(cat "$LIFTLOCK_BASE/ill" 2>/dev/null)" = "$version" ]; then echo "the raft leaks"; exit 1; fi
echo "$version" >"$LIFTLOCK_BASE/running.new" && mv -f "$LIFTLOCK_BASE/running.new" "$LIFTLOCK_BASE/running"
"""
PRODUCT = """\
product: raft
title: {en: Raft}
method: archive
restart: sh restart.sh
backup: cp "$LIFTLOCK_BASE/data" "$LIFTLOCK_BASE/saved-$LIFTLOCK_BACKUP"
verify_backup: test "$(cat "$LIFTLOCK_BASE/saved-$LIFTLOCK_BACKUP")" = "$(cat VERSION)"
restore: >-
  cp "$LIFTLOCK_BASE/saved-$LIFTLOCK_BACKUP" "$LIFTLOCK_BASE/data.new" &&
  mv -f "$LIFTLOCK_BASE/data.new" "$LIFTLOCK_BASE/data"
health: {command: 'cat "$LIFTLOCK_BASE/running"', times: 2, interval: 10ms, deadline: 5s}
"""
MANIFEST = """\
version: "{version}"
kind: patch
stop: {stop}
summary: {{en: Drier feet.}}
artifact: {{path: artifacts/raft-{version}.tar, sha256: {sha256}, length: {length}}}
backup: verified
reversible: false
confirm_within: {confirm_within}
after_switch: 'touch "$LIFTLOCK_BASE/moored-$(cat VERSION)"'
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


def offer(releases: Path, confirm_within: str) -> None:
    """Write the product and its releases into a workspace's folder of releases."""
    folder = releases / "raft"
    (folder / "artifacts").mkdir(parents=True)
    (folder / "product.yaml").write_text(PRODUCT, encoding="utf-8")
    for version in WAY:
        packed = archive(version)
        (folder / "artifacts" / f"raft-{version}.tar").write_bytes(packed)
        told = MANIFEST.format(
            version=version,
            stop=str(version == NEW).lower(),
            sha256=hashlib.sha256(packed).hexdigest(),
            length=len(packed),
            confirm_within=confirm_within,
        )
        (folder / f"{version}.yaml").write_text(told, encoding="utf-8")


def lay_down(base: Path) -> None:
    """Bring a base to the old release and nothing else, without `current` failing for an instant."""
    release = base / "releases" / OLD
    if not (release / SEAL).exists():
        release.mkdir(parents=True, exist_ok=True)
        for name, content in contents(OLD).items():
            (release / name).write_bytes(content)
    for name in ("running", "data"):
        (base / name).write_text(f"{OLD}\n", encoding="utf-8")
    (base / "link").unlink(missing_ok=True)
    (base / "link").symlink_to(f"releases/{OLD}")
    (base / "link").replace(base / "current")
    for path in [*base.iterdir(), *(base / "releases").iterdir()]:
        if path.name not in {"current", "running", "data", "releases", OLD}:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@dataclass(frozen=True)
class Afloat:
    """What a host is, by its own files: the release that is current, the one that runs, the one its data is for."""

    installed: str
    running: str
    data: str
    whole: bool
    """Whether every byte of the current release is what its archive holds, and each one passed up to it has moored."""


def look_at(base: Path) -> Afloat:
    """A host as it is now, without liftlock having a say."""
    current = base / "current"
    installed = current.readlink().name if current.is_symlink() else ""
    running, data = ((base / name).read_text(encoding="utf-8").strip() for name in ("running", "data"))
    passed = [version for version in WAY[1:] if version <= installed]
    whole = all(
        (current / name).is_file() and (current / name).read_bytes() == content
        for name, content in contents(installed).items()
    ) and all((base / f"moored-{version}").exists() for version in passed)
    return Afloat(installed, running, data, whole)


def is_held(base: Path) -> bool:
    """Whether a restart of the new release waits on this host: `current` has moved, and the old one still runs."""
    restarts = base / "restarts"
    return (base / "hold").exists() and restarts.exists() and restarts.read_text(encoding="utf-8").endswith(f"{NEW}\n")


def boot(base: Path) -> None:
    """What a host does when it starts: it starts what is current."""
    subprocess.run(
        ["sh", "restart.sh"], cwd=base / "current", env=os.environ | {"LIFTLOCK_BASE": str(base)}, check=True
    )
