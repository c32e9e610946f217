"""What to do next: a pure function of plan, progress and the time.

The rules, in the order they are asked (each is a test in tests/unit/test_rollout.py):

1. A host that was found ailing goes back at once.
2. A host of which nobody knows what happened is looked at before anything else starts.
3. While an operator has paused it, hosts in hand finish and nothing else starts.
4. When a rule stops it (`liftlock.stops`), nothing new starts; hosts in hand finish, upgraded hosts go back as far
   as the policy says, the others are watched to their end.
5. With a drill, the first host that went up goes back and up again before any other moves (`liftlock.drill`).
6. Waves go in order; a wave begins when every host of the one before has an outcome, and when somebody in
   the waves before was attempted at all (or the rule `canary` is waived). By evidence it is
   opened then, as large as the outcomes so far allow.
7. A host starts only when enough people approved the plan, its customer was told in time, its gates passed,
   and its window is open for as long as its upgrade and the way back may need; and only as many at once
   as the bounds allow (`liftlock.bounds`).
8. A wave ends with the gates' second look (`Policy.gates_after`) and its bake: only hosts that pass whatever they
   passed before, and are healthy on the wanted version until the end of the bake, have succeeded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial

from liftlock.approval import unapproved
from liftlock.bounds import Key, is_redundancy
from liftlock.drill import DrillState
from liftlock.errors import ExitCode
from liftlock.model import Action, Outcome, Plan, PlannedHost, Verdict
from liftlock.notice import unconsented, untold
from liftlock.progress import Progress, Standing
from liftlock.stops import ATTEMPTED, is_held, stop_reason, to_roll_back
from liftlock.waves import next_wave
from liftlock.window import in_words

DRILL = "the drill: back, and up again, before any other moves"
_LOOK_AHEAD = 250  # hosts that bounds hold back are passed over so far; who is behind them starts when they have
_NOT_UPGRADED = frozenset({Standing.FAILED, Standing.BROUGHT_BACK, Standing.LEFT_OUT})


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
class OpenWave:
    """These hosts are the next wave."""

    wave: int
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Judge:
    """Run the gate suites again on these upgraded hosts of a wave."""

    wave: int
    hosts: tuple[str, ...]


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
    """Nothing may start before `until`, or, when that is None, before somebody has done something about it."""

    until: datetime | None
    reason: str


@dataclass(frozen=True, slots=True)
class Halt:
    """The rollout is stopped by a rule; every host that was touched has an outcome."""

    reason: str


@dataclass(frozen=True, slots=True)
class Done:
    """Every planned host has an outcome."""


Step = Upgrade | RollBack | Reconcile | LeaveOut | OpenWave | Judge | Bake | Wait | Pause | Halt | Done


def next_step(plan: Plan, progress: Progress, now: datetime) -> Step:
    """The one thing to do next. `progress` must be of `plan`; `now` in UTC."""
    ailing = progress.group(Standing.AILING)
    if back := _back_now(plan, progress, sorted(ailing)):
        return RollBack(back, "found unhealthy, or recalled by an operator")
    if lost := progress.group(Standing.LOST):
        return Reconcile(tuple(sorted(lost)))
    if ailing:
        return Wait()
    reason = stop_reason(plan, progress, now)
    if progress.paused and is_held(progress, reason):
        paused = Pause(None, f"paused {progress.paused.words}")
        return Wait() if progress.group(Standing.IN_HAND) else paused
    if reason:
        return _wind_down(plan, progress, reason)
    wave = progress.wave
    if wave is None:
        return Done()
    if wave > len(progress.sizes):
        return _open(plan, progress, wave, now)
    return _work_on(plan, progress, wave, now)


def _unseen(progress: Progress) -> bool:
    """Whether everybody in the waves so far was left out: then nobody has shown that the release works."""
    if any(progress.count(standing) for standing in ATTEMPTED):
        return False
    left_out = progress.group(Standing.LEFT_OUT)
    return not any(progress.host(name).outcome is Outcome.ALREADY_CURRENT for name in left_out)


def exit_code(plan: Plan, progress: Progress, last: Step) -> ExitCode:
    """What the rollout's end means to a shell (design: exit codes)."""
    ends = {host.outcome for host in progress.hosts.values()}
    if ends & {Outcome.FAILED, Outcome.UNREACHABLE, Outcome.UNKNOWN, Outcome.UNREACHABLE_BEFORE}:
        return ExitCode.NEEDS_A_PERSON
    if isinstance(last, Halt) and not (progress.aborted and progress.wave is None):  # ended when all was through
        return ExitCode.STOPPED
    if any(host.outcome is Outcome.REFUSED and host.cause == "busy" for host in progress.hosts.values()):
        return ExitCode.LOCKED
    if isinstance(last, Pause) or ends & {Outcome.REFUSED, Outcome.DEFERRED}:
        return ExitCode.REFUSED
    succeeded, failed = progress.count(Standing.SUCCEEDED), progress.count(Standing.FAILED)
    failed += progress.count(Standing.BROUGHT_BACK)
    met = 100 * succeeded >= plan.policy.target_percent * (succeeded + failed)
    return ExitCode.DONE if met else ExitCode.STOPPED


