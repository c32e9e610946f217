from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from liftlock.durations import recorded_durations, recorded_way_back
from liftlock.model import Artifact, Catalogue, Health, Outcome, Product, Release, ReleaseKind
from liftlock.records import HostRecord

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
RECORD = HostRecord(
    plan="p",
    product="gate",
    version="1.4.0",
    kind=ReleaseKind.PATCH,
    host="h",
    customer="mill",
    wave=1,
    outcome=Outcome.SUCCEEDED,
    observed="1.4.0",
    cause="",
    detail="",
    at=NOW,
)


def catalogue(*minutes: int) -> Catalogue:
    """Releases 1.4.0, 1.5.0 and so on, expected to take so many minutes."""
    releases = tuple(
        Release("gate", f"1.{4 + n}.0", ReleaseKind.PATCH, Artifact("x", "0" * 64, 1), expected=timedelta(minutes=each))
        for n, each in enumerate(minutes)
    )
    return Catalogue(Product("gate", {"en": "Gate"}, Health(command="true")), releases)


def took(*seconds: float, **facts: object) -> list[HostRecord]:
    return [replace(RECORD, seconds=each, **facts) for each in seconds]  # type: ignore[arg-type]


def test_a_version_installed_twenty_times_is_expected_to_take_its_own_p95() -> None:
    assert recorded_durations(took(*range(1, 21)), catalogue(10), NOW) == {"1.4.0": timedelta(seconds=19)}
    assert recorded_durations(took(*range(1, 101)), catalogue(10), NOW) == {"1.4.0": timedelta(seconds=95)}
    assert recorded_durations(took(*range(1, 20)), catalogue(10), NOW) == {}


def test_a_new_version_takes_the_product_s_p95_only_when_that_is_longer_than_its_estimate() -> None:
    records = took(*[1200.0] * 15) + took(*[1500.0] * 5, version="1.5.0")
    found = recorded_durations(records, catalogue(10, 24, 26), NOW)
    assert found == {"1.4.0": timedelta(minutes=25), "1.5.0": timedelta(minutes=25)}


def test_only_this_product_s_successes_up_to_then_count() -> None:
    later = NOW + timedelta(seconds=1)
    nothing = [
        *took(*[9.0] * 20, product="lock"),
        *took(*[9.0] * 20, outcome=Outcome.ROLLED_BACK),
        *took(*[9.0] * 20, at=later),
        *took(*[0.0] * 20),
    ]
    assert recorded_durations(nothing, catalogue(10), NOW) == {}
    assert recorded_durations(nothing, catalogue(10), later) == {"1.4.0": timedelta(seconds=9)}


def test_the_way_back_is_the_p95_of_twenty_rollbacks_of_the_product_up_to_then() -> None:
    back = [replace(RECORD, outcome=Outcome.ROLLED_BACK, back_seconds=float(each)) for each in range(1, 21)]
    assert recorded_way_back(back, "gate", NOW) == timedelta(seconds=19)
    assert recorded_way_back(back[1:], "gate", NOW) is None
    assert recorded_way_back(back, "lock", NOW) is None
    assert recorded_way_back(back, "gate", NOW - timedelta(seconds=1)) is None
