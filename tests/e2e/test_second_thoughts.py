"""An operator who wants out: whatever happened before, `rollback` ends the plan and leaves no host on its release."""

from __future__ import annotations

import shutil
import signal

import pytest

from e2e.conftest import MakeHarbour
from e2e.harbour import LIFTLOCK, PATIENCE, WAIVED, Harbour, run, within
from e2e.test_interrupted_controllers import begin_and_hold, finishes_alone


def killed_with(harbour: Harbour, plan: str, *names: str) -> None:
    """A rollout whose controller died with these hosts in hand; they finish alone."""
    rollout = begin_and_hold(harbour, plan, *names)
    rollout.send_signal(signal.SIGKILL)
    rollout.communicate(timeout=PATIENCE)
    harbour.let_go()
    assert all(finishes_alone(harbour, name) for name in names)


def test_after_a_killed_controller_rollback_looks_first_and_brings_every_host_back(make_harbour: MakeHarbour) -> None:
    harbour = make_harbour("np-1", "hx-1", "lh-1")
    harbour.set_policy(waves='["2", "100%"]')
    harbour.hold_before_switch()
    plan = harbour.plan()
    killed_with(harbour, plan, "np-1", "hx-1")
    assert harbour.versions()["np-1"] == "1.5.0"

    back = harbour.ask("rollback", plan, "--reason", "emergency")
    assert harbour.versions() == harbour.all_on("1.4.0")
    assert back.outcomes == {"np-1": "rolled_back", "hx-1": "rolled_back", "lh-1": "pending"}
    assert not harbour.seen("lh-1").touched
    assert harbour.ask("rollout", plan, *WAIVED, code=4).outcomes == back.outcomes, "an ended plan starts nothing"


def test_after_leaving_at_once_rollback_brings_the_unknown_host_back(make_harbour: MakeHarbour) -> None:
    harbour = make_harbour("np-1")
    harbour.hold_before_switch()
    plan = harbour.plan()
    rollout = begin_and_hold(harbour, plan, "np-1")
    rollout.send_signal(signal.SIGINT)
    assert rollout.stderr is not None
    rollout.stderr.readline()
    rollout.send_signal(signal.SIGINT)
    rollout.communicate(timeout=PATIENCE)
    harbour.let_go()
    assert finishes_alone(harbour, "np-1")
    assert harbour.ask("rollback", plan, "--reason", "nope").outcomes == {"np-1": "rolled_back"}
    assert harbour.versions() == {"np-1": "1.4.0"}


def test_a_rollback_of_some_hosts_can_be_said_again_and_is_no_incident(make_harbour: MakeHarbour) -> None:
    harbour = make_harbour("np-1", "hx-1")
    plan = harbour.plan()
    harbour.liftlock("rollout", plan, *WAIVED)
    for _ in range(2):
        back = harbour.ask("rollback", plan, "--hosts", "np-1", "--reason", "a leak")
        assert back.outcomes == {"np-1": "rolled_back", "hx-1": "succeeded"}
    assert harbour.ask("rollback", plan, "--hosts", "hx-1,np-1", "--reason", "a leak").code == 0
    assert harbour.versions() == harbour.all_on("1.4.0")
    assert harbour.journal("np-1").count("roll_back begin") == 1
    assert harbour.ask("incident", plan).told["incidents"] == []
    assert "not upgraded" in harbour.liftlock("rollback", plan, "--hosts", "lh-1", "--reason", "x", code=2).stderr


def test_rollback_ends_a_plan_that_never_started(make_harbour: MakeHarbour) -> None:
    harbour = make_harbour("np-1")
    plan = harbour.plan()
    assert harbour.ask("rollback", plan, "--reason", "wrong week").outcomes == {"np-1": "pending"}
    (standing,) = harbour.ask("status", "--plan", plan).told["plans"]
    assert standing["state"] == "aborted: wrong week"
    harbour.liftlock("rollout", plan, *WAIVED, code=4)
    assert not harbour.seen("np-1").touched


