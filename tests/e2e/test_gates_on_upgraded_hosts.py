"""The gates look at upgraded hosts again: what is new sends them back, what cannot be measured is said."""

from __future__ import annotations

import shutil
import signal

from e2e.conftest import MakeHarbour
from e2e.harbour import PATIENCE, within

SUITE = """
def test_disk(liftlock_host):
    assert False, "the disk is slow"

def test_mooring(host, liftlock_host):
    assert not host.file(liftlock_host.base + "/current").linked_to.endswith("1.5.0"), "the boats drift"
"""


def test_what_a_waiver_let_through_is_not_blamed_and_what_the_release_broke_is_named(make_harbour: MakeHarbour) -> None:
    harbour = make_harbour("np-1")
    plan = harbour.plan()
    (harbour.workspace / "tests" / "gates" / "test_harbour.py").write_text(SUITE, encoding="utf-8")
    harbour.liftlock("gate", plan, code=3)
    ran = harbour.ask("rollout", plan, "--waive", "notice,gate", "--reason", "a new disk comes tomorrow", code=4)
    assert ran.outcomes == {"np-1": "rolled_back"}
    assert ran.causes == {"np-1": "gate failed: test_mooring passed before"}
    assert harbour.versions() == {"np-1": "1.4.0"}


SLOW_SUITE = """
import time

def test_tide(host, liftlock_host):
    if host.file(liftlock_host.base + "/current").linked_to.endswith("1.5.0"):
        open(__file__ + ".asked", "w").close()
        time.sleep(600)
"""


def test_a_signal_ends_the_gates_look_and_the_next_run_takes_it_up(make_harbour: MakeHarbour) -> None:
    harbour = make_harbour("np-1")
    plan = harbour.announced()
    suite = harbour.workspace / "tests" / "gates" / "test_tide.py"
    suite.write_text(SLOW_SUITE, encoding="utf-8")
    rollout = harbour.start("rollout", plan)
    assert within(lambda: suite.with_name("test_tide.py.asked").exists())
    rollout.send_signal(signal.SIGTERM)
    _, said = rollout.communicate(timeout=PATIENCE)
    assert (rollout.returncode, "Traceback" in said) == (143, False), said
    (standing,) = harbour.ask("status", "--plan", plan).told["plans"]
    assert (standing["state"], standing["outcomes"]) == ("interrupted in wave 1", {"switched": 1})
    suite.unlink()
    assert harbour.ask("rollout", plan).outcomes == {"np-1": "succeeded"}


def test_gates_that_are_gone_pause_it_until_they_are_back_or_waived(make_harbour: MakeHarbour) -> None:
    harbour = make_harbour("np-1", "hx-1")
    plan = harbour.announced()
    shutil.rmtree(harbour.workspace / "tests" / "gates")
    paused = harbour.ask("rollout", plan, code=3).told
    assert (paused["end"], paused["outcomes"]) == ("pause", {"switched": 1, "pending": 1})
    words = "is upgraded, and its gates tell nothing: error: there is no folder gates with gate suites"
    assert words in paused["reason"]
    (standing,) = harbour.ask("status", "--plan", plan).told["plans"]
    assert standing["state"] == f"interrupted in wave 1: {paused['reason']}"
    assert harbour.ask("rollout", plan, "--waive", "gate", "--reason", "seen by hand").told["exit_code"] == 0
    assert harbour.versions() == harbour.all_on("1.5.0")
    (standing,) = harbour.ask("status", "--plan", plan).told["plans"]
    assert standing["state"] == "finished"
