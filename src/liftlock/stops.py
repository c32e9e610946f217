"""What stops a rollout: the rules of the policy, and the operator who ends it. Pure.

- budget or limit: more planned hosts have failed than the target, or `max_failures`, allows
- one cause: more hosts have failed of one cause than `max_per_cause` allows (`liftlock.cause`)
- drill: the host that drills did not come back, or not up again (`liftlock.drill`)
- over: hosts that were well have been brought back. To go on would leave a fleet of two minds; plan again
- evidence: a true rate at the target is implausible after so many failures (`liftlock.evidence`)
- progress: hosts were worked on for `progress_within`, and none became healthy (`liftlock.pace`). A controller that
  takes over, and every host that becomes healthy, begin that time anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from liftlock.drill import DrillState
from liftlock.evidence import FALSE_ALARM, refutes_target
from liftlock.ledger import Entry, Halted, Opened
from liftlock.model import Plan, RollbackScope
from liftlock.progress import Progress, Standing
from liftlock.standing import ITSELF
from liftlock.window import in_words

ATTEMPTED = frozenset(Standing) - {Standing.FREE, Standing.LEFT_OUT}
"""Where hosts stand that were attempted, or are being; those without an end yet count as succeeded until they fail."""


_OVER = "over: "


def stop_reason(plan: Plan, progress: Progress, now: datetime | None = None) -> str:
    """Why nothing new starts, in words; empty while nothing stops the rollout. Without `now` time stops nothing."""
    if progress.aborted:
        return f"aborted: {progress.aborted}"
    return broken_rule(plan, progress) or (_standstill(plan, progress, now) if now else "")


def why_over(plan: Plan, progress: Progress, entries: Iterable[Entry]) -> str:
    """Why nothing starts under the plan as its record stands; empty while it may go on.

    An operator ended it, a rule is broken, or it was halted and no controller has taken it up since.
    """
    if progress.aborted:
        return f"aborted: {progress.aborted}"
    halted = ""
    for entry in entries:
        if isinstance(entry.fact, Halted | Opened):
            halted = entry.fact.reason if isinstance(entry.fact, Halted) else ""
    reason = stop_reason(plan, progress) or halted
    return f"halted: {reason}" if reason else ""


def halted_by(entries: Iterable[Entry]) -> str:
    """Why it was halted last; that hosts were brought back since, as the policy says, came of that and is no reason."""
    reasons = [entry.fact.reason for entry in entries if isinstance(entry.fact, Halted)]
    own = [reason for reason in reasons if not reason.startswith(_OVER)]
    return (own or reasons or [""])[-1]


def is_dead(plan: Plan, progress: Progress) -> bool:
    """Whether nothing starts under the plan ever again: a controller that takes it up would stop at once.

    What is over need not be dead: a rollout that a standstill stopped can be taken up, and so can one that was stopped
    by hosts which could not be reached. The next controller looks at them once more.
    """
    return bool(stop_reason(plan, progress.taken_up))


def is_held(progress: Progress, reason: str) -> bool:
    """Whether a pause holds it up: there is something left to do, and no `reason` to stop overrules a pause of ours."""
    if progress.paused is None:
        return False
    return progress.paused.by != ITSELF if reason else progress.wave is not None


def broken_rule(plan: Plan, progress: Progress) -> str:
    """Which rule of the policy is broken, as far as the record alone tells; empty while none is."""
    if drill := _drill(progress):  # it says more than the budget that it may break as well
        return drill
    failed = progress.count(Standing.FAILED)
    if failed > plan.allowed_failures:
        return _over_budget(plan, failed)
    return _one_cause(plan, progress) or _doubt(plan, progress, failed) or _over(progress)


def to_roll_back(plan: Plan, progress: Progress) -> tuple[str, ...]:
    """The hosts, upgraded or left on their way, that the policy brings back when the rollout is stopped by a rule."""
    if progress.aborted or plan.policy.rollback is RollbackScope.HOST:
        return ()
    failed_waves = {progress.wave_of(name) for name in progress.group(Standing.FAILED)}
    on_the_way = (name for name in progress.group(Standing.FREE) if progress.host(name).on_the_way)
    upgraded = (*progress.group(Standing.SWITCHED), *progress.group(Standing.SUCCEEDED), *on_the_way)
    everywhere = plan.policy.rollback is RollbackScope.ALL
    return tuple(sorted(name for name in upgraded if everywhere or progress.wave_of(name) in failed_waves))


def _over_budget(plan: Plan, failed: int) -> str:
    return (
        f"budget: {failed} of {len(plan.hosts)} planned hosts failed, "
        f"{plan.policy.target_percent} % allows {plan.allowed_failures}"
        if plan.policy.max_failures is None
        else f"limit: {failed} of {len(plan.hosts)} planned hosts failed, the policy allows {plan.allowed_failures}"
    )


def _one_cause(plan: Plan, progress: Progress) -> str:
    allowed = plan.policy.max_per_cause
    if allowed is None or not progress.causes:
        return ""
    cause, hosts = max(progress.causes.items(), key=lambda item: (item[1], item[0]))
    failed = "1 host" if hosts == 1 else f"{hosts} hosts"
    return f"limit: {failed} failed of one cause ({cause}), the policy allows {allowed}" if hosts > allowed else ""


def _drill(progress: Progress) -> str:
    drill = progress.drill
    return f"drill: {drill.host} {drill.cause}" if drill.state is DrillState.FAILED else ""


def _over(progress: Progress) -> str:
    back = 0 if progress.aborted else progress.count(Standing.BROUGHT_BACK)
    hosts = "1 host that was well has" if back == 1 else f"{back} hosts that were well have"
    return f"{_OVER}{hosts} been brought back; plan again" if back else ""


def _doubt(plan: Plan, progress: Progress, failed: int) -> str:
    """What the attempts so far say against the target, when it is enough to stop (`refutes_target`); else empty."""
    target, attempted = plan.policy.target_percent, sum(map(progress.count, ATTEMPTED))
    if not failed or not refutes_target(attempted - failed, failed, target):
        return ""
    failures = f"{failed} failure{'s' if failed > 1 else ''} in {attempted}"
    return (
        f"evidence: {failures} make a true rate of {target} % implausible "
        f"(a release that has it is stopped so in at most {FALSE_ALARM * 100:.0f} % of rollouts)"
    )


def _standstill(plan: Plan, progress: Progress, now: datetime) -> str:
    within = plan.policy.progress_within
    if progress.pace.without_success(now) < within:
        return ""
    return f"progress: hosts were worked on for {in_words(within)}, and none became healthy"
