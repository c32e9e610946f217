"""What to do next: a pure function of plan, progress and the time.

The rules, in the order they are asked (each is a test in tests/unit/test_rollout.py):

1. A host of which nobody knows what happened is looked at before anything else starts.
2. A host that was found ailing goes back at once.
3. When more planned hosts have failed than the target allows, nothing new starts; hosts in hand
   finish, upgraded hosts go back as far as the policy says, the others are watched to their end.
4. Waves go in order; a wave begins when every host of the one before has an outcome.
5. A host starts only when enough people approved the plan, its customer was told in time, its gates passed,
   and its window is open.
6. A wave ends with its bake: only hosts healthy on the wanted version until then have succeeded.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from liftlock.approval import unapproved
from liftlock.errors import ExitCode
from liftlock.model import Outcome, Plan, RollbackScope
from liftlock.notice import untold
from liftlock.progress import Progress, Standing


@dataclass(frozen=True, slots=True)
class Upgrade:
    """Start these hosts."""

    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RollBack:
    """Bring these hosts back to the version they came from."""

    hosts: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Reconcile:
    """Look at these hosts: an attempt on them has no known end."""

    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LeaveOut:
    """These hosts are not to be attempted now: host, how, why."""

    hosts: tuple[tuple[str, Outcome, str], ...]


@dataclass(frozen=True, slots=True)
class Bake:
    """Watch these hosts of a wave; `until` is None while the bake has not begun in this session."""

    wave: int
    hosts: tuple[str, ...]
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to begin until a host in hand ends."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing may start before `until`."""

    until: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Halt:
    """The rollout is stopped by a rule; every host that was touched has an outcome."""

    reason: str


@dataclass(frozen=True, slots=True)
class Done:
    """Every planned host has an outcome."""


Step = Upgrade | RollBack | Reconcile | LeaveOut | Bake | Wait | Pause | Halt | Done


def next_step(plan: Plan, progress: Progress, now: datetime) -> Step:
    """The one thing to do next. `progress` must be of `plan`; `now` in UTC."""
    if lost := progress.group(Standing.LOST):
        return Reconcile(tuple(sorted(lost)))
    if ailing := progress.group(Standing.AILING):
        return RollBack(tuple(sorted(ailing)), "found unhealthy, or recalled by an operator")
    if reason := stop_reason(plan, progress):
        return _wind_down(plan, progress, reason)
    wave = progress.wave
    if wave is None:
        return Done()
    return _work_on(plan, progress, wave, now)


def stop_reason(plan: Plan, progress: Progress) -> str:
    """Which rule stops the rollout, in words; empty while none does."""
    if progress.aborted:
        return f"aborted: {progress.aborted}"
    failed = progress.count(Standing.FAILED)
    if failed <= plan.allowed_failures:
        return ""
    return (
        f"budget: {failed} of {len(plan.hosts)} planned hosts failed, "
        f"{plan.policy.target_percent} % allows {plan.allowed_failures}"
        if plan.policy.max_failures is None
        else f"limit: {failed} of {len(plan.hosts)} planned hosts failed, the policy allows {plan.allowed_failures}"
    )


def exit_code(plan: Plan, progress: Progress, last: Step) -> ExitCode:
    """What the rollout's end means to a shell (design: exit codes)."""
    ends = {host.outcome for host in progress.hosts.values()}
    if ends & {Outcome.FAILED, Outcome.UNREACHABLE, Outcome.UNKNOWN, Outcome.UNREACHABLE_BEFORE}:
        return ExitCode.NEEDS_A_PERSON
    if isinstance(last, Halt):
        return ExitCode.STOPPED
    if any(host.outcome is Outcome.REFUSED and host.cause == "busy" for host in progress.hosts.values()):
        return ExitCode.LOCKED
    if isinstance(last, Pause) or ends & {Outcome.REFUSED, Outcome.DEFERRED}:
        return ExitCode.REFUSED
    succeeded, failed = progress.count(Standing.SUCCEEDED), progress.count(Standing.FAILED)
    failed += progress.count(Standing.BROUGHT_BACK)
    met = 100 * succeeded >= plan.policy.target_percent * (succeeded + failed)
    return ExitCode.DONE if met else ExitCode.STOPPED


def _wind_down(plan: Plan, progress: Progress, reason: str) -> Step:
    if progress.group(Standing.IN_HAND):
        return Wait()
    if back := _to_roll_back(plan, progress):
        return RollBack(back, reason)
    if switched := progress.group(Standing.SWITCHED):
        wave = min(progress.lineup.planned[name].wave for name in switched)
        return _bake(plan, progress, wave)
    return Halt(reason)


def _to_roll_back(plan: Plan, progress: Progress) -> tuple[str, ...]:
    if progress.aborted or plan.policy.rollback is RollbackScope.HOST:
        return ()
    planned = progress.lineup.planned
    failed_waves = {planned[name].wave for name in progress.group(Standing.FAILED)}
    upgraded = (*progress.group(Standing.SWITCHED), *progress.group(Standing.SUCCEEDED))
    everywhere = plan.policy.rollback is RollbackScope.ALL
    return tuple(sorted(name for name in upgraded if everywhere or planned[name].wave in failed_waves))


def _work_on(plan: Plan, progress: Progress, wave: int, now: datetime) -> Step:
    in_hand = progress.count(Standing.IN_HAND)
    free = plan.policy.concurrency - in_hand
    if free <= 0:
        return Wait()
    start: list[str] = []
    leave: list[tuple[str, Outcome, str]] = []
    opens: list[datetime] = []
    for name in progress.untried(wave):
        if len(start) >= free:
            break
        planned = progress.lineup.planned[name]
        if why := _refusal(plan, progress, name, now):
            leave.append((name, *why))
        elif now < planned.window.start and "window" not in progress.waived:
            opens.append(planned.window.start)
        else:
            start.append(name)
    if leave:
        return LeaveOut(tuple(leave))
    if start:
        return Upgrade(tuple(start))
    if in_hand:
        return Wait()
    if opens:
        return Pause(min(opens), f"wave {wave}: {len(opens)} hosts wait for their window")
    return _bake(plan, progress, wave)


def _refusal(plan: Plan, progress: Progress, name: str, now: datetime) -> tuple[Outcome, str] | None:
    """Why this host must not start, with the outcome that stands for it; None when it may."""
    planned = progress.lineup.planned[name]
    if why := unapproved(plan, progress.approved):
        return Outcome.REFUSED, f"approval: {why}"
    told = progress.announced.get(planned.customer)
    if "notice" not in progress.waived and (why := untold(plan, planned.customer, told, now)):
        return Outcome.REFUSED, f"notice: {why}"
    if "gate" not in progress.waived and (why := progress.unproven_gate(name)):
        return Outcome.REFUSED, why
    if "window" not in progress.waived and now >= planned.window.end:
        return Outcome.DEFERRED, f"its window ended {planned.window.end:%Y-%m-%d %H:%M} UTC"
    return None


def _bake(plan: Plan, progress: Progress, wave: int) -> Bake:
    planned = progress.lineup.planned
    hosts = tuple(sorted(name for name in progress.group(Standing.SWITCHED) if planned[name].wave == wave))
    begun = progress.baking is not None and progress.baking[0] == wave
    until = progress.baking[1] + plan.policy.bake if begun and progress.baking else None
    return Bake(wave, hosts, until)
