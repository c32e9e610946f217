"""Plans that are over: who ended them, or which rule of the policy did, and what to do instead. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from liftlock.errors import RefusedError
from liftlock.ledger import Entry, Halted, Opened
from liftlock.model import Plan
from liftlock.progress import Progress, Standing
from liftlock.stops import stop_reason, to_roll_back

_OPEN = (Standing.IN_HAND, Standing.LOST, Standing.AILING, Standing.SWITCHED)


def why_over(plan: Plan, entries: Sequence[Entry]) -> str:
    """Why nothing starts under the plan any more, by its entries; empty while it may go on.

    An operator ended it, a rule of the policy is broken, or it was halted and no controller has taken it up since.
    """
    progress = Progress.of(plan).with_entries(entries)
    if progress.aborted:
        return f"aborted: {progress.aborted}"
    halted = ""
    for entry in entries:
        if isinstance(entry.fact, Halted | Opened):
            halted = entry.fact.reason if isinstance(entry.fact, Halted) else ""
    reason = stop_reason(plan, progress) or halted
    return f"halted: {reason}" if reason else ""


def not_through(plan: Plan, entries: Sequence[Entry]) -> tuple[str, ...]:
    """The hosts of a plan that is over which a controller has still to bring to their end."""
    progress = Progress.of(plan).with_entries(entries)
    names = {name for standing in _OPEN for name in progress.group(standing)}
    return tuple(sorted(names.union(to_roll_back(plan, progress))))


def refuse_over(plan: Plan, entries: Sequence[Entry]) -> None:
    """Raises RefusedError, with what to do instead, when the plan is over."""
    if why := why_over(plan, entries):
        raise RefusedError(over_words(plan, why, not_through(plan, entries)))


def over_words(plan: Plan, why: str, still_open: Sequence[str] = ()) -> str:
    """That it is over, and why; what to do about hosts that are not through, or else how to plan again."""
    id_ = plan.id[:8]
    if still_open:
        back = f"bring what it upgraded back with: liftlock rollback {id_} --reason WHY"
        return f"plan {id_} is over: {why}; {', '.join(still_open)} not through yet: {back}"
    also = ",".join(f"{product}={version}" for product, version in plan.also.items())
    asked = {"--also": also, "--customers": ",".join(plan.only_customers), "--hosts": ",".join(plan.only_hosts)}
    more = "".join(f" {flag} {words}" for flag, words in asked.items() if words)
    again = f"liftlock plan {plan.product} {plan.version} --fleet {plan.fleet}{more}"
    return f"plan {id_} is over: {why}; make a new plan with: {again}"
