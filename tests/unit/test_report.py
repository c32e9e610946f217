from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from liftlock.errors import LedgerError
from liftlock.ledger import Ailing, Fact, Planned, Recalled, Voided
from liftlock.model import Action, Exclusion, Outcome, ReleaseKind
from liftlock.report import HostRecord, Part, Rate, as_json, beside, headline, host_records, make_report
from unit.report_ledger import START, Book, ended, left_out, make_plan, planned_host, started, switched

PLAN = make_plan("p1", ["a"])


def the_host_after(*facts: Fact) -> HostRecord:
    (record,) = host_records(Book().planned(PLAN).write(PLAN, *facts).entries)
    return record


def test_49_of_50_meets_the_target_and_48_of_50_does_not() -> None:
    assert Rate(49, 50).meets(98) is True
    assert Rate(48, 50).meets(98) is False
    assert Rate(0, 0).meets(98) is None


@pytest.mark.parametrize(
    ("succeeded", "attempted", "shown"),
    [(97_999, 100_000, 97.9), (49, 50, 98.0), (999_999, 1_000_000, 99.9), (7, 7, 100)],
)
def test_a_percentage_is_rounded_down_so_that_nothing_below_the_target_reads_as_the_target(
    succeeded: int, attempted: int, shown: float
) -> None:
    assert Rate(succeeded, attempted).percent == shown


def test_the_interval_is_wilsons() -> None:
    # Reference: Newcombe 1998, Statistics in Medicine 17:857-872, table I, method 3.
    for succeeded, attempted, low, high in [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611)]:
        assert Rate(succeeded, attempted).interval == pytest.approx((low, high), abs=5e-5)
    assert Rate(0, 0).interval is None


def test_a_planned_host_without_entries_is_pending_and_counted_beside_the_rate() -> None:
    record = the_host_after()
    assert (record.outcome, record.attempted, record.observed, record.wave) == (None, False, "4.1.0", 1)
    report = make_report(Book().planned(PLAN).entries)
    assert (report.overall, report.planned, report.pending) == (Rate(0, 0), 1, 1)
    assert report.target == "no data"


def test_an_attempt_without_an_end_is_unknown_and_attempted() -> None:
    record = the_host_after(started("a"))
    assert (record.outcome, record.attempted, record.unknown, record.failed) == (Outcome.UNKNOWN, True, True, False)


def test_a_host_in_the_bake_has_not_succeeded_yet() -> None:
    record = the_host_after(started("a"), switched("a"))
    assert (record.outcome, record.cause, record.observed) == (Outcome.UNKNOWN, "in the bake", "4.2.0")


def test_a_proven_upgrade_keeps_the_time_the_switch_took() -> None:
    record = the_host_after(started("a"), switched("a"), ended("a", Outcome.SUCCEEDED, version="4.2.0"))
    assert (record.outcome, record.observed, record.cause) == (Outcome.SUCCEEDED, "4.2.0", "")
    assert (record.seconds, record.attempts, record.at) == (12.5, 1, START + timedelta(seconds=3))


def test_a_voided_attempt_does_not_count() -> None:
    record = the_host_after(started("a"), Voided(host="a", attempt=1, cause="the controller went away"))
    assert (record.outcome, record.attempts, record.cause) == (None, 0, "the controller went away")


def test_voiding_a_second_attempt_leaves_what_the_first_one_ended_as() -> None:
    failed = (started("a"), ended("a", Outcome.FAILED, cause="disk full"))
    record = the_host_after(*failed, started("a", 2), Voided(host="a", attempt=2, cause="lost"))
    assert (record.outcome, record.cause, record.attempts) == (Outcome.FAILED, "disk full", 1)


def test_a_rollback_overrides_an_earlier_success_even_before_it_has_ended() -> None:
    succeeded = (started("a"), switched("a"), ended("a", Outcome.SUCCEEDED, version="4.2.0"))
    going_back = (*succeeded, started("a", 2, Action.ROLL_BACK))
    assert the_host_after(*going_back).outcome is Outcome.UNKNOWN
    record = the_host_after(*going_back, ended("a", Outcome.ROLLED_BACK, attempt=2))
    assert (record.outcome, record.observed, record.attempts) == (Outcome.ROLLED_BACK, "4.1.0", 2)
    assert record.cause == "brought back as the rollout halted"


