from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import psycopg
import pytest
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import Pool

from liftlock.adapters.db import HEAD, MIGRATIONS, SqlLedger, open_ledger
from liftlock.errors import ExitCode, InputError, LedgerError, LockedError, NoLedgerError
from liftlock.ledger import (
    GENESIS,
    Aborted,
    Acknowledged,
    Ailing,
    Approved,
    Baking,
    Consented,
    Delivered,
    Drilled,
    Ended,
    Entry,
    Fact,
    Finished,
    Halted,
    Judged,
    LeftOut,
    Opened,
    Paused,
    Planned,
    Queued,
    Rated,
    Recalled,
    Replanned,
    Resumed,
    Sending,
    Settled,
    Staged,
    Started,
    Switched,
    Unlocked,
    Voided,
    Waived,
    WaveOpened,
    verify_chain,
)
from liftlock.model import Action, NoticeKind, NoticeState, Outcome, Verdict

if TYPE_CHECKING:
    from adapters.postgres import Postgres

pytest_plugins = ["adapters.postgres"]

NOON = datetime(2026, 3, 1, 12, 0, 0, 7, tzinfo=UTC)
LETTER = {"message_id": "<1@v>", "customer": "acme", "kind": NoticeKind.ANNOUNCED, "recipient": "li@acme.example"}
FACTS: list[Fact] = [
    Planned(document={"version": "4.2", "hosts": [{"name": "h1", "share": 0.5}], "title": "升级", "note": None}),
    Judged(host="h1", verdict=Verdict.INCONCLUSIVE, reason="2 of 3", tests=3),
    Queued(**LETTER),
    Delivered(**LETTER, state=NoticeState.AMBIGUOUS, detail="421 try later"),
    Waived(rule="notice", reason="customer asked on the phone", by="ana"),
    Opened(session="s1", controller="build-7"),
    LeftOut(host="h9", outcome=Outcome.DEFERRED, reason="freeze"),
    Started(host="h1", attempt=1, action=Action.UPGRADE, from_version="4.1", to_version="4.2", session="s1"),
    Voided(host="h1", attempt=1, cause="connection refused"),
    Switched(host="h1", attempt=2, version="4.2", seconds=31.25),
    Drilled(host="h1", attempt=2, version="4.1"),
    WaveOpened(wave=2, hosts=("h1", "h2")),
    Baking(wave=1, session="s1"),
    Ailing(host="h1", cause="unhealthy", detail='said "no" \\ \n\x00 twice: 100% :bound ✗'),
    Ended(host="h1", attempt=2, outcome=Outcome.ROLLED_BACK, version=None, cause="unhealthy", seconds=2),
    Halted(reason="budget"),
    Aborted(reason="wrong release", by="ana"),
    Recalled(host="h1", reason="the customer asks"),
    Finished(),
    Approved(by="ana", note="窗口已确认"),
    Replanned(inputs={"inventories/demo.yaml": "0" * 64}),
    Sending(message_id="m1"),
    Settled(message_id="m1", state=NoticeState.FAILED, reason="they never saw it", by="ana"),
    Consented(customer="c1", by="Bo"),
    Rated(customer="c1", score=4, comment="很快"),
    Paused(reason="a storm", by="ana"),
    Resumed(by="ana"),
    Staged(host="h1", version="4.2"),
    Unlocked(host="h1", reason="its hook hangs", by="ana"),
    Acknowledged(by="ana"),
]


def started(host: str = "h1", attempt: int = 1, session: str = "s1") -> Started:
    return Started(host=host, attempt=attempt, action=Action.UPGRADE, from_version="1", to_version="2", session=session)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/record/ledger.db"
    postgres: Postgres = request.getfixturevalue("postgres")
    return postgres.new_database()


@pytest.fixture
def ledger(url: str) -> Iterator[SqlLedger]:
    with open_ledger(url) as opened:
        yield opened


