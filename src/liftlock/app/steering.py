"""What `pause`, `resume`, `abort` and `incident` do: write what a running rollout reads, or tell how incidents stand.

Nobody needs the plan's lock for that. A rollout that runs reads the record every second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from liftlock.app.rolling import ensure_recorded
from liftlock.app.telling import with_news
from liftlock.app.workspace import Workspace, operator
from liftlock.errors import InputError, RefusedError
from liftlock.incident import ACKNOWLEDGE_WITHIN, RECOVER_WITHIN, Incident, incidents, told_span
from liftlock.ledger import Aborted, Acknowledged, Entry, Fact, Finished, Halted, Paused, Planned, Resumed
from liftlock.model import Plan
from liftlock.plan_document import from_document
from liftlock.ports import LedgerStore
from liftlock.progress import Progress, Standing

Check = Callable[[Progress, list[Entry]], None]
"""Whether it is to the point; raises RefusedError when it is not."""
_LONGEST = 200
_WORKED_ON = frozenset({Standing.IN_HAND, Standing.LOST})


@dataclass(frozen=True, slots=True)
class Steered:
    """What was written, and which hosts were in hand: those a rollout that runs still finishes."""

    plan: Plan
    did: str
    by: str
    reason: str
    in_hand: tuple[str, ...]


def pause(workspace: Workspace, plan: Plan, reason: str, by: str = "") -> Steered:
    """Suspend a rollout. Raises InputError without a reason, RefusedError when it is paused or has ended."""
    by, reason = _name(by), _why(reason)

    def check(progress: Progress, entries: list[Entry]) -> None:
        if progress.paused:
            raise RefusedError(f"{_plan(plan)} is paused already, {progress.paused.words}")
        _still_open(plan, progress, entries)

    return _write(workspace, plan, "paused", Paused(reason=reason, by=by), check, reason, by)


def resume(workspace: Workspace, plan: Plan, by: str = "") -> Steered:
    """Let a paused rollout go on. Raises RefusedError when it is not paused."""
    by = _name(by)

    def check(progress: Progress, _entries: list[Entry]) -> None:
        if not progress.paused:
            raise RefusedError(f"{_plan(plan)} is not paused")

    return _write(workspace, plan, "resumed", Resumed(by=by), check, "", by)


def pause_to_unlock(workspace: Workspace, ledger: LedgerStore, id_: str, machine: str, reason: str) -> str:
    """Pause the plan of that id where a controller has a product of the host in hand; in words what goes on, and how.

    Empty where there is nothing to pause. It is to be written before the phase there ends: the controller would begin
    its next attempt at once.
    """
    entries = list(ledger.entries(id_))
    plan = from_document(next(entry.fact.document for entry in entries if isinstance(entry.fact, Planned)))
    progress = Progress.of(plan).with_entries(entries)
    standings = {progress.host(host.name).standing for host in plan.hosts if host.machine == machine}
    if progress.paused or progress.aborted or not standings & _WORKED_ON or not workspace.is_held(plan):
        return ""
    ledger.append(plan.id, Paused(reason=f"to unlock {machine}: {reason}", by=operator()), workspace.clock.now())
    return f"{_plan(plan)} is paused; to go on: liftlock resume {plan.id[:8]}"


def abort(workspace: Workspace, plan: Plan, reason: str, by: str = "") -> Steered:
    """End a rollout: nothing new starts under the plan. Raises as `pause`, and RefusedError when it has ended."""
    by, reason = _name(by), _why(reason)

    def check(progress: Progress, entries: list[Entry]) -> None:
        _still_open(plan, progress, entries)

    return _write(workspace, plan, "aborted", Aborted(reason=reason, by=by), check, reason, by)


def steered_document(did: Steered) -> dict[str, Any]:
    """What was written as plain values: keys `plan`, `did`, `by`, `reason`, `in_hand`."""
    return {"plan": did.plan.id, "did": did.did, "by": did.by, "reason": did.reason, "in_hand": did.in_hand}


def read_incidents(workspace: Workspace, plan: Plan) -> tuple[Incident, ...]:
    """The plan's incidents, from the record alone."""
    with workspace.ledger(create=False) as ledger:
        return incidents(plan, ledger.entries(plan.id))


