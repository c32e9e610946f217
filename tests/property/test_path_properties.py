"""Paths hold to every rule, whatever the catalogue, and none is longer than it must be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import combinations, pairwise
from random import Random
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from liftlock.condition import Facts
from liftlock.model import Artifact, BlockedEdge, Catalogue, Channel, Health, Product, Release, ReleaseKind
from liftlock.path import NoPathError, find_path, relevant_facts

VERSIONS = ["1.0.0", "1.0.1", "1.1.0rc1", "1.1.0", "1.1.3", "1.2.0", "1.2.1rc1", "2.0.0rc1", "2.0.0", "2.0.4", "2.1.0"]
OBSERVED = [*VERSIONS, "0.9", "1.1.0+hot5", "1.2.0.post1"]
RANGES = [">=1.0", ">=1.0.1", ">=1.1", ">=1.2,<2", ">=2.0", "==1.1.*", "!=1.2.0", "<2.0"]
CONDITIONS: dict[str, Callable[[Facts], bool]] = {  # what a condition says, and what it means
    "": lambda _: True,
    "npm in facts.features": lambda facts: "npm" in facts.get("features", ()),
    "not npm in facts.features": lambda facts: "npm" not in facts.get("features", ()),
    "facts.edition == free": lambda facts: facts.get("edition") == "free",
}

FACTS: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {},
    optional={
        "features": st.sampled_from([("npm",), ("npm", "ldap"), ("ldap",)]),
        "edition": st.sampled_from(["free", "paid"]),
        "colour": st.sampled_from(["red", "blue"]),
    },
)
BLOCKS = st.builds(BlockedEdge, st.sampled_from(RANGES), st.just("a defect"), when=st.sampled_from(list(CONDITIONS)))


def release(version: str, **more: Any) -> Release:
    return replace(Release("gate", version, ReleaseKind.PATCH, Artifact("gate.tar", "0" * 64, 1)), **more)


@st.composite
def catalogues(draw: st.DrawFn) -> Catalogue:
    versions = draw(st.lists(st.sampled_from(VERSIONS), min_size=1, max_size=8, unique=True))
    rarely = st.sampled_from([False, False, True])
    releases = tuple(
        release(
            version,
            requires=draw(st.sampled_from(["", "", *RANGES])),
            stop=draw(rarely),
            stop_when=draw(st.sampled_from(list(CONDITIONS))),
            settled_gate=draw(st.sampled_from(["", "jobs", "reindexed"])),
            channel=Channel.CANDIDATE if draw(rarely) else Channel.STABLE,
            blocked=tuple(draw(st.lists(BLOCKS, max_size=2))) if draw(rarely) else (),
        )
        for version in sorted(versions, key=Version)
    )
    return Catalogue(Product("gate", {"en": "Gate"}, Health(command="true")), releases)


@st.composite
def journeys(draw: st.DrawFn) -> tuple[Catalogue, str, str, Facts]:
    """A catalogue, an observed and a newer wanted version, and the facts of a host."""
    catalogue, observed = draw(catalogues()), draw(st.sampled_from(OBSERVED))
    newer = [one.version for one in catalogue.releases if Version(one.version) > Version(observed)]
    assume(newer)
    return catalogue, observed, draw(st.sampled_from(newer)), draw(FACTS)


def line(version: str) -> tuple[int, ...]:
    return Version(version).release[:2]


def bars(here: str, there: Release, facts: Facts) -> bool:
    """Whether the requirement or a block of a release forbids the hop to it."""
    blocks = (block.from_versions for block in there.blocked if CONDITIONS[block.when](facts))
    return not matches(here, there.requires) or any(matches(here, block) for block in blocks)


def matches(version: str, text: str) -> bool:
    return SpecifierSet(text).contains(version, prereleases=True)


def entries(catalogue: Catalogue, observed: str, goal: Release, facts: Facts) -> set[str]:
    """The versions at which the stops between observed and wanted are to be taken."""
    offered = [
        one
        for one in catalogue.releases
        if Version(observed) < Version(one.version) <= Version(goal.version)
        if one.channel is Channel.STABLE
        or one is goal
        or (goal.channel is Channel.CANDIDATE and line(one.version) == line(goal.version))
    ]
    found = set()
    for stop in offered:
        if stop.stop and CONDITIONS[stop.stop_when](facts):
            patches = [
                one.version
                for one in offered
                if line(one.version) == line(stop.version) and Version(one.version) > Version(stop.version)
                if one is goal or not Version(one.version).is_prerelease
            ]
            found.add(max(patches, key=Version, default=stop.version))
    return found


def lawful(catalogue: Catalogue, route: list[str], facts: Facts) -> bool:
    """Whether hopping along the versions obeys every rule, said without regard to how a path is found: it takes every
    applicable stop, at the newest patch of that stop's line.
    """
    by_version = {one.version: one for one in catalogue.releases}
    goal, stops = by_version[route[-1]], entries(catalogue, route[0], by_version[route[-1]], facts)
    for version in route[1:-1]:
        if Version(version).is_prerelease and version not in stops:
            return False
        asked_for = goal.channel is Channel.CANDIDATE and line(version) == line(goal.version)
        if by_version[version].channel is Channel.CANDIDATE and not asked_for:
            return False
    return stops <= set(route) and not any(bars(here, by_version[there], facts) for here, there in pairwise(route))


def lawful_routes(catalogue: Catalogue, observed: str, wanted: str, facts: Facts) -> Iterator[list[str]]:
    """Every lawful route, the best first: fewest hops, fewest older patches of a stop's line, newest first."""
    between = [one.version for one in catalogue.releases if Version(observed) < Version(one.version) < Version(wanted)]
    goal = next(one for one in catalogue.releases if one.version == wanted)
    stops = entries(catalogue, observed, goal, facts)

    def older_patches(route: Iterable[str]) -> int:
        return sum(
            any(line(one) == line(stop) and Version(one) < Version(stop) for stop in stops) for one in {*route} - stops
        )

    for count in range(len(between) + 1):
        newest_first = sorted(combinations(between, count), key=lambda route: [*map(Version, route)], reverse=True)
        for middle in sorted(newest_first, key=older_patches):
            route = [observed, *middle, wanted]
            if lawful(catalogue, route, facts):
                yield route