def raw(url: str, *statements: str) -> None:
    """Speak to the database past the ledger, as a person with a client would."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
            for statement in statements:
                connection.execute(statement)
    else:
        with psycopg.connect(url) as connection:
            for statement in statements:
                connection.execute(statement.encode())


def test_every_fact_reads_back_in_order_from_a_ledger_opened_anew(url: str) -> None:
    assert {type(fact) for fact in FACTS} == set(get_args(Fact))
    with open_ledger(url) as ledger:
        written = [ledger.append("p1", fact, NOON + timedelta(hours=n)) for n, fact in enumerate(FACTS)]
    with open_ledger(url) as ledger:
        read = list(ledger.entries())
    assert read == written
    assert [entry.fact for entry in read] == FACTS
    assert [entry.seq for entry in read] == list(range(1, len(FACTS) + 1))
    assert read[0].previous == GENESIS
    assert verify_chain(read) == len(FACTS)


def test_entries_are_picked_by_plan_and_by_number_across_chunks(ledger: SqlLedger) -> None:
    for n in range(1100):
        ledger.append("odd" if n % 2 == 0 else "even", Baking(wave=n, session="s"), NOON)
    assert [entry.seq for entry in ledger.entries()] == list(range(1, 1101))
    assert [entry.seq for entry in ledger.entries("even")] == list(range(2, 1101, 2))
    assert [entry.seq for entry in ledger.entries("even", after=1090)] == [1092, 1094, 1096, 1098, 1100]
    assert [entry.seq for entry in ledger.entries(after=1098)] == [1099, 1100]
    assert list(ledger.entries("unheard-of")) == []
    assert list(ledger.entries(after=1100)) == []


def test_one_may_append_while_reading(ledger: SqlLedger) -> None:
    for _ in range(600):
        ledger.append("p1", Finished(), NOON)
    reading = ledger.entries()
    next(reading)
    assert ledger.append("p1", Finished(), NOON).seq == 601
    assert [entry.seq for entry in reading] == list(range(2, 602))


def test_plans_are_listed_once_in_the_order_they_were_made(ledger: SqlLedger) -> None:
    for plan in ("b", "a", "b", "c"):
        ledger.append(plan, Planned(document={"id": plan}), NOON)
        ledger.append(plan, Finished(), NOON)
    ledger.append("never made", Finished(), NOON)
    assert ledger.plans() == ["b", "a", "c"]


def test_times_are_kept_to_the_microsecond_in_utc_and_a_time_without_a_zone_is_refused(ledger: SqlLedger) -> None:
    beijing = NOON.astimezone(timezone(timedelta(hours=8)))
    assert ledger.append("p1", Finished(), beijing).at.isoformat() == "2026-03-01T12:00:00.000007+00:00"
    with pytest.raises(LedgerError, match="needs a zone"):
        ledger.append("p1", Finished(), NOON.replace(tzinfo=None))
    ledger.append("p1", Finished(), NOON.replace(microsecond=0))
    assert [entry.at for entry in ledger.entries()] == [NOON, NOON.replace(microsecond=0)]
    assert verify_chain(ledger.entries()) == 2


@pytest.mark.parametrize("fact", [Halted(reason="\udc80"), Planned(document={"reason": "\udc80"})])
def test_a_value_that_would_break_the_chain_is_refused_before_it_is_written(ledger: SqlLedger, fact: Fact) -> None:
    with pytest.raises(LedgerError, match="cannot be recorded"):
        ledger.append("p1", fact, NOON)
    assert list(ledger.entries()) == []


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_a_fact_that_would_read_back_differently_is_refused_before_it_is_written(ledger: SqlLedger) -> None:
    with pytest.raises(LedgerError, match="would read back differently"):
        ledger.append("p1", Judged(host="h1", verdict=Verdict.PASSED, tests=2.0), NOON)  # type: ignore[arg-type]
    assert list(ledger.entries()) == []


def test_a_claim_is_refused_with_its_holder_and_only_for_the_same_plan_host_and_attempt(ledger: SqlLedger) -> None:
    held = ledger.append("p1", started(session="night-shift"), NOON)
    with pytest.raises(LockedError) as refused:
        ledger.append("p1", started(session="day-shift"), NOON + timedelta(hours=1))
    assert str(refused.value) == (
        "attempt 1 on host h1 is already held by session night-shift since 2026-03-01T12:00:00+00:00 (ledger entry 1)"
    )
    assert refused.value.exit_code is ExitCode.LOCKED
    others = [("p1", started(attempt=2)), ("p1", started(host="h2")), ("p2", started())]
    assert [ledger.append(plan, fact, NOON).seq for plan, fact in others] == [2, 3, 4]
    ledger.append("p1", Switched(host="h1", attempt=1, version="2"), NOON)
    assert next(ledger.entries()) == held
    assert verify_chain(ledger.entries()) == 5


def test_facts_written_together_follow_one_another_and_share_their_time(ledger: SqlLedger) -> None:
    ledger.append("p1", Opened(session="s1", controller="build-7"), NOON)
    assert ledger.append_all("p1", [], NOON) == []
    written = ledger.append_all("p1", [started("h1"), Finished(), started("h2")], NOON + timedelta(seconds=1))
    assert [entry.seq for entry in written] == [2, 3, 4]
    assert [entry.fact for entry in written] == [started("h1"), Finished(), started("h2")]
    assert {entry.at for entry in written} == {NOON + timedelta(seconds=1)}
    assert list(ledger.entries(after=1)) == written
    assert verify_chain(ledger.entries()) == 4


def test_of_facts_written_together_all_are_kept_or_none(ledger: SqlLedger) -> None:
    ledger.append("p1", started("h2", session="night-shift"), NOON)
    with pytest.raises(LockedError, match="attempt 1 on host h2 is already held by session night-shift"):
        ledger.append_all("p1", [started("h1"), Finished(), started("h2"), started("h3")], NOON)
    with pytest.raises(LedgerError):  # one batch cannot claim an attempt twice
        ledger.append_all("p1", [started("h4"), started("h4", session="s2")], NOON)
    with pytest.raises(LedgerError, match="cannot be recorded"):
        ledger.append_all("p1", [started("h1"), Halted(reason="\udc80")], NOON)
    assert [entry.fact for entry in ledger.entries()] == [started("h2", session="night-shift")]
    assert [entry.seq for entry in ledger.append_all("p1", [started("h1"), started("h3")], NOON)] == [2, 3]
    assert verify_chain(ledger.entries()) == 3


def test_of_two_threads_that_claim_one_attempt_exactly_one_wins(ledger: SqlLedger) -> None:
    for attempt in range(1, 11):
        ready = threading.Barrier(2)

        def claim(session: str, attempt: int = attempt, ready: threading.Barrier = ready) -> str:
            ready.wait()
            try:
                ledger.append("p1", started(attempt=attempt, session=session), NOON)
            except LockedError:
                return "locked"
            return session

        with ThreadPoolExecutor(2) as pool:
            ends = sorted(pool.map(claim, ["a", "b"]))
        winner = [entry.fact.session for entry in ledger.entries() if isinstance(entry.fact, Started)][-1]
        assert ends == sorted(["locked", winner])
    assert verify_chain(ledger.entries()) == 10


def test_eight_threads_lose_nothing_and_the_chain_does_not_fork(ledger: SqlLedger) -> None:
    def write(writer: int) -> list[Entry]:
        return [ledger.append(f"p{writer}", Baking(wave=n, session="s"), NOON) for n in range(25)]

    with ThreadPoolExecutor(8) as pool:
        written = [entry for entries in pool.map(write, range(8)) for entry in entries]
    read = list(ledger.entries())
    assert read == sorted(written, key=lambda entry: entry.seq)
    assert [entry.seq for entry in read] == list(range(1, 201))
    assert verify_chain(read) == 200


WRITER = """
import sys
from datetime import UTC, datetime
from liftlock.adapters.db import open_ledger
from liftlock.errors import LockedError, NoLedgerError
from liftlock.ledger import Baking, Started
from liftlock.model import Action

