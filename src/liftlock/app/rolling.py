"""What `gate`, `rollout` and `rollback` do: judge the hosts, carry out the plan, or bring hosts back."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING

from liftlock import ledger as record
from liftlock.app.artifacts import check_artifacts
from liftlock.app.ended import refuse_over
from liftlock.app.in_hand import refuse_in_hand
from liftlock.app.products import look, machines, run_suites
from liftlock.app.workspace import Workspace, is_recorded, operator
from liftlock.approval import unapproved
from liftlock.engine import Engine
from liftlock.errors import ExitCode, InputError, RefusedError
from liftlock.ledger import Entry
from liftlock.lifecycle import seen_in_record
from liftlock.model import GateResult, Observation, Outcome, Plan
from liftlock.outcome import runs
from liftlock.plan_document import to_document
from liftlock.ports import LedgerStore
from liftlock.progress import Progress, Standing
from liftlock.records import read_records
from liftlock.rollout import Done, Step, exit_code

if TYPE_CHECKING:
    from liftlock.adapters.db import SqlLedger

RULES = ("notice", "consent", "gate", "window", "canary")
"""The rules that an operator may set aside, with a reason that is recorded."""

Watcher = Callable[[Entry, Progress], None]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a rollout or rollback ended: the last step, where every host stands, and the exit code."""

    plan: Plan
    step: Step | None
    progress: Progress
    code: ExitCode
    seen: Mapping[str, Observation]
    """What a look found, when the record said that nothing was left to do; else empty."""
    unpruned: Mapping[str, str] = field(default_factory=dict)
    """Upgraded hosts on which old releases could not be removed, and why."""


def run_gates(
    workspace: Workspace, plan: Plan, names: Sequence[str], on_result: Callable[[GateResult], None]
) -> list[GateResult]:
    """Run the workspace's gate suites against the planned hosts and record each verdict."""
    catalogues = workspace.catalogues(plan)
    with workspace.ledger() as ledger:
        ensure_recorded(ledger, plan, workspace)

        def judged(result: GateResult) -> None:
            fact = record.Judged(
                host=result.host,
                verdict=result.verdict,
                reason=result.reason,
                tests=result.tests,
                not_passed=result.not_passed,
            )
            ledger.append(plan.id, fact, workspace.clock.now())
            on_result(result)

        return run_suites(workspace, plan, catalogues, names, on_result=judged)


def roll_out(
    workspace: Workspace,
    plan: Plan,
    *,
    waive: Sequence[str] = (),
    reason: str = "",
    patient: bool = False,
    watcher: Watcher = lambda _entry, _progress: None,
    on_pause: Callable[[str], None] = lambda _reason: None,
) -> Ending:
    """Carry out the plan from where the record stands.

    Raises RefusedError when an input of the plan changed (lost hosts are looked at all the same) or approvals are
    missing (that the plan is over is said before either), InputError for an artifact
    that is not what its manifest says, LockedError when another controller is at it, or another plan is not
    through with one of its hosts.
    """
    _check_waivers(waive, reason)
    with workspace.held(plan) as lease, workspace.ledger(lease=lease) as ledger:
        ensure_recorded(ledger, plan, workspace)
        entries = list(ledger.entries(plan.id))
        progress = Progress.of(plan).with_entries(entries)
        if progress.wave is None and _nothing_left(progress):
            return _verify(workspace, plan, progress)
        changed, why = workspace.check_inputs(plan, progress.inputs), unapproved(plan, progress.approved)
        if changed and progress.taken_up.count(Standing.LOST):
            entries = _look(workspace, plan, ledger, watcher)
        if changed or why:
            refuse_over(plan, entries)
        if changed:
            raise RefusedError(
                f"plan {plan.id[:8]} was made from other files: {', '.join(changed)} changed; plan again,"
                " or say --replan"
            )
        if why:
            raise RefusedError(why)
        refuse_in_hand(workspace, plan, ledger)
        check_artifacts(workspace, plan)
        engine = _engine(workspace, plan, ledger, watcher)
        for rule in waive:
            engine.record(record.Waived(rule=rule, reason=reason, by=operator()))
        engine.patient, engine.on_pause = patient, on_pause
        with _signals(engine, workspace) as caught:
            step = engine.run()
            unpruned = _prune(workspace, plan, engine.progress) if isinstance(step, Done) else {}
        code = exit_code(plan, engine.progress, step)
        return Ending(plan, step, engine.progress, ExitCode(128 + caught[0]) if caught else code, {}, unpruned)


