"""The ledger in a database: SQLite by default, PostgreSQL by URL. The only module that speaks SQLAlchemy.

An append is one short transaction that holds the ledger's lock (`BEGIN IMMEDIATE` on SQLite, an
advisory lock on PostgreSQL), so numbers have no gaps and the chain cannot fork, however many
threads and processes write. Readers never hold that lock.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    IntegrityError,
    OperationalError,
    ProgrammingError,
    SQLAlchemyError,
)

from liftlock.errors import InputError, LedgerError, LockedError, NoLedgerError
from liftlock.ledger import GENESIS, Entry, Fact, Started, decode, encode, link

HEAD = "0001"  # the newest file in migrations/versions; checked first, so that Alembic is loaded only to migrate
VERSION_TABLE = "ledger_version"
MIGRATIONS = Path(__file__).parent / "migrations"

ENTRIES = sa.Table(
    "entries",
    sa.MetaData(),
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("plan", sa.Text, nullable=False),
    sa.Column("fact_kind", sa.Text, nullable=False),
    sa.Column("host", sa.Text),
    sa.Column("attempt", sa.Integer),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("previous", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
)
_STORED = (ENTRIES.c.seq, ENTRIES.c.at, ENTRIES.c.plan, ENTRIES.c.body, ENTRIES.c.previous, ENTRIES.c.hash)
_LAST = sa.select(ENTRIES.c.seq, ENTRIES.c.hash).order_by(ENTRIES.c.seq.desc()).limit(1)
# The kinds are written out, not bound: SQLite uses a partial index only when it can see the constant.
_IS_PLANNED = ENTRIES.c.fact_kind == sa.literal_column("'planned'")
_IS_STARTED = ENTRIES.c.fact_kind == sa.literal_column("'started'")

_CHUNK = 500
_WAIT_SECONDS = 10
_POSTGRESQL_LOCK = int.from_bytes(b"liftlock")
_READING = "liftlock_reading"

_migrating = threading.Lock()  # Alembic keeps its context in module globals

# What went wrong, by SQLite's primary error name and by SQLSTATE.
_REASONS = {
    "SQLITE_BUSY": f"another process kept it locked for {_WAIT_SECONDS} seconds",
    "SQLITE_CANTOPEN": "the file cannot be opened; check that it and its directory may be read and written",
    "SQLITE_CORRUPT": "the file is damaged; restore it from a backup",
    "SQLITE_FULL": "the disk is full; nothing recorded so far is lost",
    "SQLITE_IOERR": "the disk reports an error",
    "SQLITE_NOTADB": "the file is not a ledger, or is damaged",
    "SQLITE_READONLY": "it is read-only here",
    "25006": "it is read-only here",
    "53100": "the disk of the database server is full; nothing recorded so far is lost",
    "55P03": f"another process kept it locked for {_WAIT_SECONDS} seconds",
    "57P01": "the database server is shutting down",
}


class SqlLedger:
    """The append-only record in a database (`ports.LedgerStore`); safe to share between threads."""

    def __init__(self, engine: sa.Engine, place: str, *, writable: bool) -> None:
        self._engine = engine
        self._place = place
        self._writable = writable
        self._appending = threading.Lock()  # our own threads queue here, fairly, instead of polling the file

    def append(self, plan: str, fact: Fact, at: datetime) -> Entry:
        """Write one fact durably and return its entry, numbered one more than the last. Raises as `append_all`."""
        return self.append_all(plan, [fact], at)[0]

    def append_all(self, plan: str, facts: Sequence[Fact], at: datetime) -> list[Entry]:
        """Write several facts durably in one transaction, all or none; return their entries.

        Raises `LockedError` when one is a `Started` whose plan, host and attempt are already in
        the ledger, `LedgerError` when they cannot be written or `at` carries no zone.
        """
        if not self._writable:
            raise LedgerError(f"the ledger {self._place} was opened for reading only")
        if at.tzinfo is None:
            raise LedgerError(f"an entry's time needs a zone: {at.isoformat()}")
        stored, at = [_stored(fact) for fact in facts], at.astimezone(UTC)
        entries: list[Entry] = []
        with self._appending, _plain_errors(self._place):
            try:
                with self._engine.begin() as connection:
                    last = connection.execute(_LAST).one_or_none()
                    seq, previous = (last.seq, last.hash) if last else (0, GENESIS)
                    for body, fact in stored:
                        seq, entry_hash = seq + 1, link(previous, at, plan, body)
                        entries.append(Entry(seq, at, plan, fact, previous, entry_hash))
                        connection.execute(sa.insert(ENTRIES), _row(entries[-1], body))
                        previous = entry_hash
            except IntegrityError:
                for _, fact in stored:
                    if isinstance(fact, Started):
                        self._refuse_claimed(plan, fact)
                raise
        return entries

    def entries(self, plan: str | None = None, after: int = 0) -> Iterator[Entry]:
        """The entries in order, of one plan or of all, with `seq` greater than `after`.

        Read in chunks, without a lock; what is appended meanwhile may be seen too.
        Raises `LedgerError` when the ledger, or an entry, cannot be read.
        """
        query = sa.select(*_STORED).order_by(ENTRIES.c.seq).limit(_CHUNK)
        if plan is not None:
            query = query.where(ENTRIES.c.plan == plan)
        while True:
            rows = self._read(query.where(ENTRIES.c.seq > after))
            yield from map(_entry, rows)
            if len(rows) < _CHUNK:
                return
            after = rows[-1].seq

    def plans(self) -> list[str]:
        """The ids of all plans that were made (have a `Planned` entry), oldest first."""
        rows = self._read(sa.select(ENTRIES.c.plan).where(_IS_PLANNED).order_by(ENTRIES.c.seq))
        return list(dict.fromkeys(row.plan for row in rows))

    def close(self) -> None:
        """Give the connections back; nothing is lost without it."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, query: sa.Select[Any]) -> list[Any]:
        with _plain_errors(self._place), _reading(self._engine) as connection:
            return list(connection.execute(query).all())

    def _refuse_claimed(self, plan: str, wanted: Started) -> None:
        same = (ENTRIES.c.plan == plan, ENTRIES.c.host == wanted.host, ENTRIES.c.attempt == wanted.attempt)
        for holder in map(_entry, self._read(sa.select(*_STORED).where(_IS_STARTED, *same))):
            session = holder.fact.session if isinstance(holder.fact, Started) else "unknown"
            raise LockedError(
                f"attempt {wanted.attempt} on host {wanted.host} is already held by session {session}"
                f" since {holder.at.isoformat(timespec='seconds')} (ledger entry {holder.seq})"
            )


