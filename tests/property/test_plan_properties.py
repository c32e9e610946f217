from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import accumulate, combinations, pairwise
from random import Random
from typing import TypeVar
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from liftlock.model import (
    Artifact,
    Catalogue,
    Customer,
    Fleet,
    Freeze,
    Health,
    Host,
    Observation,
    Outcome,
    Policy,
    Product,
    Release,
    ReleaseKind,
    WeeklyWindow,
    Window,
)
from liftlock.path import NoPathError, find_path
from liftlock.plan import make_plan
from liftlock.plan_document import from_json, to_json
from liftlock.window import Blocked, next_window, occurrences

Key = TypeVar("Key")
Value = TypeVar("Value")

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

MINUTE = timedelta(minutes=1)
DAY = 24 * 60
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
CLOCK_CHANGES = {
    "Europe/Berlin": ("2026-03-29T01:00", "2026-10-25T01:00"),
    "America/New_York": ("2026-03-08T07:00", "2026-11-01T06:00"),
    "Australia/Lord_Howe": ("2026-04-04T15:00", "2026-10-03T15:30"),
    "Asia/Shanghai": ("2026-06-01T00:00", "2026-06-07T16:00"),
}

# paths --------------------------------------------------------------------------------------------

VERSIONS = [
    "1.0.0",
    "1.0.1",
    "1.1.0rc1",
    "1.1.0",
    "1.1.3",
    "1.2.0",
    "1.2.1rc1",
    "1.2.1",
    "2.0.0rc1",
    "2.0.0",
    "2.0.4",
    "2.1.0",
]
REQUIREMENTS = ["", "", ">=1.0", ">=1.0.1", ">=1.1", ">=1.2,<2", ">=2.0", "==1.1.*", "!=1.2.0", "<2.0"]


def release(version: str, requires: str = "", stop: bool = False, minutes: int = 10) -> Release:
    artifact = Artifact(path="gate.tar.gz", sha256="0" * 64, length=1)
    expected = timedelta(minutes=minutes)
    return Release("gate", version, ReleaseKind.PATCH, artifact, requires=requires, stop=stop, expected=expected)


@st.composite
def catalogues(draw: st.DrawFn) -> Catalogue:
    versions = draw(st.lists(st.sampled_from(VERSIONS), min_size=1, max_size=8, unique=True))
    one_of = partial(st.sampled_from, REQUIREMENTS)
    stops = st.sampled_from([False, False, True])
    releases = tuple(release(v, draw(one_of()), draw(stops)) for v in sorted(versions, key=Version))
    return Catalogue(Product("gate", {"en": "Gate"}, Health(command="true")), releases)


def lawful(catalogue: Catalogue, route: list[str]) -> bool:
    """Whether hopping along the versions obeys every rule, said without regard to how a path is found."""
    start, wanted = Version(route[0]), Version(route[-1])
    by_version = {one.version: one for one in catalogue.releases}
    meets = all(
        SpecifierSet(by_version[there].requires).contains(here, prereleases=True) for here, there in pairwise(route)
    )
    stops = [one for one in catalogue.releases if one.stop and start < Version(one.version) <= wanted]
    entries = {entry_of(stop, catalogue, wanted) for stop in stops}
    finals_only = all(not Version(version).is_prerelease or version in entries for version in route[1:-1])
    return meets and finals_only and entries <= set(route[1:])


def entry_of(stop: Release, catalogue: Catalogue, wanted: Version) -> str:
    line = Version(stop.version).release[:2]
    offers = [
        version
        for version in map(Version, (one.version for one in catalogue.releases))
        if version.release[:2] == line and Version(stop.version) < version <= wanted
        if version == wanted or not version.is_prerelease
    ]
    return str(max(offers, default=Version(stop.version)))


def lawful_routes(catalogue: Catalogue, observed: str, wanted: str) -> Iterator[list[str]]:
    """Every lawful route, the best first: by number of hops, then newest first."""
    between = [one.version for one in catalogue.releases if Version(observed) < Version(one.version) < Version(wanted)]
    for count in range(len(between) + 1):
        for middle in sorted(combinations(between, count), key=lambda route: [*map(Version, route)], reverse=True):
            route = [observed, *middle, wanted]
            if lawful(catalogue, route):
                yield route


