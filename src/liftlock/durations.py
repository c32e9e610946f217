"""How long the hops of a product, and the way back, take by the record. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from liftlock.model import Catalogue, Outcome
from liftlock.records import HostRecord

ENOUGH = 20
"""A p95 is taken of no fewer durations than these: of twenty, one may have taken longer."""


def recorded_durations(records: Iterable[HostRecord], catalogue: Catalogue, until: datetime) -> dict[str, timedelta]:
    """By version, the time in which 95 of 100 hosts were through its hop (p95, nearest rank), as recorded until then.

    Only hosts that succeeded count, by their last hop. A version that has not been installed 20 times yet takes the p95
    of all versions of the product, when those are 20 and it is longer than the manifest's estimate: what is new may be
    slower than what came before it. Versions for which the manifest's estimate stands are left out.
    """
    known: dict[str, list[float]] = {}
    for record in records:
        timed = record.product == catalogue.product.name and record.seconds > 0 and record.at <= until
        if timed and record.outcome is Outcome.SUCCEEDED:
            known.setdefault(record.version, []).append(record.seconds)
    overall = _p95([seconds for times in known.values() for seconds in times])
    found = {}
    for release in catalogue.releases:
        own = _p95(known.get(release.version, []))
        if own is not None:
            found[release.version] = own
        elif overall is not None and overall > release.expected:
            found[release.version] = overall
    return found


def recorded_way_back(records: Iterable[HostRecord], product: str, until: datetime) -> timedelta | None:
    """The time in which 95 of 100 rollbacks of the product were through, of any version, as recorded until then.

    Only rollbacks that were attempts of their own and brought the host back count: one within an upgrade has no time of
    its own. None when they are fewer than 20.
    """
    ended = (record for record in records if record.product == product and record.at <= until)
    return _p95([record.back_seconds for record in ended if record.back_seconds > 0])


def _p95(seconds: list[float]) -> timedelta | None:
    """None when they are too few."""
    if len(seconds) < ENOUGH:
        return None
    rank = -(-95 * len(seconds) // 100)
    return timedelta(seconds=sorted(seconds)[rank - 1])