def test_only_a_rollback_of_its_own_tells_how_long_the_way_back_took() -> None:
    within = ended("a", Outcome.ROLLED_BACK)
    assert the_host_after(started("a"), replace(within, seconds=80.0)).back_seconds == 0
    gone_back = replace(ended("a", Outcome.ROLLED_BACK, attempt=2), seconds=30.0)
    record = the_host_after(started("a"), switched("a"), started("a", 2, Action.ROLL_BACK), gone_back)
    assert (record.outcome, record.back_seconds) == (Outcome.ROLLED_BACK, 30)
    needs_a_person = replace(gone_back, outcome=Outcome.FAILED)
    assert the_host_after(started("a"), started("a", 2, Action.ROLL_BACK), needs_a_person).back_seconds == 0


@pytest.mark.parametrize(
    "fact",
    [Ailing(host="a", cause="health: not healthy", detail="500"), Recalled(host="a", reason="health: not healthy")],
)
def test_a_rollback_that_gives_no_cause_keeps_the_one_that_led_to_it(fact: Fact) -> None:
    in_the_bake = (started("a"), switched("a"), fact)
    assert the_host_after(*in_the_bake).unknown
    record = the_host_after(*in_the_bake, started("a", 2, Action.ROLL_BACK), ended("a", Outcome.ROLLED_BACK, attempt=2))
    assert (record.outcome, record.cause) == (Outcome.ROLLED_BACK, "health: not healthy")


def test_a_host_that_was_left_out_and_tried_later_has_the_later_outcome() -> None:
    record = the_host_after(left_out("a", Outcome.DEFERRED, "window over"), started("a"), ended("a", Outcome.SUCCEEDED))
    assert (record.outcome, record.cause) == (Outcome.SUCCEEDED, "")


def test_no_later_entry_takes_a_failed_host_out_of_the_denominator() -> None:
    failed = (started("a"), ended("a", Outcome.FAILED, cause="disk full"))
    for later in (
        (left_out("a", Outcome.SKIPPED, "never mind"),),
        (started("a", 2), ended("a", Outcome.REFUSED, attempt=2, cause="busy")),
    ):
        record = the_host_after(*failed, *later)
        assert (record.outcome, record.cause) == (Outcome.FAILED, "disk full")


def test_an_attempt_that_found_nothing_to_do_is_not_attempted() -> None:
    record = the_host_after(started("a"), ended("a", Outcome.ALREADY_CURRENT, version="4.2.0", cause="already there"))
    assert (record.outcome, record.attempted, record.cause) == (Outcome.ALREADY_CURRENT, False, "already there")


def test_hosts_the_plan_left_out_appear_with_its_reason() -> None:
    plan = make_plan("p1", ["a"], exclusions=[Exclusion("b", "acme", Outcome.SKIPPED, "on hold")])
    report = make_report(Book().planned(plan).entries)
    assert [(r.host, r.wave, r.outcome, r.cause) for r in report.records[1:]] == [
        ("b", None, Outcome.SKIPPED, "on hold")
    ]
    assert [(g.cause, len(g.records)) for g in report.not_attempted[Outcome.SKIPPED]] == [("on hold", 1)]
    assert report.planned == 1


def test_host_output_loses_its_control_characters() -> None:
    bad = "\x1b[31mdisk\x1b[0m full\x00\r\nrm \x9b2J\u202etxt \x1b]0;title\x07满"
    record = the_host_after(started("a"), ended("a", Outcome.FAILED, cause=bad, version="4.1.0\n"))
    assert record.cause == "disk full rm 2J txt 满"
    assert record.observed == "4.1.0"


def test_entries_about_a_plan_or_host_nobody_planned_are_refused() -> None:
    with pytest.raises(LedgerError, match="entry 1 speaks of a"):
        host_records(Book().write(PLAN, started("a")).entries)
    with pytest.raises(LedgerError, match="entry 2 speaks of stranger"):
        host_records(Book().planned(PLAN).write(PLAN, started("stranger")).entries)
    with pytest.raises(LedgerError, match="entry 1 holds a plan"):
        host_records(Book().write(PLAN, Planned(document={"id": "p1"})).entries)


