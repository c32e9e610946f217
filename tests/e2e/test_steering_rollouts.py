"""Rollouts that are steered from another terminal: real processes, real hosts, one ledger."""

from __future__ import annotations

from e2e.conftest import MakeHarbour
from e2e.harbour import WAIVED, within


def test_a_pause_from_another_terminal_lets_the_host_in_hand_finish_and_a_resume_brings_the_rest(
    make_harbour: MakeHarbour,
) -> None:
    harbour = make_harbour("np-1", "hx-1", "lh-1")
    harbour.hold_before_switch()
    plan = harbour.plan()
    rollout = harbour.start("rollout", plan, *WAIVED, "--wait", "--json")
    canary = next(name for name in harbour.hosts if within(lambda name=name: harbour.is_held(name), 5.0))

    paused = harbour.ask("pause", plan, "--reason", "a storm", "--by", "Ana Li").told
    assert paused["in_hand"] == [canary]
    assert "paused already, by Ana Li" in harbour.liftlock("pause", plan, "--reason", "again", code=3).stderr
    harbour.let_go()
    assert within(lambda: harbour.hosts[canary].health()["version"] == "1.5.0")
    refused = harbour.ask("rollout", plan, code=6)
    assert "error" in refused.told
    (standing,) = harbour.ask("status", "--plan", plan).told["plans"]
    assert standing["state"].startswith("paused by Ana Li since ")
    assert standing["state"].endswith(": a storm")
    assert sum(seen.version == "1.5.0" for seen in harbour.all_seen().values()) == 1
    assert rollout.poll() is None, "a rollout that waits goes on waiting"

    harbour.liftlock("resume", plan)
    _, told = rollout.communicate(timeout=60)
    assert rollout.returncode == 0, told
    assert "waiting: paused by Ana Li" in told
    assert harbour.versions() == harbour.all_on("1.5.0")
    assert "is not paused" in harbour.liftlock("resume", plan, code=3).stderr
    assert "has finished" in harbour.liftlock("abort", plan, "--reason", "late", code=3).stderr


def test_an_abort_from_another_terminal_ends_a_rollout_after_the_host_in_hand(make_harbour: MakeHarbour) -> None:
    harbour = make_harbour("np-1", "hx-1")
    harbour.hold_before_switch()
    plan = harbour.plan()
    rollout = harbour.start("rollout", plan, *WAIVED)
    assert within(lambda: any(map(harbour.is_held, harbour.hosts)))
    why = "the wrong release [/] of :ok: [red]wood[/red] [jira-12]"
    harbour.liftlock("abort", plan, "--reason", why)
    harbour.let_go()
    told, _ = rollout.communicate(timeout=60)
    assert rollout.returncode == 4, told
    assert f"Ended: {why}." in told
    assert "halted" not in told, "one word for one thing"
    assert "".join(why.split()) in "".join(harbour.liftlock("status", "--plan", plan).stdout.split())
    assert sorted(seen.version for seen in harbour.all_seen().values()) == ["1.4.0", "1.5.0"]


def test_a_host_that_is_unlocked_is_not_tried_again_by_the_rollout_that_runs(make_harbour: MakeHarbour) -> None:
    harbour = make_harbour("np-1")
    harbour.hold_before_switch()
    plan = harbour.plan()
    rollout = harbour.start("rollout", plan, *WAIVED)
    assert within(lambda: harbour.is_held("np-1"))
    done = harbour.ask("unlock", "np-1", "--reason", "its hook hangs").told
    assert done["well"]
    assert done["detail"].endswith(f"; plan {plan[:8]} is paused; to go on: liftlock resume {plan[:8]}")
    told, _ = rollout.communicate(timeout=60)
    assert rollout.returncode == 3, told
    assert "to unlock np-1: its hook hangs" in told
    (standing,) = harbour.ask("status", "--plan", plan).told["plans"]
    assert [line["attempts"] for line in standing["hosts"]] == [1]
    assert standing["state"].startswith("paused by ")

    harbour.let_go()
    harbour.liftlock("resume", plan)
    assert harbour.ask("rollout", plan, *WAIVED).outcomes == {"np-1": "succeeded"}


def test_a_halt_opens_an_incident_shows_versions_and_proofs_and_what_may_help(make_harbour: MakeHarbour) -> None:
    harbour = make_harbour("np-1", "hx-1")
    (harbour.releases / "1.5.0.yaml").write_text(
        (harbour.releases / "1.5.0.yaml").read_text(encoding="utf-8") + 'before_switch: "exit 1"\n', encoding="utf-8"
    )
    plan = harbour.plan()
    assert "No incident." in harbour.liftlock("incident", plan).stdout
    halted = harbour.ask("rollout", plan, *WAIVED, code=4).told
    (trouble,) = halted["causes"]
    assert len(trouble["hosts"]) == 1
    line = next(line for line in halted["hosts"] if [line["host"]] == trouble["hosts"])
    assert (line["before"], line["version"]) == ("1.4.0", "1.4.0")
    assert line["proof"].startswith("the host, at the end of its attempt, ")

    (opened,) = harbour.ask("incident", plan).told["incidents"]
    assert opened["reason"] == halted["reason"]
    assert opened["recover"]["words"].startswith("done in ")
    assert opened["acknowledge"]["words"].endswith(" left")
    (taken,) = harbour.ask("incident", plan, "--ack", "--by", "Ana Li").told["incidents"]
    assert (taken["by"], taken["acknowledge"]["missed"]) == ("Ana Li", False)
    assert "acknowledged by Ana Li" in harbour.liftlock("incident", plan, "--ack", code=3).stderr


def test_a_drill_on_real_hosts_leaves_the_first_one_with_three_attempts_and_no_failure(
    make_harbour: MakeHarbour,
) -> None:
    harbour = make_harbour("np-1", "hx-1")
    harbour.set_policy(drill="true")
    plan = harbour.plan()
    done = harbour.ask("rollout", plan, *WAIVED).told
    assert sorted(line["attempts"] for line in done["hosts"]) == [1, 3]
    assert done["rate"]["succeeded"] == done["rate"]["attempted"] == 2
    assert harbour.ask("report").told["overall"]["succeeded"] == 2
    assert harbour.versions() == harbour.all_on("1.5.0")


def test_a_rollout_that_was_halted_for_want_of_progress_stands_as_halted(make_harbour: MakeHarbour) -> None:
    harbour = make_harbour("np-1", "hx-1")
    manifest = harbour.releases / "1.5.0.yaml"
    manifest.write_text(manifest.read_text(encoding="utf-8") + 'before_switch: "sleep 2; exit 1"\n', encoding="utf-8")
    harbour.set_policy(progress_within="1s", max_failures="9", target_percent="10")
    plan = harbour.plan()
    halted = harbour.ask("rollout", plan, *WAIVED, code=4).told
    assert halted["reason"].startswith("progress: ")
    (standing,) = harbour.ask("status", "--plan", plan).told["plans"]
    assert standing["state"] == f"halted: {halted['reason']}"