url, session, work = sys.argv[1:]

def say(word):
    print(word, flush=True)

def claim(ledger, attempt):
    claims = dict(action=Action.UPGRADE, from_version="1", to_version="2", session=session)
    try:
        ledger.append("p1", Started(host="h1", attempt=attempt, **claims), datetime.now(UTC))
        say("won")
    except LockedError:
        say("locked")

say("ready")
sys.stdin.readline()
with open_ledger(url) as ledger:
    for n in range(1, int(work.split("=")[1]) + 1):
        if work.startswith("claim"):
            claim(ledger, n)
        else:
            say(ledger.append(session, Baking(wave=n, session=session), datetime.now(UTC)).seq)
"""


@contextmanager
def writers(url: str, count: int, work: str) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that have started, and set off together when this hands them over."""
    commands = [[sys.executable, "-c", WRITER, url, f"s{n}", work] for n in range(count)]
    pipe = subprocess.PIPE
    processes = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for command in commands]
    try:
        assert [process.stdout.readline() for process in processes] == ["ready\n"] * count
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def test_of_two_processes_that_claim_one_attempt_exactly_one_wins(url: str) -> None:
    with writers(url, 2, "claim=20") as processes:
        ends = [process.communicate()[0].split() for process in processes]
    assert [sorted(pair) for pair in zip(*ends, strict=True)] == [["locked", "won"]] * 20
    with open_ledger(url) as ledger:
        assert verify_chain(ledger.entries()) == 20


