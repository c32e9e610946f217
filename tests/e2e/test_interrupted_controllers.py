"""Controllers that are stopped, killed, or two at once: no host is left between releases, and running again completes.

The release of these tests waits on each host, in the middle of its switch, until the test lets the host go.
"""

from __future__ import annotations

import shutil
import signal
import subprocess

import pytest

from e2e.conftest import MakeHarbour
from e2e.harbour import PATIENCE, WAIVED, Harbour, run, within


def begin_and_hold(harbour: Harbour, plan: str, *names: str) -> subprocess.Popen[str]:
    """Begin a rollout and come back when these hosts are in hand."""
    rollout = harbour.start("rollout", plan, *WAIVED)
    assert within(lambda: all(harbour.is_held(name) for name in names))
    return rollout


def finishes_alone(harbour: Harbour, name: str) -> bool:
    """Whether the host completes its switch by itself, and clears away the artifact that it was made from."""
    return within(lambda: harbour.journal(name).endswith("switched\n") and not harbour.seen(name).incoming)


def attempts(harbour: Harbour, plan: str) -> dict[str, int]:
    """How often each host was tried, by the record."""
    (standing,) = harbour.ask("status", "--plan", plan).told["plans"]
    return {line["host"]: line["attempts"] for line in standing["hosts"]}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_lets_the_host_in_hand_finish_and_starts_no_other(
    make_harbour: MakeHarbour, number: signal.Signals, code: int
) -> None:
    harbour = make_harbour("np-1", "hx-1")
    harbour.hold_before_switch()
    plan = harbour.plan()
    rollout = begin_and_hold(harbour, plan, "np-1")
    rollout.send_signal(number)
    assert rollout.stderr is not None
    assert "finishing np-1" in rollout.stderr.readline()
    assert rollout.poll() is None, "it left with a host in hand"
    harbour.let_go()
    _, said = rollout.communicate(timeout=PATIENCE)
    assert (rollout.returncode, "Traceback" in said) == (code, False)
    assert harbour.versions() == {"np-1": "1.5.0", "hx-1": "1.4.0"}
    assert not harbour.seen("hx-1").touched

    (standing,) = harbour.ask("status", "--plan", plan).told["plans"]
    assert (standing["state"], standing["outcomes"]) == ("interrupted in wave 1", {"switched": 1, "pending": 1})
    first = harbour.seen("np-1")
    again = harbour.ask("rollout", plan, *WAIVED)
    assert again.outcomes == {"np-1": "succeeded", "hx-1": "succeeded"}
    assert harbour.versions() == harbour.all_on("1.5.0")
    assert harbour.seen("np-1") == first
    assert attempts(harbour, plan) == {"np-1": 1, "hx-1": 1}


def test_a_second_ctrl_c_leaves_at_once_and_the_next_rollout_finds_out_what_happened(
    make_harbour: MakeHarbour,
) -> None:
    harbour = make_harbour("np-1")
    harbour.hold_before_switch()
    plan = harbour.plan()
    rollout = begin_and_hold(harbour, plan, "np-1")
    rollout.send_signal(signal.SIGINT)
    assert rollout.stderr is not None
    assert "finishing np-1" in rollout.stderr.readline()
    rollout.send_signal(signal.SIGINT)
    _, said = rollout.communicate(timeout=PATIENCE)
    assert rollout.returncode == 130
    assert "unknown: np-1; run it again to look" in said
    (standing,) = harbour.ask("status", "--plan", plan).told["plans"]
    assert (standing["state"], standing["outcomes"]) == ("interrupted in wave 1", {"unknown": 1})
    assert harbour.is_held("np-1"), "it did not leave at once"

    harbour.let_go()
    assert finishes_alone(harbour, "np-1")
    alone = harbour.seen("np-1")
    again = harbour.ask("rollout", plan, *WAIVED)
    assert again.outcomes == {"np-1": "succeeded"}
    assert attempts(harbour, plan) == {"np-1": 1}, "it had switched: there was nothing to try again"
    assert harbour.seen("np-1") == alone