@relaxed
@given(catalogues(), st.sampled_from([*VERSIONS, "0.9", "1.1.0+hot5", "1.2.0.post1"]), st.data())
def test_a_path_is_the_best_of_all_lawful_routes_or_there_is_none(
    catalogue: Catalogue, observed: str, data: st.DataObject
) -> None:
    wanted = data.draw(st.sampled_from([one.version for one in catalogue.releases]))
    assume(Version(observed) < Version(wanted))
    best = next(lawful_routes(catalogue, observed, wanted), None)
    try:
        hops = find_path(catalogue, observed, wanted)
    except NoPathError as refused:
        assert best is None
        for version in refused.nearest:
            assert Version(observed) < Version(version) < Version(wanted)
    else:
        assert [observed, *(hop.to_version for hop in hops)] == best
        assert all(first.to_version == second.from_version for first, second in pairwise(hops))


# windows ------------------------------------------------------------------------------------------


@st.composite
def weekly_windows(draw: st.DrawFn) -> WeeklyWindow:
    start = draw(st.integers(0, 7 * DAY - 1) | st.integers(6 * DAY, 6 * DAY + 240))
    length = draw(st.integers(1, 600) | st.integers(1, 7 * DAY))
    return WeeklyWindow("drawn", start, start + length)


@st.composite
def spans(draw: st.DrawFn) -> tuple[str, datetime, timedelta]:
    """A zone and a few days around one of its clock changes."""
    zone = draw(st.sampled_from(sorted(CLOCK_CHANGES)))
    change = datetime.fromisoformat(draw(st.sampled_from(CLOCK_CHANGES[zone]))).replace(tzinfo=UTC)
    return zone, change - draw(st.integers(0, 2000)) * MINUTE, draw(st.integers(1, 4000)) * MINUTE


@st.composite
def freezes(draw: st.DrawFn, near: datetime) -> tuple[Freeze, ...]:
    starts = draw(st.lists(st.integers(-1000, 3000), max_size=2))
    return tuple(
        Freeze(f"freeze {n}", near + n * MINUTE, near + (n + draw(st.integers(0, 900))) * MINUTE) for n in starts
    )


def is_open(customer: Customer, frozen: tuple[Freeze, ...], minute: datetime) -> bool:
    """The definition: the wall clock shows a time inside a window, and nothing is frozen."""
    wall = minute.astimezone(ZoneInfo(customer.timezone))
    shown = wall.weekday() * DAY + wall.hour * 60 + wall.minute
    inside = any(
        window.start_minute <= minute_of_week < window.end_minute
        for window in customer.windows
        for minute_of_week in (shown, shown + 7 * DAY)
    )
    return inside and not any(freeze.start <= minute < freeze.end for freeze in frozen)


