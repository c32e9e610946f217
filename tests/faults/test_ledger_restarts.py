"""PostgreSQL breaks down in the middle of commits and comes back: nothing acknowledged is lost, nothing is there twice.

After an error the writers open the ledger again and look whether their entry is in; only one that is not is written
again. The server is set to answer before an entry is on its disk, which liftlock does not let it do.
"""

from __future__ import annotations

import random
import time

from faults.ledger_writers import Reader, often, writers
from faults.results import record

HASTY = ("-c", "synchronous_commit=off", "-c", "wal_writer_delay=10s", "-c", "fsync=off")
WRITERS = 4


def test_a_server_that_breaks_down_in_commits_loses_no_acknowledged_entry_and_none_is_written_twice() -> None:
    from adapters.postgres import running_postgres

    rounds = often(3, 100)
    with running_postgres(*HASTY) as server, writers(WRITERS) as all_of_them:
        reader = Reader(server.new_database())
        reader.read_on()
        names = [f"w{number}" for number in range(WRITERS)]
        for writer, name in zip(all_of_them, names, strict=True):
            writer.begin("write_through_restarts", reader.url, name)
        for number in range(rounds):
            for writer in all_of_them:
                writer.await_written(number + 1)
            time.sleep(random.uniform(0, 0.05))
            server.break_down()
            server.start()
        for writer in all_of_them:
            writer.await_written(rounds + 1)
            writer.kill()
        said = [writer.end() for writer in all_of_them]
        kept = reader.read_on()
    acknowledged = failed = found = 0
    for one, name in zip(said, names, strict=True):
        mine = kept[name]
        assert list(mine) == list(range(1, len(mine) + 1))
        assert {wave: mine.get(wave) for wave in one.written} == one.written, "an acknowledged entry is lost"
        assert {*one.written, *one.found} >= set(range(1, len(mine)))
        assert one.failed, "it never noticed"
        acknowledged, failed, found = acknowledged + len(one.written), failed + len(one.failed), found + len(one.found)
    seen = f"0 of {acknowledged} acknowledged entries lost, 0 doubled, the chain holds; {failed} errors told,"
    record(
        "PostgreSQL breaks down during commits",
        f"{seen} {found} entries were in though the answer was lost",
        tries=rounds,
    )
