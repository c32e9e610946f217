from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import accumulate, combinations, pairwise
from random import Random
from typing import TypeVar

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import Version
from pydantic import TypeAdapter

from liftlock.model import (
    Artifact,
    BlockedEdge,
    Catalogue,
    Customer,
    Fleet,
    Health,
    Host,
    HostGroup,
    Observation,
    Outcome,
    Plan,
    Policy,
    Product,
    Release,
    ReleaseKind,
    WeeklyWindow,
)
from liftlock.path import NoPathError, find_path
from liftlock.plan import Target, make_plan
from liftlock.plan_document import from_json, to_document, to_json
from liftlock.window import rules_for
from property.drawn_time import CLOCK_CHANGES, DAY, MINUTE, allowed, freezes, is_open, window_rules

Key = TypeVar("Key")
Value = TypeVar("Value")

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
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
    """Every lawful route, the best first: fewest hops, fewest older patches of a stop's line, newest first."""
    between = [one.version for one in catalogue.releases if Version(observed) < Version(one.version) < Version(wanted)]
    stops = {
        entry_of(one, catalogue, Version(wanted)) for one in catalogue.releases if one.stop and one.version in between
    }

    def older_patches(route: Iterable[str]) -> int:
        return sum(
            any(Version(one).release[:2] == stop.release[:2] and Version(one) < stop for stop in map(Version, stops))
            for one in {*route} - stops
        )

    for count in range(len(between) + 1):
        newest_first = sorted(combinations(between, count), key=lambda route: [*map(Version, route)], reverse=True)
        for middle in sorted(newest_first, key=older_patches):
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
            draw(window_rules(NOW)),
            draw(freezes(NOW)),
            tier=draw(st.sampled_from(["internal", "low", "standard", "key", "other"])),
            groups={
                "db": HostGroup("db", draw(st.just(()) | window_rules(NOW)), draw(freezes(NOW))),
            },
            at_once=draw(st.sampled_from([None, 1, 3])),
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
                group=draw(st.sampled_from([None, None, "db"])),
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


KINDS = st.sampled_from(ReleaseKind)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    leads = st.timedeltas(timedelta(0), timedelta(days=30))
    wave = st.integers(0, 40).map(str) | st.integers(0, 120).map(lambda share: f"{share}%")
    return Policy(
        waves=tuple(draw(st.lists(wave, max_size=4))),
        bake=draw(st.timedeltas(timedelta(0), timedelta(days=8))),
        concurrency=draw(st.integers(1, 12)),
        max_failures=draw(st.none() | st.integers(0, 3)),
        notice_lead={kind: draw(leads) for kind in ReleaseKind},
        notice_lead_by_tier=draw(st.dictionaries(st.sampled_from(["key", "low"]), st.dictionaries(KINDS, leads))),
    )


