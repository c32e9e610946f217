"""A plan's case opened: the plan as its record tells, with those before it that customers know, and those after it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from liftlock.app.workspace import Workspace
from liftlock.case import Before, Case
from liftlock.giving_way import Seen, forerunners, heirs
from liftlock.ledger import Entry, Planned
from liftlock.model import Contact, Plan
from liftlock.plan_document import from_document

if TYPE_CHECKING:
    from liftlock.adapters.db import SqlLedger


def open_case(workspace: Workspace, plan: Plan, ledger: SqlLedger, *more: Entry) -> Case:
    """The plan as the record tells, and `more` entries that are about to be written."""
    return _Desk(workspace, ledger).case(plan, more)


class _Desk:
    """Opens cases from one record; a plan and its entries are read once, and only where they matter."""

    def __init__(self, workspace: Workspace, ledger: SqlLedger) -> None:
        self._workspace, self._ledger = workspace, ledger
        self._ids = ledger.plans()
        self._plans: dict[str, Plan | None] = {}
        self._cases: dict[str, Case] = {}

    def case(self, plan: Plan, more: Iterable[Entry]) -> Case:
        """The case of a plan, which need not be on record yet."""
        found = forerunners(plan, self._read(reversed(self._ids[: self._place(plan)])), self._seen)
        before = tuple(Before(self._with_heirs(self._alone(earlier)), hosts) for earlier, hosts in found)
        alone = self._alone(plan)
        return self._with_heirs(replace(alone, entries=(*alone.entries, *more), before=before))

    def _place(self, plan: Plan) -> int:
        return self._ids.index(plan.id) if plan.id in self._ids else len(self._ids)

    def _with_heirs(self, case: Case) -> Case:
        later = self._ids[self._place(case.plan) + 1 :]
        if not later:
            return case
        seen = Seen(case.progress, case.knowing)
        found = heirs(case.plan, seen, self._read(reversed(later)), self._seen, self._workspace.clock.now())
        return replace(case, heirs=found) if found else case

    def _read(self, ids: Iterable[str]) -> Iterator[Plan]:
        for id_ in ids:
            if id_ not in self._plans:
                self._plans[id_] = plan_on_record(self._ledger, id_)
            if plan := self._plans[id_]:
                yield plan

    def _seen(self, plan: Plan) -> Seen:
        case = self._alone(plan)
        return Seen(case.progress, case.knowing)

    def _alone(self, plan: Plan) -> Case:
        if plan.id not in self._cases:
            fleet, considered = self._workspace.fleet(plan.fleet), {left.host for left in plan.exclusions}
            self._cases[plan.id] = Case(
                plan=plan,
                entries=tuple(self._ledger.entries(plan.id)),
                customers=fleet.customers,
                managers=tuple(Contact(email, email) for email in self._workspace.settings.vendor.release_managers),
                held={host.name: host.customer for host in fleet.hosts if host.hold and host.name in considered},
            )
        return self._cases[plan.id]


def plan_on_record(ledger: SqlLedger, id_: str) -> Plan | None:
    """The plan of that id; None when the record has none."""
    first = next(iter(ledger.entries(id_)), None)
    return from_document(first.fact.document) if first and isinstance(first.fact, Planned) else None
