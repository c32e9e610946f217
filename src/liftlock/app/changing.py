"""What `diff`, `approve` and `rollout --replan` do: compare plans, record who agreed, make a plan again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from liftlock.app.ended import not_through, over_words, refuse_over
from liftlock.app.planning import keep, prepare
from liftlock.app.rolling import ensure_recorded
from liftlock.app.workspace import Workspace, operator
from liftlock.approval import Approval, approvals, person
from liftlock.difference import Change, difference, objections
from liftlock.errors import InputError, RefusedError
from liftlock.giving_way import settled_in
from liftlock.ledger import Approved, Replanned
from liftlock.model import Observation, Plan
from liftlock.progress import Progress
from liftlock.stops import why_over

_NAME_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Agreed:
    """Who has approved a plan; `recorded` is false when the person had done so before."""

    plan: Plan
    given: tuple[Approval, ...]
    recorded: bool

    @property
    def missing(self) -> int:
        """How many more people must approve."""
        return max(0, self.plan.approvals - len(self.given))


@dataclass(frozen=True, slots=True)
class MadeAgain:
    """A plan made again: the changes, and the new plan with its file, or neither when the old one goes on."""

    old: Plan
    changes: tuple[Change, ...]
    new: Plan | None = None
    file: Path | None = None


def compare(workspace: Workspace, old: Plan, new: Plan) -> tuple[Change, ...]:
    """What changed from one plan to another, windows in the customers' zones as the inventory has them now."""
    return difference(old, new, _zones(workspace, new))


def changes_document(changes: tuple[Change, ...]) -> list[dict[str, Any]]:
    """The changes as plain values: keys `what`, `subject`, `hosts`, `before`, `after`, `material`, `words`."""
    return [asdict(change) | {"words": change.words} for change in changes]


def approve(workspace: Workspace, plan: Plan, by: str = "", note: str = "") -> Agreed:
    """Record that a person agreed to this very plan; without `by` it is whoever runs this, as user@host.

    Raises InputError for a name or note that is not one line of text, RefusedError for a plan that is over.
    """
    by = by.strip() or operator()
    if not (by.isprintable() and note.isprintable() and len(by) <= _NAME_LENGTH):
        raise InputError("--by and --note take one line of text without control characters")
    with workspace.ledger() as ledger:
        ensure_recorded(ledger, plan, workspace)
        entries = list(ledger.entries(plan.id))
        refuse_over(plan, entries)
        before = approvals(entries)
        known = any(person(given.by) == person(by) for given in before)
        if not known:
            ledger.append(plan.id, Approved(by=by, note=note), workspace.clock.now())
        return Agreed(plan, approvals(ledger.entries(plan.id)), recorded=not known)


def plan_again(workspace: Workspace, plan: Plan, on_seen: Callable[[Observation], None]) -> MadeAgain | None:
    """Make a plan again whose inputs changed since; None when they did not, or when it has no host left to act on.

    The same product, version and fleet, narrowed to the same customers and hosts, are looked at and planned as if
    at the moment of the old plan. Where that brings no material change (`liftlock.difference`) for the hosts
    that it has still to act on, the old plan goes on: its notices, approvals and gates stand, and the record
    says that the new inputs are as good as its own. Else a plan of this moment is made and recorded, for which
    people must be told and asked again; the old one is left as it is. Raises RefusedError for a plan that is over;
    one with hosts that are not through is looked at, but another plan does not follow from it.
    """
    with workspace.held(plan), workspace.ledger() as ledger:
        ensure_recorded(ledger, plan, workspace)
        entries = list(ledger.entries(plan.id))
        progress = Progress.of(plan).with_entries(entries)
        ended, still_open = why_over(plan, progress, entries), not_through(plan, entries)
        if ended and not still_open:
            raise RefusedError(over_words(plan, ended))
        through = settled_in(progress)
        if len(through) == len(plan.hosts) or not workspace.check_inputs(plan, progress.inputs):
            return None
        make = prepare(
            workspace,
            plan.product,
            plan.version,
            also=plan.also,
            fleet_name=plan.fleet,
            customers=plan.only_customers,
            hosts=plan.only_hosts,
            waived=plan.waived,
            downgrade=plan.downgrade,
            on_seen=on_seen,
        )
        again, zones = make(plan.created_at), _zones(workspace, plan)
        if not objections(plan, again, through, zones):
            ledger.append(plan.id, Replanned(inputs=dict(again.inputs)), workspace.clock.now())
            return MadeAgain(plan, difference(plan, again, zones))
        if ended:
            raise RefusedError(over_words(plan, ended, still_open))
        new = make(workspace.clock.now(), replaces=plan.id)
        kept = keep(workspace, new, f"set aside for plan {plan.id[:8]}, which it stands in for")
        return MadeAgain(plan, difference(plan, new, zones), new, kept)


def _zones(workspace: Workspace, plan: Plan) -> dict[str, str]:
    """The customers' zones; none for a fleet that has no inventory any more: its windows are told in UTC."""
    with suppress(InputError):
        return {name: customer.timezone for name, customer in workspace.fleet(plan.fleet).customers.items()}
    return {}
