from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from liftlock.lifecycle import Installed, Lifecycle, Source, Support, Unknown, known_version, review, seen_in_record
from liftlock.model import (
    Artifact,
    Catalogue,
    Channel,
    Exclusion,
    Health,
    Observation,
    Outcome,
    Product,
    Release,
    ReleaseKind,
    SupportLine,
)
from liftlock.records import read_records
from unit.report_ledger import START, Book, ended, make_plan, planned_host, started, switched

TODAY = date(2026, 11, 21)
NEAR = timedelta(days=90)


def catalogue(*releases: Release, support: dict[str, str] | None = None) -> Catalogue:
    lines = tuple(SupportLine(line, date.fromisoformat(ends)) for line, ends in (support or {}).items())
    return Catalogue(Product("kanal", {"en": "Kanal"}, Health(command="true"), support=lines), releases)


def release(version: str, released: str | None = None, kind: ReleaseKind = ReleaseKind.SECURITY) -> Release:
    day = date.fromisoformat(released) if released else None
    return Release("kanal", version, kind, Artifact("x", "0" * 64, 1), released=day)


def installed(version: str, host: str = "h1", customer: str = "acme", source: Source = Source.LEDGER) -> Installed:
    return Installed("example", customer, host, "kanal", version, source)


def account(of: Catalogue, *there: Installed | Unknown) -> Lifecycle:
    return review(there, [of], TODAY, NEAR)


SUPPORT = {"4.1": "2026-11-21", "4.2": "2027-02-19", "4.3": "2027-02-20", "4": "2030-01-01", "5.0": "2020-01-01"}


@pytest.mark.parametrize(
    ("version", "support", "days"),
    [
        ("4.1.9", Support.PAST, 0),
        ("4.1", Support.PAST, 0),
        ("4.2.0", Support.NEAR, 90),
        ("4.3.0", None, None),
        ("4.10.0", None, None),
        ("4", None, None),
        ("5.0.1", Support.PAST, -2516),
        ("3.9.0", Support.UNDECLARED, None),
    ],
)
def test_a_version_goes_by_the_longest_support_line_that_begins_it(
    version: str, support: Support | None, days: int | None
) -> None:
    ageing = account(catalogue(support=SUPPORT), installed(version)).ageing
    assert [(one.support, one.days_left) for one in ageing] == ([] if support is None else [(support, days)])


def test_hosts_of_one_customer_on_one_version_share_a_line_past_ends_first_and_say_how_they_are_known() -> None:
    made = account(
        catalogue(support=SUPPORT),
        installed("4.2.0", "h9"),
        installed("4.1.0", "h2"),
        installed("4.1.0", "h1", source=Source.INVENTORY),
        installed("4.1.0", "b1", "birch"),
    )
    assert [(one.customer, one.version, one.hosts) for one in made.ageing] == [
        ("acme", "4.1.0", ("h1", "h2")),
        ("birch", "4.1.0", ("b1",)),
        ("acme", "4.2.0", ("h9",)),
    ]
    assert made.ageing[0].sources == {Source.LEDGER: 1, Source.INVENTORY: 1}
    assert (made.hosts, made.sources[Source.LEDGER]) == (4, 3)


def test_a_product_without_support_lines_is_named_and_versions_that_have_no_order_are_kept_apart() -> None:
    made = account(catalogue(), installed("4.1.0"), installed("4.2.1.SP1", "h2"))
    assert (made.ageing, made.silent) == ((), ("kanal",))
    assert [one.host for one in made.unorderable] == ["h2"]


def test_an_open_security_release_names_the_hosts_that_lack_it_by_customer_and_its_age() -> None:
    fix = release("4.2.3", "2026-11-11")
    feature = release("4.3.0", "2026-11-01", ReleaseKind.UPGRADE)
    there = [installed("4.2.2", "h1"), installed("4.2.3", "h2"), installed("4.3.0", "h3")]
    made = account(catalogue(fix, feature), *there, installed("4.1.0", "b1", "birch"))
    (gap,) = made.security
    assert (gap.version, gap.days_since, gap.lacking) == ("4.2.3", 10, {"acme": ("h1",), "birch": ("b1",)})
    assert (gap.hosts_lacking, gap.hosts) == (2, 4)
    assert account(catalogue(fix, feature), *there[1:]).security == ()
    (undated,) = account(catalogue(release("4.2.3")), there[0]).security
    assert undated.days_since is None


