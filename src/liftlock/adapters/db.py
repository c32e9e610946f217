"""The ledger in a database: SQLite by default, PostgreSQL by URL.

An append is one short transaction that holds the ledger's lock, so numbers have no gaps and the chain
cannot fork, however many threads and processes write. Readers never hold that lock.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, ProgrammingError

from liftlock.adapters.database import (
    await_appends,
    engine_for,
    file_of,
    identity,
    parse_url,
    place_of,
    plain_errors,
    reading,
    reason,
)
from liftlock.adapters.frozen import frozen_engine, is_frozen
from liftlock.errors import LedgerError, LockedError, NoLedgerError
from liftlock.ledger import GENESIS, Entry, Fact, Started, decode, encode, link

if TYPE_CHECKING:
    from liftlock.adapters.lease import Lease

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
# Built once: a rollout asks for news after every host.
_AFTER = sa.select(*_STORED).where(ENTRIES.c.seq > sa.bindparam("after")).order_by(ENTRIES.c.seq).limit(_CHUNK)
_AFTER_OF_PLAN = _AFTER.where(ENTRIES.c.plan == sa.bindparam("plan"))
_INSERT = sa.insert(ENTRIES)

_migrating = threading.Lock()  # Alembic keeps its context in module globals


class SqlLedger:
    """The append-only record in a database (`ports.LedgerStore`); safe to share between threads."""

    def __init__(
        self, engine: sa.Engine, place: str, *, file: Path | None, writable: bool, lease: Lease | None = None
    ) -> None:
        self._engine = engine
        self._place = place
        self._file, self._opened = file, identity(file)
        self._writable = writable
        self._lease = lease
        self._appending = threading.Lock()  # our own threads queue here, fairly, instead of polling the file

    def append(self, plan: str, fact: Fact, at: datetime) -> Entry:
        """Write one fact durably and return its entry, numbered one more than the last. Raises as `append_all`."""
        return self.append_all(plan, [fact], at)[0]

    def append_all(self, plan: str, facts: Sequence[Fact], at: datetime) -> list[Entry]:
        """Write several facts durably in one transaction, all or none; return their entries.

        Raises `LockedError` when one is a `Started` whose plan, host and attempt are already in the ledger,
        `LedgerError` when they cannot be written, `at` carries no zone, another file has taken the place of the
        ledger's, or the lease ended that a `Started` needs.
        When the connection was lost, nobody knows whether they were written: the message says so, and nothing
        is tried again here.
        """
        if not self._writable:
            raise LedgerError(f"the ledger {self._place} was opened for reading only")
        if at.tzinfo is None:
            raise LedgerError(f"an entry's time needs a zone: {at.isoformat()}")
        stored, at = [_stored(fact) for fact in facts], at.astimezone(UTC)
        entries: list[Entry] = []
        with self._appending, plain_errors(self._place):
            if identity(self._file) != self._opened:  # nobody would find what is written to the one that we have open
                raise LedgerError(f"the ledger {self._place} was moved, removed or replaced: put it back, then go on")
            if self._lease is not None and any(isinstance(fact, Started) for _, fact in stored):
                self._lease.check()
            try:
                with self._engine.begin() as connection:
                    last = connection.execute(_LAST).one_or_none()
                    seq, previous = (last.seq, last.hash) if last else (0, GENESIS)
                    for body, fact in stored:
                        seq, entry_hash = seq + 1, link(previous, at, plan, body)
                        entries.append(Entry(seq, at, plan, fact, previous, entry_hash))
                        connection.execute(_INSERT, _row(entries[-1], body))
                        previous = entry_hash
            except IntegrityError:
                for _, fact in stored:
                    if isinstance(fact, Started):
                        self._refuse_claimed(plan, fact)
                raise
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
                why = f"{reason(error)}; whether the entry was written is known once the ledger is opened again"
                raise LedgerError(f"the ledger {self._place}: {why}") from error
        return entries

    def entries(self, plan: str | None = None, after: int = 0) -> Iterator[Entry]:
        """The entries in order, of one plan or of all, with `seq` greater than `after`.

        Read in chunks, without a lock; what is appended meanwhile may be seen too.
        Raises `LedgerError` when the ledger, or an entry, cannot be read.
        """
        query = _AFTER if plan is None else _AFTER_OF_PLAN
        while True:
            rows = self._read(query, {"after": after, "plan": plan})
            yield from map(_entry, rows)
            if len(rows) < _CHUNK:
                return
            after = rows[-1].seq

    def plans(self) -> list[str]:
        """The ids of all plans that were made (have a `Planned` entry), oldest first."""
        rows = self._read(sa.select(ENTRIES.c.plan).where(_IS_PLANNED).order_by(ENTRIES.c.seq))
        return list(dict.fromkeys(row.plan for row in rows))

    def begun(self) -> dict[str, set[str]]:
        """By plan, the hosts that were begun with, by their names in it; read from an index alone."""
        found: dict[str, set[str]] = {}
        for row in self._read(sa.select(ENTRIES.c.plan, ENTRIES.c.host).where(_IS_STARTED).distinct()):
            found.setdefault(row.plan, set()).add(row.host)
        return found

    def damage(self) -> list[str]:
        """What SQLite finds wrong with its own file; PostgreSQL looks after its files itself."""
        if self._engine.dialect.name != "sqlite":
            return []
        with plain_errors(self._place), reading(self._engine) as connection:
            found = connection.exec_driver_sql("PRAGMA integrity_check").scalars().all()
        return [] if found == ["ok"] else [str(one) for one in found]

    def close(self) -> None:
        """Give the connections back; nothing is lost without it."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, query: sa.Select[Any], values: Mapping[str, object] | None = None) -> list[Any]:
        with plain_errors(self._place), reading(self._engine) as connection:
            return list(connection.execute(query, values).all())

    def _refuse_claimed(self, plan: str, wanted: Started) -> None:
        same = (ENTRIES.c.plan == plan, ENTRIES.c.host == wanted.host, ENTRIES.c.attempt == wanted.attempt)
        for holder in map(_entry, self._read(sa.select(*_STORED).where(_IS_STARTED, *same))):
            session = holder.fact.session if isinstance(holder.fact, Started) else "unknown"
            raise LockedError(
                f"attempt {wanted.attempt} on host {wanted.host} is already held by session {session}"
                f" since {holder.at.isoformat(timespec='seconds')} (ledger entry {holder.seq})"
            )


