"""The hosts of a plan opened: hosts by the plan's names, each looked at and judged as what it is planned for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from threading import Event

from liftlock.app.workspace import Workspace, choose
from liftlock.errors import InputError
from liftlock.model import Catalogue, GateResult, Host, Observation, Plan, PlannedHost, Release


def machines(workspace: Workspace, plan: Plan, names: Sequence[str] = ()) -> dict[str, Host]:
    """The hosts of the plan, or the named ones, as the inventory has them, by their names in the plan.

    Raises InputError for a name that the plan, or the inventory, lacks.
    """
    planned = _planned(plan, names)
    if not planned:
        return {}
    by_name = {host.name: host for host in choose(workspace.fleet(plan.fleet), [host.machine for host in planned])}
    return {host.name: by_name[host.machine].of(plan.product_of(host)) for host in planned}


def releases(catalogue: Catalogue, plan: Plan) -> dict[str, Release]:
    """The releases of one product that the plan installs, by version. Raises InputError when one has no manifest."""
    product = catalogue.product.name
    known = {release.version: release for release in catalogue.releases}
    hops = {hop.to_version for host in plan.hosts if plan.product_of(host) == product for hop in host.hops}
    needed = {plan.products[product]} | hops
    if gone := sorted(needed - set(known)):
        raise InputError(f"releases/{product}/ lacks {', '.join(gone)}, which plan {plan.id[:8]} needs")
    return {version: known[version] for version in sorted(needed)}


def look(workspace: Workspace, plan: Plan) -> dict[str, Observation]:
    """A look at every planned host, by its name in the plan."""
    hosts = machines(workspace, plan)
    seen: dict[str, Observation] = {}
    for catalogue in workspace.catalogues(plan):
        theirs = _of_product(plan, plan.hosts, catalogue)
        found = workspace.observe(catalogue.product, [hosts[host.name] for host in theirs])
        seen |= {host.name: found[host.machine] for host in theirs}
    return {host.name: seen[host.name] for host in plan.hosts}


def run_suites(
    workspace: Workspace,
    plan: Plan,
    catalogues: Iterable[Catalogue],
    names: Sequence[str] = (),
    *,
    settled: str = "",
    on_result: Callable[[GateResult], None] = lambda _result: None,
    stop: Event | None = None,
) -> list[GateResult]:
    """Run the gate suites, or those of the settled gate of that name, on the plan's hosts or the named ones.

    Each host is judged for the product and release that it is planned for. Results come in the order of the hosts,
    by their names in the plan, and to `on_result` as they fall. Once `stop` is set, hosts not judged yet are errors.
    """
    from liftlock.adapters.gates import SETTLED, PytestGates

    suites = workspace.root / "tests" / "gates"
    hosts, planned = machines(workspace, plan, names), _planned(plan, names)
    results: dict[str, GateResult] = {}
    for catalogue in catalogues:
        theirs = _of_product(plan, planned, catalogue)
        called = {host.machine: host.name for host in theirs}

        def judged(result: GateResult, called: dict[str, str] = called) -> None:
            results[called[result.host]] = replace(result, host=called[result.host])
            on_result(results[called[result.host]])

        gates = PytestGates(
            suites / SETTLED / settled if settled else suites,
            workspace.settings.ssh,
            catalogue.product,
            releases(catalogue, plan)[plan.products[catalogue.product.name]],
            log_dir=workspace.logs(plan),
            stop=stop,
        )
        gates.run([hosts[host.name] for host in theirs], judged)
    return [results[host.name] for host in planned]


def _of_product(plan: Plan, planned: Iterable[PlannedHost], catalogue: Catalogue) -> list[PlannedHost]:
    return [host for host in planned if plan.product_of(host) == catalogue.product.name]


def _planned(plan: Plan, names: Sequence[str]) -> list[PlannedHost]:
    """The planned hosts of these names, in their order, or all. Raises InputError for names the plan lacks."""
    by_name = {host.name: host for host in plan.hosts}
    if unknown := [name for name in names if name not in by_name]:
        raise InputError(f"plan {plan.id[:8]} has no host {', '.join(unknown)}; it has {', '.join(by_name)}")
    return [by_name[name] for name in names] if names else list(plan.hosts)