def stretches_minute_by_minute(
    customer: Customer, frozen: tuple[Freeze, ...], after: datetime, horizon: timedelta
) -> list[Window]:
    found: list[Window] = []
    for n in range(horizon // MINUTE):
        minute = after + n * MINUTE
        if not is_open(customer, frozen, minute):
            continue
        if found and found[-1].end == minute:
            found[-1] = Window(found[-1].start, minute + MINUTE)
        else:
            found.append(Window(minute, minute + MINUTE))
    return found


@relaxed
@given(spans(), st.lists(weekly_windows(), max_size=3), st.integers(1, 900), st.data())
def test_windows_are_those_of_the_wall_clock_minute_by_minute(
    span: tuple[str, datetime, timedelta], windows: list[WeeklyWindow], needed: int, data: st.DataObject
) -> None:
    zone, after, horizon = span
    own, fleets = data.draw(freezes(after)), data.draw(freezes(after))
    customer = Customer("mill", "Mill", "en", zone, (), tuple(windows), own)
    expected = stretches_minute_by_minute(customer, own + fleets, after, horizon)
    assert list(occurrences(customer, fleets, after, horizon)) == expected

    found = next_window(customer, fleets, needed * MINUTE, after, horizon)
    first = next((stretch for stretch in expected if stretch.end - stretch.start >= needed * MINUTE), None)
    assert found == first if first else isinstance(found, Blocked)


@relaxed
@given(st.sampled_from(sorted(CLOCK_CHANGES)), st.datetimes(datetime(2025, 1, 1), datetime(2030, 1, 1)))  # noqa: DTZ001
def test_a_customer_who_always_allows_change_is_never_shut(zone: str, at: datetime) -> None:
    customer = Customer("mill", "Mill", "en", zone, (), (WeeklyWindow("always", 0, 7 * DAY),))
    after = at.replace(tzinfo=UTC)
    assert occurrences(customer, (), after) == (Window(after, after + timedelta(days=92)),)


# plans --------------------------------------------------------------------------------------------

CATALOGUE = Catalogue(
    Product("gate", {"en": "Gate"}, Health(command="true")),
    (
        release("1.0.0"),
        release("1.1.0", stop=True),
        release("1.1.2", minutes=45),
        release("1.2.0", ">=1.1"),
        release("2.0.0"),
    ),
)
INSTALLED = [None, "", "0.9", "1.0.0", "1.1.0", "1.1.2", "1.2.0", "2.0.0", "4.2.SP1"]


@st.composite
def fleets(draw: st.DrawFn) -> tuple[Fleet, dict[str, Observation]]:
    customers = {
        name: Customer(
            name,
            name.title(),
            "zh-CN",
            draw(st.sampled_from(sorted(CLOCK_CHANGES))),
            (),
            tuple(draw(st.lists(weekly_windows(), min_size=1, max_size=2))),
            draw(freezes(NOW)),
            tier=draw(st.sampled_from(["internal", "low", "standard", "key", "other"])),
        )
        for name in ("abbey", "mill", "weir", "水闸")
    }
    hosts, observations = [], {}
    for n in range(draw(st.integers(0, 30))):
        name = f"h{n:02}"
        hosts.append(
            Host(
                name,
                draw(st.sampled_from(sorted(customers))),
                "::1",
                expected_version=draw(st.sampled_from([None, "1.0.0", "1.2.0"])),
                labels=draw(st.dictionaries(st.just("site"), st.sampled_from(["east", "west"]))),
                hold=draw(st.sampled_from([None, None, None, "on trial"])),
            )
        )
        if draw(st.integers(0, 9)):
            observations[name] = Observation(
                name,
                NOW,
                reachable=draw(st.sampled_from([True, True, True, False])),
                installed=draw(st.sampled_from(INSTALLED)),
                free_bytes=draw(st.sampled_from([None, 2, 3])),
                missing_tools=draw(st.sampled_from([(), (), ("flock",)])),
            )
    return Fleet("river", customers, tuple(hosts), draw(freezes(NOW))), observations


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    spans_of_time = st.timedeltas(timedelta(microseconds=1), timedelta(days=800))
    wave = st.integers(0, 40).map(str) | st.integers(0, 120).map(lambda share: f"{share}%")
    return Policy(
        waves=tuple(draw(st.lists(wave, max_size=4))),
        bake=draw(spans_of_time),
        max_failures=draw(st.none() | st.integers(0, 3)),
        notice_lead={kind: draw(spans_of_time) for kind in ReleaseKind},
    )


@relaxed
@given(fleets(), policies())
def test_every_host_is_planned_or_left_out_exactly_once(
    drawn: tuple[Fleet, dict[str, Observation]], policy: Policy
) -> None:
    fleet, observations = drawn
    plan = make_plan(CATALOGUE, fleet, policy, observations, "1.2.0", {}, NOW)
    told = [host.name for host in plan.hosts] + [left_out.host for left_out in plan.exclusions]
    assert sorted(told) == sorted(host.name for host in fleet.hosts)
    by_name = {host.name: host for host in fleet.hosts}
    for planned in plan.hosts:
        host, seen = by_name[planned.name], observations.get(planned.name)
        assert host.hold is None
        assert planned.observed == (seen.installed if seen and seen.reachable else host.expected_version)
        assert planned.hops[-1].to_version == "1.2.0"
    for left_out in plan.exclusions:
        assert left_out.reason
        assert not left_out.outcome.attempted
        if left_out.outcome is Outcome.ALREADY_CURRENT:
            assert observations[left_out.host].installed == "1.2.0"


@relaxed
@given(fleets())
def test_no_planned_window_breaks_a_freeze_or_the_customers_windows(
    drawn: tuple[Fleet, dict[str, Observation]],
) -> None:
    fleet, observations = drawn
    plan = make_plan(CATALOGUE, fleet, Policy(), observations, "1.2.0", {}, NOW)
    expected = {one.version: one.expected for one in CATALOGUE.releases}
    for window, owner in {(host.window, host.customer) for host in plan.hosts}:
        customer = fleet.customers[owner]
        frozen = customer.freezes + fleet.freezes
        minutes = min((window.end - window.start) // MINUTE, 3 * DAY)
        assert window.start >= NOW
        assert all(is_open(customer, frozen, window.start + n * MINUTE) for n in range(minutes))
    for host in plan.hosts:
        work = sum((expected[hop.to_version] for hop in host.hops), timedelta())
        assert host.window.end - host.window.start >= 2 * work


@relaxed
@given(st.integers(1, 130), policies())
def test_waves_follow_the_cumulative_rule(count: int, policy: Policy) -> None:
    customers = {"mill": Customer("mill", "Mill", "en", "UTC", (), (WeeklyWindow("always", 0, 7 * DAY),))}
    hosts = tuple(Host(f"h{n}", "mill", "::1", expected_version="1.1.2") for n in range(count))
    plan = make_plan(CATALOGUE, Fleet("river", customers, hosts), policy, {}, "1.2.0", {}, NOW)
    waves = [host.wave for host in plan.hosts]
    through = {sum(number <= wave for number in waves) for wave in waves}
    asked = [
        math.ceil(count * int(wave[:-1]) / 100) if wave.endswith("%") else int(wave) for wave in (*policy.waves, "100%")
    ]
    assert through == set(accumulate((min(count, max(1, hosts)) for hosts in asked), max))
    assert waves == sorted(waves)
    assert set(waves) == set(range(1, len(through) + 1))


@relaxed
@given(fleets(), policies(), st.randoms(use_true_random=False))
def test_the_same_inputs_in_any_order_make_the_same_bytes(
    drawn: tuple[Fleet, dict[str, Observation]], policy: Policy, random: Random
) -> None:
    fleet, observations = drawn
    inputs = {"river.yaml": "a" * 64, "gate.yaml": "b" * 64}

    def shuffled(mapping: Mapping[Key, Value]) -> dict[Key, Value]:
        return dict(random.sample(list(mapping.items()), len(mapping)))

    other_fleet = replace(
        fleet, customers=shuffled(fleet.customers), hosts=tuple(random.sample(fleet.hosts, len(fleet.hosts)))
    )
    other_policy = replace(policy, notice_lead=shuffled(policy.notice_lead))
    one = make_plan(CATALOGUE, fleet, policy, observations, "1.2.0", inputs, NOW)
    two = make_plan(CATALOGUE, other_fleet, other_policy, shuffled(observations), "1.2.0", shuffled(inputs), NOW)
    assert to_json(one) == to_json(two)


@relaxed
@given(fleets(), policies())
def test_a_stored_plan_reads_back_equal(drawn: tuple[Fleet, dict[str, Observation]], policy: Policy) -> None:
    fleet, observations = drawn
    plan = make_plan(CATALOGUE, fleet, policy, observations, "1.2.0", {"水闸.yaml": "c" * 64}, NOW)
    assert from_json(to_json(plan), "plan.json") == plan
    assert to_json(from_json(to_json(plan), "plan.json")) == to_json(plan)
