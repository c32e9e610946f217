"""How long things took, quarter by quarter: from a release's publication to hosts, from an incident to its end. Pure.

Medians, as one host that was on hold for months would move a mean; where nothing was to be measured there is None.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median

from liftlock.incident import Incident
from liftlock.model import Outcome, Release
from liftlock.quarter import Quarter
from liftlock.records import HostRecord


@dataclass(frozen=True, slots=True)
class Days:
    """Days from publication to upgraded hosts in one quarter: the middle one, over so many hosts."""

    quarter: str
    median_days: float | None
    hosts: int


@dataclass(frozen=True, slots=True)
class PatchTime:
    """Days from publication to upgraded hosts of one severity, in each quarter of the trend, the reviewed one last.

    `median_days`, `longest_days` and `hosts` are the reviewed quarter's.
    """

    severity: str
    median_days: float | None
    longest_days: float | None
    hosts: int
    trend: tuple[Days, ...] = ()


@dataclass(frozen=True, slots=True)
class ResponseTime:
    """The middle minutes from a quarter's incidents to the acknowledgement, and to the recovery, of those that had one.

    `acknowledged` and `recovered` count these, of all `incidents`.
    """

    quarter: str
    minutes_to_acknowledge: float | None
    acknowledged: int
    minutes_to_recover: float | None
    recovered: int
    incidents: int


def patch_times(
    records: Iterable[HostRecord], shown: Sequence[Quarter], releases: Mapping[tuple[str, str], Release]
) -> tuple[tuple[PatchTime, ...], int]:
    """Time to patch by severity, gravest first, and how many hosts of the last quarter got an unpublished release."""
    days: dict[str, dict[Quarter, list[float]]] = defaultdict(lambda: defaultdict(list))
    unpublished = 0
    for one in records:
        quarter = Quarter.of(one.at)
        if one.outcome is not Outcome.SUCCEEDED or quarter not in shown:
            continue
        release = releases.get((one.product, one.version))
        if release is None or release.released is None:
            unpublished += quarter == shown[-1]
            continue
        published = datetime.combine(release.released, datetime.min.time(), UTC)
        days[_severity(release)][quarter].append(max(0.0, (one.at - published) / timedelta(days=1)))
    return tuple(_patch_time(name, days[name], shown) for name in sorted(days, key=_gravity)), unpublished


def response_times(found: Iterable[Incident], shown: Sequence[Quarter]) -> tuple[ResponseTime, ...]:
    """How soon the incidents that opened in each quarter were acknowledged and recovered from."""
    opened: dict[Quarter, list[Incident]] = defaultdict(list)
    for one in found:
        opened[Quarter.of(one.opened_at)].append(one)
    return tuple(_response_time(quarter, opened[quarter]) for quarter in shown)


def _patch_time(severity: str, days: Mapping[Quarter, list[float]], shown: Sequence[Quarter]) -> PatchTime:
    trend = tuple(Days(str(each), _middle(days.get(each, [])), len(days.get(each, []))) for each in shown)
    now = days.get(shown[-1], [])
    return PatchTime(severity, trend[-1].median_days, round(max(now), 1) if now else None, len(now), trend)


def _response_time(quarter: Quarter, found: Sequence[Incident]) -> ResponseTime:
    acknowledged = [_minutes(one, one.acknowledged_at) for one in found if one.acknowledged_at]
    recovered = [_minutes(one, one.recovered_at) for one in found if one.recovered_at]
    return ResponseTime(
        str(quarter), _middle(acknowledged), len(acknowledged), _middle(recovered), len(recovered), len(found)
    )


def _minutes(one: Incident, until: datetime) -> float:
    return (until - one.opened_at) / timedelta(minutes=1)


def _middle(values: Sequence[float]) -> float | None:
    return round(median(values), 1) if values else None


def _severity(release: Release) -> str:
    """That of the gravest defect which the release fixes, else its kind."""
    fixed = {fix.severity for fix in release.fixes}
    return next((grave for grave in _GRAVEST_FIRST if grave in fixed), release.kind.value)


_GRAVEST_FIRST = ("urgent", "major", "minor")


def _gravity(severity: str) -> tuple[int, str]:
    known = _GRAVEST_FIRST.index(severity) if severity in _GRAVEST_FIRST else len(_GRAVEST_FIRST)
    return known, severity