def test_four_processes_make_one_new_ledger_at_once_and_lose_nothing(url: str) -> None:
    with writers(url, 4, "append=25") as processes:
        acknowledged = [int(seq) for process in processes for seq in process.communicate()[0].split()]
        assert [process.returncode for process in processes] == [0] * 4
    with open_ledger(url) as ledger:
        assert sorted(acknowledged) == list(range(1, 101)) == [entry.seq for entry in ledger.entries()]
        assert verify_chain(ledger.entries()) == 100


def test_a_killed_writer_loses_no_acknowledged_entry(url: str) -> None:
    with writers(url, 1, "append=1000000") as [process]:
        acknowledged = [int(process.stdout.readline()) for _ in range(40)]
        os.kill(process.pid, signal.SIGKILL)
        acknowledged += [int(seq) for seq in process.communicate()[0].split()]
    with open_ledger(url) as ledger:
        kept = [entry.seq for entry in ledger.entries()]
        assert kept[: len(acknowledged)] == acknowledged
        assert verify_chain(ledger.entries()) == len(kept)
        assert ledger.append("p1", Finished(), NOON).seq == len(kept) + 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET body = '{}' WHERE seq = 1",
        "UPDATE entries SET host = 'h2'",
        "DELETE FROM entries WHERE seq = 2",
        "DELETE FROM entries",
    ],
)
def test_the_database_itself_refuses_to_change_or_remove_an_entry(url: str, ledger: SqlLedger, statement: str) -> None:
    written = [ledger.append("p1", fact, NOON) for fact in (started(), Finished())]
    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError), match="the ledger is append-only"):
        raw(url, statement)
    assert list(ledger.entries()) == written


REPLACEMENT = "INTO entries (seq, at, plan, fact_kind, host, attempt, body, previous, hash) VALUES"


@pytest.mark.parametrize("seq", [1, 2])
def test_sqlite_refuses_to_replace_an_entry_by_its_number_or_its_claim(tmp_path: Path, seq: int) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    with open_ledger(url) as ledger:
        written = ledger.append("p1", started(), NOON)
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            raw(url, f"INSERT OR REPLACE {REPLACEMENT} ({seq}, '', 'p1', 'started', 'h1', 1, '', '', '')")
        assert list(ledger.entries()) == [written]


def test_postgresql_refuses_to_empty_or_overwrite_the_ledger(postgres: Postgres) -> None:
    url = postgres.new_database()
    overwrite = f"INSERT {REPLACEMENT} (1, '', '', '', '', 1, '', '', '') ON CONFLICT (seq) DO UPDATE SET body = ''"
    with open_ledger(url) as ledger:
        written = ledger.append("p1", started(), NOON)
        for statement in ("TRUNCATE entries", overwrite):
            with pytest.raises(psycopg.IntegrityError, match="append-only"):
                raw(url, statement)
        assert list(ledger.entries()) == [written]


