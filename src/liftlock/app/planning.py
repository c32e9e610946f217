"""What `plan` does: look at the fleet, compute, keep the plan as a file and in the record."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from pathlib import Path
from typing import Protocol

from liftlock.adapters import files
from liftlock.app.telling import with_news
from liftlock.app.workspace import Workspace, choose, collecting, operator
from liftlock.candidates import asked_for, running
from liftlock.durations import recorded_durations, recorded_way_back
from liftlock.errors import InputError, Problem
from liftlock.evidence import prior_from
from liftlock.ledger import Fact, Planned, Waived
from liftlock.model import Catalogue, Fleet, Observation, Plan
from liftlock.path import find_release
from liftlock.plan import Target, make_plan
from liftlock.plan_document import to_document, to_json
from liftlock.records import HostRecord, host_records, track_record


def read_also(text: str) -> dict[str, str]:
    """What `--also` says (`acme-db=5.2.1,acme-web=3.1.0`): versions by product. Raises InputError when it cannot be."""
    also: dict[str, str] = {}
    for part in (part.strip() for part in text.split(",") if part.strip()):
        product, _, version = (piece.strip() for piece in part.partition("="))
        if not product or not version:
            raise InputError(f"--also takes PRODUCT=VERSION such as acme-db=5.2.1, not {part!r}")
        if product in also:
            raise InputError(f"--also names {product} twice")
        also[product] = version
    return also


def plan_release(
    workspace: Workspace,
    product: str,
    version: str,
    *,
    also: Mapping[str, str] | None = None,
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

    `also` are the versions of further products that the plan brings. With `look` every host concerned is looked at
    first; without, the inventory's word is taken. `waive` sets the rule `notice` aside for an emergency, `downgrade`
    takes hosts with a newer version down: `reason` is recorded.
    """
    _check_waivers(waive, reason)
    if downgrade and not reason:
        raise InputError("--downgrade needs --reason: it is recorded")
    make = prepare(
        workspace,
        product,
        version,
        also=also,
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


class Maker(Protocol):
    """Makes the plan of any moment from what was read and seen once."""

    def __call__(self, now: datetime, replaces: str = "") -> Plan:
        """The plan of that moment, in place of the one of which the id is given."""
        ...


def prepare(
    workspace: Workspace,
    product: str,
    version: str,
    *,
    also: Mapping[str, str] | None = None,
    fleet_name: str | None = None,
    customers: Collection[str] = (),
    hosts: Collection[str] = (),
    look: bool = True,
    waived: Collection[str] = (),
    downgrade: str = "",
    on_seen: Callable[[Observation], None] = lambda _: None,
) -> Maker:
    """Read the files and look at the hosts once; what comes back makes the plan of any moment from that."""
    wanted = _wanted(product, version, also or {}, downgrade)
    catalogues: dict[str, Catalogue] = {}
    problems: list[Problem] = []
    with collecting(problems):
        policy = workspace.settings.policy
    for name in wanted:
        with collecting(problems):
            catalogues[name] = workspace.catalogue(name)
    with collecting(problems):
        fleet, fleet_hashes = workspace.fleet_with_hashes(fleet_name)
    for name in _beside(workspace, list(catalogues.values())):
        with collecting(problems):
            catalogues[name] = workspace.catalogue(name)
    if problems:
        raise InputError(dict.fromkeys(problems))  # products that share a file share its mistakes
    for name in wanted:  # a mistyped version or host is said before any host is bothered
        find_release(catalogues[name], wanted[name])
    choose(fleet, tuple(hosts))
    inputs = files.input_hashes(workspace.root, sorted(catalogues), fleet.name, fleet_hashes)
    observed = _observe(workspace, fleet, catalogues, customers, hosts, on_seen if look else None)
    past = _past(workspace)
    prior = prior_from(*track_record(past, *wanted)) if policy.by_evidence else None

    def make(now: datetime, replaces: str = "") -> Plan:
        first, *others = (
            Target(
                catalogue,
                wanted.get(name, ""),
                observed[name],
                recorded_durations(past, catalogue, now),
                recorded_way_back(past, name, now),
            )
            for name, catalogue in catalogues.items()
        )
        return make_plan(
            first,
            fleet,
            policy,
            inputs,
            now,
            also=others,
            customers=customers,
            hosts=hosts,
            prior=prior,
            waived=waived,
            downgrade=downgrade,
            replaces=replaces,
        )

    return make


def _wanted(product: str, version: str, also: Mapping[str, str], downgrade: str) -> dict[str, str]:
    if product in also:
        raise InputError(f"--also is for further products; {product} is the plan's own")
    if also and downgrade:
        raise InputError("--downgrade takes down one product at a time: leave --also out")
    return {product: version, **also}


def _beside(workspace: Workspace, planned: Collection[Catalogue]) -> list[str]:
    """The other products that those of a plan may need, or be needed by."""
    names = {catalogue.product.name for catalogue in planned}
    needed = {name for catalogue in planned for release in catalogue.releases for name in release.needs}
    return sorted((needed | files.products_naming(workspace.root, names)) - names)


def _observe(
    workspace: Workspace,
    fleet: Fleet,
    catalogues: Mapping[str, Catalogue],
    customers: Collection[str],
    names: Collection[str],
    on_seen: Callable[[Observation], None] | None,
) -> dict[str, dict[str, Observation]]:
    """A look at every host concerned, by product; nobody looks without `on_seen`.

    Of one product alone those are the hosts that it is planned for. With others beside it every host counts that runs
    one of them at the same customers.
    """
    own = next(iter(catalogues))
    there = {name: running(fleet, name, also=name != own) for name in catalogues}
    asked = {name: asked_for(fleet, hosts, customers, names) for name, hosts in there.items()}
    concerned = {host.customer for hosts in asked.values() for host in hosts}
    observed: dict[str, dict[str, Observation]] = {}
    for name, catalogue in catalogues.items():
        alone = len(catalogues) == 1
        hosts = asked[name] if alone else [host for host in there[name] if host.customer in concerned]
        if on_seen:
            observed[name] = workspace.observe(catalogue.product, hosts, on_seen)
        else:
            now = workspace.clock.now()
            unseen = (Observation(host.name, now, reachable=False, cause="not looked at") for host in hosts)
            observed[name] = {one.host: one for one in unseen}
    return observed


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
        waived = (Waived(rule=rule, reason=reason, by=operator()) for rule in plan.waived)
        facts: list[Fact] = [Planned(document=to_document(plan)), *waived]
        if plan.replaces:
            facts = with_news(workspace, plan, ledger, *facts)
        ledger.append_all(plan.id, facts, plan.created_at)
    return path
