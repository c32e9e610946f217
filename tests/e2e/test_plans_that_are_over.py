"""Plans that are over, and releases that are not there: nobody is promised anything by them any more."""

from __future__ import annotations

from e2e.conftest import MakeHarbour
from e2e.harbour import WAIVED, within
from e2e.test_customers_are_told import kinds
from e2e.test_plan_changes import add_remark, hold


def test_a_plan_that_was_halted_or_ended_is_over_whatever_else_is_wrong_with_it(make_harbour: MakeHarbour) -> None:
    harbour = make_harbour("np-1", "hx-1")
    manifest = harbour.releases / "1.5.0.yaml"
    well = manifest.read_text(encoding="utf-8")
    manifest.write_text(well + 'before_switch: "exit 1"\n', encoding="utf-8")
    plan = harbour.announced()
    halted = harbour.ask("rollout", plan, "--no-notify", code=4).told
    assert harbour.ask("rollout", plan, "--no-notify", code=4).told["reason"] == halted["reason"]

    manifest.write_text(well, encoding="utf-8")
    hold(harbour, "hx-1")
    over = f"plan {plan} is over: halted: {halted['reason']}; make a new plan with: liftlock plan boathouse 1.5.0"
    for words in (("rollout", plan), ("rollout", plan, "--replan"), ("approve", plan)):
        assert over in harbour.liftlock(*words, code=3).stderr
    assert over in harbour.liftlock("consent", plan, "huaxin", "--by", "李雷", code=3).stderr
    assert len(harbour.ask("status").told["plans"]) == 1, "nothing was planned"

    other = harbour.plan()
    harbour.liftlock("abort", other, "--reason", "the wrong week")
    add_remark(harbour)
    for words in (("rollout", other), ("rollout", other, "--replan"), ("approve", other)):
        assert f"plan {other} is over: aborted: the wrong week" in harbour.liftlock(*words, code=3).stderr


def test_a_customer_hears_of_an_abort_when_its_host_is_through(make_harbour: MakeHarbour) -> None:
    harbour = make_harbour("np-1", "np-2", "hx-1")
    harbour.hold_before_switch()
    plan = harbour.announced()
    rollout = harbour.start("rollout", plan, "--json")
    assert within(lambda: any(map(harbour.is_held, harbour.hosts)))
    held = next(name for name in harbour.hosts if harbour.is_held(name))
    assert held.startswith("np")
    ended = harbour.ask("abort", plan, "--reason", "the wrong release").told
    assert kinds(ended["notices"]) == [("huaxin", "cancelled", "sent")], "northpier's host is in hand"
    harbour.let_go()
    told, said = rollout.communicate(timeout=60)
    assert rollout.returncode == 4, (told, said)
    letters = [file.read_text(encoding="utf-8") for file in harbour.mail.glob("*.eml")]
    (through,) = [letter for letter in letters if "Ended early: " in letter]
    assert f"{held}: runs 1.5.0, checked and healthy" in through
    assert not any("Subject: Cancelled" in letter for letter in letters)


def test_nobody_is_promised_a_release_that_is_not_there(make_harbour: MakeHarbour) -> None:
    harbour = make_harbour("np-1")
    artifact = harbour.releases / "artifacts" / "boathouse-1.5.0.tar"
    well = artifact.read_bytes()
    artifact.unlink()
    planned = harbour.liftlock("plan", "boathouse", "1.5.0")
    assert "warning: " in planned.stderr
    assert "there is no such artifact" in planned.stderr
    artifact.write_bytes(well + b"more")
    made = harbour.ask("plan", "boathouse", "1.5.0").told
    assert any("but the release manifest says" in line for line in made["warnings"])
    artifact.unlink()
    plan = made["id"][:8]
    assert "there is no such artifact" in harbour.liftlock("notify", plan, code=2).stderr
    assert not list(harbour.mail.glob("*.eml"))
    artifact.write_bytes(well)
    assert kinds(harbour.ask("notify", plan).told) == [("northpier", "announced", "sent")]
    assert harbour.ask("plan", "boathouse", "1.5.0").told["warnings"] == []
    harbour.ask("rollout", plan, *WAIVED)
    artifact.unlink()
    assert kinds(harbour.ask("rollback", plan, "--reason", "asked for").told["notices"]) == [
        ("northpier", "rolled_back", "sent")
    ], "what has happened is told all the same"
