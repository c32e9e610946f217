"""Paths: which releases a host passes through on its way to the wanted one, and the rule behind each hop.

The rules; versions are ordered and matched by the policy of `liftlock.version`:

1. Only upwards: every hop leads to a newer version. Downwards only when that is asked for, and then in one hop straight
   to the wanted release: its `requires` is about upgrades and does not bar it, a block does.
2. A release's `requires` is judged against the version that the host has before that hop.
3. A hop is never taken where the release blocks it: the version before the hop is in a block's `from`, and the block's
   condition, if it has one, holds on the host.
4. The path takes every applicable stop between the observed and the wanted version, at the newest patch of that stop's
   line, and otherwise as few hops as possible; ties are broken the same way every time (6). A stop applies when its
   condition, if it has one, holds on the host; a line is `X.Y`, and its newest patch is not newer than what is wanted.
5. A pre-release is on a path only as the wanted release, or as a stop that has no final release after it in its line. A
   candidate only as the wanted release or, when that is a candidate itself, on the way to it within the same line.
   What is not offered in this way is no stop either.
6. Among the paths with the fewest hops, the one wins that stands least often on older patches of a stop's line: they
   are for what needs them, such as a newest patch 1.4.3 with `requires: ">=1.4.0"` in the line of the stop 1.4.0.
   Among those, the one whose earliest differing hop is newer.

When the facts of a host give a condition on the way no answer there is no path: a guess would not be safe.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import pairwise
from types import MappingProxyType

from packaging.version import InvalidVersion

from liftlock.condition import Facts, UndecidedError, explain, facts_in
from liftlock.errors import ExitCode, InputError, LiftlockError
from liftlock.ground import NAMED, Ground, bar, blocked, in_front, survey, survey_downwards
from liftlock.model import Catalogue, Hop, Release
from liftlock.version import meets, parsed

_NO_FACTS: Facts = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Cut:
    """Why a release cannot be taken from the versions that can be reached: its `requires`, or the reason of a block."""

    version: str
    from_versions: tuple[str, ...]
    requires: str = ""
    reason: str = ""
    url: str = ""

    def __str__(self) -> str:
        if self.requires:
            return f"{self.version} requires {self.requires}"
        return blocked(self.version, self.from_versions, self.reason, self.url)


class NoPathError(LiftlockError):
    """No path leads to the wanted version; `reason` says why in words.

    `nearest` names the newest versions that can be reached, `cuts` every release beyond them that would lead on, with
    what bars it; both are empty when the reason is another.
    """

    exit_code = ExitCode.REFUSED

    def __init__(self, reason: str, nearest: Sequence[str] = (), cuts: Sequence[Cut] = ()) -> None:
        self.reason = reason
        self.nearest = tuple(nearest)
        self.cuts = tuple(cuts)
        super().__init__(reason)


def find_release(catalogue: Catalogue, version: str) -> Release:
    """The release of exactly this version. Raises InputError, naming the versions there are, when there is none."""
    for release in catalogue.releases:
        if release.version == version:
            return release
    known = ", ".join(release.version for release in catalogue.releases) or "none"
    raise InputError(f"{catalogue.product.name} has no release {version}; there are: {known}")


def relevant_facts(catalogue: Catalogue) -> tuple[str, ...]:
    """The names of the facts that any condition of the catalogue asks for, sorted.

    Hosts with the same observed version that agree in these facts have the same path.
    """
    conditions = {release.stop_when for release in catalogue.releases}
    conditions |= {block.when for release in catalogue.releases for block in release.blocked}
    return tuple(sorted({name for condition in conditions for name in facts_in(condition)}))


def find_path(
    catalogue: Catalogue, observed: str, wanted: str, facts: Facts = _NO_FACTS, *, downgrade: bool = False
) -> tuple[Hop, ...]:
    """The hops from the observed to the wanted version by the rules above; none when they are equal.

    `facts` are the host's. With `downgrade` a host with a newer version goes down to the wanted one; why that is wanted
    is for the caller to record. Raises NoPathError when the observed version cannot be ordered, is newer than the
    wanted one, or no path obeys the rules; InputError when the catalogue has no release `wanted`.
    """
    goal = find_release(catalogue, wanted)
    try:
        start = parsed(observed)
    except InvalidVersion:
        raise NoPathError(f"the version {observed!r} cannot be ordered: it is not a PEP 440 version") from None
    if start == parsed(wanted):
        return ()
    try:
        if start > parsed(wanted):
            return (_downgrade(observed, goal, facts, asked_for=downgrade),)
        ground = survey(catalogue, observed, goal, facts)
    except UndecidedError as error:
        raise NoPathError(str(error)) from None
    came_from = _search(ground)
    if wanted not in came_from:
        raise _no_path(ground, came_from)
    return tuple(_hops(ground, came_from))


def _downgrade(observed: str, goal: Release, facts: Facts, *, asked_for: bool) -> Hop:
    if not asked_for:
        raise NoPathError(f"has {observed}, newer than {goal.version}; downgrades are not planned without --downgrade")
    ground = survey_downwards(observed, goal, facts)
    if reason := bar(ground, observed, ground.goal):
        raise NoPathError(f"no downgrade: {reason}", cuts=_cuts(ground, ground.goal, [observed]))
    return Hop(observed, goal.version, "downgrade")


def _search(ground: Ground) -> dict[str, str]:
    """The best way first (rule 6), up to the goal: each version reached, with the version before it."""
    rank = {release.version: newer for newer, release in enumerate(ground.steps)}
    came_from: dict[str, str] = {}
    queue: list[tuple[int, int, tuple[int, ...], str, str]] = [(0, 0, (), ground.observed, "")]
    while queue and ground.goal.version not in came_from:
        hops, older, ranks, here, before = heappop(queue)
        if here in came_from:
            continue
        came_from[here] = before
        for release in in_front(ground, here):
            there = release.version
            if there not in came_from and not bar(ground, here, release):
                way = (*ranks, rank[there])
                heappush(queue, (hops + 1, older + (there in ground.older_patches), way, there, here))
    return came_from


def _hops(ground: Ground, came_from: Mapping[str, str]) -> Iterator[Hop]:
    by_version = {release.version: release for release in ground.steps}
    route = [ground.goal.version]
    while route[-1] != ground.observed:
        route.append(came_from[route[-1]])
    route.reverse()
    for (here, there), beyond in zip(pairwise(route), [*route[2:], ""], strict=True):
        later = by_version.get(beyond)
        yield Hop(here, there, _rule(ground, here, there, later), _settled(ground, by_version[there]) if later else "")


def _rule(ground: Ground, here: str, version: str, later: Release | None) -> str:
    """Why a hop is taken. Neither the goal nor a stop, it is for what bars the way past it to the release after it."""
    if later is None:
        return "wanted release"
    if version not in ground.entries:
        return bar(ground, here, later)
    stop = ground.entries[version][0]
    words = "required stop" if stop.version == version else f"required stop {stop.version}, at its newest patch"
    return f"{words}, because {explain(stop.stop_when, ground.facts)}" if stop.stop_when else words


def _settled(ground: Ground, release: Release) -> str:
    """The gate for what goes on after a hop to a release, its own or that of a stop which is taken there."""
    landed_on = (release, *ground.entries.get(release.version, ()))
    return next((one.settled_gate for one in landed_on if one.settled_gate), "")


def _no_path(ground: Ground, reached: Mapping[str, str]) -> NoPathError:
    """How far the host can get, and what cuts the way to the first release that must be taken and cannot be."""
    barrier = next(
        release
        for release in reversed(ground.steps)
        if (release is ground.goal or release.version in ground.entries) and release.version not in reached
    )
    before = sorted((version for version in reached if barrier in in_front(ground, version)), key=parsed, reverse=True)
    cuts = [
        cut
        for release in _leading_on(ground, before, barrier)
        for cut in _cuts(ground, release, [here for here in before if parsed(here) < parsed(release.version)])
    ]
    nearest = [release.version for release in ground.steps if release.version in reached][:NAMED]
    within = f"nearest reachable: {', '.join(nearest)}" if nearest else "no other release can be reached"
    name = "" if barrier is ground.goal else "the required stop "
    way = f"no path from {ground.observed} to {ground.goal.version}"
    return NoPathError(f"{way}: {name}{_in_words(cuts)}; {within}", nearest, cuts)


def _in_words(cuts: Sequence[Cut]) -> str:
    """The first cuts in a sentence; of releases that are cut off for the same reason, the newest stands for all."""
    barrier = cuts[0].version
    once = {(cut.requires, cut.reason, cut.url): cut for cut in cuts if cut.version != barrier}
    first = [cut for cut in cuts if cut.version == barrier]
    others = [cut for why, cut in once.items() if why not in {(one.requires, one.reason, one.url) for one in first}]
    return "; ".join(map(str, [*first, *others][:NAMED]))


def _leading_on(ground: Ground, before: Sequence[str], barrier: Release) -> list[Release]:
    """The barrier and, oldest first, every release out of reach from which hops lead to it."""
    found = [barrier]
    for release in in_front(ground, before[-1]):
        newer = (one for one in found if parsed(release.version) < parsed(one.version))
        if release.version not in before and any(not bar(ground, release.version, one) for one in newer):
            found.append(release)
    return [barrier, *reversed(found[1:])]


def _cuts(ground: Ground, release: Release, before: Sequence[str]) -> list[Cut]:
    """What bars the hops to a release from each of these versions, where all are barred."""
    allowed = [here for here in before if meets(here, release.requires)]
    if not allowed:
        return [Cut(release.version, tuple(before), requires=release.requires)]
    found = []
    for block in ground.blocks[release.version]:
        if barred := tuple(here for here in allowed if meets(here, block.from_versions)):
            found.append(Cut(release.version, barred, reason=block.reason, url=block.url))
    return found
