"""Plans that change: what differs, who must agree, when a rollout may go on, and what calendar and lifecycle say."""

from __future__ import annotations

import json
import re

import icalendar

from e2e.conftest import MakeHarbour
from e2e.harbour import WAIVED, Harbour

TWO_MUST_AGREE = "[{kinds: [upgrade], over_hosts: 1, approvers: 2}]"


def nobody_was_touched(harbour: Harbour) -> bool:
    return not any(seen.touched for seen in harbour.all_seen().values())


def add_remark(harbour: Harbour) -> None:
    """Change a file that plans are made from without changing what it says."""
    harbour.inventory.write_text(harbour.inventory.read_text(encoding="utf-8") + "# a remark\n", encoding="utf-8")


def hold(harbour: Harbour, name: str) -> str:
    """Ask that a host be left alone; what the inventory said before."""
    before = harbour.inventory.read_text(encoding="utf-8")
    held = before.replace(f"{{name: {name},", f'{{name: {name}, hold: "after the regatta",')
    harbour.inventory.write_text(held, encoding="utf-8")
    return before


def test_a_rollout_waits_until_enough_different_people_approved_this_very_plan(make_harbour: MakeHarbour) -> None:
    harbour = make_harbour("np-1", "hx-1")
    harbour.set_policy(approvals=TWO_MUST_AGREE)
    plan = harbour.announced()
    assert "2 people to approve it, 2 people more" in harbour.liftlock("rollout", plan, code=3).stderr

    first = harbour.ask("approve", plan, "--by", "Anna Brandt", "--note", "after the regatta").told
    assert (first["needed"], first["missing"], first["recorded"]) == (2, 1, True)
    again = harbour.ask("approve", plan, "--by", "anna brandt").told
    assert (again["missing"], again["recorded"], len(again["given"])) == (1, False, 1)
    refused = harbour.liftlock("rollout", plan, *WAIVED, code=3)
    assert "1 person more" in refused.stderr
    (standing,) = harbour.ask("status", "--plan", plan).told["plans"]
    assert standing["approvals"]["needed"] == 2
    assert [(one["by"], one["note"]) for one in standing["approvals"]["given"]] == [
        ("Anna Brandt", "after the regatta")
    ]
    assert "1 of 2 approvals" in harbour.liftlock("status").stdout
    assert standing["waived"] == [], "a refused rollout sets nothing aside"
    assert nobody_was_touched(harbour)

    assert "no plan" in harbour.liftlock("approve", "deadbeef", code=2).stderr
    assert "one line" in harbour.liftlock("approve", plan, "--by", "a\nb", code=2).stderr
    assert "@" in harbour.ask("approve", plan).told["given"][1]["by"]
    assert harbour.ask("rollout", plan).outcomes == dict.fromkeys(harbour.hosts, "succeeded")
    another = harbour.ask("plan", "boathouse", "1.6.0").told
    assert (another["approvals"], harbour.ask("status", "--plan", another["id"][:8]).told["plans"][0]["approvals"]) == (
        2,
        {"needed": 2, "given": []},
    )


def test_what_changed_between_two_plans_is_told_in_the_customers_time(quiet_harbour: Harbour) -> None:
    old = quiet_harbour.plan()
    before = hold(quiet_harbour, "hx-1")
    quiet_harbour.set_policy(bake="2s", approvals=TWO_MUST_AGREE)
    told = quiet_harbour.ask("plan", "boathouse", "1.5.0", "--diff", old).told
    new = told["id"][:8]
    read = quiet_harbour.liftlock("diff", old, f"plans/boathouse-1.5.0-{new}.json").stdout
    backwards = quiet_harbour.ask("diff", new, old).told["changes"]
    quiet_harbour.inventory.write_text(before, encoding="utf-8")
    quiet_harbour.set_policy()

    assert told["compared_with"].startswith(old)
    changes = {(change["what"], change["subject"]): change for change in told["changes"]}
    assert set(changes) >= {
        ("removed", ""),
        ("policy", "bake"),
        ("policy", "approvals"),
        ("approvals", ""),
        ("input", "inventories/demo.yaml"),
        ("input", "liftlock.yaml"),
    }
    assert ("window", "") not in changes, "both plans were made while the window was open: it is the same one"
    assert changes["removed", ""]["hosts"] == ["hx-1"]
    assert not changes["input", "liftlock.yaml"]["material"]
    assert "hx-1: no longer planned: skipped: after the regatta (before: wave " in read
    assert "policy bake: 2s (before: 1s)" in read
    (added,) = [change for change in backwards if change["what"] == "added"]
    assert "CST" in added["after"]
    assert quiet_harbour.ask("diff", old, old).told["changes"] == []
    assert "no plan" in quiet_harbour.liftlock("diff", old, "deadbeef", code=2).stderr


def test_a_rollout_goes_on_after_planning_again_when_only_hashes_changed(make_harbour: MakeHarbour) -> None:
    harbour = make_harbour("np-1", "hx-1", "lh-1")
    plan = harbour.plan()
    harbour.liftlock("notify", plan)
    harbour.liftlock("gate", plan, "--hosts", "np-1,lh-1")
    half = harbour.ask("rollout", plan, code=3)
    assert half.outcomes == {"np-1": "succeeded", "lh-1": "succeeded", "hx-1": "refused"}

    add_remark(harbour)
    assert "--replan" in harbour.liftlock("rollout", plan, code=3).stderr
    harbour.liftlock("gate", plan, "--hosts", "hx-1")
    rest = harbour.ask("rollout", plan, "--replan")
    assert rest.told["plan"].startswith(plan)
    assert rest.outcomes == dict.fromkeys(harbour.hosts, "succeeded")
    assert harbour.versions() == harbour.all_on("1.5.0")
    assert len(harbour.ask("status").told["plans"]) == 1
    assert harbour.ask("rollout", plan, "--replan").told["end"] == "verified"