def acknowledge(workspace: Workspace, plan: Plan, by: str = "") -> tuple[Incident, ...]:
    """Record that a person took charge. Raises RefusedError when there is no incident, or somebody has it."""
    by = _name(by)
    with workspace.ledger() as ledger:
        found = incidents(plan, ledger.entries(plan.id))
        if not found:
            raise RefusedError(f"{_plan(plan)} has no incident")
        if found[-1].acknowledged_at:
            at = f"{found[-1].acknowledged_at:%Y-%m-%d %H:%M} UTC"
            raise RefusedError(f"the incident was acknowledged by {found[-1].by} at {at}")
        ledger.append(plan.id, Acknowledged(by=by), workspace.clock.now())
        return incidents(plan, ledger.entries(plan.id))


def incidents_document(workspace: Workspace, plan: Plan, found: Iterable[Incident]) -> dict[str, Any]:
    """Incidents as plain values: keys `plan`, `incidents`; seconds left are negative when the time was missed."""
    now = workspace.clock.now()
    return {
        "plan": plan.id,
        "incidents": [
            {
                "opened_at": one.opened_at,
                "reason": one.reason,
                "acknowledged_at": one.acknowledged_at,
                "by": one.by,
                "recovered_at": one.recovered_at,
                "acknowledge": _clock(one.left_to_acknowledge(now), ACKNOWLEDGE_WITHIN, done=bool(one.acknowledged_at)),
                "recover": _clock(one.left_to_recover(now), RECOVER_WITHIN, done=bool(one.recovered_at)),
            }
            for one in found
        ],
    }


def _clock(left: timedelta, within: timedelta, *, done: bool) -> dict[str, Any]:
    missed, span = left < timedelta(0), told_span(abs(left))
    if done:
        words = f"done, too late by {span}" if missed else f"done in {told_span(within - left)}"
    else:
        words = f"missed by {span}" if missed else f"{span} left"
    return {
        "within_seconds": within.total_seconds(),
        "left_seconds": round(left.total_seconds(), 1),
        "missed": missed,
        "words": words,
    }


def _write(workspace: Workspace, plan: Plan, did: str, fact: Fact, check: Check, reason: str, by: str) -> Steered:
    with workspace.ledger() as ledger:
        ensure_recorded(ledger, plan, workspace)
        entries = list(ledger.entries(plan.id))
        progress = Progress.of(plan).with_entries(entries)
        check(progress, entries)
        ledger.append_all(plan.id, with_news(workspace, plan, ledger, fact), workspace.clock.now())
        return Steered(plan, did, by, reason, tuple(sorted(progress.group(Standing.IN_HAND))))


def _still_open(plan: Plan, progress: Progress, entries: list[Entry]) -> None:
    if progress.aborted:
        raise RefusedError(f"{_plan(plan)} was ended: {progress.aborted}")
    ends = [entry.fact for entry in entries if isinstance(entry.fact, Halted | Finished)]
    if progress.wave is None and ends:
        raise RefusedError(f"{_plan(plan)} has finished: every planned host has an outcome")


def _plan(plan: Plan) -> str:
    return f"plan {plan.id[:8]}"


def _why(reason: str) -> str:
    if not reason:
        raise InputError("say why with --reason: it is recorded")
    return _line("--reason", reason)


def _name(by: str) -> str:
    return _line("--by", by.strip() or operator())


def _line(flag: str, text: str) -> str:
    if not text.isprintable() or len(text) > _LONGEST:
        raise InputError(f"{flag} takes one line of text without control characters, at most {_LONGEST} long")
    return text
