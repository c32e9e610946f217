"""What an observation proves: from what a host answered to the fact that may be recorded. Pure.

Nothing is counted a success that was not proven: an upgrade is `Switched` only when a fresh
connection saw the wanted version installed, running and healthy, and `succeeded` only when that
still held at the end of the bake.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from liftlock.errors import AuthenticationError, HostError, HostKeyError, LinkLostError
from liftlock.gate import blamed
from liftlock.ledger import Ailing, Drilled, Ended, Fact, Judged, Paused, Switched, Voided
from liftlock.model import (
    Action,
    GateResult,
    HostAnswer,
    HostResult,
    Observation,
    Occasion,
    Outcome,
    Plan,
    PlannedHost,
    Policy,
    Verdict,
)
from liftlock.progress import HostProgress, Progress
from liftlock.standing import ITSELF, Standing
from liftlock.stops import broken_rule

NOT_STEADY = "health: not steady"
"""What the host program says of a version that answered well now and then, and never often enough in a row."""
BUSY = "busy"
"""What it says when another phase has its lock."""
UNCONFIRMED = "could not be confirmed"
CUT_OFF = "the switch was cut off before its end"
UNLOCKED = "the switch was ended by an unlock"
NOT_BACK = "rollback did not come through"
WENT_BACK = "not confirmed in time: it went back by itself"
_ENDS = {
    HostResult.ROLLED_BACK: Outcome.ROLLED_BACK,
    HostResult.FAILED: Outcome.FAILED,
    HostResult.REFUSED: Outcome.REFUSED,
    HostResult.ALREADY_CURRENT: Outcome.ALREADY_CURRENT,
}


def runs(observation: Observation, version: str) -> bool:
    """Whether the host was seen to have this version installed, running and healthy."""
    return observation.installed == observation.running == version and observation.healthy is True


def was_at_work(plan: Plan, observation: Observation) -> bool:
    """Whether the last to change anything on the host was an attempt of this plan."""
    return observation.journal.split()[:1] == [plan.id]


def waits(observation: Observation) -> bool:
    """Whether the host is well and will go back by itself all the same: it was not to be confirmed."""
    return observation.unconfirmed and observation.installed is not None and runs(observation, observation.installed)


def after_upgrade(
    host: str, attempt: int, wanted: str, answer: HostAnswer, seen: Observation | None, *, moved_to: str = ""
) -> Fact:
    """The fact that an upgrade's answer and the look over a fresh connection prove.

    `moved_to` is where the plan took the host over earlier hops: refusing the next one is no refusal of the plan.
    """
    if answer.result is HostResult.REFUSED and moved_to:
        return replace(_ended(host, attempt, Outcome.FAILED, answer), version=answer.version or moved_to)
    if answer.result is HostResult.FAILED:  # its own way back failed: once more, with a rollback of its own
        return Ailing(host=host, attempt=attempt, cause=answer.cause, detail=answer.detail)
    if answer.result is not HostResult.SWITCHED:
        return _ended(host, attempt, _ENDS[answer.result], answer)
    if seen is not None and waits(seen):
        return Ended(host=host, attempt=attempt, outcome=Outcome.UNKNOWN, version=None, cause=UNCONFIRMED)
    if seen is not None and runs(seen, wanted):
        return Switched(host=host, attempt=attempt, version=wanted, seconds=answer.seconds)
    if seen is not None and seen.installed and runs(seen, seen.installed) and _went_back_unconfirmed(seen, attempt):
        return Ended(host=host, attempt=attempt, outcome=Outcome.ROLLED_BACK, version=seen.installed, cause=WENT_BACK)
    cause, detail = _contradiction(seen, wanted), seen.detail if seen else ""
    return Ailing(host=host, attempt=attempt, cause=cause, detail=detail)


def not_settled(host: str, attempt: int, version: str, cause: str) -> Ended:
    """The fact for a host that stands, healthy, on a stop of its path whose gate did not pass in time."""
    return Ended(host=host, attempt=attempt, outcome=Outcome.FAILED, version=version, cause=cause)


def after_roll_back(host: str, attempt: int, wanted: str, answer: HostAnswer, why: str, *, well: bool = False) -> Ended:
    """The fact that a rollback's answer proves; `why` it was tried is its cause.

    A host that was `well`, and is not any more, has failed of what its way back failed of.
    Where another phase is at work, perhaps the host's own way back, nobody knows yet how that ends.
    """
    if answer.result is HostResult.REFUSED and answer.cause == BUSY:
        return replace(_ended(host, attempt, Outcome.UNKNOWN, answer), version=None, cause=why)
    back = answer.result in {HostResult.SWITCHED, HostResult.ALREADY_CURRENT} and answer.version == wanted
    ended = _ended(host, attempt, Outcome.ROLLED_BACK if back else Outcome.FAILED, answer)
    return _sent_back(ended, why, well=well and not back)


def after_error(host: str, attempt: int, error: HostError, *, touched: bool) -> Ended:
    """The fact that a failed call proves; `touched` says that the host was worked on before."""
    if touched or isinstance(error, LinkLostError):
        outcome = Outcome.UNKNOWN
    elif isinstance(error, HostKeyError | AuthenticationError):
        outcome = Outcome.REFUSED
    else:
        outcome = Outcome.UNREACHABLE_BEFORE
    return Ended(host=host, attempt=attempt, outcome=outcome, version=None, cause=error.cause, detail=error.detail)


def after_look(
    plan: Plan, planned: PlannedHost, part: HostProgress, seen: Observation, *, hooked: Collection[str] = ()
) -> Fact | None:
    """The fact that a look at a lost host proves; None while a phase still runs there, or it waits to be confirmed.

    `hooked` are the versions on its path whose release runs a command of its own after the switch: only a journal that
    does not break off before its end tells that this has done its work.
    """
    if seen.busy or (part.action is Action.UPGRADE and waits(seen)):
        return None
    wanted = planned.hops[-1].to_version
    if part.action is Action.ROLL_BACK:
        return _after_lost_rollback(planned.name, part, plan.policy, seen)
    if seen.installed and seen.installed in hooked and runs(seen, seen.installed) and (broken := _broken_off(seen)):
        return _ailing(planned.name, part, seen, broken)
    if runs(seen, wanted):
        return Switched(host=planned.name, attempt=part.attempt, version=wanted)
    if seen.installed == wanted:
        return _ailing(planned.name, part, seen, _contradiction(seen, wanted))
    if seen.installed is None:
        return _found(planned.name, part, Outcome.FAILED, seen, "found without a release")
    if seen.installed not in {hop.from_version for hop in planned.hops}:
        return _found(planned.name, part, Outcome.FAILED, seen, "found on a release off its path")
    if not runs(seen, seen.installed):
        # Half forward or half back: its data may be ahead, or nothing was restarted.
        return _ailing(planned.name, part, seen, "found without a healthy release")
    if was_at_work(plan, seen) and _went_back_unconfirmed(seen, part.attempt):
        return _found(planned.name, part, Outcome.ROLLED_BACK, seen, WENT_BACK)
    tried = part.lost_links >= plan.policy.max_attempts
    if tried or _went_back(plan, planned, part, seen):
        return _found(planned.name, part, Outcome.ROLLED_BACK, seen, part.cause or "found on the release before")
    cause = part.cause or "the controller went away"
    on_the_way = seen.installed if seen.installed != planned.observed else None
    return Voided(host=planned.name, attempt=part.attempt, cause=cause, version=on_the_way)


def after_gates(host: str, judged: Judged | None, result: GateResult) -> tuple[Fact, ...]:
    """The facts that the gates after an upgrade prove; `judged` is what they said before anything started.

    A gate that could not be measured is no reason to go back: nobody knows (`rollout` pauses, unless it is waived).
    """
    found = Judged(
        host=host,
        verdict=result.verdict,
        reason=result.reason,
        tests=result.tests,
        occasion=Occasion.AFTER,
        not_passed=result.not_passed,
    )
    cause = blamed(judged.not_passed if judged else (), result)
    if not cause:
        return (replace(found, verdict=Verdict.PASSED),)
    return (found, Ailing(host=host, cause=cause)) if result.verdict is Verdict.FAILED else (found,)


def after_gates_back(
    ended: Ended, judged: Judged | None, result: GateResult, *, waived: bool = False
) -> tuple[Fact, ...]:
    """The facts that the gates after a rollback prove: it is verified when it equals what they said before.

    Gates that were `waived` and could not be measured hold nothing against it.
    """
    found = Judged(
        host=ended.host,
        verdict=result.verdict,
        reason=result.reason,
        tests=result.tests,
        occasion=Occasion.BACK,
        not_passed=result.not_passed,
    )
    cause = blamed(judged.not_passed if judged else (), result)
    if not cause or (waived and result.verdict is not Verdict.FAILED):
        return found, ended
    return found, replace(ended, outcome=Outcome.FAILED, cause=f"rollback not verified: {cause}", detail=ended.cause)


def by_turns(host: str, cause: str) -> Paused:
    """The fact for a host in the bake that answers well and badly by turns: whether it is well, a person judges."""
    return Paused(reason=f"{host} answers well and badly by turns ({cause}): look at it", by=ITSELF)


def in_place(facts: Iterable[Fact], progress: Progress) -> list[Fact]:
    """What is to be recorded of facts that were proven, now that others have written, too.

    A bake that was cut short since proves no success. The drill's way back is no end of its host. A host that went
    back because its answers were not steady proves nothing about the release: a person judges. A lost host that was
    found as it had been, or on its way, is tried again only while the rollout goes on; else it goes all the way back.
    """
    true: list[Fact] = []
    for fact in facts:
        if isinstance(fact, Voided) and _has_nowhere_to_go(fact, progress):
            true.append(_stays_or_goes_back(fact, progress.host(fact.host).origin))
        elif not isinstance(fact, Ended):
            true.append(fact)
        elif fact.outcome is Outcome.SUCCEEDED and progress.baking is None:
            continue
        elif fact.outcome is Outcome.ROLLED_BACK and progress.host(fact.host).drilling:
            true.append(Drilled(host=fact.host, attempt=fact.attempt, version=fact.version or ""))
        else:
            true.append(fact)
            if fact.cause.startswith(NOT_STEADY):
                true.append(Paused(reason=f"{fact.host}: {fact.cause}: whether the release is well is open", by=ITSELF))
    return true


def _stays_or_goes_back(fact: Voided, origin: str) -> Fact:
    if fact.version:
        return Ailing(host=fact.host, attempt=fact.attempt, cause=f"left on its way, on {fact.version}: {fact.cause}")
    return Ended(host=fact.host, attempt=fact.attempt, outcome=Outcome.ROLLED_BACK, version=origin, cause=fact.cause)


def _has_nowhere_to_go(fact: Voided, progress: Progress) -> bool:
    """Whether a lost host was found as it had been, and is not to be tried again: the rollout is over."""
    lost = progress.host(fact.host).standing is Standing.LOST
    return lost and bool(broken_rule(progress.lineup.plan, progress))


def never_seen_again(planned: PlannedHost, part: HostProgress, error: HostError) -> Ended:
    """The fact for a host that did not come back in time."""
    return Ended(
        host=planned.name,
        attempt=part.attempt,
        outcome=Outcome.UNREACHABLE,
        version=None,
        cause=part.cause or error.cause,
        detail=f"not reached again: {error.cause}",
    )


def after_bake(planned: PlannedHost, part: HostProgress, seen: Observation, *, over: bool) -> Fact | None:
    """The fact that a look during (or, when `over`, at the end of) the bake proves; None while all is well."""
    wanted = planned.hops[-1].to_version
    if not runs(seen, wanted):
        return _ailing(planned.name, part, seen, _contradiction(seen, wanted))
    return _found(planned.name, part, Outcome.SUCCEEDED, seen, "") if over else None


def _after_lost_rollback(host: str, part: HostProgress, policy: Policy, seen: Observation) -> Fact:
    if runs(seen, part.origin):
        return _found(host, part, Outcome.ROLLED_BACK, seen, part.cause)
    if seen.installed is not None and part.ways_back < 2 * policy.max_attempts:
        return _ailing(host, part, seen, part.cause or "rollback interrupted")
    return _sent_back(_found(host, part, Outcome.FAILED, seen, NOT_BACK), part.cause, well=part.well)


def _sent_back(ended: Ended, why: str, *, well: bool) -> Ended:
    """The end of a way back, with `why` it was taken as its cause; of a host that was `well`, what it failed of."""
    if ended.cause and (well or not why):
        return ended
    became = f"the way back: {ended.cause}" if ended.cause else ""
    return replace(ended, cause=why, detail=" | ".join(part for part in (became, ended.detail) if part))


def _went_back(plan: Plan, planned: PlannedHost, part: HostProgress, seen: Observation) -> bool:
    """Whether the journal says that this attempt was undone, or that it switched a host which is back at its origin."""
    state = _journaled(plan, part, seen)
    return state == "rolled_back" or (state == "switched" and seen.installed == planned.observed)


def _went_back_unconfirmed(seen: Observation, attempt: int) -> bool:
    """Whether the journal says last that the host went back by itself from what this attempt had switched it to."""
    return seen.journal.split()[1:] == [str(attempt), "auto", "rolled_back"]


def _broken_off(seen: Observation) -> str:
    """How the switch to what is installed was kept from its end, by the journal's last line; empty when it was not."""
    match seen.journal.split():
        case [_, _, "upgrade" | "switch", "begin", *versions] if versions[1:] in ([], [seen.installed]):
            return CUT_OFF
        case [_, _, "unlock", _]:
            return UNLOCKED
    return ""