def test_after_a_material_change_the_new_plan_waits_for_its_own_notice(make_harbour: MakeHarbour) -> None:
    harbour = make_harbour("np-1", "hx-1")
    plan = harbour.announced()
    hold(harbour, "hx-1")
    made = harbour.ask("rollout", plan, "--replan", "--no-notify", code=3).told
    assert (made["end"], made["exit_code"], made["replaces"][:8]) == ("replanned", 3, plan)
    assert made["notices"]["delivered"] == []
    removed = [change["hosts"] for change in made["changes"] if change["what"] == "removed"]
    assert removed == [["hx-1"]]
    new = made["plan"][:8]
    assert json.loads((harbour.workspace / made["file"]).read_text(encoding="utf-8"))["id"] == made["plan"]
    assert "inventories/demo.yaml" in harbour.liftlock("rollout", plan, code=3).stderr
    assert harbour.ask("rollout", new, "--no-notify", code=3).causes["np-1"].startswith("notice: ")
    assert nobody_was_touched(harbour)
    for id_, customer, kind in ((plan, "huaxin", "cancelled"), (new, "northpier", "rescheduled")):
        (letter,) = harbour.ask("notify", id_).told["delivered"]
        assert (letter["customer"], letter["kind"], letter["state"]) == (customer, kind, "sent")
    assert "no gate" in harbour.ask("rollout", new, code=3).causes["np-1"], "rescheduled counts as its notice"

    told = harbour.liftlock("rollout", plan, "--replan", code=3).stdout
    assert f"stands in for {plan}" in told
    assert "hx-1: no longer planned: skipped: after the regatta" in told
    calendar = harbour.ask("calendar").told
    assert plan in {id_[:8] for id_ in calendar["superseded"]}


def test_the_calendar_of_open_plans_is_told_written_and_published(quiet_harbour: Harbour) -> None:
    plan = quiet_harbour.plan()
    files = ("--html", "out/calendar.html", "--ics", "out/calendar.ics")
    told = quiet_harbour.ask("calendar", "--weeks", "2", *files).told
    bookings = [booking for week in told["weeks"] for booking in week["bookings"] if booking["plan"].startswith(plan)]
    assert {booking["customer"]: booking["hosts"] for booking in bookings} == {
        "northpier": ["np-1"],
        "huaxin": ["hx-1"],
        "lianhu": ["lh-1"],
    }
    assert {booking["zone"] for booking in bookings} == {"Europe/Berlin", "Asia/Shanghai"}
    assert all(booking["lacking"] for booking in bookings)
    assert told["files"] == ["out/calendar.html", "out/calendar.ics"]
    page = (quiet_harbour.workspace / "out/calendar.html").read_text(encoding="utf-8")
    assert "华信水上运动" in page
    published = icalendar.Calendar.from_ical((quiet_harbour.workspace / "out/calendar.ics").read_bytes())
    assert sum(plan in str(event["DESCRIPTION"]) for event in published.walk("VEVENT")) == 3

    read = quiet_harbour.liftlock("calendar").stdout
    assert "hx-1" in read
    assert "notice not sent" in read
    for weeks in ("0", "many"):
        assert "--weeks" in quiet_harbour.liftlock("calendar", "--weeks", weeks, code=2).stderr


def test_the_lifecycle_says_how_each_version_is_known(make_harbour: MakeHarbour) -> None:
    harbour = make_harbour("np-1", "hx-1")
    product, fix = harbour.releases / "product.yaml", harbour.releases / "1.5.0.yaml"
    support = 'support: {"1.4": "2020-01-01", "1.5": "2999-01-01"}\n'
    product.write_text(product.read_text(encoding="utf-8") + support, encoding="utf-8")
    urgent = re.sub(r"kind: \w+", 'kind: security\nreleased: "2020-01-01"', fix.read_text(encoding="utf-8"))
    fix.write_text(urgent, encoding="utf-8")

    by_word = harbour.ask("lifecycle", "--offline").told
    assert by_word["sources"] == {"inventory": 2}
    assert {(one["customer"], one["support"], one["version"]) for one in by_word["ageing"]} == {
        ("northpier", "past", "1.4.0"),
        ("huaxin", "past", "1.4.0"),
    }
    assert [(one["version"], one["hosts_lacking"]) for one in by_word["security"]] == [("1.5.0", 2)]
    assert harbour.ask("lifecycle").told["sources"] == {"look": 2}

    plan = harbour.plan("1.5.0", "--hosts", "np-1")
    harbour.liftlock("rollout", plan, *WAIVED)
    recorded = harbour.ask("lifecycle", "--offline", "--fleet", "demo").told
    assert recorded["sources"] == {"inventory": 1, "ledger": 1}
    assert [one["customer"] for one in recorded["ageing"]] == ["huaxin"]
    assert recorded["security"][0]["lacking"] == {"huaxin": ["hx-1"]}
    read = harbour.liftlock("lifecycle").stdout
    assert "ended 2020-01-01" in read
    assert "seen just now" in read
    assert "--days" in harbour.liftlock("lifecycle", "--days", "soon", code=2).stderr
    assert "nosuch" in harbour.liftlock("lifecycle", "--fleet", "nosuch", code=2).stderr

    unsaid = harbour.inventory.read_text(encoding="utf-8").replace(', expected_version: "1.4.0"', "")
    harbour.inventory.write_text(unsaid, encoding="utf-8")
    unknown = harbour.ask("lifecycle", "--offline").told
    assert [(one["host"], one["why"]) for one in unknown["unknown"]] == [
        ("hx-1", "not looked at; not on record, no expected_version")
    ]
    assert unknown["hosts"] == 1
