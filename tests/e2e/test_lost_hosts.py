"""Hosts that go away before or while they are worked on: the outcome is the truth, and running again completes it."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import tarfile
from pathlib import Path

from e2e.conftest import MakeHarbour
from e2e.harbour import WAIVED, Harbour, within

BULK = 64 * 1024 * 1024
"""Bytes that take long enough to send for somebody to watch and interfere."""


def offer_a_big_release(harbour: Harbour) -> None:
    """Make 1.5.0 what it is plus a large file."""
    artifact = harbour.releases / "artifacts" / "boathouse-1.5.0.tar"
    content = io.BytesIO(artifact.read_bytes())
    with tarfile.open(fileobj=content, mode="a", format=tarfile.USTAR_FORMAT) as tar:
        bulk = tarfile.TarInfo("bulk")
        bulk.size = BULK
        tar.addfile(bulk, io.BytesIO(os.urandom(BULK)))
    harbour.replace_artifact("1.5.0", content.getvalue())


def received(base: Path) -> int:
    """How many bytes of an upload have arrived on a host."""
    return sum(part.stat().st_size for part in (base / ".liftlock" / "incoming").glob(".part.*"))


def begin_and_wait_for_the_upload(harbour: Harbour, plan: str, name: str) -> subprocess.Popen[str]:
    """Begin a rollout and come back in the middle of the upload to this host."""
    rollout = harbour.start("rollout", plan, *WAIVED, "--json")
    assert within(lambda: received(harbour.hosts[name].base) > 0)
    return rollout


def test_a_host_that_is_down_before_the_rollout_is_unreachable_before_and_nobody_else_is(
    make_harbour: MakeHarbour,
) -> None:
    harbour = make_harbour("np-1", "hx-1", "lh-1")
    plan = harbour.announced()
    down = harbour.seen("hx-1")
    harbour.fleet.stop_host("hx-1")

    first = harbour.ask("rollout", plan, code=5)
    assert first.outcomes == {"np-1": "succeeded", "hx-1": "unreachable_before", "lh-1": "succeeded"}
    assert first.causes["hx-1"] == "connection refused"
    assert (first.told["rate"]["succeeded"], first.told["rate"]["attempted"]) == (2, 2)
    assert harbour.seen("hx-1") == down
    assert not down.touched

    harbour.fleet.start_host("hx-1")
    others = harbour.seen("np-1"), harbour.seen("lh-1")
    second = harbour.ask("rollout", plan)
    assert set(second.outcomes.values()) == {"succeeded"}
    assert harbour.versions() == harbour.all_on("1.5.0")
    assert (harbour.seen("np-1"), harbour.seen("lh-1")) == others


def test_a_host_lost_in_the_middle_of_the_upload_is_unreachable_and_still_serves_the_old_release(
    make_harbour: MakeHarbour,
) -> None:
    harbour = make_harbour("np-1", "hx-1", "lh-1")
    harbour.set_policy(waves='["100%"]', rollback="host")
    offer_a_big_release(harbour)
    plan = harbour.plan()
    rollout = begin_and_wait_for_the_upload(harbour, plan, "hx-1")
    harbour.fleet.stop_host("hx-1")
    assert 0 < received(harbour.hosts["hx-1"].base) < BULK, "it was not in the middle of the upload"
    rollout.communicate(timeout=60)

    assert rollout.returncode == 5
    (standing,) = harbour.ask("status", "--plan", plan).told["plans"]
    outcomes = {line["host"]: line["outcome"] for line in standing["hosts"]}
    assert outcomes == {"np-1": "succeeded", "hx-1": "unreachable", "lh-1": "succeeded"}
    assert (standing["rate"]["succeeded"], standing["rate"]["attempted"]) == (2, 3)
    lost = harbour.seen("hx-1")
    assert (lost.link, lost.version, lost.status) == ("releases/1.4.0", "1.4.0", "ok")
    assert lost.releases == ("1.4.0",)

    harbour.fleet.start_host("hx-1")
    others = harbour.seen("np-1"), harbour.seen("lh-1")
    again = harbour.ask("rollout", plan)
    assert set(again.outcomes.values()) == {"succeeded"}
    assert {line["host"]: line["attempts"] for line in again.told["hosts"]} == {"np-1": 1, "hx-1": 2, "lh-1": 1}
    assert harbour.versions() == harbour.all_on("1.5.0")
    assert (harbour.seen("np-1"), harbour.seen("lh-1")) == others
    assert (harbour.hosts["hx-1"].base / "current" / "bulk").stat().st_size == BULK
    assert harbour.seen("hx-1").incoming == ()


def test_a_controller_killed_in_the_middle_of_the_upload_leaves_the_host_as_it_was(make_harbour: MakeHarbour) -> None:
    harbour = make_harbour("np-1")
    offer_a_big_release(harbour)
    before = harbour.seen("np-1")
    plan = harbour.plan()
    rollout = begin_and_wait_for_the_upload(harbour, plan, "np-1")
    rollout.send_signal(signal.SIGKILL)
    rollout.communicate(timeout=60)
    assert within(lambda: received(harbour.hosts["np-1"].base) == 0), "the host has not cleaned up"
    after = harbour.seen("np-1")
    assert (after.link, after.pid, after.releases) == (before.link, before.pid, before.releases)

    again = harbour.ask("rollout", plan)
    assert again.outcomes == {"np-1": "succeeded"}
    assert [line["attempts"] for line in again.told["hosts"]] == [2]
    assert harbour.versions() == harbour.all_on("1.5.0")
