"""One controller per plan, on one machine by a file beside the ledger, on several by their PostgreSQL server."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from liftlock.adapters.db import open_ledger
from liftlock.adapters.lease import is_leased, leased
from liftlock.errors import ExitCode, InputError, LedgerError, LockedError
from liftlock.ledger import Finished, Started
from liftlock.model import Action

if TYPE_CHECKING:
    from adapters.postgres import Postgres

pytest_plugins = ["adapters.postgres"]

NOW = datetime(2026, 11, 21, 22, 4, 10, tzinfo=UTC)
PLAN, OTHER = "3fa9c1d2" * 8, "f0000000" * 8
ANNA = "anna@ci-7 (pid 4711)"
STARTED = Started(host="h1", attempt=1, action=Action.UPGRADE, from_version="1", to_version="2", session="s1")

HOLDER = """
import sys
from datetime import UTC, datetime
from liftlock.adapters.lease import leased
with leased(sys.argv[1], sys.argv[2], "bo@ci-8 (pid 1)", datetime.now(UTC)):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/record/ledger.db"
    postgres: Postgres = request.getfixturevalue("postgres")
    return postgres.new_database()


@contextmanager
def another_controller(url: str, plan: str = PLAN) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLDER, url, plan]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def refusal(url: str, plan: str = PLAN) -> str:
    with pytest.raises(LockedError) as refused, leased(url, plan, "bo@ci-8 (pid 1)", NOW):
        pass
    assert refused.value.exit_code is ExitCode.LOCKED
    return str(refused.value)


def test_the_loser_is_told_who_holds_the_plan_and_since_when(url: str) -> None:
    with leased(url, PLAN, ANNA, NOW) as lease:
        lease.check()
        told = refusal(url)
        shape = (
            r"plan 3fa9c1d2 is being carried out by anna@ci-7 \(pid 4711\) since (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC"
        )
        since = datetime.strptime(re.fullmatch(shape, told)[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
        if url.startswith("sqlite"):
            assert since == NOW
        else:  # the server's clock, at the moment when its session began
            assert abs((datetime.now(UTC) - since).total_seconds()) < 3600
        with leased(url, OTHER, ANNA, NOW) as another:
            another.check()
        lease.check()
    with leased(url, PLAN, ANNA, NOW) as again:
        again.check()


def test_a_lease_ends_with_its_holder_however_that_ends(url: str) -> None:
    for end in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
        with another_controller(url) as holder:
            assert "bo@ci-8 (pid 1)" in refusal(url)
            holder.send_signal(end)
            holder.wait()
            with leased(url, PLAN, ANNA, NOW) as lease:
                lease.check()


def test_a_stopped_holder_keeps_its_lease(url: str) -> None:
    with another_controller(url) as holder:
        holder.send_signal(signal.SIGSTOP)
        assert "bo@ci-8 (pid 1)" in refusal(url)
        holder.send_signal(signal.SIGCONT)
        holder.communicate("\n")
        with leased(url, PLAN, ANNA, NOW) as lease:
            lease.check()


def test_anybody_can_see_whether_a_plan_is_held_and_takes_nothing(url: str) -> None:
    assert not is_leased(url, PLAN)
    with another_controller(url):
        assert (is_leased(url, PLAN), is_leased(url, OTHER)) == (True, False)
    assert not is_leased(url, PLAN)
    with leased(url, PLAN, ANNA, NOW):
        assert is_leased(url, PLAN)


def take_away(url: str, leases: Path) -> None:
    """End the lease while its holder lives: its file is removed, its session broken."""
    if url.startswith("sqlite"):
        [lock] = leases.iterdir()
        lock.unlink()
    else:
        with psycopg.connect(url) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s", [ANNA]
            )


def test_a_holder_that_lost_its_lease_starts_no_further_host_but_may_still_record(url: str, tmp_path: Path) -> None:
    with leased(url, PLAN, ANNA, NOW) as lease, open_ledger(url, lease=lease) as ledger:
        ledger.append(PLAN, STARTED, NOW)
        take_away(url, tmp_path / "record" / "ledger.db.leases")
        with another_controller(url):
            for _ in range(2):  # it does not come back by asking again
                with pytest.raises(LedgerError, match=r"lease of plan 3fa9c1d2 was lost: .*; somebody else may hold"):
                    lease.check()
            later = Started(host="h2", attempt=1, action=Action.UPGRADE, from_version="1", to_version="2", session="s1")
            with pytest.raises(LedgerError, match="was lost"):
                ledger.append_all(PLAN, [Finished(), later], NOW)
            ledger.append(PLAN, Finished(), NOW)
            assert [entry.fact for entry in ledger.entries()] == [STARTED, Finished()]
        assert refusal_or_none(url) is None


def refusal_or_none(url: str) -> str | None:
    try:
        with leased(url, PLAN, "cy@ci-9 (pid 2)", NOW):
            return None
    except LockedError as refused:
        return str(refused)


def test_a_lease_file_is_for_its_owner_alone_and_found_through_any_path_to_the_ledger(tmp_path: Path) -> None:
    with leased(f"sqlite:///{tmp_path}/record/ledger.db", PLAN, ANNA, NOW):
        lock = tmp_path / "record" / "ledger.db.leases" / "3fa9c1d23fa9c1d2.lock"
        assert lock.read_text() == "anna@ci-7 (pid 4711) since 2026-11-21 22:04:10 UTC"
        modes = [path.stat().st_mode & 0o777 for path in (lock, lock.parent, lock.parent.parent)]
        assert modes == [0o600, 0o700, 0o700]
        (tmp_path / "elsewhere.db").symlink_to(tmp_path / "record" / "ledger.db")
        assert ANNA in refusal(f"sqlite:///{tmp_path}/elsewhere.db")


def test_a_lease_that_cannot_be_taken_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "ledger.db.leases").write_text("in the way")
    for url, why in [
        (f"sqlite:///{tmp_path}/ledger.db", "File exists"),
        ("postgresql://ana:s3cret@127.0.0.1:1/record", "refused"),
    ]:
        with pytest.raises(LedgerError, match=why) as failed, leased(url, PLAN, ANNA, NOW):
            pass
        assert "\n" not in str(failed.value)
        assert "s3cret" not in str(failed.value)
    with pytest.raises(InputError, match="expected sqlite"), leased("mysql://u@h/d", PLAN, ANNA, NOW):
        pass


