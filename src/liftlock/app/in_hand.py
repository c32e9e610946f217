"""Hosts on which another plan is still at work: they belong to it until it is through with them."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from liftlock.app.workspace import Workspace
from liftlock.errors import LockedError
from liftlock.model import Plan
from liftlock.progress import Progress
from liftlock.records import HostRecord, Records, read_records
from liftlock.stops import why_over

if TYPE_CHECKING:
    from liftlock.adapters.db import SqlLedger


def refuse_in_hand(workspace: Workspace, plan: Plan, ledger: SqlLedger) -> None:
    """Raises LockedError when another plan is at work on a host of this one and its end there is not known.

    It is so also while that host bakes, and when no controller runs: the next one would take the host back from under
    this plan. A plan that is over counts only as long as a controller carries it out.
    """
    ours = {host.machine for host in plan.hosts}
    begun = [id_ for id_, names in ledger.begun().items() if ours & {name.partition("/")[0] for name in names}]
    if not set(begun) - {plan.id}:
        return
    records = read_records(entry for id_ in begun for entry in ledger.entries(id_))
    for id_, theirs in _held(plan, records).items():
        other, entries = records.plans[id_], list(ledger.entries(id_))
        if workspace.is_held(other) or not why_over(other, Progress.of(other).with_entries(entries), entries):
            raise LockedError(_words(id_[:8], theirs))


def _held(plan: Plan, records: Records) -> dict[str, list[HostRecord]]:
    """By plan, the hosts of this one that another plan was the last to touch, without an end so far."""
    last: dict[tuple[str, str, str], HostRecord] = {}
    for record in sorted(records.hosts, key=lambda record: record.at):
        if record.attempted:
            last[records.plans[record.plan].fleet, record.product, record.machine] = record
    held: dict[str, list[HostRecord]] = defaultdict(list)
    for host in plan.hosts:
        theirs = last.get((plan.fleet, plan.product_of(host), host.machine))
        if theirs is not None and theirs.unknown and theirs.plan != plan.id:
            held[theirs.plan].append(theirs)
    return held


def _words(plan: str, theirs: list[HostRecord]) -> str:
    names, since = ", ".join(record.machine for record in theirs), min(record.at for record in theirs)
    return (
        f"plan {plan} is not through with {names}, since {since:%Y-%m-%d %H:%M} UTC: wait for it, finish it with: "
        f"liftlock rollout {plan}, or bring it back with: liftlock rollback {plan} --reason WHY"
    )
