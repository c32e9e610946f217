"""Two plans for one host: the second waits for the first, and neither takes back what another installed."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess

from e2e.conftest import MakeHarbour
from e2e.harbour import PATIENCE, WAIVED, Harbour, within


def bakes(harbour: Harbour, bake: str) -> tuple[str, subprocess.Popen[str]]:
    """A rollout of 1.5.0 that has switched every host and watches them: its plan and its process."""
    harbour.set_policy(waves='["100%"]', bake=bake)
    plan = harbour.plan()
    rollout = harbour.start("rollout", plan, *WAIVED, "--json")
    assert within(lambda: all(harbour.journal(name).endswith("switched\n") for name in harbour.hosts))
    return plan, rollout


def test_a_host_in_the_bake_of_one_plan_is_not_begun_with_under_another(make_harbour: MakeHarbour) -> None:
    harbour = make_harbour("np-1", "hx-1")
    first, rollout = bakes(harbour, "1h")
    second = harbour.plan("1.6.0", "--hosts", "hx-1")
    before = harbour.all_seen()
    refused = harbour.liftlock("rollout", second, *WAIVED, code=6).stderr
    assert f"plan {first} is not through with hx-1, since " in refused
    assert f"liftlock rollout {first}, or bring it back with: liftlock rollback {first}" in refused

    rollout.send_signal(signal.SIGKILL)
    rollout.communicate(timeout=PATIENCE)
    harbour.liftlock("rollout", second, *WAIVED, code=6)  # its controller has died, and what it began is open
    assert harbour.all_seen() == before

    harbour.ask("rollback", first, "--reason", "make room")
    harbour.set_policy(waves='["100%"]')
    assert harbour.ask("rollout", harbour.plan(), *WAIVED).outcomes == {"np-1": "succeeded", "hx-1": "succeeded"}


def test_hosts_that_another_plan_does_not_have_are_free(make_harbour: MakeHarbour) -> None:
    harbour = make_harbour("np-1", "hx-1")
    harbour.set_policy(waves='["100%"]', bake="1h")
    harbour.start("rollout", harbour.plan("1.5.0", "--hosts", "np-1"), *WAIVED)
    assert within(lambda: harbour.journal("np-1").endswith("switched\n"))
    harbour.set_policy(waves='["100%"]')
    other = harbour.plan("1.5.0", "--hosts", "hx-1")
    assert harbour.ask("rollout", other, *WAIVED).outcomes == {"hx-1": "succeeded"}


def test_a_host_that_somebody_moved_on_in_the_bake_is_left_there_and_needs_a_person(make_harbour: MakeHarbour) -> None:
    harbour = make_harbour("np-1")
    plan, rollout = bakes(harbour, "1h")
    base = harbour.hosts["np-1"].base
    shutil.copytree(base / "releases" / "1.5.0", base / "releases" / "1.5.9")
    (base / "new").symlink_to("releases/1.5.9")
    (base / "new").rename(base / "current")

    told, _ = rollout.communicate(timeout=PATIENCE)
    (host,) = json.loads(told)["hosts"]
    assert (rollout.returncode, host["outcome"]) == (5, "failed"), host
    assert host["cause"] == "1.5.9 is installed, expected 1.5.0"
    assert host["detail"].startswith("the way back: another version is installed | 1.5.9 instead of ")
    assert harbour.seen("np-1").link == "releases/1.5.9"
    assert "roll_back" not in harbour.journal("np-1")
    (entry,) = harbour.ask("status", "--plan", plan).told["plans"]
    assert entry["outcomes"] == {"failed": 1}