def open_ledger(url: str, create: bool = True) -> SqlLedger:
    """The ledger at `url` (`sqlite:///path` or `postgresql://user@host/database`).

    With `create`, what is missing is made: the directory (0700), the SQLite file (0600), the tables. Without, the
    ledger is opened for reading only and must exist. Raises `InputError` for a URL that names no such database,
    `LedgerError` when it cannot be opened, or does not exist and may not be created.
    """
    parsed = _parse(url)
    sqlite = parsed.get_backend_name() == "sqlite"
    place = str(parsed.database) if sqlite else parsed.set(query={}).render_as_string(hide_password=True)
    with _plain_errors(place):
        if sqlite:
            _prepare_file(Path(str(parsed.database)), create)
        engine = _sqlite_engine(parsed, create) if sqlite else _postgresql_engine(parsed)
        try:
            _bring_to_head(engine, place, create)
        except BaseException:
            engine.dispose()
            raise
    return SqlLedger(engine, place, writable=create)


def _parse(url: str) -> sa.URL:
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


def _prepare_file(path: Path, create: bool) -> None:
    if path.exists():
        return
    if not create:
        raise _no_ledger_yet(str(path))
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)  # SQLite gives its -wal and -shm files the same mode


def _no_ledger_yet(place: str) -> NoLedgerError:
    return NoLedgerError(f"no ledger yet at {place}: a plan creates it; check the ledger setting if you made one")


