from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.announced_plan import ADA, CATALOGUE, FIRST, FLEET, GRACE, HARBOUR, LAKE, PLAN, SECOND, WANG
from liftlock.errors import InputError
from liftlock.ledger import Delivered, Entry, Fact, Finished, Queued
from liftlock.model import Contact, Fleet, NoticeKind, NoticeState, Plan, PlannedCustomer, ReleaseKind
from liftlock.notice import Letter, dispatches, message_id, owed, promised_leads, share, unsent, untold

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
ANNOUNCED = NoticeKind.ANNOUNCED


def fleet_with(*contacts: Contact) -> Fleet:
    return replace(FLEET, customers={**FLEET.customers, "harbour": replace(HARBOUR, contacts=contacts)})


def waiting(plan: Plan, sent: dict[str, datetime], now: datetime) -> dict[str, str]:
    leads = promised_leads(plan)
    whys = {name: untold(plan, name, leads[name], sent.get(name), now) for name in ("harbour", "lake")}
    return {name: why for name, why in whys.items() if why}


def record(*facts: tuple[Fact, datetime]) -> list[Entry]:
    return [Entry(seq, at, PLAN.id, fact, "", "") for seq, (fact, at) in enumerate(facts, start=1)]


def queued(identity: str = "<a@x>", recipient: str = "ada@harbour.example") -> Queued:
    return Queued(message_id=identity, customer="harbour", kind=ANNOUNCED, recipient=recipient)


def delivered(state: NoticeState, identity: str = "<a@x>", recipient: str = "ada@harbour.example") -> Delivered:
    return Delivered(message_id=identity, customer="harbour", kind=ANNOUNCED, recipient=recipient, state=state)


def letter(identity: str) -> Letter:
    return Letter(identity, "harbour", ANNOUNCED, ADA, "subject", "text", "<p>html</p>")


def test_a_plan_owes_a_notice_to_every_contact_of_every_customer_with_planned_hosts() -> None:
    assert owed(PLAN, FLEET) == [(LAKE, WANG), (HARBOUR, ADA), (HARBOUR, GRACE)]


def test_a_recipient_who_is_listed_twice_is_told_once() -> None:
    fleet = fleet_with(ADA, GRACE, Contact("A. Lovelace", "Ada@Harbour.example"))
    assert [contact for customer, contact in owed(PLAN, fleet) if customer.name == "harbour"] == [ADA, GRACE]


def test_a_customer_that_the_fleet_lacks_is_named() -> None:
    with pytest.raises(InputError, match="lake"):
        owed(PLAN, replace(FLEET, customers={"harbour": HARBOUR}))


def test_a_share_adds_up_the_hops_and_sorts_hosts_into_their_windows() -> None:
    part = share(PLAN, HARBOUR, FLEET, CATALOGUE)
    far, near = part.hosts
    assert far.versions == ("1.4.2", "1.5.0", "1.6.0")
    assert (far.expected, far.downtime, far.backup) == (timedelta(minutes=25), timedelta(seconds=90), True)
    assert near.expected == timedelta(minutes=15)
    assert [(window, [host.host.name for host in hosts]) for window, hosts in part.windows] == [
        (FIRST, ["harbour-1"]),
        (SECOND, ["harbour-2"]),
    ]
    assert [release.version for release in part.releases] == ["1.5.0", "1.6.0"]


def test_a_share_needs_every_host_and_every_release_on_the_way() -> None:
    with pytest.raises(InputError, match=r"1\.5\.0"):
        share(PLAN, HARBOUR, FLEET, replace(CATALOGUE, releases=CATALOGUE.releases[1:]))
    with pytest.raises(InputError, match="harbour-1"):
        share(PLAN, HARBOUR, replace(FLEET, hosts=()), CATALOGUE)


text = st.text(max_size=20)


