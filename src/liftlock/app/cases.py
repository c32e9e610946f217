"""A plan's case opened: the plan as its record tells, with the plan before and after it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from liftlock.app.workspace import Workspace
from liftlock.ledger import Entry, Planned
from liftlock.model import Contact, Fleet, Plan
from liftlock.owed import Case
from liftlock.plan_document import from_document

if TYPE_CHECKING:
    from liftlock.adapters.db import SqlLedger


def open_case(workspace: Workspace, plan: Plan, ledger: SqlLedger, *more: Entry) -> Case:
    """The plan as the record tells, and `more` entries that are about to be written."""
    fleet = workspace.fleet(plan.fleet)
    before = plan_on_record(ledger, plan.replaces) if plan.replaces else None
    return replace(
        _case(workspace, plan, fleet, (*ledger.entries(plan.id), *more)),
        before=_case(workspace, before, fleet, tuple(ledger.entries(before.id))) if before else None,
        after=_successor(ledger, plan),
    )


def _case(workspace: Workspace, plan: Plan, fleet: Fleet, entries: tuple[Entry, ...]) -> Case:
    considered = {left.host for left in plan.exclusions}
    return Case(
        plan=plan,
        entries=entries,
        customers=fleet.customers,
        managers=tuple(Contact(email, email) for email in workspace.settings.vendor.release_managers),
        held={host.name: host.customer for host in fleet.hosts if host.hold and host.name in considered},
    )


def plan_on_record(ledger: SqlLedger, id_: str) -> Plan | None:
    """The plan of that id; None when the record has none."""
    first = next(iter(ledger.entries(id_)), None)
    return from_document(first.fact.document) if first and isinstance(first.fact, Planned) else None


def _successor(ledger: SqlLedger, plan: Plan) -> Plan | None:
    """The plan that stands in for this one, where there is one."""
    ids = ledger.plans()
    later = ids[ids.index(plan.id) + 1 :] if plan.id in ids else []
    plans = (plan_on_record(ledger, id_) for id_ in later)
    return next((one for one in plans if one and one.replaces == plan.id), None)
