"""`ledger verify` and `ledger export`: what holds, what does not, and what an auditor can check without liftlock."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from liftlock.adapters.db import open_ledger
from liftlock.app.auditing import export, verify
from liftlock.app.workspace import Workspace
from liftlock.errors import NoLedgerError
from liftlock.ledger import GENESIS, Approved, Switched
from liftlock.main import main

if TYPE_CHECKING:
    from adapters.postgres import Postgres

pytest_plugins = ["adapters.postgres"]

NOW = datetime(2026, 11, 21, 22, 4, 10, tzinfo=UTC)
PLAN = "3fa9c1d2" * 8


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    postgres: Postgres = request.getfixturevalue("postgres")
    return postgres.new_database()


@pytest.fixture
def workspace(url: str, tmp_path: Path) -> Workspace:
    (tmp_path / "liftlock.yaml").write_text(f"ledger: {json.dumps(url)}\n")
    (tmp_path / "inventories").mkdir()
    (tmp_path / "releases").mkdir()
    return Workspace(tmp_path)


def fill(url: str, count: int = 5) -> list[str]:
    """Write so many entries and return their hashes."""
    facts = [Approved(by="ana", note="窗口已确认"), Switched(host="h1", attempt=1, version="2", seconds=31.25)]
    with open_ledger(url) as ledger:
        return [ledger.append(PLAN, facts[n % 2], NOW + timedelta(microseconds=n)).hash for n in range(count)]


def tamper(url: str, *statements: str) -> None:
    """Change entries as the database's owner can, who removes the triggers first."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
            for trigger in ("no_update", "no_delete", "no_replace"):
                connection.execute(f"DROP TRIGGER IF EXISTS entries_{trigger}")
            for statement in statements:
                connection.execute(statement)
    else:
        with psycopg.connect(url) as connection:
            for statement in ("ALTER TABLE entries DISABLE TRIGGER entries_append_only", *statements):
                connection.execute(statement.encode())


def test_a_whole_record_holds_and_its_head_is_the_hash_to_keep(url: str, workspace: Workspace) -> None:
    with pytest.raises(NoLedgerError):
        verify(workspace)
    hashes = fill(url)
    for known in ("", GENESIS, hashes[0], hashes[-1]):
        made = verify(workspace, known)
        assert (made.entries, made.head, made.problems) == (5, hashes[-1], ())
    assert made.written_at == NOW + timedelta(microseconds=4)


@pytest.mark.parametrize(
    ("statement", "holds", "told"),
    [
        (
            "UPDATE entries SET host = 'h1', body = replace(body, '31.25', '1.25') WHERE seq = 4",
            3,
            "entry 4 was changed",
        ),
        ("UPDATE entries SET plan = 'f' WHERE seq = 1", 0, "entry 1 was changed"),
        ("UPDATE entries SET body = 'no JSON' WHERE seq = 5", 4, "entry 5 was changed"),
        ("UPDATE entries SET at = 'never' WHERE seq = 2", 1, "entry 2 was changed"),
        ("DELETE FROM entries WHERE seq = 3", 2, "entry 3 is missing"),
        ("UPDATE entries SET seq = 6 WHERE seq = 5", 4, "entry 5 is missing"),
        ("DELETE FROM entries WHERE seq > 3", 3, "no entry that holds has the hash"),
    ],
)
def test_the_entry_that_breaks_the_chain_is_named(
    url: str, workspace: Workspace, statement: str, holds: int, told: str
) -> None:
    hashes = fill(url)
    tamper(url, statement)
    made = verify(workspace, known=hashes[-1])
    assert made.entries == holds
    assert made.head == ([GENESIS, *hashes])[holds]
    assert told in made.problems[0]
    assert hashes[-1] in made.problems[-1]


def test_a_damaged_file_is_told_beside_the_entries_that_still_hold(tmp_path: Path) -> None:
    url, file = f"sqlite:///{tmp_path}/ledger.db", tmp_path / "ledger.db"
    (tmp_path / "liftlock.yaml").write_text(f"ledger: {url}\n")
    fill(url, 200)
    whole = bytearray(file.read_bytes())
    with closing(sqlite3.connect(file)) as connection:
        page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'entries_of_plan'").fetchone()[0]
    place = 4096 * (page - 1)
    whole[place : place + 4096] = bytes(4096)
    file.write_bytes(whole)
    made = verify(Workspace(tmp_path))
    assert made.problems
    assert all("SQLite: " in one or "the file is damaged" in one for one in made.problems)


def test_an_auditor_checks_what_was_exported_without_liftlock(url: str, workspace: Workspace, tmp_path: Path) -> None:
    hashes = fill(url)
    made = export(workspace, tmp_path / "out" / "ledger.jsonl")
    previous = "0" * 64
    lines = (tmp_path / "out" / "ledger.jsonl").read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        entry = json.loads(line)
        fact = json.dumps(entry["fact"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert line.endswith(f'"fact":{fact}}}')
        assert (entry["seq"], entry["previous"]) == (number, previous)
        parts = (entry["previous"], entry["at"], entry["plan"], fact)
        previous = hashlib.sha256("".join(f"{part}\n" for part in parts).encode()).hexdigest()
        assert entry["hash"] == previous
    assert (len(lines), previous) == (5, hashes[-1]) == (made.entries, made.head)
    assert made.file == str(tmp_path / "out" / "ledger.jsonl")
    assert Path(made.file).stat().st_mode & 0o777 == 0o600


Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line, in the workspace: its exit code and what it printed."""
    monkeypatch.chdir(workspace.root)

    def run(*words: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["liftlock", "ledger", *words])
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        return code, capsys.readouterr().out

    return run


def test_the_task_ends_with_0_or_5_and_says_why(run: Run, url: str) -> None:
    assert run("verify")[0] == 2
    hashes = fill(url)
    code, told = run("verify")
    assert code == 0
    assert told.startswith("5 entries hold; the last, of 2026-11-21 22:04:10 UTC, has the hash")
    assert told.split()[-1] == hashes[-1]
    tamper(url, "DELETE FROM entries WHERE seq = 5")
    assert run("verify")[0] == 0
    code, told = run("verify", "--known", hashes[-1], "--json")
    assert code == 5
    assert json.loads(told)["problems"] == [
        f"no entry that holds has the hash {hashes[-1]}: entries were cut off, or written anew"
    ]
    assert json.loads(run("export", "--file", "out/l.jsonl", "--json")[1])["file"] == "out/l.jsonl"
    for wrong in ("burn", "export", "verify --file x", "export --file x --known y", "--json"):
        assert run(*wrong.split())[0] == 2, wrong