def route_of(catalogue: Catalogue, observed: str, wanted: str, facts: Facts) -> list[str] | None:
    if dead_end(catalogue, observed, wanted, facts):
        return None
    return [observed, *(hop.to_version for hop in find_path(catalogue, observed, wanted, facts))]


@settings(deadline=None, max_examples=300)
@given(journeys())
def test_a_path_obeys_every_rule_and_is_the_best_of_all_that_do(journey: tuple[Catalogue, str, str, Facts]) -> None:
    assert route_of(*journey) == next(lawful_routes(*journey), None)


@settings(deadline=None, suppress_health_check=[HealthCheck.filter_too_much])  # most journeys have a path
@given(journeys())
def test_a_dead_end_names_only_what_can_be_reached_and_hops_that_are_barred(
    journey: tuple[Catalogue, str, str, Facts],
) -> None:
    catalogue, observed, _, facts = journey
    refused = dead_end(*journey)
    assume(refused is not None)
    assert refused is not None
    by_version = {one.version: one for one in catalogue.releases}
    assert all(route_of(catalogue, observed, version, facts) for version in refused.nearest)
    for cut in refused.cuts:
        assert all(bars(here, by_version[cut.version], facts) for here in cut.from_versions)
        assert cut.version not in refused.nearest
    assert str(refused.cuts[0]) in refused.reason


@settings(deadline=None)
@given(journeys(), BLOCKS, st.data())
def test_one_more_block_never_makes_a_path_shorter(
    journey: tuple[Catalogue, str, str, Facts], block: BlockedEdge, data: st.DataObject
) -> None:
    catalogue, observed, wanted, facts = journey
    place = data.draw(st.integers(0, len(catalogue.releases) - 1))
    releases = list(catalogue.releases)
    releases[place] = replace(releases[place], blocked=(*releases[place].blocked, block))
    before = route_of(*journey)
    after = route_of(replace(catalogue, releases=tuple(releases)), observed, wanted, facts)
    assert after is None or (before is not None and len(before) <= len(after))


@settings(deadline=None)
@given(journeys(), st.randoms(use_true_random=False))
def test_the_order_of_releases_and_facts_changes_nothing(
    journey: tuple[Catalogue, str, str, Facts], random: Random
) -> None:
    catalogue, observed, wanted, facts = journey
    shuffled = replace(catalogue, releases=tuple(random.sample(catalogue.releases, len(catalogue.releases))))
    turned = {name: value[::-1] if isinstance(value, tuple) else value for name, value in reversed([*facts.items()])}
    assert told(catalogue, observed, wanted, facts) == told(shuffled, observed, wanted, turned)


@settings(deadline=None)
@given(journeys())
def test_only_the_relevant_facts_make_a_difference(journey: tuple[Catalogue, str, str, Facts]) -> None:
    catalogue, observed, wanted, facts = journey
    relevant = {name: facts[name] for name in relevant_facts(catalogue) if name in facts}
    assert "colour" not in relevant
    assert told(catalogue, observed, wanted, facts) == told(catalogue, observed, wanted, relevant)


def dead_end(catalogue: Catalogue, observed: str, wanted: str, facts: Facts) -> NoPathError | None:
    try:
        find_path(catalogue, observed, wanted, facts)
    except NoPathError as refused:
        return refused
    return None


def told(catalogue: Catalogue, observed: str, wanted: str, facts: Facts) -> object:
    """The hops with their rules, or the refusal with all that it says."""
    if refused := dead_end(catalogue, observed, wanted, facts):
        return refused.reason, refused.nearest, refused.cuts
    return find_path(catalogue, observed, wanted, facts)
