"""The tool-owned known_hosts file: which keys are recorded for which host (format: sshd(8))."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import paramiko

from liftlock.errors import InputError, Problem


@dataclass(frozen=True, slots=True)
class KnownKey:
    """One key of a known_hosts file; `marker` is empty, `@revoked` or `@cert-authority`."""

    marker: str
    key_type: str
    blob: bytes

    @property
    def fingerprint(self) -> str:
        """`SHA256:` and the digest, as ssh-keygen prints it."""
        digest = base64.b64encode(hashlib.sha256(self.blob).digest())
        return "SHA256:" + digest.decode("ascii").rstrip("=")


class KnownHosts:
    """The keys of a known_hosts file by host name; plain, hashed, `[address]:port` and pattern names.

    Raises InputError with every line that is not a known_hosts line.
    """

    def __init__(self, text: str = "", file: str = "known_hosts") -> None:
        self._plain: dict[str, list[KnownKey]] = {}
        self._others: list[tuple[tuple[str, ...], KnownKey]] = []
        problems = []
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip() and not line.lstrip().startswith("#") and not self._add(line.split()):
                problems.append(Problem(file, "not a known_hosts line", line=number, column=1))
        if problems:
            raise InputError(problems)

    def _add(self, fields: list[str]) -> bool:
        marker = fields.pop(0) if fields[0].startswith("@") else ""
        if len(fields) < 3 or marker not in ("", "@revoked", "@cert-authority"):
            return False
        try:
            key = KnownKey(marker, fields[1], base64.b64decode(fields[2], validate=True))
        except binascii.Error:
            return False
        names = tuple(fields[0].split(","))
        if any(re.search(r"^[|!]|[*?]", name) for name in names):
            self._others.append((names, key))
        else:
            for name in names:
                self._plain.setdefault(name.lower(), []).append(key)
        return True

    def keys(self, address: str, port: int) -> list[KnownKey]:
        """All keys recorded for this address and port, marked ones too."""
        name = known_name(address, port)
        return self._plain.get(name, []) + [key for names, key in self._others if _matches(names, name)]


def known_name(address: str, port: int) -> str:
    """How known_hosts names a host: the address alone on port 22, else `[address]:port`."""
    return address.lower() if port == 22 else f"[{address.lower()}]:{port}"


def _matches(patterns: tuple[str, ...], name: str) -> bool:
    """Whether one of the patterns names the host and no `!pattern` takes it out again (sshd(8))."""
    if any(_matches_one(pattern[1:], name) for pattern in patterns if pattern.startswith("!")):
        return False
    return any(_matches_one(pattern, name) for pattern in patterns if not pattern.startswith("!"))


def _matches_one(pattern: str, name: str) -> bool:
    expression = re.escape(pattern.lower()).replace(r"\*", ".*").replace(r"\?", ".")
    return hashed_name_matches(pattern, name) or re.fullmatch(expression, name) is not None


def hashed_name_matches(hashed: str, name: str) -> bool:
    """Whether `hashed` is a `|1|salt|hash` name (HashKnownHosts) and hides `name`."""
    try:
        return hashed.startswith("|1|") and paramiko.HostKeys.hash_host(name, hashed) == hashed
    except (binascii.Error, AssertionError, IndexError):
        return False


def read_known_hosts(path: Path) -> KnownHosts:
    """The parsed file, parsed again only when it changed; a file that is not there trusts nobody.

    Raises InputError when the file cannot be read or holds a line that is none.
    """
    try:
        stat = path.stat()
    except FileNotFoundError:
        return KnownHosts()
    return _parse_known_hosts(path, (stat.st_mtime_ns, stat.st_size, stat.st_ino))


@lru_cache(maxsize=8)
def _parse_known_hosts(path: Path, _stamp: tuple[int, int, int]) -> KnownHosts:
    try:
        return KnownHosts(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
