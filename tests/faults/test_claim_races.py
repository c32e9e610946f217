"""Eight controllers race for the same hosts: each host has one owner, and the others are told who."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from faults.ledger_writers import often
from faults.results import record
from liftlock.adapters.db import open_ledger
from liftlock.ledger import Started, verify_chain

if TYPE_CHECKING:
    from adapters.postgres import Postgres

pytest_plugins = ["adapters.postgres"]

CLAIMER = Path(__file__).with_name("ledger_claimer.py")
CONTROLLERS, HOSTS = 8, ("h1", "h2", "h3")


@contextmanager
def controllers(url: str) -> Iterator[list[subprocess.Popen[str]]]:
    command, pipe = [sys.executable, str(CLAIMER), url], subprocess.PIPE
    made = [subprocess.Popen([*command, f"s{n}"], stdin=pipe, stdout=pipe, text=True) for n in range(CONTROLLERS)]
    try:
        assert [one.stdout.readline() for one in made] == ["ready\n"] * CONTROLLERS
        yield made
    finally:
        for one in made:
            one.kill()
            one.communicate()


@pytest.mark.parametrize(("database", "short", "full"), [("SQLite", 20, 500), ("PostgreSQL", 10, 500)])
def test_of_eight_controllers_exactly_one_owns_each_host(
    request: pytest.FixtureRequest, tmp_path: Path, database: str, short: int, full: int
) -> None:
    rounds, url = often(short, full), f"sqlite:///{tmp_path}/ledger.db"
    if database == "PostgreSQL":
        postgres: Postgres = request.getfixturevalue("postgres")
        url = postgres.new_database()
    with controllers(url) as racing, open_ledger(url) as ledger:
        for attempt in range(1, rounds + 1):
            for one in racing:
                one.stdin.write(f"{attempt} {' '.join(HOSTS)}\n")
                one.stdin.flush()
            answers = [
                (f"s{number}", *one.stdout.readline().split(maxsplit=2))
                for number, one in enumerate(racing)
                for _ in HOSTS
            ]
            for host in HOSTS:
                told = [(session, word, rest) for session, name, word, rest in answers if name == host]
                [(owner, seq)] = [(session, int(rest)) for session, word, rest in told if word == "won"]
                locked = [rest for _, word, rest in told if word == "locked"]
                assert len(locked) == CONTROLLERS - 1, told
                holds = f"attempt {attempt} on host {host} is already held by session {owner} since "
                assert all(one.startswith(holds) and one.endswith(f"(ledger entry {seq})\n") for one in locked), told
        entries = list(ledger.entries())
    assert all(isinstance(entry.fact, Started) for entry in entries)
    assert verify_chain(entries) == len(entries) == rounds * len(HOSTS)
    seen = f"one owner for each of {len(entries)} claims; {len(entries) * (CONTROLLERS - 1)} losers told who, 0 else"
    record(f"8 controllers race for the same hosts, {database}", seen, tries=rounds)
