"""The ground of one host's path: which releases it may use, which it must not pass by, and what bars a hop.

The rules stand in `liftlock.path`; this is what follows from each of them before a path is looked for.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from liftlock.condition import Facts, UndecidedError, holds
from liftlock.model import BlockedEdge, Catalogue, Channel, Release
from liftlock.version import line, meets, parsed

NAMED = 3
"""How many of several versions or causes are named in one sentence."""


@dataclass(frozen=True, slots=True)
class Ground:
    """Where a path may go: its two ends, the releases it may use (newest first), and what it must not pass by.

    `entries` are the versions at which stops are taken, each with the stops that demand it, newest first;
    `older_patches` are the other versions of their lines that come before them. `blocks` are those that hold on this
    host, by version.
    """

    observed: str
    goal: Release
    facts: Facts
    steps: tuple[Release, ...]
    entries: Mapping[str, Sequence[Release]]
    older_patches: frozenset[str]
    blocks: Mapping[str, Sequence[BlockedEdge]]


def survey(catalogue: Catalogue, observed: str, goal: Release, facts: Facts) -> Ground:
    """The ground upwards to a newer release. Raises UndecidedError when the facts give a condition on it no answer."""
    start, end = parsed(observed), parsed(goal.version)
    ahead = [
        release
        for release in sorted(catalogue.releases, key=lambda release: parsed(release.version), reverse=True)
        if start < parsed(release.version) <= end and _is_offered(release, goal)
    ]
    entries: dict[str, list[Release]] = {}
    for stop in ahead:
        if stop.stop and _applies(stop, stop.stop_when, facts):
            entries.setdefault(_entry(stop, ahead, goal).version, []).append(stop)
    steps = tuple(r for r in ahead if r is goal or r.version in entries or not parsed(r.version).is_prerelease)
    blocks = {step.version: _blocks(step, facts) for step in steps}
    return Ground(observed, goal, facts, steps, entries, _older_patches(steps, entries), blocks)


def survey_downwards(observed: str, goal: Release, facts: Facts) -> Ground:
    """The ground of a downgrade: the wanted release alone, whose `requires` is about upgrades. Raises as `survey`."""
    return Ground(
        observed, replace(goal, requires=""), facts, (goal,), {}, frozenset(), {goal.version: _blocks(goal, facts)}
    )


def in_front(ground: Ground, here: str) -> Sequence[Release]:
    """The releases that one hop can lead to if nothing bars it, newest first: newer, and not beyond the next stop."""
    ahead = [release for release in ground.steps if parsed(release.version) > parsed(here)]
    next_stop = next((n for n, r in reversed(list(enumerate(ahead))) if r.version in ground.entries), 0)
    return ahead[next_stop:]


def bar(ground: Ground, here: str, release: Release) -> str:
    """What bars the hop from `here` to a release, in words; empty when nothing does."""
    if not meets(here, release.requires):
        return f"{release.version} requires {release.requires}"
    for block in ground.blocks[release.version]:
        if meets(here, block.from_versions):
            return blocked(release.version, [here], block.reason, block.url)
    return ""


def blocked(version: str, from_versions: Sequence[str], reason: str, url: str) -> str:
    """`1.6.0 is blocked from 1.4.1, 1.4.0: it loses bookings (https://...)`."""
    more = f" and {len(from_versions) - NAMED} more" if len(from_versions) > NAMED else ""
    read_on = f" ({url})" if url else ""
    return f"{version} is blocked from {', '.join(from_versions[:NAMED])}{more}: {reason}{read_on}"


def _is_offered(release: Release, goal: Release) -> bool:
    """Whether a release may be on the way by its channel."""
    if release is goal or release.channel is Channel.STABLE:
        return True
    return goal.channel is Channel.CANDIDATE and line(release.version) == line(goal.version)


def _entry(stop: Release, ahead: Sequence[Release], goal: Release) -> Release:
    """The release at which a stop is taken: the newest one of its line that may be on the way."""
    newer = (release for release in ahead[: ahead.index(stop)] if line(release.version) == line(stop.version))
    return next((r for r in newer if r is goal or not parsed(r.version).is_prerelease), stop)


def _older_patches(steps: Sequence[Release], entries: Collection[str]) -> frozenset[str]:
    older: set[str] = set()
    stops_ahead = set()
    for version in (step.version for step in steps):
        if version in entries:
            stops_ahead.add(line(version))
        elif line(version) in stops_ahead:
            older.add(version)
    return frozenset(older)


def _blocks(release: Release, facts: Facts) -> tuple[BlockedEdge, ...]:
    return tuple(block for block in release.blocked if _applies(release, block.when, facts))


def _applies(release: Release, condition: str, facts: Facts) -> bool:
    try:
        return holds(condition, facts)
    except UndecidedError as error:
        raise UndecidedError(f"{release.version}: `{condition}` cannot be judged on this host: {error}") from None
