"""Appending to the ledger beside the same rows written with sqlite3 alone, and reading it back, verified."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.report import Report, Table, times
from liftlock.adapters.db import SqlLedger, open_ledger
from liftlock.ledger import Switched, verify_chain

PLAN = "0" * 64
AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
_COLUMNS = "seq, at, plan, fact_kind, host, attempt, body, previous, hash"


@dataclass(slots=True)
class Rates:
    """Rows a second, one figure for each round."""

    ours: list[float] = field(default_factory=list)
    raw: list[float] = field(default_factory=list)


def measure(say: Callable[[str], None], *, quick: bool) -> Report:
    """Appends in rounds of 500 (quick: 50), then everything read."""
    rounds, rows = (2, 50) if quick else (9, 500)
    with tempfile.TemporaryDirectory(prefix="liftlock-bench-") as folder:
        url = f"sqlite:///{folder}/ledger.db"
        with open_ledger(url) as ledger:
            raw = _raw_twin(Path(folder))
            appends, reads = Rates(), Rates()
            for number in range(1, rounds + 1):
                say(f"ledger: appending, round {number} of {rounds}")
                appends.ours.append(_rate(rows, lambda: _append(ledger, rows)))
                copies = _newest(Path(folder), rows)
                appends.raw.append(_rate(rows, partial(_insert, raw, copies)))
            total = rounds * rows
            for number in range(1, rounds + 1):
                say(f"ledger: reading, round {number} of {rounds}")
                reads.ours.append(_rate(total, lambda: _expect(verify_chain(ledger.entries()), total)))
                reads.raw.append(_rate(total, lambda: _expect(len(_all(raw)), total)))
            raw.close()
    head = ("per second, median", "ledger", "sqlite3 alone", "time of sqlite3")
    return Report(
        "ledger",
        f"SQLite on disk, WAL, `synchronous=FULL`, one transaction a row: {rounds} rounds of {rows} appended, in turn "
        "with sqlite3 alone, which writes the same finished rows to the same tables, indexes and triggers (nothing "
        f"checked, encoded or hashed). Reading: all {rounds * rows} entries, decoded and every link verified, beside "
        "a plain SELECT.",
        (Table(head, (_row("appended", appends), _row("read and verified", reads))),),
    )


def _row(name: str, rates: Rates) -> tuple[str, ...]:
    ours, raw = median(rates.ours), median(rates.raw)
    return (name, f"{ours:.0f}", f"{raw:.0f}", times(raw, ours))


def _rate(rows: int, work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return rows / (time.perf_counter() - began)


def _append(ledger: SqlLedger, rows: int) -> None:
    for number in range(rows):
        ledger.append(PLAN, Switched(host=f"host-{number}", attempt=1, version="2.0.0", seconds=1.25), AT)


def _expect(count: int, expected: int) -> None:
    assert count == expected


def _raw_twin(folder: Path) -> sqlite3.Connection:
    """An empty database with the ledger's tables, indexes and triggers, opened as the ledger's own is."""
    raw = sqlite3.connect(folder / "raw.db", isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        raw.execute(f"PRAGMA {pragma}")
    for statement in _schema(folder):
        raw.execute(statement)
    return raw


def _schema(folder: Path) -> Iterator[str]:
    source = sqlite3.connect(folder / "ledger.db")
    yield from (
        row[0] for row in source.execute("SELECT sql FROM sqlite_master WHERE tbl_name = 'entries' AND sql > ''")
    )
    source.close()


def _newest(folder: Path, rows: int) -> list[tuple[object, ...]]:
    source = sqlite3.connect(folder / "ledger.db")
    found = source.execute(f"SELECT {_COLUMNS} FROM entries ORDER BY seq DESC LIMIT {rows}").fetchall()
    source.close()
    return found[::-1]


def _insert(raw: sqlite3.Connection, rows: list[tuple[object, ...]]) -> None:
    for row in rows:
        raw.execute("BEGIN IMMEDIATE")
        raw.execute(f"INSERT INTO entries ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        raw.execute("COMMIT")


def _all(raw: sqlite3.Connection) -> list[tuple[object, ...]]:
    return raw.execute(f"SELECT {_COLUMNS} FROM entries ORDER BY seq").fetchall()