def test_after_a_killed_controller_hosts_finish_alone_and_the_next_rollout_completes(make_harbour: MakeHarbour) -> None:
    harbour = make_harbour("np-1", "hx-1", "lh-1")
    harbour.set_policy(waves='["2", "100%"]', reconcile_within="30s")
    harbour.hold_before_switch()
    plan = harbour.plan()
    rollout = begin_and_hold(harbour, plan, "np-1", "hx-1")
    rollout.send_signal(signal.SIGKILL)
    rollout.communicate(timeout=PATIENCE)
    harbour.let_go("np-1", "lh-1")
    assert finishes_alone(harbour, "np-1")

    [lock] = harbour.workspace.glob(f".liftlock/ledger.db.leases/{plan}*.lock")
    again = harbour.start("rollout", plan, *WAIVED)
    assert within(lambda: f"(pid {again.pid})" in lock.read_text()), "the dead controller's lock was not taken over"
    harbour.let_go("hx-1")  # while it is being looked at: its phase still runs
    told, _ = again.communicate(timeout=PATIENCE)
    assert again.returncode == 0, told
    assert harbour.versions() == harbour.all_on("1.5.0")
    assert attempts(harbour, plan) == {"np-1": 1, "hx-1": 1, "lh-1": 1}
    for name in harbour.hosts:
        assert harbour.journal(name).count("upgrade begin") == 1, f"{name} was upgraded twice"


def test_a_record_that_is_taken_away_stops_the_rollout_before_the_next_host(make_harbour: MakeHarbour) -> None:
    harbour = make_harbour("np-1", "hx-1")
    harbour.hold_before_switch()
    plan = harbour.plan()
    rollout = begin_and_hold(harbour, plan, "np-1")
    record = harbour.workspace / ".liftlock" / "ledger.db"
    away = record.rename(record.with_name("away.db"))
    harbour.let_go()
    _, said = rollout.communicate(timeout=PATIENCE)
    assert rollout.returncode == 5, said
    assert "ledger.db was moved, removed or replaced: put it back, then go on" in said
    assert not harbour.seen("hx-1").touched
    away.rename(record)
    again = harbour.ask("rollout", plan, *WAIVED)
    assert again.outcomes == {"np-1": "succeeded", "hx-1": "succeeded"}
    assert attempts(harbour, plan) == {"np-1": 1, "hx-1": 1}


def test_a_second_controller_is_told_who_holds_the_plan_and_goes(make_harbour: MakeHarbour) -> None:
    harbour = make_harbour("np-1")
    harbour.hold_before_switch()
    plan = harbour.plan()
    elsewhere = shutil.copytree(harbour.workspace, harbour.workspace.with_name("elsewhere"))
    first = begin_and_hold(harbour, plan, "np-1")
    for task in (("rollout", plan), ("rollback", plan, "--reason", "x")):
        loser = harbour.liftlock(*task, code=6)
        assert f"(pid {first.pid})" in loser.stderr
        assert "being carried out by" in loser.stderr
    assert harbour.ask("rollout", plan, code=6).told["error"]["exit_code"] == 6
    assert harbour.ask("notify", plan).told["complete"], "letters may go out beside it"

    # A controller with a record of its own does not see the first one's lock: the host itself says no.
    other = run("rollout", plan, *WAIVED, "--json", cwd=elsewhere)
    assert other.outcomes == {"np-1": "refused"}
    assert other.causes == {"np-1": "busy"}
    (told,) = [line["detail"] for line in other.told["hosts"] if line["host"] == "np-1"]
    assert "upgrade of plan " in told
    assert ", since " in told

    harbour.let_go()
    first.communicate(timeout=PATIENCE)
    assert first.returncode == 0
    assert harbour.versions() == {"np-1": "1.5.0"}
    assert harbour.journal("np-1").count("upgrade begin") == 1


def test_an_operator_brings_upgraded_hosts_back_with_a_reason(make_harbour: MakeHarbour) -> None:
    harbour = make_harbour("np-1", "hx-1")
    plan = harbour.plan()
    harbour.liftlock("rollout", plan, *WAIVED)
    upgraded = harbour.all_seen()
    assert "--reason" in harbour.liftlock("rollback", plan, code=2).stderr
    assert "nope" in harbour.liftlock("rollback", plan, "--hosts", "nope", "--reason", "x", code=2).stderr
    assert harbour.all_seen() == upgraded

    one = harbour.ask("rollback", plan, "--hosts", "hx-1", "--reason", "the customer asked")
    assert one.outcomes == {"np-1": "succeeded", "hx-1": "rolled_back"}
    assert harbour.versions() == {"np-1": "1.5.0", "hx-1": "1.4.0"}
    assert harbour.seen("np-1") == upgraded["np-1"]
    both = harbour.ask("rollback", plan, "--reason", "all of them")
    assert both.outcomes == {"np-1": "rolled_back", "hx-1": "rolled_back"}
    assert harbour.versions() == harbour.all_on("1.4.0")

    ended = harbour.ask("rollout", plan, *WAIVED, code=4)
    assert "aborted" in ended.told["reason"]
    assert harbour.versions() == harbour.all_on("1.4.0")
    assert harbour.plan() != plan, "a new plan may try again"
