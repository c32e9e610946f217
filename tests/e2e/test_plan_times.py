"""When a plan lets work begin, by the command: lead times, customers without a slot, emergencies."""

from __future__ import annotations

from datetime import datetime, timedelta

from e2e.conftest import MakeHarbour
from e2e.harbour import Harbour, files_below


def test_a_plan_keeps_the_lead_and_says_until_when_each_customer_must_be_told(quiet_harbour: Harbour) -> None:
    quiet_harbour.set_policy(notice_lead="{upgrade: 72h}", notice_lead_by_tier="{key: {upgrade: 10d}}")
    told = quiet_harbour.ask("plan", "boathouse", "1.5.0").told
    shown = quiet_harbour.liftlock("plan", "boathouse", "1.5.0").stdout
    quiet_harbour.set_policy()
    made = datetime.fromisoformat(told["created_at"])
    leads = {}
    for one in told["customers"]:
        notify_by, begins = datetime.fromisoformat(one["notify_by"]), datetime.fromisoformat(one["begins"])
        assert notify_by >= made
        leads[one["name"]] = begins - notify_by
    assert len(leads) == 3
    assert set(leads.values()) <= {timedelta(days=3), timedelta(days=10)}
    assert told["blocked"] == []
    assert datetime.fromisoformat(told["through"]) >= datetime.fromisoformat(told["finish"]) > made + timedelta(days=3)
    assert set(told["estimates"]) == {"1.5.0"}
    assert "by its manifest" in told["estimates"]["1.5.0"]
    assert "tell by" in shown
    assert "All planned hosts through by" in shown


def test_a_customer_without_a_slot_is_told_in_one_line_what_blocks_it(quiet_harbour: Harbour) -> None:
    before = quiet_harbour.inventory.read_text(encoding="utf-8")
    freeze = 'freezes:\n  - {name: whole-year, every: year, from: "01-01 00:00", until: "12-31 23:59"}\n'
    quiet_harbour.inventory.write_text(before + freeze, encoding="utf-8")
    told = quiet_harbour.ask("plan", "boathouse", "1.5.0").told
    shown = quiet_harbour.liftlock("plan", "boathouse", "1.5.0").stdout
    quiet_harbour.inventory.write_text(before, encoding="utf-8")
    assert told["hosts"] == []
    assert told["finish"] is None
    assert len(told["blocked"]) == 3
    assert all(": no slot before " in line and "whole-year to " in line for line in told["blocked"])
    assert all(line in shown for line in told["blocked"])


def test_in_an_emergency_the_notice_is_waived_once_with_a_reason_that_the_record_keeps(
    make_harbour: MakeHarbour,
) -> None:
    harbour = make_harbour("np-1")
    harbour.set_policy(notice_lead="{upgrade: 72h}")
    recorded = files_below(harbour.workspace / ".liftlock")
    asked = ("plan", "boathouse", "1.5.0", "--waive")
    assert "--reason" in harbour.liftlock(*asked, "notice", code=2).stderr
    assert "not gate" in harbour.liftlock(*asked, "gate", "--reason", "x", code=2).stderr
    assert files_below(harbour.workspace / ".liftlock").keys() == recorded.keys()

    told = harbour.ask(*asked, "notice,notice", "--reason", "a hole is open").told
    assert told["waived"] == ["notice"]
    (standing,) = harbour.ask("status", "--plan", told["id"][:8]).told["plans"]
    assert [(one["rule"], one["reason"]) for one in standing["waived"]] == [("notice", "a hole is open")]
    harbour.liftlock("gate", told["id"][:8])
    assert harbour.ask("rollout", told["id"][:8]).outcomes == {"np-1": "succeeded"}
