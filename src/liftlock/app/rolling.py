"""What `gate`, `rollout` and `rollback` do: judge the hosts, carry out the plan, or bring hosts back."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING

from liftlock import ledger as record
from liftlock.adapters.artifact import verify_artifact
from liftlock.app.workspace import Workspace, choose, is_recorded, operator
from liftlock.approval import unapproved
from liftlock.engine import Engine
from liftlock.errors import ExitCode, InputError, RefusedError
from liftlock.ledger import Entry
from liftlock.model import Catalogue, GateResult, Host, Observation, Outcome, Plan, Product, Release
from liftlock.outcome import runs
from liftlock.plan_document import to_document
from liftlock.ports import LedgerStore
from liftlock.progress import Progress, Standing
from liftlock.rollout import Step, exit_code

if TYPE_CHECKING:
    from liftlock.adapters.db import SqlLedger

RULES = ("notice", "gate", "window", "canary")
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


def run_gates(
    workspace: Workspace, plan: Plan, names: Sequence[str], on_result: Callable[[GateResult], None]
) -> list[GateResult]:
    """Run the workspace's gate suites against the planned hosts and record each verdict."""
    from liftlock.adapters.gates import PytestGates

    catalogue = workspace.catalogue(plan.product)
    hosts = _planned_hosts(workspace, plan, names)
    gates = PytestGates(
        workspace.root / "tests" / "gates",
        workspace.settings.ssh,
        catalogue.product,
        _releases(catalogue, plan)[plan.version],
        log_dir=workspace.logs(plan),
    )
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

        return gates.run(hosts, judged)


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

    Raises RefusedError when an input of the plan changed or approvals are missing, InputError for an artifact
    that is not what its manifest says, LockedError when another controller is at it.
    """
    _check_waivers(waive, reason)
    with workspace.held(plan), workspace.ledger() as ledger:
        ensure_recorded(ledger, plan, workspace)
        progress = Progress.of(plan).with_entries(ledger.entries(plan.id))
        if progress.wave is None and _nothing_left(progress):
            return _verify(workspace, plan, progress)
        if changed := workspace.check_inputs(plan, progress.inputs):
            raise RefusedError(
                f"plan {plan.id[:8]} was made from other files: {', '.join(changed)} changed; plan again,"
                " or say --replan"
            )
        if why := unapproved(plan, progress.approved):
            raise RefusedError(why)
        for release in _releases(workspace.catalogue(plan.product), plan).values():
            verify_artifact(release.artifact)
        engine = _engine(workspace, plan, ledger, watcher)
        for rule in waive:
            engine.record(record.Waived(rule=rule, reason=reason, by=operator()))
        engine.patient, engine.on_pause = patient, on_pause
        with _signals(engine, workspace) as caught:
            step = engine.run()
        code = exit_code(plan, engine.progress, step)
        return Ending(plan, step, engine.progress, ExitCode(128 + caught[0]) if caught else code, {})


def roll_back(
    workspace: Workspace,
    plan: Plan,
    names: Sequence[str],
    reason: str,
    watcher: Watcher = lambda _entry, _progress: None,
) -> Ending:
    """End the plan and bring its upgraded hosts, or the named ones, back to the release they came from.

    Hosts of which nobody knows are looked at first. Nothing starts under the plan any more, also when
    none of its hosts was upgraded.
    """
    if not reason:
        raise InputError("say why with --reason: it is recorded")
    with workspace.held(plan), workspace.ledger() as ledger:
        progress = Progress.of(plan).with_entries(ledger.entries(plan.id))
        upgraded = {name for name in progress.hosts if _may_be_upgraded(progress, name)}
        if not_there := [name for name in names if name not in upgraded]:
            raise InputError(f"not upgraded by plan {plan.id[:8]}: {', '.join(not_there)}")
        back = sorted(names or upgraded)
        engine = _engine(workspace, plan, ledger, watcher)
        engine.record(record.Aborted(reason=reason, by=operator()))
        for name in back:
            engine.record(record.Recalled(host=name, reason=reason))
        with _signals(engine, workspace) as caught:
            step = engine.run()
        all_back = not any(_may_be_upgraded(engine.progress, name) for name in back)
        code = ExitCode.DONE if all_back else ExitCode.NEEDS_A_PERSON
        return Ending(plan, step, engine.progress, ExitCode(128 + caught[0]) if caught else code, {})


def _may_be_upgraded(progress: Progress, name: str) -> bool:
    """Whether the host runs the plan's release, or nobody knows."""
    part = progress.host(name)
    unsettled = {Standing.SUCCEEDED, Standing.SWITCHED, Standing.AILING, Standing.LOST, Standing.IN_HAND}
    return part.standing in unsettled or part.outcome in {Outcome.UNREACHABLE, Outcome.FAILED}


