"""A plan of two products beside everything that reads plans: notices, bounds, records, calendar, differences."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from liftlock import ledger
from liftlock.bounds import bounds_of
from liftlock.difference import difference
from liftlock.errors import InputError
from liftlock.ledger import Entry
from liftlock.lifecycle import seen_in_record
from liftlock.maintenance import make_calendar
from liftlock.model import (
    Artifact,
    Catalogue,
    Exclusion,
    Fleet,
    Health,
    Hop,
    Host,
    Outcome,
    PlannedHost,
    Product,
    Release,
    ReleaseKind,
)
from liftlock.notice import share
from liftlock.plan_document import to_document
from liftlock.progress import Progress
from liftlock.records import read_records, track_record
from liftlock.report import make_report
from world import CUSTOMER, START, WINDOW, ended, plan_of, started

HOP = Hop("5.1.0", "5.2.1", "wanted release")
BASE = PlannedHost("w1h0/acme-db", "acme", 1, "5.1.0", (HOP,), WINDOW, redundancy="pair", product="acme-db")
APPS = tuple(replace(host, wave=2, rank=1, redundancy="pair") for host in plan_of((2,)).hosts)
LEFT = Exclusion("w1h1/acme-db", "acme", Outcome.ALREADY_CURRENT, "has 5.2.1")
PLAN = replace(plan_of((2,)), hosts=(BASE, *APPS), exclusions=(LEFT,), also={"acme-db": "5.2.1"})
FLEET = Fleet("test", {"acme": CUSTOMER}, tuple(Host(name, "acme", "::1") for name in ("w1h0", "w1h1")))


def catalogue(product: str, version: str, title: str) -> Catalogue:
    offered = Release(product, version, ReleaseKind.UPGRADE, Artifact("x.tar", "0" * 64, 1))
    return Catalogue(Product(product, {"en": title}, Health(command="true")), (offered,))


APP, DB = catalogue("boathouse", "1.5.0", "Boathouse"), catalogue("acme-db", "5.2.1", "Acme Database")


def entries(*facts: ledger.Fact) -> list[Entry]:
    planned = ledger.Planned(document=to_document(PLAN))
    return [Entry(seq, START, PLAN.id, fact, "", "") for seq, fact in enumerate((planned, *facts), start=1)]


def test_a_customer_is_told_which_product_goes_where() -> None:
    part = share(PLAN, CUSTOMER, FLEET, DB, APP)
    assert part.goals == ("Boathouse 1.5.0", "Acme Database 5.2.1")
    assert list(map(part.label, part.hosts)) == ["w1h0 (Acme Database)", "w1h0 (Boathouse)", "w1h1 (Boathouse)"]
    assert list(map(part.named, part.releases)) == ["Boathouse 1.5.0", "Acme Database 5.2.1"]
    assert part.machines == ("w1h0", "w1h1")
    with pytest.raises(InputError, match=r"passes acme-db 5\.2\.1, which has no manifest"):
        share(PLAN, CUSTOMER, FLEET, APP)
    alone = share(replace(PLAN, hosts=APPS, also={}), CUSTOMER, FLEET, APP)
    assert (alone.label(alone.hosts[0]), alone.named(alone.releases[0])) == ("w1h0", "1.5.0")


def test_a_redundancy_group_is_of_machines_however_many_products_they_run() -> None:
    assert set(bounds_of(PLAN).limits.values()) == {1}


def test_each_host_counts_for_its_own_product_and_version() -> None:
    facts = (started("w1h0/acme-db"), ended("w1h0/acme-db", Outcome.SUCCEEDED), started("w1h1"))
    records = {record.host: record for record in read_records(entries(*facts)).hosts}
    assert {(one.host, one.machine, one.product, one.version) for one in records.values()} == {
        ("w1h0/acme-db", "w1h0", "acme-db", "5.2.1"),
        ("w1h1/acme-db", "w1h1", "acme-db", "5.2.1"),
        ("w1h0", "w1h0", "boathouse", "1.5.0"),
        ("w1h1", "w1h1", "boathouse", "1.5.0"),
    }
    assert track_record(records.values(), "acme-db") == (1, 0)
    assert track_record(records.values(), "acme-db", "boathouse") == (1, 0)
    report = make_report(entries(*facts))
    assert [(part.name, part.rate.attempted) for part in report.by_release] == [
        ("acme-db 5.2.1", 1),
        ("boathouse 1.5.0", 1),
    ]


def test_what_was_seen_of_a_product_is_known_of_its_machine() -> None:
    seen = seen_in_record(read_records(entries()))
    assert {place: version for place, (version, _) in seen.items()} == {
        ("test", "acme-db", "w1h0"): "5.1.0",
        ("test", "acme-db", "w1h1"): "5.2.1",
        ("test", "boathouse", "w1h0"): "1.4.0",
        ("test", "boathouse", "w1h1"): "1.4.0",
    }


def test_the_calendar_books_each_product_and_a_later_plan_of_one_takes_over_its_hosts() -> None:
    booked = make_calendar([(PLAN, Progress.of(PLAN))], {}, START, 1).bookings
    assert {(one.product, one.version, one.hosts) for one in booked} == {
        ("boathouse", "1.5.0", ("w1h0", "w1h1")),
        ("acme-db", "5.2.1", ("w1h0",)),
    }
    only = replace(BASE, name="w1h0", product="", window=WINDOW)
    later = replace(PLAN, id="q" * 64, product="acme-db", version="5.2.1", hosts=(only,), exclusions=(), also={})
    later = replace(later, created_at=START + timedelta(hours=1))
    both = make_calendar([(PLAN, Progress.of(PLAN)), (later, Progress.of(later))], {}, START, 1)
    assert {(one.plan[0], one.product) for one in both.bookings} == {("p", "boathouse"), ("q", "acme-db")}
    assert [collision.host for collision in both.collisions] == ["w1h0"]


def test_a_difference_names_all_that_a_plan_brings() -> None:
    without = replace(PLAN, hosts=APPS, exclusions=(), also={})
    first = difference(without, PLAN)[0]
    assert first.words == ("release: boathouse 1.5.0, acme-db 5.2.1 (upgrade) (before: boathouse 1.5.0 (upgrade))")
