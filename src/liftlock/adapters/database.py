"""The database that holds the ledger: its URL, its connections, and in plain words what went wrong there.

Every transaction that this module begins holds the ledger's lock (`BEGIN IMMEDIATE` on SQLite, an advisory
lock on PostgreSQL) and is on disk when it is committed; `reading` begins none.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from liftlock.adapters.frozen import is_full, is_read_only
from liftlock.errors import InputError, LedgerError

WAIT_SECONDS = 10
_POSTGRESQL_LOCK = int.from_bytes(b"liftlock")
_READING = "liftlock_reading"

# A server or a network that is gone shows after this long, also on a connection that only waits.
_PATIENCE = {
    "connect_timeout": str(WAIT_SECONDS),
    "tcp_user_timeout": str(WAIT_SECONDS * 1000),
    "keepalives_idle": str(WAIT_SECONDS),
    "keepalives_interval": "5",
    "keepalives_count": "3",
}
# What SQLite does by `synchronous=FULL`: a server may be set to answer before an entry is on its disk. And a writer
# that went silent in the middle of an append must not keep the lock for as long as TCP takes it for alive.
_CAREFULLY = """
    SELECT set_config('lock_timeout', '{wait}', true),
    set_config('idle_in_transaction_session_timeout', '{silent}', true),
    CASE WHEN current_setting('synchronous_commit') = 'off' THEN set_config('synchronous_commit', 'on', true) END
"""

_FULL = "the disk is full (No space left on device); nothing recorded so far is lost"
# What went wrong, by SQLite's primary error name and by SQLSTATE.
_REASONS = {
    "SQLITE_BUSY": f"another process kept it locked for {WAIT_SECONDS} seconds",
    "SQLITE_CANTOPEN": "the file cannot be opened; check that it and its directory may be read and written",
    "SQLITE_CORRUPT": "the file is damaged; restore it from a backup",
    "SQLITE_FULL": _FULL,
    "SQLITE_IOERR": "the disk reports an error, or a quota or limit on file lengths (ulimit -f) is reached",
    "SQLITE_NOTADB": "the file is not a ledger, or is damaged",
    "SQLITE_READONLY": "it is read-only here",
    "25006": "it is read-only here",
    "53100": "the disk of the database server is full; nothing recorded so far is lost",
    "55P03": f"another process kept it locked for {WAIT_SECONDS} seconds",
    "25P03": "this machine was silent in the middle of an append",
    "57P01": "the database server is shutting down",
    "57P02": "the database server broke down",
    "57P03": "the database server is starting or shutting down",
}


def parse_url(url: str) -> sa.URL:
    """The ledger's URL, with the driver that we use. Raises `InputError` when it names no such database."""
    expected = "expected sqlite:///path or postgresql://user@host/database"
    try:
        parsed = sa.make_url(url)
    except (ArgumentError, ValueError):  # their text may quote the URL, and with it a password
        raise InputError(f"the ledger's URL cannot be read: {expected}") from None
    if parsed.drivername in {"postgresql", "postgresql+psycopg"}:
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername != "sqlite":
        raise InputError(f"the ledger cannot be kept in {parsed.drivername}: {expected}")
    if parsed.database in {None, "", ":memory:"}:
        raise InputError(f"the ledger needs a file, memory forgets: {expected}")
    return parsed


def file_of(url: sa.URL) -> Path | None:
    """The file of a ledger in SQLite; None for one in PostgreSQL."""
    return Path(str(url.database)) if url.get_backend_name() == "sqlite" else None


def identity(file: Path | None) -> tuple[int, int] | None:
    """Which file stands there, whatever is written into it; None for no file."""
    try:
        found = file.stat() if file is not None else None
    except FileNotFoundError:
        return None
    return (found.st_dev, found.st_ino) if found else None


def place_of(url: sa.URL) -> str:
    """Where the ledger is, for messages: without password."""
    return str(file_of(url) or url.set(query={}).render_as_string(hide_password=True))


