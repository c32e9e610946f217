"""What `plan` does: look at the fleet, compute, keep the plan as a file and in the record."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from liftlock.adapters import files
from liftlock.app.workspace import Workspace, choose
from liftlock.ledger import Planned
from liftlock.model import Host, Observation, Plan
from liftlock.path import find_release
from liftlock.plan import make_plan
from liftlock.plan_document import to_document, to_json


def plan_release(
    workspace: Workspace,
    product: str,
    version: str,
    *,
    fleet_name: str | None = None,
    customers: Collection[str] = (),
    hosts: Collection[str] = (),
    look: bool = True,
    on_seen: Callable[[Observation], None] = lambda _: None,
) -> tuple[Plan, Path]:
    """Plan one release for one fleet; return the plan and the file it was written to.

    With `look` every host concerned is looked at first; without, the inventory's word is taken.
    """
    catalogue, fleet = workspace.catalogue(product), workspace.fleet(fleet_name)
    find_release(catalogue, version)  # a mistyped version or host is said before any host is bothered
    choose(fleet, tuple(hosts))
    inputs = files.input_hashes(workspace.root, product, fleet.name)
    now = workspace.clock.now()
    asked = [host for host in fleet.hosts if _asked(host, customers, hosts)]
    if look:
        observations = workspace.observe(catalogue.product, asked, on_seen)
    else:
        observations = {
            host.name: Observation(host.name, now, reachable=False, cause="not looked at") for host in asked
        }
    plan = make_plan(catalogue, fleet, workspace.settings.policy, observations, version, inputs, now, customers, hosts)
    path = workspace.plan_path(plan)
    files.write_atomically(path, to_json(plan))
    with workspace.ledger() as ledger:
        ledger.append(plan.id, Planned(document=to_document(plan)), now)
    return plan, path


def _asked(host: Host, customers: Collection[str], hosts: Collection[str]) -> bool:
    return (not customers or host.customer in customers) and (not hosts or host.name in hosts)