def _open(plan: Plan, progress: Progress, wave: int, now: datetime) -> OpenWave | LeaveOut:
    """The next wave by evidence, of hosts that may start: as many as what this rollout has shown allows."""
    succeeded, failed = progress.count(Standing.SUCCEEDED), progress.count(Standing.FAILED)
    size = next_wave(plan, remaining=progress.without_outcome, succeeded=succeeded, failed=failed)
    hosts: list[str] = []
    leave: list[tuple[str, Outcome, str]] = []
    unfree = cache(partial(_unfree, plan, progress, now))
    for name in progress.in_no_wave():
        if len(hosts) == size:
            break
        if why := _refusal(progress, name, now, unfree):
            leave.append((name, *why))
        else:
            hosts.append(name)
    return LeaveOut(tuple(leave)) if leave else OpenWave(wave, tuple(hosts))


def _wind_down(plan: Plan, progress: Progress, reason: str) -> Step:
    in_hand = progress.group(Standing.IN_HAND)
    if any(progress.host(name).action is Action.UPGRADE for name in in_hand):
        return Wait()
    if back := _back_now(plan, progress, to_roll_back(plan, progress)):
        return RollBack(back, reason)
    if in_hand:
        return Wait()
    if switched := progress.group(Standing.SWITCHED):
        wave = min(map(progress.wave_of, switched))
        step = _prove(plan, progress, wave)
        return Pause(None, f"{reason}; {step.reason}") if isinstance(step, Pause) else step
    return Halt(reason)


def _back_now(plan: Plan, progress: Progress, names: Iterable[str]) -> tuple[str, ...]:
    """Those of the hosts that go back now: who is ailing at once, who is well as the bounds allow.

    As many as may be in hand at once. The last of a redundancy group that stands goes back, too, when no other of it
    is in hand.
    """
    back: list[str] = []
    taken: Counter[Key] = Counter()
    free = plan.policy.concurrency - progress.count(Standing.IN_HAND)
    for name in names:
        if len(back) >= free:
            break
        part = progress.host(name)
        is_ailing = part.standing is Standing.AILING and not part.well
        if is_ailing or all(is_redundancy(key) and not waits for key, waits in _full(progress, name, taken)):
            back.append(name)
            taken.update(progress.lineup.bounds.keys.get(name, ()))
    return tuple(back)


def _full(progress: Progress, name: str, taken: Counter[Key]) -> list[tuple[Key, bool]]:
    """The bounds that leave no room for the host beside those `taken`, and whether waiting for others makes some."""
    bounds, full = progress.lineup.bounds, []
    for key in bounds.keys.get(name, ()):
        in_hand = progress.busy.get(key, 0) + taken[key]
        if in_hand + progress.down.get(key, 0) >= bounds.limits[key]:
            full.append((key, in_hand > 0))
    return full


def _work_on(plan: Plan, progress: Progress, wave: int, now: datetime) -> Step:
    in_hand = progress.count(Standing.IN_HAND)
    drills = plan.policy.drill and not progress.drill.is_over
    free = (1 if drills else plan.policy.concurrency) - in_hand
    if free <= 0:
        return Wait()
    if drills and progress.drill.state is DrillState.UP:
        return RollBack((progress.drill.host,), DRILL)
    start: list[str] = []
    leave: list[tuple[str, Outcome, str]] = []
    opens: list[datetime] = []
    taken: Counter[Key] = Counter()
    held = 0
    behind: list[tuple[str, Outcome, str]] = []
    unfree = cache(partial(_unfree, plan, progress, now))
    for name in progress.untried(wave):
        if len(start) >= free or held >= _LOOK_AHEAD:
            break
        if drills and progress.drill.host not in {"", name}:
            continue
        planned = progress.lineup.planned[name]
        full = _full(progress, name, taken)
        if any(waits for _, waits in full):
            held += 1
        elif why := _refusal(progress, name, now, unfree):
            leave.append((name, *why))
        elif now < planned.window.start and "window" not in progress.waived:
            opens.append(planned.window.start)
        elif stranded := _stranded(progress, planned):
            leave.append((name, Outcome.REFUSED, stranded))
        elif _waits_for_its_turn(progress, planned):
            held += 1
            behind.append((name, Outcome.REFUSED, "a host that comes first is not through"))
        elif full:
            leave.append((name, Outcome.DEFERRED, f"no other host of {planned.redundancy} stands"))
        else:
            start.append(name)
            taken.update(progress.lineup.bounds.keys.get(name, ()))
    if leave:
        return LeaveOut(tuple(leave))
    if start and wave > 1 and not plan.policy.by_evidence and "canary" not in progress.waived and _unseen(progress):
        return Pause(None, f"no host runs {plan.version} yet: wave {wave} would be the first to try it")
    if start:
        return Upgrade(tuple(start))
    if in_hand:
        return Wait()
    if opens:
        hosts = "1 host waits" if len(opens) == 1 else f"{len(opens)} hosts wait"
        first = min(opens)
        return Pause(first, f"wave {wave}: {hosts} for a window; the first opens {first:%Y-%m-%d %H:%M} UTC")
    # Who waits for a host that nobody is bringing through in this wave would wait for ever.
    return LeaveOut(tuple(behind)) if behind and not _upgraded(progress, wave) else _prove(plan, progress, wave)