@relaxed
@given(fleets(), policies())
def test_every_host_is_planned_or_left_out_exactly_once(
    drawn: tuple[Fleet, dict[str, Observation]], policy: Policy
) -> None:
    fleet, observations = drawn
    plan = make_plan(Target(CATALOGUE, "1.2.0", observations), fleet, policy, {}, NOW)
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
@given(fleets(), policies())
def test_no_plan_breaks_a_window_a_freeze_or_a_lead_time(
    drawn: tuple[Fleet, dict[str, Observation]], policy: Policy
) -> None:
    fleet, observations = drawn
    plan = make_plan(Target(CATALOGUE, "1.2.0", observations), fleet, policy, {}, NOW)
    group_of = {host.name: host.group for host in fleet.hosts}
    told = {one.name: one for one in plan.customers}
    for window, owner, group in {(host.window, host.customer, group_of[host.name]) for host in plan.hosts}:
        rules = rules_for(fleet, owner, group, "gate")
        minutes = min((window.end - window.start) // MINUTE, 2 * DAY)
        assert all(is_open(rules, window.start + n * MINUTE) for n in range(minutes))
        lead = policy.notice_lead_by_tier.get(fleet.customers[owner].tier, {}).get(
            plan.kind, policy.notice_lead[plan.kind]
        )
        assert told[owner].notify_by + lead == told[owner].begins <= window.start
        assert told[owner].notify_by >= NOW
        assert told[owner].ends >= window.end
    expected = {one.version: one.expected for one in CATALOGUE.releases}
    for host in plan.hosts:
        assert host.needed == 2 * sum((expected[hop.to_version] for hop in host.hops), timedelta())
        assert host.window.end - host.window.start >= host.needed


@relaxed
@given(fleets(), policies())
def test_a_window_leaves_time_for_the_waves_before_and_their_bakes(
    drawn: tuple[Fleet, dict[str, Observation]], policy: Policy
) -> None:
    fleet, observations = drawn
    plan = make_plan(Target(CATALOGUE, "1.2.0", observations), fleet, policy, {}, NOW)
    ready = NOW
    for wave in sorted({host.wave for host in plan.hosts}):
        hosts = [host for host in plan.hosts if host.wave == wave]
        starts = [max(host.window.start, ready) for host in hosts]
        assert all(start + host.needed <= host.window.end for start, host in zip(starts, hosts, strict=True))
        ready = max(start + host.expected for start, host in zip(starts, hosts, strict=True)) + policy.bake
    if not plan.hosts or any(left.outcome is not Outcome.ALREADY_CURRENT for left in plan.exclusions):
        assert plan.finish is None
    else:
        assert plan.finish is not None
        assert plan.through is not None
        assert ready <= plan.through >= plan.finish


@relaxed
@given(fleets(), policies(), st.data())
def test_more_freezes_and_shorter_windows_never_make_the_same_work_begin_or_end_earlier(
    drawn: tuple[Fleet, dict[str, Observation]], policy: Policy, data: st.DataObject
) -> None:
    fleet, observations = drawn
    name = data.draw(st.sampled_from(sorted(fleet.customers)))
    owner = fleet.customers[name]
    tighter = replace(
        owner,
        windows=tuple(data.draw(allowed(rule)) for rule in owner.windows),
        freezes=(*owner.freezes, *data.draw(freezes(NOW))),
        at_once=1 if data.draw(st.booleans()) else owner.at_once,
    )
    narrow = replace(
        fleet,
        customers={**fleet.customers, name: tighter},
        freezes=(*fleet.freezes, *data.draw(freezes(NOW))),
    )
    one = make_plan(Target(CATALOGUE, "1.2.0", observations), fleet, policy, {}, NOW)
    two = make_plan(Target(CATALOGUE, "1.2.0", observations), narrow, policy, {}, NOW)
    assert_never_sooner(one, two)
    before, after = ({host.name: host for host in plan.hosts} for plan in (one, two))
    assert set(after) <= set(before) or one.finish is None, "nobody is planned who was not, unless others were blocked"
    roomy = policy.concurrency >= len(fleet.hosts) and not any(one.at_once for one in fleet.customers.values())
    if set(before) == set(after) and roomy:  # else who is taken out of a night leaves room there for another
        assert all(host.window.start >= before[host.name].window.start for host in two.hosts)


CONSTRAINTS = ("concurrency", "site", "customer", "bake", "lead", "hold", "redundancy", "block")


@relaxed
@given(fleets(), policies(), st.sampled_from(CONSTRAINTS), st.data())
def test_one_more_constraint_never_makes_the_finish_earlier(
    drawn: tuple[Fleet, dict[str, Observation]], policy: Policy, constraint: str, data: st.DataObject
) -> None:
    (fleet, observations), some = drawn, data.draw(st.integers(1, 3))
    tighter, narrow, barred = policy, fleet, CATALOGUE
    match constraint:
        case "concurrency":
            tighter = replace(policy, concurrency=min(some, policy.concurrency))
        case "site":
            tighter = replace(policy, site_at_once=some)
        case "customer":
            tighter = replace(policy, customer_at_once=some)
        case "bake":
            tighter = replace(policy, bake=policy.bake + some * timedelta(hours=7))
        case "lead":
            longer = {kind: lead + some * timedelta(hours=7) for kind, lead in policy.notice_lead.items()}
            tighter = replace(policy, notice_lead=longer)
        case "hold":
            held = tuple(
                replace(host, hold=host.hold or data.draw(st.sampled_from([None, "x"]))) for host in fleet.hosts
            )
            narrow = replace(fleet, hosts=held)
        case "redundancy":
            groups = st.sampled_from([None, "x", "y"])
            narrow = replace(fleet, hosts=tuple(replace(host, redundancy=data.draw(groups)) for host in fleet.hosts))
        case _:
            blocked = BlockedEdge("==1.1.*", "loses bookings")
            wanted = CATALOGUE.releases[3]
            releases = (*CATALOGUE.releases[:3], replace(wanted, blocked=(blocked,)), CATALOGUE.releases[4])
            barred = replace(CATALOGUE, releases=releases)
    one = make_plan(Target(CATALOGUE, "1.2.0", observations), fleet, policy, {}, NOW)
    two = make_plan(Target(barred, "1.2.0", observations), narrow, tighter, {}, NOW)
    assert_never_sooner(one, two)


def assert_never_sooner(one: Plan, two: Plan) -> None:
    """No finish counts as never. Who finds no room beside others may find some when those have to go elsewhere."""
    crowded = any("the hosts before it fill every window" in left.reason for left in one.exclusions)
    if two.finish and not crowded and one.hosts:
        assert one.finish is not None
        assert two.finish >= one.finish


@relaxed
@given(st.integers(1, 130), policies())
def test_waves_follow_the_cumulative_rule(count: int, policy: Policy) -> None:
    customers = {"mill": Customer("mill", "Mill", "en", "UTC", (), (WeeklyWindow("always", 0, 7 * DAY),))}
    hosts = tuple(Host(f"h{n}", "mill", "::1", expected_version="1.1.2") for n in range(count))
    always = replace(policy, bake=timedelta(hours=1), concurrency=count)
    plan = make_plan(Target(CATALOGUE, "1.2.0", {}), Fleet("river", customers, hosts), always, {}, NOW)
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
    one = make_plan(Target(CATALOGUE, "1.2.0", observations), fleet, policy, inputs, NOW)
    two = make_plan(
        Target(CATALOGUE, "1.2.0", shuffled(observations)), other_fleet, other_policy, shuffled(inputs), NOW
    )
    assert to_json(one) == to_json(two)


@relaxed
@given(fleets(), policies())
def test_a_stored_plan_reads_back_equal(drawn: tuple[Fleet, dict[str, Observation]], policy: Policy) -> None:
    fleet, observations = drawn
    plan = make_plan(Target(CATALOGUE, "1.2.0", observations), fleet, policy, {"水闸.yaml": "c" * 64}, NOW)
    assert from_json(to_json(plan), "plan.json") == plan
    assert to_document(plan) == TypeAdapter(Plan).dump_python(plan, mode="json")
    assert to_json(from_json(to_json(plan), "plan.json")) == to_json(plan)
