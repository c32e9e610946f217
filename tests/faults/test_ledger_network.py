"""The machine of a controller drops off the network while it holds the lease of a ledger in PostgreSQL."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from faults.results import record
from liftlock.adapters.lease import leased
from liftlock.errors import LockedError

PLAN = "3fa9c1d2" * 8
OURS, THEIRS = "10.231.7.1", "10.231.7.2"
PATIENCE = 90
FAR_AWAY = """
import sys
from datetime import UTC, datetime
from liftlock.adapters.lease import leased
from liftlock.errors import LedgerError

with leased(sys.argv[1], sys.argv[2], "bo@far-away (pid 9)", datetime.now(UTC)) as lease:
    print("held", flush=True)
    sys.stdin.readline()
    try:
        lease.check()
        print("still ours")
    except LedgerError as error:
        print(error)
"""


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@contextmanager
def another_machine() -> Iterator[str]:
    """A network namespace with a link of its own to here; the name of both."""
    name = f"ll{os.getpid() % 100000}"
    ip("netns", "add", name)
    try:
        ip("link", "add", name, "type", "veth", "peer", "name", "far", "netns", name)
        ip("address", "add", f"{OURS}/30", "dev", name)
        ip("link", "set", name, "up")
        ip("-n", name, "address", "add", f"{THEIRS}/30", "dev", "far")
        ip("-n", name, "link", "set", "far", "up")
        yield name
    finally:
        ip("netns", "delete", name)


@pytest.mark.long
@pytest.mark.needs("root", "ip")
def test_a_machine_that_drops_off_the_network_loses_its_lease_and_notices() -> None:
    from adapters.postgres import running_postgres

    with another_machine() as machine, running_postgres("-c", f"listen_addresses={OURS}") as server:
        with (server.directory / "cluster" / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {THEIRS}/32 trust\n")
        server.process.send_signal(signal.SIGHUP)
        here = server.new_database()
        there = here.replace("@/", f"@{OURS}:5432/").partition("?")[0]
        command = ["ip", "netns", "exec", machine, sys.executable, "-c", FAR_AWAY, there, PLAN]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
            assert holder.stdout.readline() == "held\n"
            ip("-n", machine, "link", "set", "far", "down")
            began = time.monotonic()
            told, _ = holder.communicate("go\n", timeout=PATIENCE)
            noticed = time.monotonic() - began
        assert "the lease of plan 3fa9c1d2 was lost" in told
        while not can_take(here):
            assert time.monotonic() - began < PATIENCE, "the server takes a dead machine for alive"
            time.sleep(1)
        freed = time.monotonic() - began
    seen = f"its controller noticed after {noticed:.0f} s, another had the plan after {freed:.0f} s"
    record("a controller's machine drops off the network, PostgreSQL", seen)


def can_take(url: str) -> bool:
    try:
        with leased(url, PLAN, "anna@ci-7 (pid 4711)", datetime.now(UTC)) as lease:
            lease.check()
    except LockedError:
        return False
    return True