def engine_for(url: sa.URL, *, writable: bool) -> sa.Engine:
    """Connections to the ledger. Raises `InputError` when the driver of PostgreSQL is not installed."""
    return _postgresql_engine(url) if file_of(url) is None else _sqlite_engine(url, writable)


def _sqlite_engine(url: sa.URL, writable: bool) -> sa.Engine:
    engine = sa.create_engine(url, connect_args={"timeout": WAIT_SECONDS}, hide_parameters=True)

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # else pysqlite begins late, and updates are lost (design: measured)
        if writable:
            _use_wal(connection)
        for pragma in ("synchronous=FULL", "foreign_keys=ON") if writable else ("query_only=ON",):
            connection.execute(f"PRAGMA {pragma}").close()

    @sa.event.listens_for(engine, "begin")
    def lock(connection: sa.Connection) -> None:
        if _READING not in connection.get_execution_options():
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _use_wal(connection: sqlite3.Connection) -> None:
    if connection.execute("PRAGMA journal_mode").fetchone() == ("wal",):
        return
    from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random

    def is_busy(error: BaseException) -> bool:
        return getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY")

    # Processes that make one new file together are in each other's way here, and for this SQLite does not wait.
    patiently = Retrying(
        retry=retry_if_exception(is_busy), stop=stop_after_delay(WAIT_SECONDS), wait=wait_random(0, 0.05), reraise=True
    )
    patiently(lambda: connection.execute("PRAGMA journal_mode=WAL").close())


def _postgresql_engine(url: sa.URL) -> sa.Engine:
    try:
        engine = sa.create_engine(
            url.set(query={**_PATIENCE, **url.query}),
            isolation_level="READ COMMITTED",  # each statement sees what was committed while we waited for the lock
            pool_pre_ping=True,
            hide_parameters=True,
        )
    except ModuleNotFoundError:
        raise InputError("a ledger in PostgreSQL needs its driver: pip install 'liftlock[postgresql]'") from None

    carefully = _CAREFULLY.format(wait=WAIT_SECONDS * 1000, silent=WAIT_SECONDS * 500)

    @sa.event.listens_for(engine, "begin")
    def lock(connection: sa.Connection) -> None:
        if _READING not in connection.get_execution_options():
            connection.exec_driver_sql(carefully)
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_POSTGRESQL_LOCK})")

    return engine


def reading(engine: sa.Engine) -> sa.Connection:
    """A connection that does not take the ledger's lock; the caller closes it, or uses it in `with`."""
    return engine.connect().execution_options(**{_READING: True})


def await_appends(engine: sa.Engine) -> None:
    """Wait until what others have begun to append is in or not, also what a lost connection left on a server."""
    if engine.dialect.name == "postgresql":
        with engine.begin():
            pass


@contextmanager
def plain_errors(place: str) -> Iterator[None]:
    """Turn what a database or a file system raises into `LedgerError`."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise LedgerError(f"the ledger {place}: {_reason_at(place, error)}") from error


def _reason_at(place: str, error: Exception) -> str:
    """As `reason`; of a full or read-only disk SQLite may say no more than that it could not read or open something."""
    if _primary(error) not in {"SQLITE_IOERR", "SQLITE_CANTOPEN"}:
        return reason(error)
    if is_full(Path(place)):
        return _FULL
    return _REASONS["SQLITE_READONLY"] if is_read_only(Path(place)) else reason(error)


def reason(error: Exception) -> str:
    """What went wrong, in one line."""
    cause = _cause(error)
    known = _REASONS.get(_primary(error)) or _REASONS.get(getattr(cause, "sqlstate", None) or "")
    if known:
        return known
    text = cause.strerror if isinstance(cause, OSError) else str(cause)
    return next(iter((text or "").splitlines()), type(cause).__name__)


def _cause(error: Exception) -> BaseException:
    return error.orig if isinstance(error, DBAPIError) and error.orig else error


def _primary(error: Exception) -> str:
    """SQLite's primary error name, such as SQLITE_IOERR; empty for what does not come from SQLite."""
    return "_".join(getattr(_cause(error), "sqlite_errorname", "").split("_")[:2])
