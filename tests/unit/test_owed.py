"""What customers are owed by now: each kind from its own facts, to the right people, and no other."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from adapters.announced_plan import ADA, FIRST, GRACE, PLAN, SECOND, WANG, announced, before, case, sent
from liftlock import ledger as record
from liftlock.case import Case
from liftlock.ledger import Fact
from liftlock.model import (
    Action,
    Consent,
    Contact,
    NoticeKind,
    NoticeState,
    Occasion,
    Outcome,
    Plan,
    PlannedCustomer,
    Policy,
    Verdict,
    Window,
)
from liftlock.owed import Ask, What, addressed, digests, owed

DAY, WEEK = timedelta(days=1), timedelta(days=7)
NOW = PLAN.created_at + timedelta(hours=1)
MANAGER = Contact("mei@quayside.example", "mei@quayside.example")
K = NoticeKind


ANNOUNCED = announced()
GOES_ON = replace(PLAN, policy=Policy(max_failures=3))
"""Hosts may fail, and it goes on with the others."""


def started(host: str, attempt: int = 1) -> Fact:
    there, back = "1.5.0", "1.6.0"
    return record.Started(
        host=host, attempt=attempt, action=Action.UPGRADE, from_version=there, to_version=back, session="s"
    )


def ended(host: str, outcome: Outcome, version: str | None = "1.6.0") -> list[Fact]:
    return [started(host), record.Ended(host=host, attempt=1, outcome=outcome, version=version)]


def judged(host: str, verdict: Verdict = Verdict.FAILED, occasion: Occasion = Occasion.BEFORE) -> Fact:
    return record.Judged(host=host, verdict=verdict, reason="backup: 9 days old", tests=1, occasion=occasion)


def kinds(of: Case, customer: str, now: object = NOW, remind_before: timedelta = DAY) -> list[NoticeKind]:
    return [debt.kind for debt in owed(of, now, remind_before) if debt.customer == customer]  # type: ignore[arg-type]


HARBOUR_DONE = [*ended("harbour-1", Outcome.SUCCEEDED), *ended("harbour-2", Outcome.SUCCEEDED)]


@pytest.mark.parametrize(
    ("facts", "harbour", "lake"),
    [
        pytest.param([], [K.ANNOUNCED], [K.ANNOUNCED], id="a plan is announced"),
        pytest.param(ANNOUNCED, [K.ANNOUNCED], [K.ANNOUNCED], id="and stays so while it is ahead"),
        pytest.param([started("harbour-1")], [], [K.ANNOUNCED], id="in hand, the first host may still refuse"),
        pytest.param(
            [*ended("harbour-1", Outcome.REFUSED, "1.4.2"), *ended("harbour-2", Outcome.REFUSED, "1.5.0")],
            [],
            [K.ANNOUNCED],
            id="hosts that refuse are untouched",
        ),
        pytest.param(
            [*ended("harbour-1", Outcome.UNKNOWN, None), record.Voided(host="harbour-1", attempt=1, cause="lost")],
            [K.ANNOUNCED],
            [K.ANNOUNCED],
            id="lost, and found as it had been",
        ),
        pytest.param(
            [started("harbour-1"), record.Switched(host="harbour-1", attempt=1, version="1.6.0")],
            [K.STARTED],
            [K.ANNOUNCED],
            id="the customer's first host has switched",
        ),
        pytest.param(
            [started("harbour-1"), record.Voided(host="harbour-1", attempt=1, cause="lost")],
            [K.ANNOUNCED],
            [K.ANNOUNCED],
            id="nothing was begun after all",
        ),
        pytest.param(ended("harbour-1", Outcome.SUCCEEDED), [K.STARTED], [K.ANNOUNCED], id="one of two is not all"),
        pytest.param(
            [
                started("harbour-1"),
                record.Switched(host="harbour-1", attempt=1, version="1.6.0"),
                *ended("harbour-2", Outcome.SUCCEEDED),
            ],
            [K.STARTED],
            [K.ANNOUNCED],
            id="switched is not proven",
        ),
        pytest.param(HARBOUR_DONE, [K.COMPLETED], [K.ANNOUNCED], id="every host is proven"),
        pytest.param(
            [*ended("harbour-1", Outcome.ALREADY_CURRENT), *ended("harbour-2", Outcome.SUCCEEDED)],
            [K.COMPLETED],
            [K.ANNOUNCED],
            id="one ran it already",
        ),
        pytest.param(
            [*ended("harbour-1", Outcome.ROLLED_BACK, "1.4.2"), started("harbour-2")],
            [K.STARTED],
            [K.ANNOUNCED],
            id="went back, while another is in work",
        ),
        pytest.param(
            [*ended("harbour-1", Outcome.ROLLED_BACK, "1.4.2"), *ended("harbour-2", Outcome.SUCCEEDED)],
            [K.ROLLED_BACK],
            [K.ANNOUNCED],
            id="went back",
        ),
        pytest.param(ended("harbour-1", Outcome.FAILED), [K.ROLLED_BACK], [K.ANNOUNCED], id="needs a person"),
        pytest.param(
            [
                *HARBOUR_DONE,
                record.Recalled(host="harbour-1", reason="asked"),
                *ended("harbour-1", Outcome.ROLLED_BACK),
            ],
            [K.ROLLED_BACK],
            [K.ANNOUNCED],
            id="was fine and was taken back",
        ),
        pytest.param([record.Aborted(reason="x", by="me")], [], [], id="ended before anybody knew"),
        pytest.param([*ANNOUNCED, record.Aborted(reason="x", by="me")], [K.CANCELLED], [K.CANCELLED], id="ended"),
        pytest.param(
            [*ANNOUNCED, *HARBOUR_DONE, record.Aborted(reason="x", by="me")],
            [K.COMPLETED],
            [K.CANCELLED],
            id="ended, where nothing is left to cancel",
        ),
        pytest.param(
            [*ANNOUNCED, *ended("harbour-1", Outcome.ROLLED_BACK), record.Aborted(reason="x", by="me")],
            [K.ROLLED_BACK],
            [K.CANCELLED],
            id="ended in the middle: one letter tells what went back and what is off",
        ),
        pytest.param(
            [*ANNOUNCED, started("harbour-1"), record.Aborted(reason="x", by="me")],
            [],
            [K.CANCELLED],
            id="ended with a host in hand",
        ),
        pytest.param(
            [
                *ANNOUNCED,
                started("harbour-1"),
                record.Switched(host="harbour-1", attempt=1, version="1.6.0"),
                record.Aborted(reason="x", by="me"),
            ],
            [],
            [K.CANCELLED],
            id="ended with a host in the bake",
        ),
        pytest.param(
            [*ANNOUNCED, *ended("harbour-1", Outcome.SUCCEEDED), record.Aborted(reason="x", by="me")],
            [K.CANCELLED],
            [K.CANCELLED],
            id="ended with a host through",
        ),
        pytest.param(
            [*ANNOUNCED, judged("harbour-1")], [K.ANNOUNCED, K.ACTION_NEEDED], [K.ANNOUNCED], id="a gate failed"
        ),
        pytest.param([judged("harbour-1")], [K.ANNOUNCED], [K.ANNOUNCED], id="a gate failed before anybody knew"),
        pytest.param(
            [*ANNOUNCED, judged("harbour-1", Verdict.ERROR)], [K.ANNOUNCED], [K.ANNOUNCED], id="a gate broke: our own"
        ),
        pytest.param(
            [*ANNOUNCED, judged("harbour-1"), judged("harbour-1", Verdict.PASSED)],
            [K.ANNOUNCED],
            [K.ANNOUNCED],
            id="a gate passed in the end",
        ),
        pytest.param(
            [*ANNOUNCED, *HARBOUR_DONE, judged("harbour-1", occasion=Occasion.AFTER)],
            [K.COMPLETED],
            [K.ANNOUNCED],
            id="a gate after the work",
        ),
        pytest.param(
            [*ANNOUNCED, record.LeftOut(host="harbour-1", outcome=Outcome.UNREACHABLE_BEFORE, reason="timed out")],
            [K.ANNOUNCED, K.ACTION_NEEDED],
            [K.ANNOUNCED],
            id="could not be reached",
        ),
    ],
)
def test_each_kind_is_owed_by_its_own_facts(
    facts: list[Fact], harbour: list[NoticeKind], lake: list[NoticeKind]
) -> None:
    of = case(GOES_ON, *facts)
    assert (kinds(of, "harbour"), kinds(of, "lake")) == (harbour, lake)


def test_every_contact_is_told_and_a_cancellation_goes_to_those_who_were() -> None:
    first = owed(case(PLAN), NOW, DAY)
    assert {debt.customer: debt.recipients for debt in first} == {"lake": (WANG,), "harbour": (ADA, GRACE)}
    gone = Contact("old@harbour.example", "old@harbour.example")
    refused = sent(K.ANNOUNCED, "harbour", GRACE, state=NoticeState.REFUSED)
    doubtful = sent(K.ANNOUNCED, "harbour", ADA, state=NoticeState.SENDING)
    facts = [*doubtful, *refused, *sent(K.ANNOUNCED, "harbour", gone), record.Aborted(reason="x", by="me")]
    (cancelled,) = owed(case(PLAN, *facts), NOW, DAY)
    assert (cancelled.kind, cancelled.recipients) == (K.CANCELLED, (ADA, gone))


def test_a_reminder_comes_some_time_before_the_first_window_to_those_who_knew_before_that() -> None:
    of, due = case(PLAN, *ANNOUNCED), FIRST.start - DAY
    second = timedelta(seconds=1)
    for now, wanted in ((due - second, False), (due, True), (FIRST.start - second, True), (FIRST.start, False)):
        assert (K.REMINDER in kinds(of, "lake", now)) is wanted
    late = FIRST.start - PLAN.created_at - timedelta(seconds=30)
    assert K.REMINDER not in kinds(of, "lake", FIRST.start - second, late), "announced later than that"
    assert K.REMINDER not in kinds(case(PLAN, *ANNOUNCED, started("lake-1")), "lake", due)
    assert K.REMINDER not in kinds(case(PLAN), "lake", due), "never announced"


def test_a_yes_that_is_missing_and_a_host_on_hold_are_asked_for_with_the_reminder() -> None:
    harbour = PlannedCustomer("harbour", NOW, FIRST.start, FIRST.end, consent=Consent.EXPLICIT)
    plan = replace(PLAN, customers=(harbour,))
    of, due = case(plan, *ANNOUNCED, held={"harbour-9": "harbour"}), FIRST.start - DAY
    assert K.ACTION_NEEDED not in kinds(of, "harbour")
    (needed,) = [debt for debt in owed(of, due, DAY) if debt.kind is K.ACTION_NEEDED]
    assert needed.asks == (Ask(What.CONSENT), Ask(What.HELD, "harbour-9"))
    agreed = case(plan, *ANNOUNCED, record.Consented(customer="harbour", by="Ada"))
    assert K.ACTION_NEEDED not in kinds(agreed, "harbour", due)


def moved(plan: Plan = PLAN) -> Plan:
    hosts = (replace(h, window=Window(h.window.start + WEEK, h.window.end + WEEK)) for h in plan.hosts)
    return replace(plan, id="9" * 64, hosts=tuple(hosts), created_at=plan.created_at + DAY, replaces=plan.id)


def test_a_plan_in_place_of_another_is_news_of_a_change_to_those_who_knew_the_first() -> None:
    old = case(PLAN, *sent(K.ANNOUNCED, "harbour", ADA))
    new = case(moved(), before=before(old))
    assert (kinds(new, "harbour"), kinds(new, "lake")) == ([K.RESCHEDULED], [K.ANNOUNCED])
    cancelled = case(PLAN, *sent(K.ANNOUNCED, "harbour", ADA), *sent(K.CANCELLED, "harbour", ADA))
    assert kinds(case(moved(), before=before(cancelled)), "harbour") == [K.ANNOUNCED]


def test_a_plan_that_another_stands_in_for_is_off_only_for_those_whom_the_other_leaves_out() -> None:
    new = moved()
    without_lake = replace(new, hosts=tuple(host for host in new.hosts if host.customer != "lake"))
    due = FIRST.start - DAY
    silent = case(PLAN, *ANNOUNCED, heirs=dict.fromkeys(("harbour-1", "harbour-2", "lake-1"), new))
    assert (kinds(silent, "harbour", due), kinds(silent, "lake", due)) == ([], [])
    old = case(PLAN, *ANNOUNCED, heirs=dict.fromkeys(("harbour-1", "harbour-2", "lake-1"), without_lake))
    assert (kinds(old, "harbour", due), kinds(old, "lake", due)) == ([], [K.CANCELLED])


def test_a_plan_that_lost_some_hosts_to_a_later_one_speaks_of_the_others_alone() -> None:
    of = case(PLAN, *ANNOUNCED, heirs={"harbour-1": moved()})
    assert K.REMINDER not in kinds(of, "harbour", SECOND.start - DAY - timedelta(seconds=1)), "its window is the second"
    due = owed(of, SECOND.start - DAY, DAY)
    assert [debt.coming for debt in due if (debt.kind, debt.customer) == (K.REMINDER, "harbour")] == [("harbour-2",)]


def test_hosts_that_succeed_after_all_are_told_when_the_others_went_back() -> None:
    went_back = ended("harbour-1", Outcome.ROLLED_BACK, "1.4.2")
    told = sent(K.ROLLED_BACK, "harbour", ADA, GRACE)
    assert kinds(case(PLAN, *went_back, *told), "harbour") == [K.ROLLED_BACK]
    later = case(PLAN, *went_back, *told, *ended("harbour-2", Outcome.SUCCEEDED))
    assert kinds(later, "harbour") == [K.ROLLED_BACK, K.COMPLETED]


def test_release_managers_get_an_incident_for_a_halt_and_none_for_an_operators_end() -> None:
    halted = [*ended("lake-1", Outcome.ROLLED_BACK, "1.5.0"), record.Halted(reason="budget: 1 of 3")]
    of = case(PLAN, *halted, managers=(MANAGER,))
    assert [(debt.kind, debt.recipients) for debt in owed(of, NOW, DAY) if not debt.customer] == [
        (K.INCIDENT, (MANAGER,))
    ]
    assert "budget" in of.incidents[0].reason
    ended_by_us = [record.Aborted(reason="x", by="me"), record.Halted(reason="aborted: x")]
    assert owed(case(PLAN, *ended_by_us, managers=(MANAGER,)), NOW, DAY) == []
    assert kinds(case(PLAN, *halted), "") == [], "nobody is named"


def test_a_digest_tells_of_each_batch_once_and_not_of_digests() -> None:
    assert digests(case(PLAN, managers=(MANAGER,))) == []
    first = case(PLAN, *ANNOUNCED, managers=(MANAGER,))
    (one,) = digests(first)
    assert [letter.recipient for letter in one.letters] == [WANG.email, ADA.email, GRACE.email]
    message = next(iter(addressed(first, [one], "x.example")))
    kept = record.Queued(message_id=message, customer="", kind=K.DIGEST, recipient=MANAGER.email)
    done = record.Delivered(
        message_id=message, customer="", kind=K.DIGEST, recipient=MANAGER.email, state=NoticeState.SENT
    )
    reminded = sent(K.REMINDER, "lake", WANG, state=NoticeState.REFUSED)
    one, two = digests(case(PLAN, *ANNOUNCED, kept, done, *reminded, managers=(MANAGER,)))
    assert (one.number, two.number) == (1, 2)
    assert [(letter.kind, letter.state) for letter in two.letters] == [(K.REMINDER, NoticeState.REFUSED)]
    assert digests(case(PLAN, *ANNOUNCED)) == []


def digest(number: int, *states: NoticeState) -> list[Fact]:
    return [fact for state in states for fact in sent(K.DIGEST, "", MANAGER, state=state, number=number)]


def test_a_digest_that_could_not_be_sent_grows_instead_of_a_second_one_beside_it() -> None:
    down = [*ANNOUNCED, *digest(1, NoticeState.FAILED), *sent(K.REMINDER, "lake", WANG, state=NoticeState.FAILED)]
    (one,) = digests(case(PLAN, *down, managers=(MANAGER,)))
    assert (one.number, len(one.letters)) == (1, 4)
    up = [*down, *digest(1, NoticeState.SENT), *sent(K.REMINDER, "lake", WANG)]
    assert [each.number for each in digests(case(PLAN, *up, managers=(MANAGER,)))] == [1, 2]
    died = [*ANNOUNCED, *digest(1, NoticeState.SENDING), *sent(K.REMINDER, "lake", WANG)]
    assert [each.number for each in digests(case(PLAN, *died, managers=(MANAGER,)))] == [1, 2], "it may have arrived"


def test_a_letter_keeps_the_id_it_has_on_record_when_the_sender_moves() -> None:
    of = case(PLAN, *ANNOUNCED)
    messages = addressed(of, owed(of, NOW, DAY), "moved.example")
    assert set(messages) == {letter.message_id for letter in of.letters.values()}
    assert all(
        message.endswith("@moved.example>") for message in addressed(case(), owed(case(), NOW, DAY), "moved.example")
    )


def test_what_is_owed_does_not_depend_on_who_asked_before() -> None:
    """The entries of a run that died anywhere are a prefix; what is owed after any prefix of sends is the same."""
    for end in range(len(ANNOUNCED) + 1):
        of = case(PLAN, *ANNOUNCED[:end])
        assert {debt.customer: debt.kind for debt in owed(of, NOW, DAY)} == dict.fromkeys(
            ("lake", "harbour"), K.ANNOUNCED
        )


def asked_of_harbour(*facts: Fact) -> tuple[int, list[str]]:
    (debt,) = [one for one in owed(case(PLAN, *ANNOUNCED, *facts), NOW, DAY) if one.kind is K.ACTION_NEEDED]
    return debt.number, [ask.host for ask in debt.asks]


def test_one_action_more_brings_one_letter_more_and_the_same_ones_none() -> None:
    one, two = judged("harbour-1"), judged("harbour-2")
    letter = sent(K.ACTION_NEEDED, "harbour", ADA, GRACE)
    assert asked_of_harbour(one) == (0, ["harbour-1"])
    assert asked_of_harbour(one, *letter) == (0, ["harbour-1"]), "it has been asked for"
    assert asked_of_harbour(one, *letter, judged("harbour-1")) == (0, ["harbour-1"]), "it is still the same"
    assert asked_of_harbour(one, *letter, two) == (1, ["harbour-1", "harbour-2"])
    again = sent(K.ACTION_NEEDED, "harbour", ADA, GRACE, number=1)
    assert asked_of_harbour(one, *letter, two, *again) == (1, ["harbour-1", "harbour-2"])


def test_an_action_is_asked_for_by_the_letter_that_did_not_get_through() -> None:
    one, two = judged("harbour-1"), judged("harbour-2")
    failed = sent(K.ACTION_NEEDED, "harbour", ADA, GRACE, state=NoticeState.FAILED)
    assert asked_of_harbour(one, *failed, two) == (0, ["harbour-1", "harbour-2"])
