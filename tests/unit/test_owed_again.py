"""What is owed after a first word: each new truth once, nothing that cannot be kept, and an end that is an end."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from adapters.announced_plan import ADA, FIRST, GRACE, PLAN, SECOND, WANG, announced, case, sent
from liftlock import ledger as record
from liftlock.case import Case
from liftlock.ledger import Fact
from liftlock.model import Action, NoticeKind, NoticeState, Outcome
from liftlock.owed import Debt, owed, too_late
from unit.test_owed import GOES_ON, HARBOUR_DONE, ended, judged, kinds, started

K = NoticeKind
HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)
NOW = PLAN.created_at + HOUR
WENT_BACK = ended("harbour-1", Outcome.ROLLED_BACK, "1.4.2")
RULE = record.Halted(reason="budget: 1 of 3 planned hosts failed, 98 % allows 0")


def debts(of: Case, customer: str = "harbour", now: datetime = NOW) -> list[tuple[NoticeKind, int]]:
    return [(debt.kind, debt.number) for debt in owed(of, now, DAY) if debt.customer == customer]


def debt(of: Case, kind: NoticeKind, customer: str = "harbour", now: datetime = NOW) -> Debt:
    (found,) = [one for one in owed(of, now, DAY) if (one.kind, one.customer) == (kind, customer)]
    return found


def told(kind: NoticeKind, number: int = 0, calls_off: str = "") -> list[Fact]:
    return sent(kind, "harbour", ADA, GRACE, number=number, calls_off=calls_off)


def back(host: str) -> list[Fact]:
    """An operator has it back after all."""
    return [
        record.Recalled(host=host, reason="asked"),
        replace(started(host, 2), action=Action.ROLL_BACK),
        record.Ended(host=host, attempt=2, outcome=Outcome.ROLLED_BACK, version="1.5.0"),
    ]


@pytest.mark.parametrize(
    "second",
    [
        pytest.param(ended("harbour-2", Outcome.ROLLED_BACK, "1.5.0"), id="went back, too"),
        pytest.param(ended("harbour-2", Outcome.FAILED, None), id="needs a person"),
        pytest.param(ended("harbour-2", Outcome.UNREACHABLE, None), id="is lost"),
    ],
)
def test_a_second_host_that_goes_wrong_is_told_once_more_and_only_once(second: list[Fact]) -> None:
    facts = [*announced(), *WENT_BACK]
    assert debts(case(GOES_ON, *facts)) == [(K.ROLLED_BACK, 0)]
    facts += told(K.ROLLED_BACK)
    assert debts(case(GOES_ON, *facts)) == [(K.ROLLED_BACK, 0)], "known; owed to nobody else"
    facts += second
    assert debts(case(GOES_ON, *facts)) == [(K.ROLLED_BACK, 1)]
    facts += told(K.ROLLED_BACK, 1)
    assert debts(case(GOES_ON, *facts)) == [(K.ROLLED_BACK, 1)]


def test_a_host_that_is_taken_back_after_all_was_said_to_be_done_is_told() -> None:
    facts = [*announced(), *WENT_BACK, *told(K.ROLLED_BACK), *ended("harbour-2", Outcome.SUCCEEDED)]
    assert debts(case(GOES_ON, *facts)) == [(K.ROLLED_BACK, 0), (K.COMPLETED, 0)]
    facts += [*told(K.COMPLETED), *back("harbour-2")]
    assert debts(case(GOES_ON, *facts)) == [(K.ROLLED_BACK, 1)]
    facts += told(K.ROLLED_BACK, 1)
    assert debts(case(GOES_ON, *facts)) == [(K.ROLLED_BACK, 1)], "nobody is told that it is done once more"


def test_a_host_that_nobody_could_reach_and_that_is_well_in_the_end_is_told_so() -> None:
    lost = [*ended("harbour-1", Outcome.UNREACHABLE, None), *ended("harbour-2", Outcome.SUCCEEDED)]
    facts = [*announced(), *lost, *told(K.ROLLED_BACK)]
    still = [record.Opened(session="t", controller="x"), *ended("harbour-1", Outcome.UNREACHABLE, None)[1:]]
    assert debts(case(GOES_ON, *facts, *still)) == [(K.ROLLED_BACK, 0)], "it is still the same"
    well = [record.Opened(session="t", controller="x"), *ended("harbour-1", Outcome.SUCCEEDED)[1:]]
    assert debts(case(GOES_ON, *facts, *well)) == [(K.COMPLETED, 0)]
    wrong = [*ended("harbour-1", Outcome.FAILED, None), *ended("harbour-2", Outcome.SUCCEEDED)]
    person = [*announced(), *wrong, *told(K.ROLLED_BACK), *back("harbour-1")]
    assert debts(case(GOES_ON, *person)) == [(K.ROLLED_BACK, 1)], "it runs the version before again"


def test_what_ended_while_letters_were_being_written_is_told_by_the_next_letter() -> None:
    facts = [*announced(), *WENT_BACK]
    written = len(facts) + 1  # the plan's own entry comes first
    letter = sent(K.ROLLED_BACK, "harbour", ADA, GRACE, as_of=written)
    meanwhile = ended("harbour-2", Outcome.ROLLED_BACK, "1.5.0")
    assert debts(case(GOES_ON, *facts, *meanwhile, *letter)) == [(K.ROLLED_BACK, 1)]
    whole = sent(K.ROLLED_BACK, "harbour", ADA, GRACE, as_of=written + len(meanwhile))
    assert debts(case(GOES_ON, *facts, *meanwhile, *whole)) == [(K.ROLLED_BACK, 0)]


def test_a_letter_that_did_not_get_through_tells_all_when_it_does_and_no_second_one_follows() -> None:
    failed = sent(K.ROLLED_BACK, "harbour", ADA, GRACE, state=NoticeState.FAILED)
    facts = [*announced(), *WENT_BACK, *failed, *ended("harbour-2", Outcome.ROLLED_BACK, "1.5.0")]
    assert debts(case(GOES_ON, *facts)) == [(K.ROLLED_BACK, 0)]
    assert debts(case(GOES_ON, *facts, *told(K.ROLLED_BACK))) == [(K.ROLLED_BACK, 0)]
    asking = [*announced(), judged("harbour-1"), *sent(K.ACTION_NEEDED, "harbour", ADA, state=NoticeState.FAILED)]
    asking += [judged("harbour-2"), *sent(K.ACTION_NEEDED, "harbour", ADA, GRACE)]
    assert debts(case(PLAN, *asking))[1:] == [(K.ACTION_NEEDED, 0)]


@pytest.mark.parametrize(
    ("host", "now", "late"),
    [
        pytest.param("lake-1", FIRST.end - WEEK - HOUR, False, id="the last moment"),
        pytest.param("lake-1", FIRST.end - WEEK - HOUR + timedelta(seconds=1), True, id="a second later"),
        pytest.param("lake-1", FIRST.end + WEEK, True, id="long past"),
        pytest.param("harbour-1", SECOND.end - WEEK - HOUR, True, id="for one of two windows"),
    ],
)
def test_a_notice_that_cannot_be_given_in_time_is_not_given(host: str, now: datetime, late: bool) -> None:
    plan = replace(PLAN, hosts=tuple(replace(one, needed=HOUR) for one in PLAN.hosts))
    customer = host.partition("-")[0]
    assert (customer in too_late(case(plan), now)) is late
    assert kinds(case(plan), customer, now) == ([] if late else [K.ANNOUNCED])


def test_without_a_lead_time_a_notice_is_given_as_long_as_the_host_may_start() -> None:
    waived = record.Waived(rule="notice", reason="a hole", by="me")
    for now, late in ((FIRST.end, []), (FIRST.end + HOUR, ["lake"])):
        of = case(PLAN, waived, *ended("harbour-1", Outcome.SUCCEEDED))
        assert too_late(of, now) == late
        assert (K.ANNOUNCED in kinds(of, "lake", now)) is not bool(late)


def test_others_at_a_customer_that_was_told_in_time_are_told_as_long_as_a_host_may_start() -> None:
    first = case(PLAN, *sent(K.ANNOUNCED, "harbour", ADA))
    for now, still in ((SECOND.end, True), (SECOND.end + HOUR, False)):
        assert (K.ANNOUNCED in kinds(first, "harbour", now)) is still
        assert "harbour" not in too_late(first, now)


@pytest.mark.parametrize(
    "end",
    [
        pytest.param([*ended("lake-1", Outcome.ROLLED_BACK, "1.5.0"), RULE], id="a rule"),
        pytest.param([record.Aborted(reason="x", by="me")], id="an operator"),
    ],
)
def test_when_a_plan_is_dead_nothing_is_promised_and_the_very_people_who_were_told_hear_that_it_is_off(
    end: list[Fact],
) -> None:
    for now in (NOW, FIRST.start - HOUR):
        assert kinds(case(PLAN, *end), "harbour", now) == [], "they never knew"
        off = debt(case(PLAN, *announced(), *end), K.CANCELLED, now=now)
        assert (off.recipients, off.off) == ((ADA, GRACE), ("harbour-1", "harbour-2"))
        assert debts(case(PLAN, *announced(), *end), now=now) == [(K.CANCELLED, 0)]
        told_so = [*announced(), *end, *told(K.CANCELLED, calls_off="harbour")]
        assert debts(case(PLAN, *told_so), now=now) == [(K.CANCELLED, 0)]
    through = [*announced(), *HARBOUR_DONE, *end]
    assert kinds(case(PLAN, *through), "harbour") == [K.COMPLETED], "nothing is left to be off"
    in_hand = [*announced(), *ended("harbour-1", Outcome.SUCCEEDED)[:1], *end]
    assert kinds(case(PLAN, *in_hand), "harbour") == [], "not before its host is through"
    assert too_late(case(PLAN, *end), SECOND.end + WEEK) == []


def test_a_rollout_that_may_still_go_on_promises_nothing_and_calls_nothing_off_until_the_windows_are_over() -> None:
    standstill = record.Halted(reason="progress: hosts were worked on for 1 h, and none became healthy")
    lost = [*ended("lake-1", Outcome.UNREACHABLE, None), RULE]
    for halt in ([standstill], lost):
        facts = [*announced(), *halt]
        assert kinds(case(PLAN, *facts), "harbour", FIRST.start - HOUR) == []
        assert kinds(case(PLAN, *facts), "harbour", SECOND.end + HOUR) == [K.CANCELLED]
        taken_up = [*facts, record.Opened(session="t", controller="x")]
        assert K.REMINDER in kinds(case(PLAN, *taken_up), "harbour", FIRST.start - HOUR)


def test_when_all_windows_were_missed_it_is_off_and_not_before() -> None:
    facts = announced()
    for now, wanted in ((SECOND.end, K.ANNOUNCED), (SECOND.end + timedelta(seconds=1), K.CANCELLED)):
        assert kinds(case(PLAN, *facts), "harbour", now) == [wanted]
    half = [*facts, *ended("harbour-2", Outcome.SUCCEEDED)]
    off = debt(case(PLAN, *half), K.CANCELLED, now=FIRST.end + HOUR)
    assert off.off == ("harbour-1",)
    anytime = [*facts, record.Waived(rule="window", reason="a hole", by="me")]
    assert K.CANCELLED not in kinds(case(PLAN, *anytime), "harbour", SECOND.end + WEEK)


def test_what_went_back_and_what_is_off_is_one_letter_unless_the_first_is_known_already() -> None:
    facts = [*announced(), *WENT_BACK]
    whole = debt(case(PLAN, *facts, RULE), K.ROLLED_BACK)
    assert debts(case(PLAN, *facts, RULE)) == [(K.ROLLED_BACK, 0)]
    assert (whole.off, whole.off_since is not None) == (("harbour-2",), True)
    told_both = [*facts, RULE, *told(K.ROLLED_BACK, calls_off="harbour")]
    assert debts(case(PLAN, *told_both)) == [(K.ROLLED_BACK, 0)]

    going = debt(case(GOES_ON, *facts), K.ROLLED_BACK)
    assert (going.coming, going.off) == (("harbour-2",), ())
    later = [*facts, *told(K.ROLLED_BACK), record.Aborted(reason="x", by="me")]
    assert debts(case(GOES_ON, *later)) == [(K.ROLLED_BACK, 0), (K.CANCELLED, 0)]
    assert debt(case(GOES_ON, *later), K.ROLLED_BACK).off == (), "who gets it late reads what the others read"
    assert debt(case(GOES_ON, *later), K.CANCELLED).off == ("harbour-2",)


def test_while_a_plan_is_over_no_letter_says_that_the_others_go_on() -> None:
    standstill = record.Halted(reason="progress: hosts were worked on for 1 h, and none became healthy")
    for facts, coming in (([], ("harbour-2",)), ([standstill], ())):
        went_back = debt(case(GOES_ON, *announced(), *WENT_BACK, *facts), K.ROLLED_BACK)
        assert (went_back.coming, went_back.off) == (coming, ())


def test_what_a_customer_was_told_is_off_is_not_promised_again() -> None:
    off = [*announced(), *told(K.CANCELLED, calls_off="harbour")]
    assert kinds(case(PLAN, *off), "harbour", FIRST.start - HOUR) == [K.CANCELLED]
    assert K.REMINDER in kinds(case(PLAN, *off), "lake", FIRST.start - HOUR)
    assert WANG in debt(case(PLAN, *off), K.ANNOUNCED, "lake").recipients
