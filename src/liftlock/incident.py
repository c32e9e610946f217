"""Incidents: from the moment a rule stops a rollout until every touched host is on a known-good release. Pure.

An incident opens when a rule of the policy is first broken (`liftlock.stops`; not when an operator ends the rollout).
Its clock: acknowledged by a person within 30 minutes, recovered within 2 hours. It has recovered when nobody is in
hand, lost, ailing, unreachable or failed without a good release, and nobody is left to roll back by the policy.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from liftlock.ledger import Acknowledged, Entry, Halted
from liftlock.model import Outcome, Plan
from liftlock.progress import Progress, Standing
from liftlock.stops import broken_rule, to_roll_back
from liftlock.window import in_words

ACKNOWLEDGE_WITHIN = timedelta(minutes=30)
RECOVER_WITHIN = timedelta(hours=2)
_UNSETTLED = (Standing.IN_HAND, Standing.LOST, Standing.AILING)
_NOT_GOOD = frozenset({Outcome.FAILED, Outcome.UNREACHABLE, Outcome.UNKNOWN})


@dataclass(frozen=True, slots=True)
class Incident:
    """One incident of a plan; times are UTC, None while it has not come to that. `by` acknowledged it."""

    opened_at: datetime
    reason: str
    acknowledged_at: datetime | None = None
    by: str = ""
    recovered_at: datetime | None = None

    def left_to_acknowledge(self, now: datetime) -> timedelta:
        """How much of the time was, or is, left; negative when it was missed."""
        return self.opened_at + ACKNOWLEDGE_WITHIN - (self.acknowledged_at or now)

    def left_to_recover(self, now: datetime) -> timedelta:
        """How much of the time was, or is, left; negative when it was missed."""
        return self.opened_at + RECOVER_WITHIN - (self.recovered_at or now)


def told_span(span: timedelta) -> str:
    """How long something of an incident took, or is late, for people: to the second first, then as windows are told."""
    return in_words(timedelta(seconds=round(span.total_seconds())))


def incidents(plan: Plan, entries: Iterable[Entry]) -> tuple[Incident, ...]:
    """The incidents of a plan, oldest first, by its entries in ledger order; linear in their number."""
    progress, found, broken = Progress.of(plan), list[Incident](), False
    for entry in entries:
        before, progress = progress, progress.with_entry(entry)
        reason = ""
        if progress is not before or isinstance(entry.fact, Halted):
            reason = broken_rule(plan, progress) or _standstill(entry, progress)
            # A host that is looked at again breaks the rule again: as long as it is not over it is the same incident.
            if reason and not broken and not (found and found[-1].recovered_at is None):
                found.append(Incident(entry.at, reason))
            broken = bool(reason)
        if found:
            found[-1] = _after(found[-1], entry, plan, progress)
    return tuple(found)


def _standstill(entry: Entry, progress: Progress) -> str:
    """A halt for want of progress: no entry but the halt itself tells of it."""
    return entry.fact.reason if isinstance(entry.fact, Halted) and not progress.aborted else ""


def _after(incident: Incident, entry: Entry, plan: Plan, progress: Progress) -> Incident:
    if isinstance(entry.fact, Acknowledged) and incident.acknowledged_at is None:
        return replace(incident, acknowledged_at=entry.at, by=entry.fact.by)
    if incident.recovered_at and progress.aborted and not _needs_a_person(progress):
        return incident  # an operator who takes hosts back later makes it last no longer
    if not _is_good(plan, progress):
        return replace(incident, recovered_at=None)
    return incident if incident.recovered_at else replace(incident, recovered_at=entry.at)


def _is_good(plan: Plan, progress: Progress) -> bool:
    if any(progress.count(standing) for standing in _UNSETTLED):
        return False
    return not _needs_a_person(progress) and not to_roll_back(plan, progress)


def _needs_a_person(progress: Progress) -> bool:
    return any(progress.hosts[name].outcome in _NOT_GOOD for name in progress.group(Standing.FAILED))