@given(text, text, text, text)
def test_a_message_identity_is_stable_and_differs_with_each_part(
    plan: str, customer: str, mail: str, other: str
) -> None:
    identity = message_id(plan, customer, ANNOUNCED, mail, "quayside.example")
    assert identity == message_id(plan, customer, ANNOUNCED, mail, "quayside.example")
    assert identity.isascii()
    assert identity.endswith("@quayside.example>")
    if other != plan:
        assert identity != message_id(other, customer, ANNOUNCED, mail, "quayside.example")
    if other.casefold() != mail.casefold():
        assert identity != message_id(plan, customer, ANNOUNCED, other, "quayside.example")
    if other != customer:
        assert identity != message_id(plan, other, ANNOUNCED, mail, "quayside.example")


def test_queued_without_an_answer_is_ambiguous_and_sent_stays_sent_since_its_first_time() -> None:
    later = NOON + timedelta(hours=1)
    standing = dispatches(
        record(
            (queued("<a@x>"), NOON),
            (delivered(NoticeState.SENT, "<a@x>"), NOON),
            (queued("<a@x>"), later),
            (queued("<b@x>"), NOON),
            (delivered(NoticeState.FAILED, "<c@x>"), NOON),
            (queued("<c@x>"), later),
            (delivered(NoticeState.REFUSED, "<c@x>"), later),
            (Finished(), later),
        )
    )
    assert {identity: (dispatch.state, dispatch.at) for identity, dispatch in standing.items()} == {
        "<a@x>": (NoticeState.SENT, NOON),
        "<b@x>": (NoticeState.AMBIGUOUS, NOON),
        "<c@x>": (NoticeState.REFUSED, later),
    }


def test_only_what_surely_did_not_arrive_is_sent_again() -> None:
    states = {"<1@x>": NoticeState.SENT, "<3@x>": NoticeState.REFUSED, "<4@x>": NoticeState.FAILED}
    facts = [(delivered(state, identity), NOON) for identity, state in states.items()]
    standing = dispatches(record(*facts, (queued("<2@x>"), NOON)))
    to_send, ambiguous = unsent([letter(f"<{number}@x>") for number in range(1, 6)], standing)
    assert [one.message_id for one in to_send] == ["<3@x>", "<4@x>", "<5@x>"]
    assert [one.message_id for one in ambiguous] == ["<2@x>"]


def test_hosts_are_free_exactly_when_the_lead_time_is_over() -> None:
    lead = PLAN.policy.notice_lead[ReleaseKind.UPGRADE]
    sent = {"harbour": NOON, "lake": NOON}
    assert waiting(PLAN, sent, NOON + lead) == {}
    early = waiting(PLAN, sent, NOON + lead - timedelta(microseconds=1))
    assert set(early) == {"harbour", "lake"}
    assert "2026-11-20 12:00 UTC" in early["lake"]
    assert "free from 2026-11-27 12:00 UTC" in early["lake"]
    assert "168 h" in early["lake"]


def test_a_customer_who_was_never_told_stands_in_the_way_and_the_sentence_says_from_when_on_not() -> None:
    problems = waiting(PLAN, {"lake": NOON - timedelta(days=8)}, NOON)
    assert set(problems) == {"harbour"}
    assert "has not been sent the notice of plan 3f9c2a71" in problems["harbour"]
    assert "free from 2026-11-27 12:00 UTC" in problems["harbour"]


def test_a_customer_is_owed_what_the_plan_promised_it() -> None:
    lake = PlannedCustomer("lake", NOON, NOON + timedelta(hours=4), NOON + timedelta(hours=9))
    plan = replace(PLAN, customers=(lake,))
    assert promised_leads(plan) == {"lake": timedelta(hours=4), "harbour": timedelta(hours=168)}
    assert set(waiting(plan, {"harbour": NOON, "lake": NOON}, NOON + timedelta(hours=4))) == {"harbour"}


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=30)))
def test_a_security_release_needs_less_lead_than_an_upgrade(age: timedelta) -> None:
    sent = {"harbour": NOON - age, "lake": NOON - age}
    urgent = waiting(replace(PLAN, kind=ReleaseKind.SECURITY), sent, NOON)
    usual = waiting(PLAN, sent, NOON)
    assert set(urgent) <= set(usual)
    assert bool(urgent) == (age < timedelta(hours=24))
    assert bool(usual) == (age < timedelta(hours=168))