def _look(workspace: Workspace, plan: Plan, ledger: SqlLedger, watcher: Watcher) -> list[Entry]:
    """Find out what became of hosts of which nobody knows, also of a plan that cannot go on; the record after that."""
    engine = _engine(workspace, plan, ledger, watcher)
    with _signals(engine, workspace):
        engine.look()
    return list(ledger.entries(plan.id))


def _prune(workspace: Workspace, plan: Plan, progress: Progress) -> dict[str, str]:
    """Remove old releases from upgraded hosts. What cannot be removed is told, and takes nothing from the upgrade."""
    from liftlock.app.staging import prune

    return {one.host: one.cause for one in prune(workspace, plan, progress) if not one.well}


def roll_back(
    workspace: Workspace,
    plan: Plan,
    names: Sequence[str],
    reason: str,
    watcher: Watcher = lambda _entry, _progress: None,
) -> Ending:
    """End the plan and bring its upgraded hosts, or the named ones, back to the release they came from.

    Hosts of which nobody knows are looked at first. Nothing starts under the plan any more, also when
    none of its hosts was upgraded; of the named ones, those that are back already stay so. Raises RefusedError when a
    host was brought to another release since.
    """
    from liftlock.app.telling import with_news

    if not reason:
        raise InputError("say why with --reason: it is recorded")
    with workspace.held(plan) as lease, workspace.ledger(lease=lease) as ledger:
        progress = Progress.of(plan).with_entries(ledger.entries(plan.id))
        upgraded = {name for name in progress.hosts if _may_be_upgraded(progress, name)}
        back_already = {name for name, part in progress.hosts.items() if part.outcome is Outcome.ROLLED_BACK}
        if not_there := [name for name in names if name not in upgraded | back_already]:
            raise InputError(f"not upgraded by plan {plan.id[:8]}: {', '.join(not_there)}")
        back = sorted(upgraded.intersection(names) if names else upgraded)
        if moved_on := _moved_on(plan, ledger, back):
            raise RefusedError(f"{', '.join(moved_on)} by now: roll back what brought them there first")
        engine = _engine(workspace, plan, ledger, watcher)
        recalled = [record.Recalled(host=name, reason=reason) for name in back]
        engine.record(*with_news(workspace, plan, ledger, record.Aborted(reason=reason, by=operator()), *recalled))
        with _signals(engine, workspace) as caught:
            step = engine.run()
        all_back = not any(_may_be_upgraded(engine.progress, name) for name in back)
        code = ExitCode.DONE if all_back else ExitCode.NEEDS_A_PERSON
        return Ending(plan, step, engine.progress, ExitCode(128 + caught[0]) if caught else code, {})


def _moved_on(plan: Plan, ledger: LedgerStore, names: Sequence[str]) -> list[str]:
    """Which of the hosts another plan has brought to a release that is not on this plan's way, in words."""
    recorded, found = seen_in_record(read_records(ledger.entries())), []
    for host in (host for host in plan.hosts if host.name in names):
        version, _ = recorded.get((plan.fleet, plan.product_of(host), host.machine), (host.wanted, None))
        if version not in host.way:
            found.append(f"{host.name} is on {version}")
    return found


def _may_be_upgraded(progress: Progress, name: str) -> bool:
    """Whether the host runs the plan's release or one on the way there, or nobody knows."""
    part = progress.host(name)
    if part.on_the_way:
        return True
    unsettled = {Standing.SUCCEEDED, Standing.SWITCHED, Standing.AILING, Standing.LOST, Standing.IN_HAND}
    return part.standing in unsettled or part.outcome in {Outcome.UNREACHABLE, Outcome.FAILED}