def _stranded(progress: Progress, planned: PlannedHost) -> str:
    """Why the host cannot go: one of its customer that comes first was not upgraded; else empty."""
    for first in progress.lineup.forerunners.get(planned.customer, ()):
        part = progress.hosts.get(first.name)
        if first.rank >= planned.rank or part is None or part.outcome is Outcome.ALREADY_CURRENT:
            continue
        if part.standing in _NOT_UPGRADED:
            return f"{first.name} comes first and was not upgraded: {part.cause or part.outcome}"
    return ""


def _waits_for_its_turn(progress: Progress, planned: PlannedHost) -> bool:
    """Whether a host of its customer that comes first is not through yet; switched is through."""
    through = {Standing.SWITCHED, Standing.SUCCEEDED, Standing.LEFT_OUT}
    return any(
        first.rank < planned.rank and progress.host(first.name).standing not in through
        for first in progress.lineup.forerunners.get(planned.customer, ())
    )


def _unfree(plan: Plan, progress: Progress, now: datetime, customer: str) -> str:
    """Why none of the customer's hosts may start; empty when they may. Asked once a step for each customer."""
    if why := unapproved(plan, progress.approved):
        return f"approval: {why}"
    told, lead = progress.announced.get(customer), progress.lineup.leads[customer]
    called_off = customer in progress.told.called_off
    if "notice" not in progress.waived and (why := untold(plan, customer, lead, told, now, called_off=called_off)):
        return f"notice: {why}"
    asked, agreed = progress.lineup.asked, progress.told.consented
    if "consent" not in progress.waived and (why := unconsented(plan, customer, asked, agreed)):
        return f"consent: {why}"
    return ""


def _refusal(progress: Progress, name: str, now: datetime, unfree: Callable[[str], str]) -> tuple[Outcome, str] | None:
    """Why this host must not start, with the outcome that stands for it; None when it may."""
    planned = progress.lineup.planned[name]
    if why := unfree(planned.customer):
        return Outcome.REFUSED, why
    if "gate" not in progress.waived and (why := progress.unproven_gate(name)):
        return Outcome.REFUSED, why
    if "window" not in progress.waived and (why := _too_late(planned, now)):
        return Outcome.DEFERRED, why
    return None


def _too_late(planned: PlannedHost, now: datetime) -> str:
    """Why what is left of its window does not do; empty while upgrade and way back fit before its end."""
    if now < planned.window.end and now + planned.needed <= planned.window.end:
        return ""
    end = f"{planned.window.end:%Y-%m-%d %H:%M} UTC"
    if now >= planned.window.end:
        return f"its window ended {end}"
    return f"its window ends {end}, too soon: upgrade and way back may need {in_words(planned.needed)}"


def _upgraded(progress: Progress, wave: int) -> tuple[str, ...]:
    """The hosts of the wave that run the wanted version and are not yet proven."""
    return tuple(sorted(name for name in progress.group(Standing.SWITCHED) if progress.wave_of(name) == wave))


def _prove(plan: Plan, progress: Progress, wave: int) -> Judge | Pause | Bake:
    """What the wave's upgraded hosts must still go through: the gates again, then the bake."""
    hosts = _upgraded(progress, wave)
    again = [name for name in hosts if progress.is_looked_at_again(name)]
    if unjudged := tuple(name for name in again if name not in progress.after):
        return Judge(wave, unjudged)
    if words := silent_gates(progress, again):
        return Pause(None, words)
    return _bake(plan, progress, wave, hosts)


def silent_gates(progress: Progress, upgraded: Iterable[str]) -> str:
    """Of which of the upgraded hosts the gates' second look tells nothing, in words; empty when of none."""
    for judged in (progress.after.get(name) for name in upgraded if "gate" not in progress.waived):
        if judged is not None and judged.verdict is not Verdict.PASSED:
            return f"{judged.host} is upgraded, and its gates tell nothing: {judged.verdict}: {judged.reason}"
    return ""


def _bake(plan: Plan, progress: Progress, wave: int, hosts: tuple[str, ...]) -> Bake:
    begun = progress.baking is not None and progress.baking[0] == wave
    until = progress.baking[1] + plan.policy.bake if begun and progress.baking else None
    return Bake(wave, hosts, until)
