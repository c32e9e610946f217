"""Plans that are over: who ended them, or which rule of the policy did, and what to do instead. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from liftlock.errors import RefusedError
from liftlock.ledger import Entry
from liftlock.model import Plan
from liftlock.progress import Progress, Standing
from liftlock.stops import to_roll_back, why_over

_OPEN = (Standing.IN_HAND, Standing.LOST, Standing.AILING, Standing.SWITCHED)


def not_through(plan: Plan, entries: Sequence[Entry]) -> tuple[str, ...]:
    """The hosts of a plan that is over which a controller has still to bring to their end."""
    progress = Progress.of(plan).with_entries(entries)
    names = {name for standing in _OPEN for name in progress.group(standing)}
    return tuple(sorted(names.union(to_roll_back(plan, progress))))


def refuse_over(plan: Plan, entries: Sequence[Entry]) -> None:
    """Raises RefusedError, with what to do instead, when the plan is over."""
    if why := why_over(plan, Progress.of(plan).with_entries(entries), entries):
        raise RefusedError(over_words(plan, why, not_through(plan, entries)))


def over_words(plan: Plan, why: str, still_open: Sequence[str] = ()) -> str:
    """That it is over, and why; what to do about hosts that are not through, or else how to plan again."""
    id_ = plan.id[:8]
    if still_open:
        back = f"bring what it upgraded back with: liftlock rollback {id_} --reason WHY"
        return f"plan {id_} is over: {why}; {', '.join(still_open)} not through yet: {back}"
    return f"plan {id_} is over: {why}; make a new plan with: {plan.command}"