def open_ledger(url: str, create: bool = True, lease: Lease | None = None) -> SqlLedger:
    """The ledger at `url` (`sqlite:///path` or `postgresql://user@host/database`).

    With `create`, what is missing is made: the directory (0700), the SQLite file (0600), the tables. Without, the
    ledger is opened for reading only and must exist. An append that another began, or that lost its connection, has
    ended when this returns. With a `lease`, no attempt is claimed unless it still holds.
    Raises `InputError` for a URL that names no such database, `LedgerError` when it cannot be opened, or does not
    exist and may not be created.
    """
    parsed = parse_url(url)
    place, file = place_of(parsed), file_of(parsed)
    with plain_errors(place):
        if file is not None:
            _prepare_file(file, create)
        try:
            engine = _at_head(engine_for(parsed, writable=create), place, create)
        except OperationalError:
            if create or file is None or not is_frozen(file):
                raise
            engine = _at_head(frozen_engine(parsed, file), place, create)
    return SqlLedger(engine, place, file=file, writable=create, lease=lease)


def _prepare_file(path: Path, create: bool) -> None:
    if path.exists():
        return
    if not create:
        raise _no_ledger_yet(str(path))
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)  # SQLite gives its -wal and -shm files the same mode


def _no_ledger_yet(place: str) -> NoLedgerError:
    return NoLedgerError(f"no ledger yet at {place}: a plan creates it; check the ledger setting if you made one")


def _at_head(engine: sa.Engine, place: str, create: bool) -> sa.Engine:
    try:
        _bring_to_head(engine, place, create)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _bring_to_head(engine: sa.Engine, place: str, create: bool) -> None:
    found = _revision(engine)
    if found == HEAD:
        if create:
            await_appends(engine)
    elif create:
        _migrate(engine, place)
    elif found is None:
        raise _no_ledger_yet(place)
    else:
        raise _other_version(place)


def _revision(engine: sa.Engine) -> str | None:
    try:
        with reading(engine) as connection:
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
    try:
        return Entry(row.seq, at, row.plan, decode(row.body), row.previous, row.hash)
    except LedgerError as error:
        raise LedgerError(f"ledger entry {row.seq} was changed, or comes from another version: {error}") from error
