"""A ledger in SQLite where nothing can be written: a backup on a read-only file system, or a full disk.

SQLite writes beside a ledger even to read it (the -shm file of its WAL). Where it cannot, the file alone is read as
it lies there: that is the whole ledger as long as no -wal file holds entries that are not in it yet.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import sqlalchemy as sa

from liftlock.errors import LedgerError

_SHM_BYTES = 64 * 1024
"""Less room than this and SQLite may not get its -shm file, which begins with 32 KiB."""


def is_frozen(file: Path) -> bool:
    """Whether nothing can be written beside the ledger: its folder or file system is read-only, or the disk full."""
    return not os.access(file.parent, os.W_OK) or is_full(file)


def is_full(file: Path) -> bool:
    """Whether the disk of the ledger has no room left."""
    try:
        disk = os.statvfs(file.parent)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < _SHM_BYTES or 0 == disk.f_favail < disk.f_files


def is_read_only(file: Path) -> bool:
    """Whether the ledger's file system is read-only."""
    try:
        return bool(os.statvfs(file.parent).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def frozen_engine(url: sa.URL, file: Path) -> sa.Engine:
    """Connections that read the file as it lies there. Raises LedgerError when a -wal file holds more than that."""
    wal = file.with_name(f"{file.name}-wal")
    if wal.exists() and wal.stat().st_size:
        why = "No space left on device" if is_full(file) else "it is read-only here"
        raise LedgerError(
            f"the ledger {file}: {why}, and {wal.name} holds entries that are not in the file yet;"
            f" copy {file.name} and {wal.name} to a writable place with room and read them there"
        )
    address = f"{file.absolute().as_uri()}?mode=ro&immutable=1"
    return sa.create_engine(
        url, creator=lambda: sqlite3.connect(address, uri=True, check_same_thread=False), hide_parameters=True
    )
