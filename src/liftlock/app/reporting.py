"""What `status` and `report` do: read the record, and nothing else."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from liftlock.adapters import files
from liftlock.app.rolling import Ending
from liftlock.app.workspace import Workspace
from liftlock.approval import approvals
from liftlock.cause import HostComplaint, troubles
from liftlock.errors import InputError
from liftlock.ledger import Entry, Finished, Halted, Opened, Planned, Waived
from liftlock.model import Outcome, Plan, PlannedHost
from liftlock.outcome import runs
from liftlock.plan_document import from_document
from liftlock.progress import HostProgress, Progress, Standing
from liftlock.rate import Rate
from liftlock.report import Report, make_report, target_state
from liftlock.rollout import Done, Halt, Pause, Step, silent_gates
from liftlock.stops import halted_by, is_held, stop_reason
from liftlock.wording import printable


def draw_up(workspace: Workspace, product: str | None, plan: str | None) -> Report:
    """The report over the whole record, or over one product or plan."""
    with workspace.ledger(create=False) as ledger:
        chosen = _full_id(ledger.plans(), plan) if plan else None
        report = make_report(ledger.entries(), workspace.settings.policy.target_percent, product=product, plan=chosen)
    if product and not report.records:
        raise InputError(f"the record has no plan of product {product!r}")
    return report


def write_page(workspace: Workspace, report: Report, path: Path) -> Path:
    """Write the report as one HTML page."""
    from liftlock.adapters.report_page import report_page

    files.write_atomically(path, report_page(report, workspace.clock.now(), "Upgrade report"))
    return path


def stand(workspace: Workspace, named: str | None) -> list[dict[str, Any]]:
    """Where every plan of the record stands, or the named one with each of its hosts."""
    with workspace.ledger(create=False) as ledger:
        ids = [_full_id(ledger.plans(), named)] if named else ledger.plans()
        return [_standing(workspace, list(ledger.entries(id_)), in_full=bool(named)) for id_ in ids]


def ending_document(ending: Ending) -> dict[str, Any]:
    """How a rollout ended, as plain values.

    Keys `plan`, `exit_code`, `end`, `reason`, `outcomes`, `rate`, `causes`, `hosts`, `unpruned`.
    """
    end, reason = "verified", ""
    if ending.step is not None:
        end = "aborted" if isinstance(ending.step, Halt) and ending.progress.aborted else _name(ending.step)
        reason = ending.step.reason if isinstance(ending.step, Halt | Pause) else ""
    return {
        "plan": ending.plan.id,
        "exit_code": int(ending.code),
        "end": end,
        "reason": reason,
        "outcomes": outcome_counts(ending),
        "rate": rate_of(ending.progress),
        "causes": causes_of(ending.plan, ending.progress),
        "hosts": host_lines(ending),
        "unpruned": dict(ending.unpruned),
    }


def _name(step: Step) -> str:
    return type(step).__name__.lower() if isinstance(step, Done | Halt | Pause) else "interrupted"


def outcome_counts(ending: Ending) -> dict[str, int]:
    """How many hosts ended which way; `pending` are those that have no outcome."""
    return dict(Counter(line["outcome"] for line in host_lines(ending)))


def host_lines(ending: Ending) -> list[dict[str, Any]]:
    """Each planned host with its outcome, version and cause, in rollout order."""
    if ending.seen:
        return [_looked(ending, host, ending.progress.wave_of(host.name)) for host in ending.plan.hosts]
    return _host_lines(ending.plan, ending.progress)


def rate_of(progress: Progress) -> dict[str, Any]:
    """The rollout's own rate so far; a host that was begun and has no end yet is attempted and unknown."""
    succeeded = progress.count(Standing.SUCCEEDED)
    ended = succeeded + progress.count(Standing.FAILED) + progress.count(Standing.BROUGHT_BACK)
    open_ = (Standing.IN_HAND, Standing.LOST, Standing.SWITCHED, Standing.AILING)
    unknown = sum(progress.count(standing) for standing in open_)
    rate = Rate(succeeded, ended + unknown)
    target = progress.lineup.plan.policy.target_percent
    return {
        "succeeded": rate.succeeded,
        "attempted": rate.attempted,
        "unknown": unknown,
        "percent": rate.percent,
        "target_percent": target,
        "target": target_state(rate, unknown, target),
    }


def causes_of(plan: Plan, progress: Progress) -> list[dict[str, Any]]:
    """Why hosts did not come through, one for each cause: keys `cause`, `hosts`, `suggestion`, `logs`."""
    parts = ((host, progress.hosts.get(host.name)) for host in plan.hosts)
    complaints = (
        HostComplaint(host.name, host.customer, part.cause) for host, part in parts if part and _is_in_trouble(part)
    )
    return [asdict(one) | {"logs": f".liftlock/logs/{plan.id[:8]}"} for one in troubles(complaints)]