def test_a_plan_that_another_one_has_built_upon_is_not_rolled_back_under_it(make_harbour: MakeHarbour) -> None:
    harbour = make_harbour("np-1")
    first = harbour.plan("1.5.0")
    harbour.liftlock("rollout", first, *WAIVED)
    second = harbour.plan("1.6.0")
    harbour.liftlock("rollout", second, *WAIVED)
    before = harbour.all_seen()
    refused = harbour.liftlock("rollback", first, "--reason", "the wrong id", code=3)
    assert "np-1 is on 1.6.0 by now" in refused.stderr
    assert harbour.all_seen() == before
    (standing,) = harbour.ask("status", "--plan", first).told["plans"]
    assert standing["state"] == "finished"
    harbour.liftlock("rollback", second, "--reason", "a bug")
    harbour.liftlock("rollback", first, "--reason", "and another")
    assert harbour.versions() == {"np-1": "1.4.0"}


def test_when_no_canary_could_go_nobody_else_is_the_first_to_try(make_harbour: MakeHarbour) -> None:
    harbour = make_harbour("np-1", "hx-1")
    plan = harbour.plan()
    harbour.fleet.stop_host("np-1")
    paused = harbour.ask("rollout", plan, *WAIVED, code=5)
    assert paused.outcomes == {"np-1": "unreachable_before", "hx-1": "pending"}
    assert "no host runs 1.5.0 yet" in paused.told["reason"]
    assert not harbour.seen("hx-1").touched
    harbour.fleet.start_host("np-1")
    assert harbour.ask("rollout", plan, *WAIVED).outcomes == {"np-1": "succeeded", "hx-1": "succeeded"}


def test_a_new_ledger_locks_nobody_out_of_the_hosts(make_harbour: MakeHarbour) -> None:
    harbour = make_harbour("np-1")
    harbour.liftlock("rollout", harbour.plan(), *WAIVED)
    shutil.rmtree(harbour.workspace / ".liftlock" / "logs")
    for file in (harbour.workspace / ".liftlock").glob("ledger.db*"):
        shutil.rmtree(file) if file.is_dir() else file.unlink()
    plan = harbour.plan("1.6.0")
    assert harbour.ask("rollout", plan, *WAIVED).outcomes == {"np-1": "succeeded"}


def test_a_closed_terminal_lets_the_host_in_hand_finish(make_harbour: MakeHarbour) -> None:
    harbour = make_harbour("np-1")
    harbour.hold_before_switch()
    rollout = begin_and_hold(harbour, harbour.plan(), "np-1")
    rollout.send_signal(signal.SIGHUP)
    assert rollout.stderr is not None
    assert "finishing np-1" in rollout.stderr.readline()
    harbour.let_go()
    rollout.communicate(timeout=PATIENCE)
    assert rollout.returncode == 143
    assert harbour.versions() == {"np-1": "1.5.0"}


@pytest.mark.parametrize("words", [("rollout",), ("gate",), ("notify",), ("plan", "boathouse")])
def test_a_controller_that_can_write_nothing_says_so_in_one_message(
    make_harbour: MakeHarbour, words: tuple[str, ...]
) -> None:
    harbour = make_harbour("np-1")
    target = "1.5.0" if words[0] == "plan" else harbour.plan()
    program = ("sh", "-c", 'ulimit -f 0; exec "$0" "$@"', *LIFTLOCK)  # as a full disk does, but without being root
    done = run(*words, target, *(WAIVED if words == ("rollout",) else ()), cwd=harbour.workspace, program=program)
    assert done.code == 5, done
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("liftlock: ")
    assert not harbour.seen("np-1").touched


def test_an_inventory_that_somebody_edits_while_a_rollout_runs_changes_nothing_of_it(make_harbour: MakeHarbour) -> None:
    harbour = make_harbour("np-1", "hx-1")
    harbour.hold_before_switch()
    plan = harbour.announced()
    rollout = harbour.start("rollout", plan, "--no-notify", "--json")
    assert within(lambda: any(map(harbour.is_held, harbour.hosts)))
    harbour.inventory.write_text("customers: [half of a line", encoding="utf-8")
    harbour.let_go()
    told, said = rollout.communicate(timeout=PATIENCE)
    assert rollout.returncode == 0, (told, said)
    assert harbour.versions() == harbour.all_on("1.5.0")