def _sqlite_engine(url: sa.URL, writable: bool) -> sa.Engine:
    engine = sa.create_engine(url, connect_args={"timeout": _WAIT_SECONDS}, hide_parameters=True)

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
        retry=retry_if_exception(is_busy), stop=stop_after_delay(_WAIT_SECONDS), wait=wait_random(0, 0.05), reraise=True
    )
    patiently(lambda: connection.execute("PRAGMA journal_mode=WAL").close())


def _postgresql_engine(url: sa.URL) -> sa.Engine:
    patience = {"connect_timeout": str(_WAIT_SECONDS), "tcp_user_timeout": str(_WAIT_SECONDS * 1000)}
    try:
        engine = sa.create_engine(
            url.set(query={**patience, **url.query}),
            isolation_level="READ COMMITTED",  # each statement sees what was committed while we waited for the lock
            pool_pre_ping=True,
            hide_parameters=True,
        )
    except ModuleNotFoundError:
        raise InputError("a ledger in PostgreSQL needs its driver: pip install 'liftlock[postgresql]'") from None

    @sa.event.listens_for(engine, "begin")
    def lock(connection: sa.Connection) -> None:
        if _READING not in connection.get_execution_options():
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_WAIT_SECONDS}s'")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_POSTGRESQL_LOCK})")

    return engine


@contextmanager
def _reading(engine: sa.Engine) -> Iterator[sa.Connection]:
    with engine.connect() as connection:
        yield connection.execution_options(**{_READING: True})


def _bring_to_head(engine: sa.Engine, place: str, create: bool) -> None:
    found = _revision(engine)
    if found == HEAD:
        return
    if create:
        _migrate(engine, place)
    elif found is None:
        raise _no_ledger_yet(place)
    else:
        raise _other_version(place)


def _revision(engine: sa.Engine) -> str | None:
    try:
        with _reading(engine) as connection:
            return connection.execute(sa.text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608
    except (OperationalError, ProgrammingError) as error:
        if "no such table" in str(error.orig) or getattr(error.orig, "sqlstate", None) == "42P01":
            return None
        raise


def _migrate(engine: sa.Engine, place: str) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with _migrating, engine.begin() as connection:  # holds the ledger's lock: of two that open, one migrates
        config.attributes.update(connection=connection, version_table=VERSION_TABLE)
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise _other_version(place) from error


def _other_version(place: str) -> LedgerError:
    return LedgerError(f"the ledger {place} was written by another version of liftlock; use the newest you have")


def _stored(fact: Fact) -> tuple[str, Fact]:
    # An entry that reads back differently would break the chain for good, so that is tried before it is written.
    try:
        body = encode(fact)
        read_back = decode(body)
    except (ValueError, LedgerError) as error:
        raise LedgerError(f"a {fact.fact!r} fact cannot be recorded: it holds a value that JSON cannot") from error
    if encode(read_back) != body:
        raise LedgerError(f"a {fact.fact!r} fact cannot be recorded: it would read back differently")
    return body, read_back


def _row(entry: Entry, body: str) -> dict[str, object]:
    return {
        "seq": entry.seq,
        "at": entry.at.isoformat(timespec="microseconds"),
        "plan": entry.plan,
        "fact_kind": entry.fact.fact,
        "host": getattr(entry.fact, "host", None),
        "attempt": getattr(entry.fact, "attempt", None),
        "body": body,
        "previous": entry.previous,
        "hash": entry.hash,
    }


def _entry(row: Any) -> Entry:
    try:
        at = datetime.fromisoformat(row.at).astimezone(UTC)
    except ValueError as error:
        raise LedgerError(f"ledger entry {row.seq} was changed: {row.at!r} is no time") from error
    return Entry(row.seq, at, row.plan, decode(row.body), row.previous, row.hash)


@contextmanager
def _plain_errors(place: str) -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise LedgerError(f"the ledger {place}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    primary = "_".join(getattr(cause, "sqlite_errorname", "").split("_")[:2])
    known = _REASONS.get(primary) or _REASONS.get(getattr(cause, "sqlstate", None) or "")
    if known:
        return known
    text = cause.strerror if isinstance(cause, OSError) else str(cause)
    return next(iter((text or "").splitlines()), type(cause).__name__)