def _engine(workspace: Workspace, plan: Plan, ledger: LedgerStore, watcher: Watcher) -> Engine:
    from liftlock.adapters.connection import load_key
    from liftlock.adapters.failpoints import with_failpoints
    from liftlock.adapters.ssh import check_host

    load_key(workspace.settings.ssh.key)
    catalogues = workspace.catalogues(plan)
    products, hosts = {each.product.name: each.product for each in catalogues}, machines(workspace, plan)
    for planned in plan.hosts:
        check_host(products[plan.product_of(planned)], hosts[planned.name])
    logs, stop = workspace.logs(plan), workspace.clock.interrupt
    return Engine(
        plan=plan,
        releases={each.product.name: {one.version: one for one in each.releases} for each in catalogues},
        settled=lambda name, gate: run_suites(workspace, plan, catalogues, [name], settled=gate, stop=stop)[0],
        hosts=hosts,
        transports={name: with_failpoints(workspace.transport(each, logs, plan)) for name, each in products.items()},
        store=with_failpoints(ledger),
        clock=workspace.clock,
        session=uuid.uuid4().hex,
        controller=f"{operator()} (pid {os.getpid()})",
        judge=lambda names, until: run_suites(workspace, plan, catalogues, names, stop=until),
        on_entry=watcher,
        stop=stop,
        phase_limit=workspace.settings.ssh.phase_timeout,
    )


def ensure_recorded(ledger: SqlLedger, plan: Plan, workspace: Workspace) -> None:
    """A plan file from elsewhere is recorded the first time it is used."""
    if not is_recorded(ledger, plan):
        ledger.append(plan.id, record.Planned(document=to_document(plan)), workspace.clock.now())


def _check_waivers(waive: Sequence[str], reason: str) -> None:
    if unknown := [rule for rule in waive if rule not in RULES]:
        raise InputError(f"--waive knows {', '.join(RULES)}, not {', '.join(unknown)}")
    if waive and not reason:
        raise InputError("--waive needs --reason: it is recorded")


def _nothing_left(progress: Progress) -> bool:
    outcomes = {progress.hosts[name].outcome for name in progress.group(Standing.LEFT_OUT)}
    not_upgraded = progress.count(Standing.FAILED) + progress.count(Standing.BROUGHT_BACK)
    return outcomes <= {Outcome.ALREADY_CURRENT} and not not_upgraded


def _verify(workspace: Workspace, plan: Plan, progress: Progress) -> Ending:
    """Every host has its upgrade on record: look, change nothing, and say whether it still holds."""
    seen = look(workspace, plan)
    holds = all(runs(seen[host.name], host.wanted) for host in plan.hosts)
    return Ending(plan, None, progress, ExitCode.DONE if holds else ExitCode.NEEDS_A_PERSON, seen)


@contextmanager
def _signals(engine: Engine, workspace: Workspace) -> Iterator[list[int]]:
    """The first signal lets the hosts in hand finish; the second leaves at once and says what is unknown.

    SIGINT, SIGTERM, and SIGHUP, which a closed terminal sends, and which counts as SIGTERM.
    """
    caught: list[int] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        number = signal.SIGTERM if number == signal.SIGHUP else number
        in_hand = sorted(engine.progress.group(Standing.IN_HAND))
        if caught:
            _tell(f"left at once; unknown: {', '.join(in_hand) or 'nothing'}; run it again to look")
            os._exit(128 + number)
        caught.append(number)
        workspace.clock.interrupt.set()
        waits = f"finishing {', '.join(in_hand)}" if in_hand else "no host is in hand"
        _tell(f"stopping, {waits}; once more to leave at once")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tell(text: str) -> None:
    """Say it from a signal handler, also when nobody listens any more."""
    with suppress(OSError):
        os.write(2, f"liftlock: {text}\n".encode())
