"""Which host keys are trusted: look at a host's key, compare it with the record, write the record.

The record is the workspace's own known_hosts file. Nothing is trusted on first use: a person compares
the fingerprint that `scan` found with the customer's, and only then `record` is called.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import paramiko

from liftlock.adapters.connection import BROKEN, mapped
from liftlock.adapters.files import write_atomically
from liftlock.adapters.known_hosts import KnownKey, hashed_name_matches, known_name, read_known_hosts
from liftlock.model import Host


@dataclass(frozen=True, slots=True)
class ScannedKey:
    """The key a host offered; `fingerprint` as ssh-keygen prints it, `line` as known_hosts has it (no newline)."""

    host: str
    address: str
    port: int
    key_type: str
    fingerprint: str
    line: str


def scan(host: Host, timeout: float) -> ScannedKey:
    """The host's key (ed25519 if it has one), asked for without authenticating; `timeout` in seconds a step.

    Raises UnreachableError.
    """
    try:
        with socket.create_connection((host.address, host.port), timeout) as connection:
            transport = paramiko.Transport(connection)
            try:
                transport.banner_timeout = timeout
                transport.start_client(timeout=timeout)
                offered = transport.get_remote_server_key()
            finally:
                transport.close()
    except BROKEN as error:
        raise mapped(error, host) from error
    key = KnownKey("", offered.get_name(), offered.asbytes())
    line = f"{known_name(host.address, host.port)} {key.key_type} {offered.get_base64()}"
    return ScannedKey(host.name, host.address, host.port, key.key_type, key.fingerprint, line)


def compare(path: Path, key: ScannedKey) -> Literal["new", "same", "changed"]:
    """How the key stands to what known_hosts records for its host. Raises InputError for a broken file."""
    recorded = [known for known in read_known_hosts(path).keys(key.address, key.port) if not known.marker]
    if not recorded:
        return "new"
    return "same" if key.fingerprint in {known.fingerprint for known in recorded} else "changed"


def record(path: Path, keys: Iterable[ScannedKey]) -> None:
    """Trust these keys, and no other for their hosts from now on; the file is replaced at once, mode 0600.

    Lines of other hosts, comments and `@` lines stay. Raises InputError for a broken file.
    """
    read_known_hosts(path)  # refuses a broken file before it is written anew
    new = {known_name(key.address, key.port): key.line for key in keys}
    present = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    kept = [line for line in (_without(line, set(new)) for line in present) if line is not None]
    write_atomically(path, "".join(f"{line}\n" for line in [*kept, *new.values()]))


def _without(line: str, hosts: set[str]) -> str | None:
    """The line without these hosts' names; None when no name is left."""
    if not line.strip() or line.lstrip().startswith(("#", "@")):
        return line
    names, *rest = line.split()
    kept = [name for name in names.split(",") if not _names_one_of(name, hosts)]
    return " ".join([",".join(kept), *rest]) if kept else None


def _names_one_of(name: str, hosts: set[str]) -> bool:
    return name.lower() in hosts or any(hashed_name_matches(name, host) for host in hosts)