def test_a_hole_closed_in_the_hosts_own_line_is_closed() -> None:
    both = catalogue(release("4.1.8", "2026-11-11"), release("4.2.3", "2026-11-11"))
    assert account(both, installed("4.1.8"), installed("4.2.3", "h2")).security == ()
    lacking = {gap.version: gap.lacking for gap in account(both, installed("4.1.7"), installed("4.2.0", "h2")).security}
    assert lacking == {"4.1.8": {"acme": ("h1",)}, "4.2.3": {"acme": ("h1", "h2")}}
    newer = catalogue(release("4.1.8", "2026-11-10"), release("4.2.3", "2026-11-11"))
    assert [gap.version for gap in account(newer, installed("4.1.8")).security] == ["4.2.3"]


def test_candidates_and_pre_releases_are_owed_to_nobody() -> None:
    candidate = replace(release("4.2.3", "2026-11-11"), channel=Channel.CANDIDATE)
    assert account(catalogue(candidate, release("4.2.4rc1", "2026-11-11")), installed("4.2.0")).security == ()


def test_the_record_knows_the_version_seen_last_and_when() -> None:
    unseen = replace(planned_host("h3"), note="not observed: connection refused")
    plan = make_plan(
        "a" * 64, ["h1", "h2", unseen, "h4"], exclusions=[Exclusion("h5", "acme", Outcome.ALREADY_CURRENT, "has 4.2.0")]
    )
    book = Book().planned(plan).upgraded(plan, "h1")
    book.write(plan, started("h2"), switched("h2"), ended("h2", Outcome.ROLLED_BACK, version="4.1.0"))
    later = make_plan("b" * 64, ["h4"], product="mast", created_at=START + timedelta(days=1))
    seen = seen_in_record(read_records(book.planned(later).entries))
    versions = {(product, host): version for (_, product, host), (version, _) in seen.items()}
    assert versions == {
        ("kanal", "h1"): "4.2.0",
        ("kanal", "h2"): "4.1.0",
        ("kanal", "h4"): "4.1.0",
        ("kanal", "h5"): "4.2.0",
        ("mast", "h4"): "4.1.0",
    }
    assert seen["customers", "kanal", "h1"][1] > START


def test_a_later_plan_that_saw_the_host_has_the_last_word() -> None:
    first, second = make_plan("a" * 64, ["h1"]), make_plan("b" * 64, [planned_host("h1", version="4.3.0")])
    book = Book().planned(first).upgraded(first, "h1").planned(replace(second, created_at=START + timedelta(days=1)))
    assert seen_in_record(read_records(book.entries))["customers", "kanal", "h1"][0] == "4.1.0"


def test_a_look_counts_before_the_record_and_the_record_before_the_inventory() -> None:
    place, at = ("example", "kanal", "h1"), datetime(2026, 11, 20, tzinfo=UTC)
    look = Observation("h1", at, reachable=True, installed="4.3.0")
    gone = Observation("h1", at, reachable=False)
    recorded = {place: ("4.2.0", at)}
    told = [
        known_version(place, "acme", "4.1.0", recorded, look),
        known_version(place, "acme", "4.1.0", recorded, gone),
        known_version(place, "acme", "4.1.0", {}, None),
    ]
    assert [(one.version, one.source) for one in told if one] == [
        ("4.3.0", Source.LOOK),
        ("4.2.0", Source.LEDGER),
        ("4.1.0", Source.INVENTORY),
    ]
    lost = replace(gone, detail="no answer within 10 s")
    assert [known_version(place, "acme", None, {}, look) for look in (lost, None)] == [
        Unknown("example", "acme", "h1", "kanal", f"{why}; not on record, no expected_version")
        for why in ("no answer within 10 s", "not looked at")
    ]


def test_a_host_of_which_no_version_is_known_is_told_and_not_counted_among_those_that_are() -> None:
    lost = Unknown("example", "acme", "h2", "kanal", "timed out")
    made = account(catalogue(release("4.2.0", "2026-11-01")), installed("4.2.0"), lost)
    assert (made.hosts, made.unknown, made.security) == (1, (lost,), ())
