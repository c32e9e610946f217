"""Proof, before an artifact leaves the controller, that it is the declared one and safe to unpack.

Archives are looked at, never unpacked here. GNU tar as root would create devices, keep setuid bits and follow
links out of its folder, and Python's own extraction filter is unsafe before 3.11.13 (CVE-2025-4517); so an
archive with any such member is refused. Zero blocks and damaged headers do not end the look: whatever any
reader of tar files could find behind them is inspected too.
"""

from __future__ import annotations

import hashlib
import lzma
import posixpath
import tarfile
import zlib
from collections.abc import Iterator
from io import BufferedReader
from itertools import accumulate
from pathlib import Path

from liftlock.errors import InputError, Problem
from liftlock.model import Artifact

ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.xz")
MOST_MEMBERS = 1_000_000

_MOST_PROBLEMS = 20
_MOST_LINKS = 40  # as many as Linux follows in one path
_SPECIAL_BITS = 0o7000
_UNREADABLE = (
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    ValueError,
    OverflowError,
    RecursionError,
)


def verify_artifact(artifact: Artifact) -> None:
    """Check the file's length and sha256, and every member when its name says that it is an archive.

    Raises InputError when the file is missing, is not the declared one, or holds a member that could touch
    anything outside the folder it is unpacked into; the offending members are named, up to twenty.
    """
    path = artifact.path
    try:
        with Path(path).open("rb") as file:
            problems = _content_problems(file, artifact)
            if not problems and path.endswith(ARCHIVES):
                file.seek(0)
                problems = _archive_problems(file)
    except FileNotFoundError:
        problems = ["there is no such artifact: build it, or correct `artifact.path` in the release manifest"]
    except OSError as error:
        problems = [f"cannot be read: {error.strerror}"]
    if problems:
        raise InputError(Problem(path, problem) for problem in problems)


def _content_problems(file: BufferedReader, artifact: Artifact) -> list[str]:
    found = hashlib.file_digest(file, "sha256").hexdigest()
    length = file.tell()
    problems = []
    if length != artifact.length:
        problems.append(f"is {length} bytes long, but the release manifest says {artifact.length}")
    if found != artifact.sha256:
        problems.append(f"has the sha256 {found}, but the release manifest says {artifact.sha256}")
    return problems


def _archive_problems(file: BufferedReader) -> list[str]:
    seen = _Seen()
    problems: list[str] = []
    try:
        for member in _members(file):
            problems += (f"member {member.name!a}: {problem}" for problem in seen.problems_of(member))
            if len(problems) >= _MOST_PROBLEMS:
                return [*problems, "the rest was not looked at"]
    except _UNREADABLE as error:
        return [*problems, f"cannot be read as a tar archive: {error}"]
    problems += (f"member {name!a}: {problem}" for name, problem in seen.link_problems())
    if not problems and not seen.has_content:
        problems.append("there is nothing inside")
    return problems[: _MOST_PROBLEMS + 1]


def _members(file: BufferedReader) -> Iterator[tarfile.TarInfo]:
    with tarfile.open(fileobj=file, mode="r:*", ignore_zeros=True) as archive:
        count = 0
        while (member := archive.next()) is not None:
            count += 1
            if count > MOST_MEMBERS:
                raise tarfile.ReadError(f"it has more than {MOST_MEMBERS} members")
            if member.size < 0:
                raise tarfile.ReadError(f"member {member.name!a} has a negative length")
            yield member
            archive.members.clear()  # type: ignore[attr-defined]  # else every header stays in memory


class _Seen:
    """What the members so far would have made of the release's folder."""

    def __init__(self) -> None:
        self.has_content = False
        self._kinds: dict[str, bytes] = {}
        self._symlinks: dict[str, str] = {}

    def problems_of(self, member: tarfile.TarInfo) -> Iterator[str]:
        """What is wrong with a member, given the earlier ones; remembers it."""
        yield from _name_problems(member.name, "name")
        if member.mode & _SPECIAL_BITS:
            yield f"has the setuid, setgid or sticky bit (mode {member.mode:o})"
        if not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
            yield "is a device, a FIFO or of an unknown kind"
        name = posixpath.normpath(member.name)
        if name == "." and not member.isdir():
            yield "stands where the release's folder itself is"
        if name in self._kinds:
            yield "stands in the archive twice"
        if member.islnk():
            yield from _name_problems(member.linkname, "target")
            if self._kinds.get(posixpath.normpath(member.linkname)) != tarfile.REGTYPE:
                yield f"is a hard link to {member.linkname!a}, which is no earlier file of the archive"
        if member.issym():
            self._symlinks[name] = member.linkname
        self._kinds[name] = tarfile.REGTYPE if member.isreg() or member.islnk() else member.type
        self.has_content = self.has_content or not member.isdir()

    def link_problems(self) -> Iterator[tuple[str, str]]:
        """Once all members are known: links that lead out of the folder, and members that lie behind a link."""
        for name, target in self._symlinks.items():
            if not target or not target.isprintable():
                yield name, "its target is empty or holds control characters"
            elif not self._stays_inside(posixpath.dirname(name), target):
                yield name, f"is a symbolic link to {target!a}, which leads out of the release's folder"
        for name in self._kinds if self._symlinks else ():
            folders = accumulate(name.split("/")[:-1], "{}/{}".format)
            yield from (
                (name, f"lies behind the symbolic link {folder!a}") for folder in folders if folder in self._symlinks
            )

    def _stays_inside(self, folder: str, target: str) -> bool:
        """Follow `target` from `folder` as the host would, through the archive's other links."""
        here = folder.split("/") if folder else []
        ahead = target.split("/")[::-1]
        followed = 0
        if target.startswith("/"):
            return False
        while ahead:
            part = ahead.pop()
            if part in ("", "."):
                continue
            if part == "..":
                if not here:
                    return False
                here.pop()
                continue
            here.append(part)
            link = self._symlinks.get("/".join(here))
            if link is not None:
                followed += 1
                if link.startswith("/") or followed > _MOST_LINKS:
                    return False
                here.pop()
                ahead += link.split("/")[::-1]
        return True


def _name_problems(name: str, what: str) -> Iterator[str]:
    if not name or not name.isprintable():
        yield f"its {what} is empty or holds control characters"
    if name.startswith("/"):
        yield f"its {what} is absolute"
    if ".." in name.split("/"):
        yield f"its {what} climbs with `..`"
