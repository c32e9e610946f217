from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.announced_plan import ADA, CATALOGUE, FIRST, FLEET, GRACE, HARBOUR, PLAN, SECOND
from liftlock.errors import InputError
from liftlock.model import Consent, Contact, Plan, PlannedCustomer, ReleaseKind
from liftlock.notice import contacts, customers, explicit, promised_leads, share, unconsented, untold

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def waiting(plan: Plan, sent: dict[str, datetime], now: datetime) -> dict[str, str]:
    leads = promised_leads(plan)
    whys = {name: untold(plan, name, leads[name], sent.get(name), now) for name in ("harbour", "lake")}
    return {name: why for name, why in whys.items() if why}


def test_a_recipient_who_is_listed_twice_is_told_once() -> None:
    twice = replace(HARBOUR, contacts=(ADA, GRACE, Contact("A. Lovelace", "Ada@Harbour.example")))
    assert contacts(twice) == (ADA, GRACE)
    rooms = replace(HARBOUR, contacts=(Contact("Ops", channel="ops"), Contact("Operations", channel="ops")))
    assert [contact.recipient for contact in contacts(rooms)] == ["channel:ops"]


def test_a_customer_that_the_fleet_lacks_is_named() -> None:
    with pytest.raises(InputError, match="lake"):
        customers(PLAN, replace(FLEET, customers={"harbour": HARBOUR}))


def test_where_silence_is_no_consent_somebody_must_agree_to_this_very_plan() -> None:
    lake = PlannedCustomer("lake", NOON, NOON, NOON, consent=Consent.EXPLICIT)
    harbour = PlannedCustomer("harbour", NOON, NOON, NOON)
    asked = explicit(replace(PLAN, customers=(lake, harbour)))
    assert asked == {"lake"}
    assert unconsented(PLAN, "harbour", asked, ()) == ""
    assert unconsented(PLAN, "lake", asked, {"lake"}) == ""
    assert "liftlock consent 3f9c2a71 lake" in unconsented(PLAN, "lake", asked, {"harbour"})


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
    assert "liftlock notify 3f9c2a71" in problems["harbour"]
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
