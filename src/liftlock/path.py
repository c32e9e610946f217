"""Paths: which releases a host passes through on its way to the wanted one.

The rules, all judged by the order of PEP 440:

1. Only upwards: every hop leads to a newer version. A downgrade is never planned.
2. A release's `requires` is judged against the version the host has before that hop. A pre-release
   counts there like any other version, by its order alone (`>=1.4` accepts `1.5rc1`, `<1.5` and
   `>=1.5` do not), and a local part (`1.4.2+hot5`) is ignored unless the specifier names one.
3. A stop newer than the observed version is never passed by: its line (`X.Y`) is entered at the
   newest release of that line that is not newer than the wanted one. A pre-release is that release
   only when it is the wanted one, or the stop itself with no final release after it.
4. Otherwise a pre-release is on a path only as the wanted version.
5. The path with the fewest hops wins; among those, the one whose earliest differing hop is newer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from liftlock.errors import ExitCode, InputError, LiftlockError
from liftlock.model import Catalogue, Hop, Release

_NEAREST_NAMED = 3


@dataclass(frozen=True, slots=True)
class _Ground:
    """Where a path may go: its two ends, the releases it may use (newest first), and what it must not pass by.

    `entries` are the versions at which stops are taken, each with the stop that demands it (rule 3).
    """

    observed: str
    goal: Release
    steps: tuple[Release, ...]
    entries: Mapping[str, str]


class NoPathError(LiftlockError):
    """No path leads to the wanted version; `reason` says why in words, `nearest` names what can be reached."""

    exit_code = ExitCode.REFUSED

    def __init__(self, reason: str, nearest: Sequence[str] = ()) -> None:
        self.reason = reason
        self.nearest = tuple(nearest)
        super().__init__(reason)


def find_release(catalogue: Catalogue, version: str) -> Release:
    """The release of exactly this version. Raises InputError, naming the versions there are, when there is none."""
    for release in catalogue.releases:
        if release.version == version:
            return release
    known = ", ".join(release.version for release in catalogue.releases) or "none"
    raise InputError(f"{catalogue.product.name} has no release {version}; there are: {known}")


def find_path(catalogue: Catalogue, observed: str, wanted: str) -> tuple[Hop, ...]:
    """The hops from the observed to the wanted version by the rules above; none when they are equal.

    Raises NoPathError when the observed version cannot be ordered, is newer than the wanted one, or
    no path obeys the rules; InputError when the catalogue has no release `wanted`.
    """
    goal = find_release(catalogue, wanted)
    start = _observed_version(observed)
    if start > _version(wanted):
        raise NoPathError(f"has {observed}, newer than {wanted}; downgrades are not planned")
    if start == _version(wanted):
        return ()
    ground = _survey(catalogue, observed, goal)
    came_from = _search(ground)
    if wanted not in came_from:
        raise _no_path(ground, came_from)
    return tuple(_hops(ground, came_from))


def _survey(catalogue: Catalogue, observed: str, goal: Release) -> _Ground:
    start, end = _version(observed), _version(goal.version)
    ahead = [release for release in catalogue.releases if start < _version(release.version) <= end]
    ahead.sort(key=lambda release: _version(release.version), reverse=True)
    entries: dict[str, str] = {}
    for stop in ahead:
        if stop.stop:
            entries.setdefault(_entry(stop, ahead, goal).version, stop.version)
    usable = (r for r in ahead if r is goal or r.version in entries or not _version(r.version).is_prerelease)
    return _Ground(observed, goal, tuple(usable), entries)


def _entry(stop: Release, ahead: Sequence[Release], goal: Release) -> Release:
    """The release at which a stop is taken (rule 3)."""
    for release in ahead[: ahead.index(stop)]:
        if _line(release) == _line(stop) and (release is goal or not _version(release.version).is_prerelease):
            return release
    return stop


def _search(ground: _Ground) -> dict[str, str]:
    """Breadth first, newest first, up to the goal: each version reached, with the version before it."""
    came_from = {ground.observed: ""}
    queue = deque([ground.observed])
    while queue and ground.goal.version not in came_from:
        here = queue.popleft()
        for version in _within_reach(ground, here):
            if version not in came_from:
                came_from[version] = here
                queue.append(version)
    return came_from


def _within_reach(ground: _Ground, here: str) -> Iterator[str]:
    """The versions one hop away, newest first: newer, not beyond the next stop, and their requirement met."""
    ahead = [release for release in ground.steps if _version(release.version) > _version(here)]
    next_stop = next((n for n, r in reversed(list(enumerate(ahead))) if r.version in ground.entries), 0)
    return (release.version for release in ahead[next_stop:] if _meets(here, release.requires))


def _hops(ground: _Ground, came_from: Mapping[str, str]) -> Iterator[Hop]:
    by_version = {release.version: release for release in ground.steps}
    route = [ground.goal.version]
    while route[-1] != ground.observed:
        route.append(came_from[route[-1]])
    route.reverse()
    for n, (here, there) in enumerate(pairwise(route), start=2):
        yield Hop(here, there, _rule(ground, there, [by_version[version] for version in route[n:]]))


def _rule(ground: _Ground, version: str, later: Sequence[Release]) -> str:
    """Why a hop is taken; neither the goal nor a stop, it can only be for the requirement of the one after it."""
    if not later:
        return "wanted release"
    if version not in ground.entries:
        return f"{later[0].version} requires {later[0].requires}"
    stop = ground.entries[version]
    return "required stop" if stop == version else f"required stop {stop}, at its newest patch"


def _no_path(ground: _Ground, came_from: Mapping[str, str]) -> NoPathError:
    """The first release that must be taken and cannot be, and how far the host can get.

    Nothing stands between that release and what was reached, so its own requirement bars the way.
    """
    barrier = next(
        release
        for release in reversed(ground.steps)
        if (release is ground.goal or release.version in ground.entries) and release.version not in came_from
    )
    nearest = [release.version for release in ground.steps if release.version in came_from][:_NEAREST_NAMED]
    name = barrier.version if barrier is ground.goal else f"the required stop {barrier.version}"
    within = f"nearest reachable: {', '.join(nearest)}" if nearest else "no other release can be reached"
    way = f"no path from {ground.observed} to {ground.goal.version}"
    return NoPathError(f"{way}: {name} requires {barrier.requires}; {within}", nearest)


def _observed_version(text: str) -> Version:
    try:
        return _version(text)
    except InvalidVersion:
        raise NoPathError(f"the version {text!r} cannot be ordered: it is not a PEP 440 version") from None


@lru_cache(maxsize=4096)
def _version(text: str) -> Version:
    return Version(text)


@lru_cache(maxsize=65536)
def _meets(version: str, requires: str) -> bool:
    return not requires or _specifiers(requires).contains(_version(version), prereleases=True)


@lru_cache(maxsize=4096)
def _specifiers(text: str) -> SpecifierSet:
    return SpecifierSet(text)


def _line(release: Release) -> tuple[int, int, int]:
    version = _version(release.version)
    return version.epoch, version.major, version.minor