def _is_in_trouble(part: HostProgress) -> bool:
    if part.standing is Standing.LEFT_OUT:
        return part.outcome in {Outcome.REFUSED, Outcome.UNREACHABLE_BEFORE}
    return part.standing in {Standing.FAILED, Standing.LOST} or (part.standing is Standing.AILING and not part.well)


def _looked(ending: Ending, host: PlannedHost, wave: int) -> dict[str, Any]:
    seen = ending.seen[host.name]
    holds = runs(seen, host.wanted)
    cause = "" if holds else seen.cause or f"runs {seen.running or seen.installed or 'no known version'}"
    outcome = Outcome.ALREADY_CURRENT.value if holds else "changed since"
    return {
        "host": host.name,
        "wave": wave,
        "outcome": outcome,
        "attempts": 0,
        "cause": cause,
        "detail": "",
        "before": host.observed,
        "version": seen.running or seen.installed or "",
        "proof": f"a look now, {seen.at:%Y-%m-%d %H:%M:%S} UTC" if seen.running else "",
    }


def _host_lines(plan: Plan, progress: Progress) -> list[dict[str, Any]]:
    lines = []
    for host in plan.hosts:
        part = progress.hosts.get(host.name)
        unproven = part is not None and part.standing in {Standing.IN_HAND, Standing.SWITCHED, Standing.AILING}
        state = "pending" if part is None or part.standing is Standing.FREE else part.standing.value
        outcome = part.outcome.value if part and part.outcome and not unproven else state
        seen = part.seen if part else None
        lines.append(
            {
                "host": host.name,
                "wave": progress.wave_of(host.name),
                "outcome": outcome,
                "attempts": part.attempt if part else 0,
                "cause": part.cause if part and outcome != "pending" else "",
                "detail": printable(part.detail, " ") if part and outcome != "pending" else "",
                "before": host.observed,
                "version": seen.version if seen else "",
                "proof": f"{seen.look}, {seen.at:%Y-%m-%d %H:%M:%S} UTC" if seen else "",
            }
        )
    return lines


def _standing(workspace: Workspace, entries: list[Entry], *, in_full: bool) -> dict[str, Any]:
    plan = from_document(next(entry.fact.document for entry in entries if isinstance(entry.fact, Planned)))
    progress = Progress.of(plan).with_entries(entries)
    lines = _host_lines(plan, progress)
    state = _state(plan, progress, entries)
    if (state.startswith("in wave") or progress.count(Standing.IN_HAND)) and not workspace.is_held(plan):
        state = f"interrupted {state}" if state.startswith("in wave") else state
        lines = [line | ({"outcome": "unknown"} if line["outcome"] == Standing.IN_HAND else {}) for line in lines]
    told: dict[str, Any] = {
        "plan": plan.id,
        "product": plan.product,
        "version": plan.version,
        "also": plan.also,
        "fleet": plan.fleet,
        "planned_at": plan.created_at.isoformat(),
        "state": state,
        "outcomes": dict(Counter(line["outcome"] for line in lines)),
        "rate": rate_of(progress),
        "allowed_failures": plan.allowed_failures,
        "failures": progress.count(Standing.FAILED),
        "causes": causes_of(plan, progress),
        "waived": [_waiver(entry.fact) for entry in entries if isinstance(entry.fact, Waived)],
        "approvals": {"needed": plan.approvals, "given": [asdict(approval) for approval in approvals(entries)]},
    }
    return told | ({"hosts": lines} if in_full else {})


def _waiver(fact: Waived) -> dict[str, str]:
    return {"rule": fact.rule, "reason": fact.reason, "by": fact.by}


def _state(plan: Plan, progress: Progress, entries: list[Entry]) -> str:
    reason = stop_reason(plan, progress)
    if progress.paused and is_held(progress, reason):
        return f"paused {progress.paused.words}"
    if progress.aborted:
        return reason
    turns = (entry.fact for entry in reversed(entries) if isinstance(entry.fact, Opened | Halted | Finished))
    if isinstance(next(turns, None), Halted):
        return f"halted: {halted_by(entries)}"
    if reason:
        return f"halting: {reason}"
    if not plan.hosts:
        return "nothing to do"
    if not progress.hosts:
        return "planned"
    if progress.wave is None:
        return "finished"
    silent = silent_gates(progress, sorted(progress.group(Standing.SWITCHED)))
    return f"in wave {progress.wave}" + (f": {silent}" if silent else "")


def _full_id(ids: list[str], named: str) -> str:
    stem = Path(named).stem.rsplit("-", 1)[-1]
    found = [id_ for id_ in ids if id_.startswith(stem)]
    if len(found) != 1:
        raise InputError(f"the record has no plan {named!r}; it has {', '.join(id_[:8] for id_ in ids) or 'none'}")
    return found[0]
