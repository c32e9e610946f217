"""A disk that takes no more of the ledger: it is told at once, and everything recorded so far reads back.

A full disk is in tests/adapters/test_ledger_store.py; a disk that reports errors in test_ledger_kills.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from faults.ledger_writers import Reader, writers
from faults.results import record
from liftlock.adapters.db import open_ledger
from liftlock.errors import LedgerError
from liftlock.ledger import Finished

NOW = datetime(2026, 11, 21, 22, 4, 10, tzinfo=UTC)
LIMITED = """
import json, resource, sys
from datetime import UTC, datetime
from liftlock.adapters.db import open_ledger
from liftlock.errors import LedgerError
from liftlock.ledger import Halted

written, why = 0, []
with open_ledger(sys.argv[1]) as ledger:
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
    while len(why) < 3:
        try:
            ledger.append("p1", Halted(reason="x" * 500), datetime.now(UTC))
            written += not why
        except LedgerError as error:
            why.append(str(error))
    read = len(list(ledger.entries()))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    seq = ledger.append("p1", Halted(reason="room again"), datetime.now(UTC)).seq
print(json.dumps([written, read, seq, why]))
"""


def test_a_limit_on_file_lengths_is_told_and_the_ledger_goes_on_once_it_is_lifted(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    ran = subprocess.run([sys.executable, "-c", LIMITED, url], capture_output=True, text=True, check=True)
    written, read, seq, why = json.loads(ran.stdout)
    assert written > 10
    assert (read, seq) == (written, written + 1)
    assert all("limit on file lengths (ulimit -f) is reached" in one for one in why), why
    with open_ledger(url, create=False) as ledger:
        assert len(list(ledger.entries())) == seq
    record(
        "a limit on file lengths stops the ledger, SQLite", f"told at once, {written} of {written} entries read back"
    )


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", place], check=True)
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.mark.needs("root")
def test_a_disk_that_became_read_only_is_told_and_still_reads(small_disk: Path) -> None:
    reader = Reader(f"sqlite:///{small_disk}/ledger.db")
    with writers() as [writer]:
        writer.begin("write_on", reader.url, "w")
        writer.await_written(20)
        writer.kill()
        acknowledged = len(writer.end().written)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with open_ledger(reader.url) as ledger, pytest.raises(LedgerError, match="read-only here"):
        ledger.append("p1", Finished(), NOW)
    with open_ledger(reader.url, create=False) as ledger:
        assert len(list(ledger.entries())) >= acknowledged
    subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
    assert len(reader.read_on()["w"]) >= acknowledged
    record("the ledger's disk becomes read-only, SQLite", f"told at once, {acknowledged} of {acknowledged} read back")
