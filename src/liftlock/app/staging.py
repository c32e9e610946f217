"""What `stage`, `prune` and `unlock` do on hosts beside a rollout; nothing is switched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from liftlock.adapters import files
from liftlock.adapters.artifact import verify_artifact
from liftlock.app.products import machines
from liftlock.app.rolling import ensure_recorded
from liftlock.app.steering import pause_to_unlock
from liftlock.app.workspace import Workspace, choose, operator
from liftlock.errors import HostError, InputError, RefusedError
from liftlock.ledger import Staged, Unlocked
from liftlock.model import Host, HostAnswer, HostResult, Plan, PlannedHost, Release, Ticket
from liftlock.ports import Transport
from liftlock.progress import Progress, Standing


@dataclass(frozen=True, slots=True)
class HostWork:
    """What became of one host: the versions that were dealt with there, whether all went well, and why not."""

    host: str
    well: bool
    versions: tuple[str, ...] = ()
    cause: str = ""
    detail: str = ""


def stage(
    workspace: Workspace, plan: Plan, names: Sequence[str], on_done: Callable[[HostWork], None] = lambda _: None
) -> list[HostWork]:
    """Upload and verify every release on the way of the planned hosts, so that in the window only switches remain.

    Raises RefusedError when a file that the plan was made from has changed, LockedError when it is being carried out,
    InputError for an artifact that is not what its manifest says.
    """
    releases = {product: _by_version(workspace, product) for product in plan.products}
    ways = {
        planned.name: [releases[plan.product_of(planned)][hop.to_version] for hop in planned.hops]
        for planned in plan.hosts
        if not names or planned.name in names
    }
    for release in {release.artifact.path: release for way in ways.values() for release in way}.values():
        verify_artifact(release.artifact)
    with workspace.held(plan), workspace.ledger() as ledger:
        ensure_recorded(ledger, plan, workspace)
        if changed := workspace.check_inputs(plan, Progress.of(plan).with_entries(ledger.entries(plan.id)).inputs):
            raise RefusedError(
                f"plan {plan.id[:8]} was made from other files: {', '.join(changed)} changed; plan again"
            )

        def work(planned: PlannedHost, host: Host) -> HostWork:
            transport = _transport(workspace, plan, planned)
            lying: list[str] = []
            for release in ways[planned.name]:
                answer = transport.stage(host, release, Ticket(plan.id, 0, _fence(workspace)))
                if answer.result not in {HostResult.STAGED, HostResult.ALREADY_CURRENT}:
                    return _refused(planned.name, tuple(lying), answer)
                ledger.append(plan.id, Staged(host=planned.name, version=release.version), workspace.clock.now())
                lying.append(release.version)
            return HostWork(planned.name, True, tuple(lying))

        return _on_each(workspace, plan, names, work, on_done)


def prune(
    workspace: Workspace, plan: Plan, progress: Progress, on_done: Callable[[HostWork], None] = lambda _: None
) -> list[HostWork]:
    """Remove old releases from the plan's upgraded hosts, as their product says; never what a way back needs."""
    upgraded = [name for name in progress.lineup.order if progress.host(name).standing is Standing.SUCCEEDED]

    def work(planned: PlannedHost, host: Host) -> HostWork:
        part = progress.host(planned.name)
        ticket = Ticket(plan.id, part.attempt, _fence(workspace))
        answer = _transport(workspace, plan, planned).prune(host, {part.origin}, ticket)
        if answer.result is not HostResult.DONE:
            return _refused(planned.name, (), answer)
        return HostWork(planned.name, True, detail=answer.detail)

    return _on_each(workspace, plan, upgraded, work, on_done) if upgraded else []


def unlock(workspace: Workspace, fleet: str | None, name: str, product: str, reason: str) -> HostWork:
    """End the phase that holds a host's lock, whoever began it; the record says who did so and why.

    A rollout that has the host in hand is paused before, or it would try the host again at once.
    Raises InputError without a reason, and when the product cannot be told; HostError when the host is not reached.
    """
    if not reason:
        raise InputError("say why with --reason: it is recorded")
    host = choose(workspace.fleet(fleet), [name])[0]
    products = [product] if product else list(host.products) or files.list_products(workspace.root)
    if len(products) != 1:
        raise InputError(f"say with --product whose lock it is: {', '.join(products)}")
    transport = workspace.transport(workspace.catalogue(products[0]).product)
    before = transport.probe(host.of(products[0]))
    plan = before.journal.partition(" ")[0]
    with workspace.ledger() as ledger:
        known = plan if plan in ledger.plans() else ""
        paused = pause_to_unlock(workspace, ledger, known, name, reason) if known else ""
        answer = transport.unlock(host.of(products[0]), Ticket(plan or "unlock", 0, _fence(workspace)))
        if answer.result is not HostResult.DONE:
            refused = _refused(name, (), answer)
            return replace(refused, detail=_and(refused.detail, paused))
        ledger.append(known, Unlocked(host=name, reason=reason, by=operator()), workspace.clock.now())
    return HostWork(name, True, detail=_and(answer.detail, paused))


def _and(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


def _on_each(
    workspace: Workspace,
    plan: Plan,
    names: Sequence[str],
    work: Callable[[PlannedHost, Host], HostWork],
    on_done: Callable[[HostWork], None],
) -> list[HostWork]:
    """Do the work on several hosts at once, as many as the policy allows; one that is not reached stops nobody else."""
    hosts = machines(workspace, plan, names)

    def one(planned: PlannedHost) -> HostWork:
        try:
            done = work(planned, hosts[planned.name])
        except HostError as error:
            done = HostWork(planned.name, False, cause=error.cause, detail=error.detail)
        on_done(done)
        return done

    with ThreadPoolExecutor(plan.policy.concurrency) as pool:
        return list(pool.map(one, (host for host in plan.hosts if host.name in hosts)))


def _by_version(workspace: Workspace, product: str) -> dict[str, Release]:
    return {release.version: release for release in workspace.catalogue(product).releases}


def _transport(workspace: Workspace, plan: Plan, planned: PlannedHost) -> Transport:
    product = workspace.catalogue(plan.product_of(planned)).product
    return workspace.transport(product, workspace.logs(plan))


def _fence(workspace: Workspace) -> int:
    """As of an attempt that begins now (ADR 16)."""
    return int(workspace.clock.now().timestamp() * 1000)


def _refused(name: str, lying: tuple[str, ...], answer: HostAnswer) -> HostWork:
    return HostWork(name, False, lying, answer.cause or str(answer.result), answer.detail)
