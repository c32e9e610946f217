"""The answer to a commit gets lost between PostgreSQL and us: nobody is told a lie, nothing is written twice."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from liftlock.adapters.db import open_ledger
from liftlock.errors import LedgerError, LockedError
from liftlock.ledger import Finished, Started, verify_chain
from liftlock.model import Action

if TYPE_CHECKING:
    from adapters.postgres import Postgres

pytest_plugins = ["adapters.postgres"]

NOW = datetime(2026, 11, 21, 22, 4, 10, tzinfo=UTC)
STARTED = Started(host="h1", attempt=1, action=Action.UPGRADE, from_version="1", to_version="2", session="s1")
PORT = 5432


class Cut:
    """Stands between us and the server, and cuts the connection at the next commit, once it was told to."""

    def __init__(self, server: Path, place: Path) -> None:
        self.at_commit = ""
        self._server = server
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(place / f".s.PGSQL.{PORT}"))
        self._listener.listen()
        self._threads = [threading.Thread(target=self._serve)]
        self._threads[0].start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                ours, _ = self._listener.accept()
                theirs = socket.socket(socket.AF_UNIX)
                theirs.connect(str(self._server / f".s.PGSQL.{PORT}"))
                pair = [
                    threading.Thread(target=self._answers, args=(theirs, ours)),
                    threading.Thread(target=self._questions, args=(ours, theirs)),
                ]
                self._threads += pair
                for thread in pair:
                    thread.start()

    def _questions(self, ours: socket.socket, theirs: socket.socket) -> None:
        with suppress(OSError):
            while data := ours.recv(65536):
                if b"COMMIT\0" in data and self.at_commit:
                    when, self.at_commit = self.at_commit, ""
                    ours.shutdown(socket.SHUT_RDWR)  # from here on we hear nothing
                    if when == "after":
                        theirs.sendall(data)
                    break
                theirs.sendall(data)
        with suppress(OSError):
            theirs.shutdown(socket.SHUT_WR)

    def _answers(self, theirs: socket.socket, ours: socket.socket) -> None:
        with theirs, ours, suppress(OSError):
            while data := theirs.recv(65536):
                with suppress(OSError):
                    ours.sendall(data)


@contextmanager
def cut_between(postgres: Postgres, place: Path) -> Iterator[tuple[Cut, str]]:
    """A cut, and the URL of a new ledger behind it."""
    cut = Cut(postgres.directory, place)
    try:
        yield cut, postgres.new_database().replace(str(postgres.directory), str(place))
    finally:
        cut.close()


@pytest.mark.parametrize(("when", "is_in"), [("before", False), ("after", True)])
def test_a_lost_answer_to_a_commit_is_told_and_never_tried_again(
    postgres: Postgres, tmp_path: Path, when: str, is_in: bool
) -> None:
    with cut_between(postgres, tmp_path) as (cut, url), open_ledger(url) as ledger:
        ledger.append("p1", Finished(), NOW)
        cut.at_commit = when
        with pytest.raises(LedgerError, match="whether the entry was written is known once the ledger is opened"):
            ledger.append("p1", STARTED, NOW)
        assert cut.at_commit == ""
        with open_ledger(url) as again:  # waits for the lost one to end on the server
            assert [entry.fact for entry in again.entries()] == ([Finished(), STARTED] if is_in else [Finished()])
        if is_in:
            with pytest.raises(LockedError, match="attempt 1 on host h1 is already held by session s1"):
                ledger.append("p1", STARTED, NOW)
        else:
            assert ledger.append("p1", STARTED, NOW).seq == 2
        assert [entry.fact for entry in ledger.entries()] == [Finished(), STARTED]
        assert verify_chain(ledger.entries()) == 2
