"""What customers hear, and have a say in, from announcement to end: asked of their mail, the hosts and the record."""

from __future__ import annotations

from e2e.conftest import MakeHarbour
from e2e.harbour import Harbour


def edit_inventory(harbour: Harbour, old: str, new: str) -> None:
    text = harbour.inventory.read_text(encoding="utf-8")
    assert old in text
    harbour.inventory.write_text(text.replace(old, new, 1), encoding="utf-8")


def kinds(told: dict[str, object]) -> list[tuple[str, str, str]]:
    delivered = told["delivered"]
    assert isinstance(delivered, list)
    return sorted((one["customer"], one["kind"], one["state"]) for one in delivered)


def test_a_customer_that_wants_to_be_asked_is_left_alone_until_its_yes_is_on_record(make_harbour: MakeHarbour) -> None:
    harbour = make_harbour("np-1", "hx-1")
    edit_inventory(harbour, "  huaxin:\n", "  huaxin:\n    consent: explicit\n")
    plan = harbour.plan()
    assert "not told" in harbour.liftlock("consent", plan, "huaxin", "--by", "李雷", code=3).stderr
    harbour.liftlock("gate", plan)
    harbour.liftlock("notify", plan)

    refused = harbour.ask("rollout", plan, code=3)
    assert refused.outcomes == {"np-1": "succeeded", "hx-1": "refused"}
    assert refused.causes["hx-1"].startswith("consent: huaxin has not agreed")
    assert f"liftlock consent {plan} huaxin" in refused.causes["hx-1"]
    assert not harbour.seen("hx-1").touched
    assert "--by" in harbour.liftlock("consent", plan, "huaxin", code=2).stderr
    assert "no hosts of customer" in harbour.liftlock("consent", plan, "nobody", "--by", "x", code=2).stderr

    assert harbour.ask("consent", plan, "huaxin", "--by", "李雷").told["recorded"]
    assert not harbour.ask("consent", plan, "huaxin", "--by", "李雷").told["recorded"]
    assert harbour.ask("rollout", plan).outcomes == {"np-1": "succeeded", "hx-1": "succeeded"}


def test_one_bad_address_stops_nobody_else_and_waits_for_a_persons_word(make_harbour: MakeHarbour) -> None:
    harbour = make_harbour("np-1", "hx-1")
    edit_inventory(harbour, "anna@northpier.example", "an..na@northpier.example")
    plan = harbour.plan()
    first = harbour.ask("notify", plan, code=3).told
    assert kinds(first) == [("huaxin", "announced", "sent"), ("northpier", "announced", "refused")]
    again = harbour.ask("notify", plan, code=3).told
    assert (again["delivered"], [one["recipient"] for one in again["refused"]]) == ([], ["an..na@northpier.example"])
    (dead,) = again["refused"]
    assert "--reason" in harbour.liftlock("notify", plan, "--settle", f"{dead['message_id']}=sent", code=2).stderr
    assert "=sent or" in harbour.liftlock("notify", plan, "--settle", "abc=maybe", "--reason", "x", code=2).stderr
    settle = ("--settle", f"{dead['message_id'].strip('<>')[:12]}=sent", "--reason", "she was told by phone")
    assert harbour.ask("notify", plan, *settle).told["complete"]
    assert harbour.ask("notify", plan).told["already_sent"] == 2


def test_an_abort_and_a_rollback_tell_those_who_knew_unless_told_not_to(make_harbour: MakeHarbour) -> None:
    harbour = make_harbour("np-1", "hx-1")
    quiet, plan = harbour.plan(), harbour.announced()
    assert harbour.ask("abort", quiet, "--reason", "x").told["notices"]["delivered"] == [], "nobody knew of it"
    left = harbour.ask("abort", plan, "--reason", "x", "--no-notify").told["notices"]
    assert left["delivered"] == []
    assert kinds(harbour.ask("notify", plan).told) == [
        ("huaxin", "cancelled", "sent"),
        ("northpier", "cancelled", "sent"),
    ]
    other = harbour.announced()
    harbour.stop_mail()
    ended = harbour.ask("abort", other, "--reason", "x").told
    assert {one["state"] for one in ended["notices"]["delivered"]} == {"failed"}
    assert not ended["notices"]["complete"]