def _journaled(plan: Plan, part: HostProgress, seen: Observation) -> str:
    """How this attempt ended by the host's journal; empty when that does not speak of its end."""
    match seen.journal.split():
        case [plan.id, attempt, _, state] if attempt == str(part.attempt):
            return state
    return ""


def _contradiction(seen: Observation | None, wanted: str) -> str:
    if seen is None:
        return "not seen again after the switch"
    if seen.cause:
        return seen.cause
    if seen.installed != wanted:
        return f"{seen.installed or 'no version'} is installed, expected {wanted}"
    if seen.running != wanted:
        return f"health: {seen.running or 'no version'} answered, expected {wanted}"
    return "health: not healthy"


def _ailing(host: str, part: HostProgress, seen: Observation, cause: str) -> Ailing:
    return Ailing(host=host, attempt=part.attempt, cause=cause, detail=seen.detail)


def _found(host: str, part: HostProgress, outcome: Outcome, seen: Observation, cause: str) -> Ended:
    return Ended(
        host=host,
        attempt=part.attempt,
        outcome=outcome,
        version=seen.running,
        cause=cause,
        detail=seen.detail,
    )


def _ended(host: str, attempt: int, outcome: Outcome, answer: HostAnswer) -> Ended:
    return Ended(
        host=host,
        attempt=attempt,
        outcome=outcome,
        version=answer.version,
        cause=answer.cause,
        detail=answer.detail,
        seconds=answer.seconds,
    )
