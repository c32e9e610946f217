"""Imports once, then forks writers of a ledger that are to be killed; `ledger_writers.py` gives the orders.

An order is a line on standard input: what to do, the ledger's URL, a name, and perhaps what it needs. Standard output
says `begun <pid>`, what the writer says, and `over <status>` when it has ended.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import alembic.command  # noqa: F401  # a new ledger is migrated, and that is to begin at once
import psycopg  # noqa: F401

from liftlock.adapters.db import SqlLedger, open_ledger
from liftlock.errors import LedgerError
from liftlock.ledger import Baking

PLAN = "3fa9c1d2" * 8
ANY_TRACER = (0x59616D61, ctypes.c_ulong(-1))  # prctl: where only parents may trace, let everybody


def say(*words: object) -> None:
    """One line in one piece, so that two writers do not mix theirs."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def append(ledger: SqlLedger, name: str, wave: int) -> None:
    entry = ledger.append(PLAN, Baking(wave=wave, session=name), datetime.now(UTC))
    say("written", name, wave, entry.seq)


def write_on(url: str, name: str) -> None:
    """Append until killed."""
    with open_ledger(url) as ledger:
        for wave in itertools.count(1):
            append(ledger, name, wave)


def write_twice(url: str, name: str, gate: str) -> None:
    """Open the ledger, wait at the gate, append two entries whatever happens, and close."""
    ctypes.CDLL(None).prctl(*ANY_TRACER)
    with open_ledger(url) as ledger:
        say("waiting")
        with Path(gate).open() as opened:
            opened.readline()
        for wave in (1, 2):
            try:
                append(ledger, name, wave)
            except LedgerError as error:
                say("failed", name, wave, error)


def write_through_restarts(url: str, name: str) -> None:
    """Append until killed; after an error look whether the entry is in, and write it again only when it is not."""
    for wave in itertools.count(1):
        while True:
            try:
                with open_ledger(url) as ledger:
                    mine = [entry.fact for entry in ledger.entries() if entry.fact == Baking(wave=wave, session=name)]
                    if mine:
                        say("found", name, wave, 0)
                        break
                    for wave in itertools.count(wave):  # noqa: B020, PLW2901
                        append(ledger, name, wave)
            except LedgerError as error:
                say("failed", name, wave, error)
                time.sleep(0.02)


def main() -> None:
    for order in sys.stdin:
        work, *words = order.split()
        pid = os.fork()
        if pid == 0:
            try:
                globals()[work](*words)
                os._exit(0)
            finally:
                os._exit(1)
        say("begun", pid)
        say("over", os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    main()