def test_a_forged_entry_is_found_though_the_triggers_were_dropped(url: str, ledger: SqlLedger) -> None:
    for fact in FACTS:
        ledger.append("p1", fact, NOON)
    if url.startswith("sqlite"):
        drop = "DROP TRIGGER entries_no_update"
    else:
        drop = "ALTER TABLE entries DISABLE TRIGGER entries_append_only"
    raw(url, drop, """UPDATE entries SET body = '{"fact":"finished"}' WHERE seq = 15""")
    with pytest.raises(LedgerError, match="entry 15 was changed"):
        verify_chain(ledger.entries())
    raw(url, "UPDATE entries SET at = 'yesterday' WHERE seq = 3")
    with pytest.raises(LedgerError, match="entry 3 was changed"):
        verify_chain(ledger.entries())


def statements_while(work: Callable[[], None]) -> list[str]:
    """What SQLAlchemy sends to the database meanwhile, without what it asks of every new connection."""
    from sqlalchemy import Engine

    sent: list[str] = []

    def note(connection: object, cursor: object, statement: str, *_: object) -> None:
        sent.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        work()
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    return [
        statement for statement in sent if not statement.startswith(("select pg_catalog", "select current", "show"))
    ]


def test_a_second_opening_asks_for_the_revision_and_does_nothing_else(url: str) -> None:
    assert any("CREATE TABLE entries" in statement for statement in statements_while(lambda: open_ledger(url).close()))
    asked, *waited = statements_while(lambda: open_ledger(url).close())
    assert asked == "SELECT version_num FROM ledger_version"
    assert [re.findall(r"\w+_lock\b", statement) for statement in waited if "timeout" not in statement] == (
        [["pg_advisory_xact_lock"]] if url.startswith("postgresql") else []
    )
    check = "import sys; from liftlock.adapters.db import open_ledger; open_ledger(sys.argv[1]); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", check, url], capture_output=True, text=True, check=True).stdout
    assert "liftlock.adapters.db" in loaded.split()
    assert "alembic" not in loaded.split()


def test_the_revision_that_opening_looks_for_is_the_newest_migration(url: str) -> None:
    from alembic.script import ScriptDirectory

    assert ScriptDirectory(str(MIGRATIONS)).get_heads() == [HEAD]


def test_opening_without_creating_says_what_to_do_and_leaves_nothing_behind(url: str, tmp_path: Path) -> None:
    with pytest.raises(NoLedgerError, match=r"no ledger yet at .*: a plan creates it"):
        open_ledger(url, create=False)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(NoLedgerError, match="no ledger yet"):
        open_ledger(url, create=False)


def test_a_ledger_opened_for_reading_reads_and_refuses_to_write(url: str, ledger: SqlLedger) -> None:
    written = ledger.append("p1", Finished(), NOON)
    with open_ledger(url, create=False) as reader:
        assert list(reader.entries()) == [written]
        with pytest.raises(LedgerError, match="for reading only"):
            reader.append("p1", Finished(), NOON)
        later = ledger.append("p1", Finished(), NOON)
        assert list(reader.entries(after=1)) == [later]


@pytest.mark.parametrize("create", [True, False])
def test_a_ledger_of_a_newer_liftlock_is_left_alone(url: str, create: bool) -> None:
    open_ledger(url).close()
    raw(url, "UPDATE ledger_version SET version_num = '9999'")
    with pytest.raises(LedgerError, match="another version of liftlock"):
        open_ledger(url, create=create)


@pytest.mark.parametrize(
    "wrong",
    ["", "ledger.db", "mysql://u:s3cret@h/d", "sqlite://", "sqlite:///:memory:", "postgresql://u:s3cret@h:no-port/d"],
)
def test_a_url_that_names_no_ledger_is_refused_without_repeating_a_password(wrong: str) -> None:
    with pytest.raises(InputError, match=r"expected sqlite:///path or postgresql://") as refused:
        open_ledger(wrong)
    assert "s3cret" not in str(refused.value)


