"""Releases brought to real hosts ahead of time, old ones removed after, and a lock that somebody breaks."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.harbour import Harbour, harbour
from liftlock.errors import ExitCode

HOSTS = ("np-1", "hx-1")


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Harbour]:
    with harbour(tmp_path, HOSTS) as made:
        yield made


def test_a_staged_release_is_only_switched_in_the_window(made: Harbour) -> None:
    id_ = made.ask("plan", "boathouse", "1.5.0").told["id"][:8]
    before = made.all_seen()
    staged = made.ask("stage", id_)
    assert [(one["well"], one["versions"]) for one in staged.told["hosts"]] == [(True, ["1.5.0"])] * 2
    assert {name: (seen.link, seen.pid) for name, seen in made.all_seen().items()} == {
        name: (seen.link, seen.pid) for name, seen in before.items()
    }, "nothing was switched or restarted"
    assert all("1.5.0" in made.seen(name).releases for name in HOSTS)
    made.ask("gate", id_)
    made.ask("notify", id_)
    assert made.ask("rollout", id_).told["outcomes"] == {"succeeded": 2}


def test_staging_a_plan_whose_files_changed_is_refused(made: Harbour) -> None:
    id_ = made.ask("plan", "boathouse", "1.5.0").told["id"][:8]
    manifest = made.workspace / "releases/boathouse/1.5.0.yaml"
    manifest.write_text(manifest.read_text(encoding="utf-8") + "# later\n", encoding="utf-8")
    refused = made.ask("stage", id_, code=ExitCode.REFUSED)
    assert "releases/boathouse/1.5.0.yaml" in refused.told["error"]["message"]


def test_unlock_ends_a_phase_that_hangs_and_the_record_says_who_did_so(made: Harbour) -> None:
    host = made.hosts["np-1"]
    lock = host.base / ".liftlock" / "lock"
    id_ = made.ask("plan", "boathouse", "1.5.0").told["id"][:8]
    made.ask("stage", id_, "--hosts", "np-1")
    free = made.ask("unlock", "np-1", "--reason", "to be sure")
    assert free.told["detail"] == "not held"
    with lock.open() as file, subprocess.Popen(["flock", str(file.fileno())], pass_fds=[file.fileno()]) as taken:
        taken.wait()
        busy = made.ask("unlock", "np-1", "--reason", "somebody else's", code=ExitCode.NEEDS_A_PERSON)
        assert not busy.told["well"]
        assert os.path.samestat(os.fstat(file.fileno()), lock.stat())
    made.ask("unlock", "np-1", code=ExitCode.INPUT_REFUSED)