def a_mixed_ledger() -> Book:
    """Two plans: 3 of 5 succeeded in the first (in autumn), 1 of 1 in the second (in winter)."""
    hosts = [planned_host(f"h{n}", customer="acme" if n < 4 else "birch", wave=1 + n // 4) for n in range(7)]
    first = make_plan("p1", hosts, version="4.9.0")
    second = make_plan("p2", ["h0"], version="4.10.0", kind=ReleaseKind.SECURITY, created_at=START + timedelta(days=45))
    book = Book().planned(first).upgraded(first, "h0", "h1", "h4")
    book.failed(first, "h2", cause="disk full").write(first, started("h5"))
    book.write(first, left_out("h3", Outcome.DEFERRED, "window over"))
    book.now = START + timedelta(days=45)
    return book.planned(second).upgraded(second, "h0")


def test_the_report_breaks_the_rate_down() -> None:
    report = make_report(a_mixed_ledger().entries)
    assert (report.overall, report.planned, report.pending) == (Rate(4, 6), 8, 1)

    def rates(parts: tuple[Part, ...]) -> list[tuple[object, ...]]:
        return [(p.name, p.rate.succeeded, p.rate.attempted, p.unknown, p.not_attempted, p.pending) for p in parts]

    assert rates(report.by_release) == [("kanal 4.9.0", 3, 5, 1, 1, 1), ("kanal 4.10.0", 1, 1, 0, 0, 0)]
    assert rates(report.by_customer) == [("acme", 3, 4, 0, 1, 0), ("birch", 1, 2, 1, 0, 1)]
    assert rates(report.by_wave) == [("wave 1", 3, 4, 0, 1, 0), ("wave 2", 1, 2, 1, 0, 1)]
    assert rates(report.by_kind) == [("patch", 3, 5, 1, 1, 1), ("security", 1, 1, 0, 0, 0)]
    assert rates(report.by_period) == [("2026-Q4", 3, 5, 1, 1, 1), ("2027-Q1", 1, 1, 0, 0, 0)]
    assert [(g.cause, g.outcomes) for g in report.failures] == [("disk full", {Outcome.ROLLED_BACK: 1})]
    assert [(g.cause, g.outcomes) for g in report.unknown] == [("no recorded end", {Outcome.UNKNOWN: 1})]
    assert [(b.plan, b.planned, b.allowed, b.used, b.unknown, b.left) for b in report.budgets] == [
        ("p1", 7, 0, 1, 1, -1),
        ("p2", 1, 0, 0, 0, 0),
    ]


def test_the_report_speaks_of_the_selected_records_only() -> None:
    entries = a_mixed_ledger().entries
    assert make_report(entries, plan="p2").overall == Rate(1, 1)
    assert make_report(entries, product="other").overall == Rate(0, 0)
    new_year = datetime(2027, 1, 1, tzinfo=UTC)
    assert make_report(entries, since=new_year).overall == Rate(1, 1)
    before = make_report(entries, until=new_year)
    assert (before.overall, [budget.plan for budget in before.budgets]) == (Rate(3, 5), ["p1"])


def test_the_headline_says_counts_interval_and_target_in_words() -> None:
    plan = make_plan("p1", [f"h{n}" for n in range(16)])
    book = Book().planned(plan).upgraded(plan, *(f"h{n}" for n in range(12)))
    book.failed(plan, "h12", "h13", "h14")
    report = make_report(book.entries)
    assert headline(report) == ("12 of 15 upgrades succeeded: 80.0 % (95 % interval 54.8-93.0 %), target 98 %: missed")
    assert (
        beside(report)
        == "16 hosts in 1 plan: 16 planned, 12 of them succeeded (75.0 %); 1 pending, 0 unknown, 0 not attempted"
    )
    assert headline(make_report([])) == "No upgrade was attempted: target 98 %: no data"


def test_the_target_is_undecided_while_unknown_hosts_can_still_reach_it() -> None:
    plan = make_plan("p1", ["a", "b"])
    book = Book().planned(plan).upgraded(plan, "a").write(plan, started("b"))
    assert make_report(book.entries).target == "undecided"
    assert headline(make_report(book.entries)).endswith("target 98 %: undecided, 1 still unknown")
    assert make_report(book.write(plan, ended("b", Outcome.FAILED)).entries).target == "missed"


def test_the_json_form_carries_every_numerator_and_denominator() -> None:
    document = json.loads(json.dumps(as_json(make_report(a_mixed_ledger().entries))))
    assert document["overall"] == {
        "succeeded": 4,
        "attempted": 6,
        "percent": 66.6,
        "interval_percent": [29.9, 90.4],
        "meets_target": False,
    }
    assert document["planned"] == {"succeeded": 4, "planned": 8, "percent": 50.0}
    assert (document["target"], document["target_percent"], document["pending"]) == ("missed", 98, 1)
    assert document["failures"] == [
        {"outcomes": {"rolled_back": 1}, "cause": "disk full", "count": 1, "hosts": [{"plan": "p1", "host": "h2"}]}
    ]
    assert document["not_attempted"][0]["outcome"] == "deferred"
    assert document["budgets"][0]["left"] == -1
    assert [host["outcome"] for host in document["hosts"]][-2:] == [None, "succeeded"]
    for part in ("by_release", "by_customer", "by_wave", "by_kind", "by_period"):
        assert sum(row["attempted"] for row in document[part]) == 6
