"""The lease of a plan: of all controllers that share a ledger, one carries the plan out.

For SQLite it is a flock on a file beside the ledger's; for PostgreSQL an advisory lock of a session that does
nothing else. Either ends when its holder gives it back or dies, and never by time: see ADR 19.
"""

from __future__ import annotations

import fcntl
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import sqlalchemy as sa

from liftlock.adapters.database import engine_for, file_of, parse_url, place_of, plain_errors, reading, reason
from liftlock.errors import LedgerError, LockedError

_PATIENCE = (0.1, 0.4)
"""Seconds between tries: a holder that is ending needs a moment, and so does one that has not yet said who it is."""
_NAME_BYTES = 63  # PostgreSQL cuts an application_name there

# Seen by the server: the machine of a holder is taken for dead half a minute after its last word.
_SESSION = """
    SELECT set_config(name, wanted, false) FROM pg_settings JOIN (VALUES
        ('application_name', :holder),
        ('tcp_keepalives_idle', '10'), ('tcp_keepalives_interval', '5'), ('tcp_keepalives_count', '4'),
        ('tcp_user_timeout', '30000'), ('idle_session_timeout', '0')
    ) AS ours (name, wanted) USING (name)
"""
_LOCKS = """
    FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND datname = current_database()
    AND (classid::bigint << 32) | objid::bigint = :key
"""


class Lease(ABC):
    """The right to carry out one plan."""

    def __init__(self, plan: str) -> None:
        self._plan = plan

    def check(self) -> None:
        """Make sure that we still hold it. Raises LedgerError when we do not, or cannot know."""
        why = self._lost()
        if why:
            raise LedgerError(f"the lease of plan {self._plan[:8]} was lost: {why}; somebody else may hold it now")

    def take(self) -> None:
        """Take it. Raises LockedError when another controller holds it."""
        for seconds in _PATIENCE:
            if self._try():
                return
            time.sleep(seconds)
        if not self._try():
            raise LockedError(f"plan {self._plan[:8]} is being carried out by {self._holder()}")

    @abstractmethod
    def give_back(self) -> None:
        """End it; also after it was lost, or never taken."""

    @abstractmethod
    def _try(self) -> bool: ...

    @abstractmethod
    def _holder(self) -> str: ...

    @abstractmethod
    def _lost(self) -> str: ...


@contextmanager
def leased(url: str, plan: str, holder: str, since: datetime) -> Iterator[Lease]:
    """Hold the lease of a plan, by its id, in the ledger at `url`; `holder` and `since` are what a loser is told.

    Raises `LockedError` when another controller holds it, `LedgerError` when it cannot be taken, `InputError` for
    a URL that names no ledger.
    """
    parsed = parse_url(url)
    file, place = file_of(parsed), place_of(parsed)
    with plain_errors(place):
        lease = _Session(parsed, plan, holder) if file is None else _File(file, plan, f"{holder} since {_told(since)}")
    try:
        with plain_errors(place):
            lease.take()
        yield lease
    finally:
        lease.give_back()


def is_leased(url: str, plan: str) -> bool:
    """Whether a controller holds the lease of a plan, by its id. Nothing is taken for longer than a look.

    Raises `LedgerError` when that cannot be told, `InputError` for a URL that names no ledger.
    """
    parsed = parse_url(url)
    file = file_of(parsed)
    with plain_errors(place_of(parsed)):
        if file is not None:
            return _is_locked(_lock_file(file.resolve(), plan))
        engine = engine_for(parsed, writable=False)
        try:
            with reading(engine) as connection:
                return bool(connection.execute(sa.text(f"SELECT count(*) {_LOCKS}"), {"key": _key(plan)}).scalar())
        finally:
            engine.dispose()


def _is_locked(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # freed as the file is closed; who takes a lease retries
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _lock_file(ledger: Path, plan: str) -> Path:
    return ledger.with_name(f"{ledger.name}.leases") / f"{plan[:16]}.lock"


def _key(plan: str) -> int:
    """What PostgreSQL's advisory lock of a plan is named by."""
    return int.from_bytes(bytes.fromhex(plan[:16]), signed=True)


def _told(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


class _File(Lease):
    """A lock file beside the ledger; the kernel frees it when its holder dies."""

    def __init__(self, ledger: Path, plan: str, holder: str) -> None:
        super().__init__(plan)
        ledger = ledger.resolve()
        self._path = _lock_file(ledger, plan)
        ledger.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        self._who = holder
        self._file = self._open()

    def _open(self) -> TextIO:
        self._path.touch(mode=0o600)
        return self._path.open("r+", encoding="utf-8")

    def _try(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if self._lost():  # its last holder's file was removed while we opened it
            self._file.close()
            self._file = self._open()
            return self._try()
        self._file.truncate(0)
        self._file.write(self._who)
        self._file.flush()
        return True

    def _holder(self) -> str:
        self._file.seek(0)
        return self._file.read()

    def _lost(self) -> str:
        try:
            if os.path.samestat(self._path.stat(), os.fstat(self._file.fileno())):
                return ""
        except OSError as error:
            return f"{self._path}: {error.strerror}"
        return f"{self._path} is another file now"

    def give_back(self) -> None:
        self._file.close()


class _Session(Lease):
    """A session of PostgreSQL that holds an advisory lock; the server frees it when the session ends."""

    def __init__(self, url: sa.URL, plan: str, holder: str) -> None:
        super().__init__(plan)
        self._key = _key(plan)
        self._engine = engine_for(url, writable=True)
        self._connection = reading(self._engine).execution_options(isolation_level="AUTOCOMMIT")
        name, _, pid = holder.rpartition(" (pid ")
        kept = name.encode()[: _NAME_BYTES - len(pid) - 6].decode(errors="ignore")
        self._connection.execute(sa.text(_SESSION), {"holder": f"{kept} (pid {pid}"})

    def _try(self) -> bool:
        return bool(self._ask("SELECT pg_try_advisory_lock(:key)"))

    def _holder(self) -> str:
        query = sa.text(f"SELECT application_name, backend_start {_LOCKS}")
        holder = self._connection.execute(query, {"key": self._key}).first()
        if holder is None:
            return "one that has just ended"
        if holder.backend_start is None:  # another user of the server's, and they may not see everything
            return str(holder.application_name)
        return f"{holder.application_name} since {_told(holder.backend_start)}"

    def _lost(self) -> str:
        try:
            held = self._ask(f"SELECT count(*) {_LOCKS} AND pid = pg_backend_pid()")
        except sa.exc.SQLAlchemyError as error:
            return reason(error)
        return "" if held else "its session ended"

    def _ask(self, query: str) -> object:
        return self._connection.execute(sa.text(query), {"key": self._key}).scalar()

    def give_back(self) -> None:
        with suppress(sa.exc.SQLAlchemyError):  # closing alone would free it a moment later
            self._ask("SELECT pg_advisory_unlock(:key)")
        with suppress(sa.exc.SQLAlchemyError):
            self._connection.close()
        self._engine.dispose()