def _engine(workspace: Workspace, plan: Plan, ledger: LedgerStore, watcher: Watcher) -> Engine:
    from liftlock.adapters.connection import load_key
    from liftlock.adapters.failpoints import with_failpoints
    from liftlock.adapters.ssh import check_host

    load_key(workspace.settings.ssh.key)
    catalogue = workspace.catalogue(plan.product)
    product, wanted = catalogue.product, _releases(catalogue, plan)[plan.version]
    hosts = _planned_hosts(workspace, plan, ())
    for host in hosts:
        check_host(product, host)
    return Engine(
        plan=plan,
        releases={plan.product: {release.version: release for release in catalogue.releases}},
        settled=lambda host, gate: _settled(workspace, plan, product, wanted, host, gate),
        hosts={host.name: host for host in hosts},
        transports={plan.product: with_failpoints(workspace.transport(product, workspace.logs(plan)))},
        store=with_failpoints(ledger),
        clock=workspace.clock,
        session=uuid.uuid4().hex,
        controller=f"{operator()} (pid {os.getpid()})",
        judge=lambda names: _judge(workspace, plan, product, wanted, names),
        on_entry=watcher,
        stop=workspace.clock.interrupt,
    )


def _judge(
    workspace: Workspace, plan: Plan, product: Product, release: Release, names: Sequence[str]
) -> list[GateResult]:
    """Run the gate suites again on these hosts of the plan."""
    from liftlock.adapters.gates import PytestGates

    suites = workspace.root / "tests" / "gates"
    gates = PytestGates(suites, workspace.settings.ssh, product, release, log_dir=workspace.logs(plan))
    return gates.run(_planned_hosts(workspace, plan, names), lambda _result: None)


def _settled(workspace: Workspace, plan: Plan, product: Product, release: Release, host: Host, gate: str) -> GateResult:
    """Run the suites in tests/gates/settled/<gate> on one host."""
    from liftlock.adapters.gates import SETTLED, PytestGates

    suites = workspace.root / "tests" / "gates" / SETTLED / gate
    gates = PytestGates(suites, workspace.settings.ssh, product, release, log_dir=workspace.logs(plan))
    return gates.run([host], lambda _result: None)[0]


def _releases(catalogue: Catalogue, plan: Plan) -> dict[str, Release]:
    """The releases that the plan installs, by version. Raises InputError when the catalogue lacks one."""
    known = {release.version: release for release in catalogue.releases}
    needed = {plan.version} | {hop.to_version for host in plan.hosts for hop in host.hops}
    if gone := sorted(needed - set(known)):
        raise InputError(f"releases/{plan.product}/ lacks {', '.join(gone)}, which plan {plan.id[:8]} needs")
    return {version: known[version] for version in sorted(needed)}


def _planned_hosts(workspace: Workspace, plan: Plan, names: Sequence[str]) -> list[Host]:
    planned = [host.name for host in plan.hosts]
    if unknown := [name for name in names if name not in planned]:
        raise InputError(f"plan {plan.id[:8]} has no host {', '.join(unknown)}; it has {', '.join(planned)}")
    wanted = names or planned
    return choose(workspace.fleet(plan.fleet), wanted) if wanted else []


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
    product = workspace.catalogue(plan.product).product
    seen = workspace.observe(product, _planned_hosts(workspace, plan, ()))
    holds = all(runs(observation, plan.version) for observation in seen.values())
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
            _tell(f"left at once; unknown: {', '.join(in_hand) or 'nothing'}")
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