def test_a_long_name_keeps_its_process_and_other_users_of_the_server_can_read_it(postgres: Postgres) -> None:
    url = postgres.new_database()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE ROLE bo LOGIN")
    with leased(url, PLAN, f"anna@{'long-' * 20}name (pid 4711)", NOW):
        assert re.search(r"by anna@(long-)+\w* \(pid 4711\)$", refusal(url.replace("postgres@", "bo@")))


def test_a_server_that_ends_idle_sessions_leaves_a_lease_alone(postgres: Postgres) -> None:
    url = postgres.new_database()
    with psycopg.connect(url, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f"ALTER DATABASE {name} SET idle_session_timeout = '300ms'".encode())
    with leased(url, PLAN, ANNA, NOW) as lease:
        time.sleep(0.6)
        lease.check()
        assert ANNA in refusal(url)


def test_eight_controllers_that_begin_together_leave_one_owner(url: str) -> None:
    read, write = socket.socketpair()
    command = [sys.executable, "-c", HOLDER.replace("with leased", "sys.stdin.readline()\nwith leased"), url, PLAN]
    pipe = subprocess.PIPE
    controllers = [subprocess.Popen(command, stdin=pipe, stdout=write, stderr=pipe, text=True) for _ in range(8)]
    write.close()
    try:
        for controller in controllers:
            controller.stdin.write("go\n")
            controller.stdin.flush()
        assert read.makefile().readline() == "held\n"
        while sum(controller.poll() is not None for controller in controllers) < 7:
            time.sleep(0.01)
        [owner] = [controller for controller in controllers if controller.poll() is None]
        losers = [controller.communicate()[1] for controller in controllers if controller is not owner]
        assert all("LockedError: plan 3fa9c1d2 is being carried out by bo@ci-8 (pid 1)" in said for said in losers)
    finally:
        for controller in controllers:
            controller.kill()
            controller.communicate()
        read.close()
