"""A throw-away PostgreSQL server for tests: `pytest_plugins = ["adapters.postgres"]` gives the fixture `postgres`."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

PORT = 5432  # only names the socket; the server does not listen on the network


@dataclass
class Postgres:
    """A server, reached through a Unix socket in `directory`; `command` starts it."""

    directory: Path
    command: list[str]
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def url(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self.directory}&port={PORT}"

    def new_database(self) -> str:
        """Make an empty database and return its URL."""
        name = f"ledger{next(self.numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)

    def start(self) -> None:
        """Run it, and wait until it answers; after `break_down` it first recovers what it had promised."""
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(self.command, cwd=self.directory, stdout=log, stderr=log)
        _await(self.process, self)

    def break_down(self) -> None:
        """Stop without finishing anything, as `pg_ctl stop -m immediate` does."""
        self._stop(signal.SIGQUIT)

    def stop(self) -> None:
        """Stop in order; does not wait for clients ("fast")."""
        self._stop(signal.SIGINT)

    def _stop(self, how: signal.Signals) -> None:
        self.process.send_signal(how)
        self.process.wait(timeout=30)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with running_postgres("-c", "fsync=off") as server:
        yield server


@contextmanager
def running_postgres(*options: str) -> Iterator[Postgres]:
    """Start a fresh cluster as an unprivileged user, and stop and remove it at the end."""
    initdb, postgres = _binary("initdb"), _binary("postgres")
    directory = Path(tempfile.mkdtemp(prefix="liftlock-pg-"))
    try:
        as_user = _unprivileged(directory)
        cluster = str(directory / "cluster")
        _run(
            [*as_user, initdb, "-D", cluster, "-U", "postgres", "-E", "UTF8", "--locale=C", "-A", "trust", "--no-sync"]
        )
        listen = ["-k", str(directory), "-p", str(PORT), "-c", "listen_addresses="]
        server = Postgres(directory, [*as_user, postgres, "-D", cluster, *listen, *options])
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(directory)


def _binary(name: str) -> str:
    versions = sorted(Path("/usr/lib/postgresql").glob("*"), key=lambda path: (len(path.name), path.name))
    places = [str(version / "bin") for version in reversed(versions)]
    found = shutil.which(name, path=os.pathsep.join([*places, os.environ.get("PATH", "")]))
    if found is None:
        pytest.fail(f"{name} is not on this machine: install the package postgresql", pytrace=False)
    return found


def _unprivileged(directory: Path) -> list[str]:
    """PostgreSQL refuses to run as root: give the directory to another user, and the command that becomes it."""
    if os.geteuid() != 0:
        return []
    names = {user.pw_name for user in pwd.getpwall()}
    user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    os.chown(directory, user.pw_uid, user.pw_gid)
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--pdeathsig=INT"]


def _run(command: list[str]) -> None:
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.fail(f"{command} failed:\n{done.stdout}{done.stderr}", pytrace=False)


def _await(process: subprocess.Popen[bytes], server: Postgres) -> None:
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        try:
            psycopg.connect(server.url("postgres")).close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"PostgreSQL did not start:\n{(server.directory / 'log').read_text()}", pytrace=False)