def test_a_database_server_that_cannot_be_reached_is_one_clear_line_without_the_password() -> None:
    with pytest.raises(LedgerError) as failed:
        open_ledger("postgresql://ana:s3cret@127.0.0.1:1/record?sslpassword=s3cret")
    assert str(failed.value).startswith("the ledger postgresql+psycopg://ana:***@127.0.0.1:1/record: ")
    assert "refused" in str(failed.value)
    assert "s3cret" not in str(failed.value)
    assert "\n" not in str(failed.value)


def test_a_database_that_does_not_exist_is_one_clear_line(postgres: Postgres) -> None:
    with pytest.raises(LedgerError, match=r'^the ledger [^\n]*database "nowhere" does not exist$'):
        open_ledger(postgres.url("nowhere"))


def test_a_ledger_goes_on_after_the_database_server_dropped_its_connections(postgres: Postgres) -> None:
    url = postgres.new_database()
    with open_ledger(url) as ledger:
        ledger.append("p1", Finished(), NOON)
        raw(url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                 " AND pid <> pg_backend_pid()")  # fmt: skip
        assert ledger.append("p1", Finished(), NOON).seq == 2


def test_a_new_sqlite_ledger_is_for_its_owner_alone(tmp_path: Path) -> None:
    place = tmp_path / "record"
    with open_ledger(f"sqlite:///{place}/ledger.db") as ledger:
        ledger.append("p1", Finished(), NOON)
        modes = {path.name: path.stat().st_mode & 0o777 for path in place.iterdir()}
    assert place.stat().st_mode & 0o777 == 0o700
    assert modes == {"ledger.db": 0o600, "ledger.db-wal": 0o600, "ledger.db-shm": 0o600}


@pytest.mark.parametrize("become", ["moved", "removed", "replaced"])
def test_nothing_is_written_to_a_file_that_nobody_would_find(tmp_path: Path, become: str) -> None:
    file = tmp_path / "ledger.db"
    with open_ledger(f"sqlite:///{file}") as ledger:
        ledger.append("p1", Finished(), NOON)
        kept = file.rename(tmp_path / "kept.db")
        if become == "replaced":
            shutil.copy(kept, file)
        with pytest.raises(LedgerError, match=r"ledger\.db was moved, removed or replaced: put it back, then go on"):
            ledger.append("p1", Finished(), NOON)
        if become == "moved":
            kept.rename(file)
            assert ledger.append("p1", Finished(), NOON).seq == 2


def test_a_file_that_is_no_ledger_and_a_directory_are_one_clear_line(tmp_path: Path) -> None:
    other = tmp_path / "notes.db"
    other.write_text("not a database, " * 100)
    with pytest.raises(LedgerError, match=r"notes\.db: the file is not a ledger, or is damaged$"):
        open_ledger(f"sqlite:///{other}")
    with pytest.raises(LedgerError, match="the file cannot be opened"):
        open_ledger(f"sqlite:///{tmp_path}")
    with pytest.raises(LedgerError, match=r"notes\.db/ledger\.db: File exists$"):
        open_ledger(f"sqlite:///{other}/ledger.db")
    assert other.read_text() == "not a database, " * 100


def test_a_damaged_file_is_one_clear_line(tmp_path: Path) -> None:
    url, file = f"sqlite:///{tmp_path}/ledger.db", tmp_path / "ledger.db"
    with open_ledger(url) as ledger:
        for n in range(200):
            ledger.append("p1", Baking(wave=n, session="s"), NOON)
    whole = file.read_bytes()
    file.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    with pytest.raises(LedgerError, match=r"ledger\.db: the file is damaged; restore it from a backup$"):
        list(open_ledger(url, create=False).entries())


