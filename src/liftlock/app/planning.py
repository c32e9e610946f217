"""What `plan` does: look at the fleet, compute, keep the plan as a file and in the record."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from pathlib import Path

from liftlock.adapters import files
from liftlock.app.workspace import Workspace, choose, collecting, operator
from liftlock.durations import recorded_durations
from liftlock.errors import InputError, Problem
from liftlock.evidence import prior_from
from liftlock.ledger import Planned, Waived
from liftlock.model import Host, Observation, Plan
from liftlock.path import find_release
from liftlock.plan import make_plan
from liftlock.plan_document import to_document, to_json
from liftlock.records import HostRecord, host_records, track_record


def plan_release(
    workspace: Workspace,
    product: str,
    version: str,
    *,
    fleet_name: str | None = None,
    customers: Collection[str] = (),
    hosts: Collection[str] = (),
    look: bool = True,
    waive: Collection[str] = (),
    downgrade: bool = False,
    reason: str = "",
    on_seen: Callable[[Observation], None] = lambda _: None,
) -> tuple[Plan, Path]:
    """Plan one release for one fleet; return the plan and the file it was written to.

    With `look` every host concerned is looked at first; without, the inventory's word is taken. `waive` sets the rule
    `notice` aside for an emergency, `downgrade` takes hosts with a newer version down: `reason` is recorded.
    """
    _check_waivers(waive, reason)
    if downgrade and not reason:
        raise InputError("--downgrade needs --reason: it is recorded")
    make = prepare(
        workspace,
        product,
        version,
        fleet_name=fleet_name,
        customers=customers,
        hosts=hosts,
        look=look,
        waived=waive,
        downgrade=reason if downgrade else "",
        on_seen=on_seen,
    )
    plan = make(workspace.clock.now())
    return plan, keep(workspace, plan, reason)


def prepare(
    workspace: Workspace,
    product: str,
    version: str,
    *,
    fleet_name: str | None = None,
    customers: Collection[str] = (),
    hosts: Collection[str] = (),
    look: bool = True,
    waived: Collection[str] = (),
    downgrade: str = "",
    on_seen: Callable[[Observation], None] = lambda _: None,
) -> Callable[[datetime], Plan]:
    """Read the files and look at the hosts once; what comes back makes the plan of any moment from that."""
    problems: list[Problem] = []
    with collecting(problems):
        policy = workspace.settings.policy
    with collecting(problems):
        catalogue = workspace.catalogue(product)
    with collecting(problems):
        fleet, fleet_hashes = workspace.fleet_with_hashes(fleet_name)
    if problems:
        raise InputError(problems)
    find_release(catalogue, version)  # a mistyped version or host is said before any host is bothered
    choose(fleet, tuple(hosts))
    inputs = files.input_hashes(workspace.root, product, fleet.name, fleet_hashes)
    asked = [host for host in fleet.hosts if _asked(host, product, customers, hosts)]
    if look:
        observations = workspace.observe(catalogue.product, asked, on_seen)
    else:
        now = workspace.clock.now()
        observations = {
            host.name: Observation(host.name, now, reachable=False, cause="not looked at") for host in asked
        }
    past = _past(workspace)
    prior = prior_from(*track_record(past, product)) if policy.by_evidence else None

    def make(now: datetime) -> Plan:
        durations = recorded_durations(past, catalogue, now)
        return make_plan(
            catalogue,
            fleet,
            policy,
            observations,
            version,
            inputs,
            now,
            customers,
            hosts,
            prior,
            durations=durations,
            waived=waived,
            downgrade=downgrade,
        )

    return make


def _past(workspace: Workspace) -> list[HostRecord]:
    """What became of every host so far."""
    with workspace.ledger() as ledger:
        return host_records(ledger.entries())


def _check_waivers(waive: Collection[str], reason: str) -> None:
    if unknown := [rule for rule in waive if rule != "notice"]:
        raise InputError(f"--waive knows notice when a plan is made, not {', '.join(unknown)}")
    if waive and not reason:
        raise InputError("--waive needs --reason: it is recorded")


def keep(workspace: Workspace, plan: Plan, reason: str = "") -> Path:
    """Write the plan to its file and to the record, with the reason for what it sets aside; return the file."""
    path = workspace.plan_path(plan)
    files.write_atomically(path, to_json(plan))
    with workspace.ledger() as ledger:
        ledger.append(plan.id, Planned(document=to_document(plan)), plan.created_at)
        for rule in plan.waived:
            ledger.append(plan.id, Waived(rule=rule, reason=reason, by=operator()), plan.created_at)
    return path


def _asked(host: Host, product: str, customers: Collection[str], hosts: Collection[str]) -> bool:
    asked = (not customers or host.customer in customers) and (not hosts or host.name in hosts)
    return asked and (not host.products or product in host.products)
