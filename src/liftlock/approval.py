"""Approvals: how many people must agree to a plan before its first host, and who has. Pure.

The policy's rules ask by release kind and number of planned hosts; of the rules that apply, the one with the most
approvers counts. A plan that installs a release which is not reversible needs at least one. An approval is given to one
very plan: a plan made again starts from none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from liftlock.ledger import Approved, Entry
from liftlock.model import ApprovalRule, Plan, ReleaseKind


@dataclass(frozen=True, slots=True)
class Approval:
    """Who agreed to a plan, what they noted, and when (UTC)."""

    by: str
    note: str
    at: datetime


def approvers_needed(rules: Iterable[ApprovalRule], kind: ReleaseKind, hosts: int) -> int:
    """How many people must approve a plan of this kind with so many planned hosts; 0 when no rule applies."""
    applying = (rule for rule in rules if kind in (rule.kinds or (kind,)) and hosts > rule.over_hosts)
    return max((rule.approvers for rule in applying), default=0)


def person(name: str) -> str:
    """What makes two names the same person: neither case nor the space around and between its words."""
    return " ".join(name.split()).casefold()


def approvals(entries: Iterable[Entry]) -> tuple[Approval, ...]:
    """The approvals among one plan's entries; of each person the first."""
    given: dict[str, Approval] = {}
    for entry in entries:
        if isinstance(entry.fact, Approved):
            given.setdefault(person(entry.fact.by), Approval(entry.fact.by, entry.fact.note, entry.at))
    return tuple(given.values())


def unapproved(plan: Plan, people: Collection[str]) -> str:
    """Why the plan must not start yet, given who has approved it (as `person` names them); empty when it may."""
    missing = plan.approvals - len(people)
    if missing <= 0:
        return ""
    return (
        f"plan {plan.id[:8]} needs {_people(plan.approvals)} to approve it, {_people(missing)} more;"
        f" each says: liftlock approve {plan.id[:8]} --by NAME"
    )


def _people(count: int) -> str:
    return "1 person" if count == 1 else f"{count} people"