@contextmanager
def unprivileged() -> Iterator[None]:
    """Root may write everywhere: be nobody for a moment."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_a_read_only_file_is_one_clear_line_and_still_reads() -> None:
    with tempfile.TemporaryDirectory() as place:
        url, file = f"sqlite:///{place}/ledger.db", Path(place, "ledger.db")
        with open_ledger(url) as ledger:
            written = ledger.append("p1", Finished(), NOON)
            Path(place).chmod(0o755)
            for path in Path(place).iterdir():
                path.chmod(0o444)
            with unprivileged(), open_ledger(url, create=False) as reader:
                assert list(reader.entries()) == [written]
            refused = pytest.raises(LedgerError, match=r"ledger\.db: it is read-only here$")
            with unprivileged(), open_ledger(url) as writer, refused:
                writer.append("p1", Finished(), NOON)
        assert file.stat().st_mode & 0o777 == 0o444


@contextmanager
def nearly_full_disk(place: Path) -> Iterator[Path]:
    """A disk of half a megabyte where we may mount one; else a database that may not grow beyond that."""
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "none", place], check=False).returncode == 0

    def limit(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA max_page_count = 128").close()

    if not mounted:
        event.listen(Pool, "connect", limit)
    try:
        yield place
    finally:
        if mounted:
            subprocess.run(["umount", place], check=True)
        else:
            event.remove(Pool, "connect", limit)


def test_a_full_disk_is_one_clear_line_and_keeps_every_acknowledged_entry(tmp_path: Path) -> None:
    with nearly_full_disk(tmp_path / "disk") as disk:
        url = f"sqlite:///{disk}/ledger.db"
        written: list[Entry] = []

        def fill(ledger: SqlLedger) -> None:
            while True:
                written.append(ledger.append("p1", Halted(reason="x" * 500), NOON))

        with open_ledger(url) as ledger:
            with pytest.raises(
                LedgerError,
                match=r"ledger\.db: the disk is full \(No space left on device\); nothing recorded so far is lost$",
            ):
                fill(ledger)
            assert len(written) > 10
            assert list(ledger.entries()) == written
        with open_ledger(url, create=False) as ledger:
            assert list(ledger.entries()) == written
            assert verify_chain(ledger.entries()) == len(written)


def test_a_lock_that_another_process_keeps_is_one_clear_line(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("liftlock.adapters.database.WAIT_SECONDS", 1)
    with open_ledger(url) as ledger:
        written = ledger.append("p1", Finished(), NOON)
        with locked(url):
            with pytest.raises(LedgerError, match=r"another process kept it locked"):
                ledger.append("p1", Finished(), NOON)
            assert list(ledger.entries()) == [written]
        assert ledger.append("p1", Finished(), NOON).seq == 2


def test_a_writer_that_goes_silent_in_the_middle_of_an_append_does_not_keep_the_others_out(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("liftlock.adapters.database.WAIT_SECONDS", 2)
    url = postgres.new_database()
    with open_ledger(url) as silent, open_ledger(url) as other:
        with silent._engine.connect() as connection:
            connection.begin()
            assert other.append("p1", Finished(), NOON).seq == 1
            with pytest.raises(DBAPIError):
                connection.exec_driver_sql("SELECT 1")
        assert silent.append("p1", Finished(), NOON).seq == 2


def test_an_entry_is_on_the_servers_disk_before_it_is_acknowledged(postgres: Postgres) -> None:
    url = postgres.new_database()
    raw(url, f"ALTER DATABASE {url.partition('@/')[2].partition('?')[0]} SET synchronous_commit = off")
    with open_ledger(url) as ledger, ledger._engine.begin() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
    raw(url, f"ALTER DATABASE {url.partition('@/')[2].partition('?')[0]} SET synchronous_commit = remote_apply")
    with open_ledger(url) as ledger, ledger._engine.begin() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "remote_apply"


@contextmanager
def locked(url: str) -> Iterator[None]:
    """Hold the ledger's lock, as a writer that hangs would."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
    else:
        with psycopg.connect(url) as connection:
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [int.from_bytes(b"liftlock")])
            yield
