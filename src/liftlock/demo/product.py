"""Builds the sample product's artifacts: the same bytes on every machine, so manifests can name their sha256."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

SOURCE = Path(__file__).with_name("boathouse")
VERSIONS = ("1.4.0", "1.5.0", "1.6.0")


def artifact_name(version: str) -> str:
    """The file name that the manifests use."""
    return f"boathouse-{version}.tar"


def artifact(version: str) -> bytes:
    """The release directory of one version as an uncompressed tar: fixed order, owner, mode and time."""
    files = {"VERSION": f"{version}\n".encode()}
    for layer in (SOURCE / "common", SOURCE / version):
        files |= {
            path.relative_to(layer).as_posix(): path.read_bytes()
            for path in layer.rglob("*")
            if path.is_file() and path.suffix != ".pyc"
        }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.mode = 0o755 if name.startswith("bin/") and not name.endswith(".py") else 0o644
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def write_artifacts(folder: Path) -> dict[str, tuple[str, int]]:
    """Write every version's artifact into `folder`; return sha256 and length by version."""
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for version in VERSIONS:
        content = artifact(version)
        (folder / artifact_name(version)).write_bytes(content)
        written[version] = (hashlib.sha256(content).hexdigest(), len(content))
    return written
