"""Plans: which hosts get the release, by which path, in which wave and window, and which are left out and why."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from liftlock.approval import approvers_needed
from liftlock.bounds import with_stand_ins
from liftlock.candidates import Target, asked_for, candidates, installed, running
from liftlock.document import garbage_collection_resting
from liftlock.errors import InputError
from liftlock.model import Exclusion, Fleet, Host, Plan, PlannedHost, Policy, Prior, Release, Window
from liftlock.needs import Installed, Needs
from liftlock.path import find_release
from liftlock.plan_document import plan_id
from liftlock.roles import hosts_by_rank, in_order_of_rank, without_forerunners
from liftlock.timing import Openings, in_time
from liftlock.waves import in_rollout_order, in_waves
from liftlock.window import Rules, in_words

__all__ = ["Target", "make_plan"]

_Hosts = Mapping[str, Collection[Host]]
"""By product."""


@garbage_collection_resting()
def make_plan(
    target: Target,
    fleet: Fleet,
    policy: Policy,
    inputs: Mapping[str, str],
    now: datetime,
    *,
    also: Sequence[Target] = (),
    customers: Collection[str] = (),
    hosts: Collection[str] = (),
    prior: Prior | None = None,
    waived: Collection[str] = (),
    downgrade: str = "",
    replaces: str = "",
) -> Plan:
    """The plan that takes the fleet to the target's wanted version, with its id.

    `also` are further products: those with a wanted version are upgraded by the same plan, the others are what its
    products need or are needed by (`liftlock.needs`). `customers` and `hosts` narrow the plan: with both given a host
    must be in both. `prior` is what is known of the failure rate, for waves by evidence; None is next to nothing.
    `waived` with `notice` in it sets lead times aside. `downgrade` is the reason for taking hosts with a newer version
    down to the wanted one; without one they are left out. `replaces` is the id of the plan it stands in for.

    Raises InputError when a name or a wanted version is unknown, when no host is left to consider, when nobody runs a
    product that was asked for, when products need each other in a circle, or when a wave cannot be read.
    """
    targets = {one.name: one for one in (target, *also)}
    wanted = {name: one.wanted for name, one in targets.items() if one.wanted}
    releases = [find_release(targets[name].catalogue, version) for name, version in wanted.items()]
    draft = Plan(
        id="",
        product=target.name,
        version=target.wanted,
        kind=releases[0].kind,
        fleet=fleet.name,
        created_at=now.astimezone(UTC),
        policy=policy,
        hosts=(),
        exclusions=(),
        inputs=dict(inputs),
        prior=prior,
        waived=tuple(sorted(waived)),
        downgrade=downgrade,
        only_customers=tuple(sorted(customers)),
        only_hosts=tuple(sorted(hosts)),
        also=dict(sorted((name, version) for name, version in wanted.items() if name != target.name)),
        replaces=replaces,
    )
    kinds = {release.kind for release in releases}
    waiver = "notice" in waived
    alike: dict[tuple[Rules, datetime], tuple[Window, ...]] = {}  # many groups have the same windows and freezes
    openings = {
        name: Openings(fleet, name, frozenset(kinds), policy, draft.created_at, waiver, alike) for name in wanted
    }
    there = {name: running(fleet, name, also=one is not target) for name, one in targets.items()}
    considered = {name: asked_for(fleet, there[name], customers, hosts) for name in wanted}
    _refuse_nobody(fleet, there, considered, draft)
    judged = [
        one
        for name, chosen in considered.items()
        for one in candidates(
            targets[name], chosen, openings[name], also=name != target.name, downgrade=bool(downgrade)
        )
    ]
    timed = _settled(draft, judged, _Setting(fleet, targets, _needs(targets, there, draft), openings))
    approvals = max(approvers_needed(policy.approvals, kind, len(timed.hosts)) for kind in kinds)
    if one_way := [release for _, release in _passed(targets, timed) if not release.reversible]:
        approvals = max(approvals, 1)  # no way back but the backup: somebody must have said yes to that
        timed = _without_drill(timed, one_way[0].version)
    going = {timed.product_of(host) for host in timed.hosts}
    backs = ((name, target.way_back) for name, target in targets.items() if name in going)
    ways_back = {name: f"{in_words(back)} by the record" for name, back in backs if back is not None}
    plan = replace(timed, approvals=approvals, estimates=_estimates(targets, timed), ways_back=ways_back)
    return replace(plan, id=plan_id(plan))


@dataclass(frozen=True, slots=True)
class _Setting:
    """What a draft is worked out by."""

    fleet: Fleet
    targets: Mapping[str, Target]
    needs: Needs
    openings: Mapping[str, Openings]


def _without_drill(plan: Plan, version: str) -> Plan:
    """The plan without its drill: a way back that restores a backup loses what a customer did in between."""
    if not plan.policy.drill:
        return plan
    first, *others = plan.hosts
    note = "; ".join(part for part in (first.note, f"no drill: {version} is not reversible") if part)
    hosts = (first.placed(first.wave, first.window, note), *others)
    return replace(plan, hosts=hosts, policy=replace(plan.policy, drill=False))


def _refuse_nobody(fleet: Fleet, there: _Hosts, considered: _Hosts, draft: Plan) -> None:
    if idle := [name for name in draft.also if not there[name]]:
        raise InputError(f"fleet {fleet.name} has no host that runs {', '.join(idle)} (products in the inventory)")
    if (draft.only_customers or draft.only_hosts) and not any(considered.values()):
        raise InputError(f"fleet {fleet.name} has no host of the customers and hosts asked for")


def _needs(targets: Mapping[str, Target], there: _Hosts, draft: Plan) -> Needs:
    """What the products need of each other, and what is known of their hosts when there are several."""
    known: dict[tuple[str, str], list[Installed]] = {}
    for name, target in targets.items() if len(targets) > 1 else ():
        known |= installed(there[name], target, also=name != draft.product)
    return Needs({name: target.catalogue for name, target in targets.items()}, draft.products, known)


def _settled(draft: Plan, judged: Iterable[PlannedHost | Exclusion], setting: _Setting) -> Plan:
    """The draft with its hosts in waves and windows. Who finds no slot once its wave is ready is left out of both."""
    going = [one for one in judged if isinstance(one, PlannedHost)]
    left_out = {one.host: one for one in judged if isinstance(one, Exclusion)}
    order = setting.needs.order(going)
    going = _may_go(draft, going, left_out, order, setting)
    of_product: dict[str, list[PlannedHost]] = {name: [] for name in order}
    for host in going:
        of_product[draft.product_of(host)].append(host)
    by_product = [host for hosts in of_product.values() for host in in_rollout_order(setting.fleet, hosts)]
    products = [setting.targets[name].catalogue.product for name in order]
    going = in_order_of_rank(products, draft.product, setting.fleet, by_product)
    while True:
        exclusions = tuple(left_out[name] for name in sorted(left_out))
        draft = replace(draft, hosts=with_stand_ins(setting.fleet, going), exclusions=exclusions)
        draft = replace(draft, hosts=tuple(in_waves(draft)))
        timed, late = in_time(draft, setting.openings)
        if not late:
            return timed if draft.policy.by_evidence else replace(timed, shares_of=hosts_by_rank(products, timed.hosts))
        left_out |= {left.host: left for left in late}
        staying = [host for host in draft.hosts if host.name not in left_out]
        going = _may_go(draft, staying, left_out, order, setting)


def _may_go(
    draft: Plan,
    going: list[PlannedHost],
    left_out: dict[str, Exclusion],
    order: Sequence[str],
    setting: _Setting,
) -> list[PlannedHost]:
    """Those of the hosts that roles and needs let go; the others join those left out, and may take more along."""
    with_roles = [
        target.catalogue.product
        for name, target in setting.targets.items()
        if name in draft.products and target.catalogue.product.roles
    ]
    while True:
        leaving = [
            left
            for product in with_roles
            for left in without_forerunners(
                product,
                setting.fleet,
                [host for host in going if draft.product_of(host) == product.name],
                [left for left in left_out.values() if draft.product_of(left) == product.name],
            )
        ]
        leaving = leaving or setting.needs.refusals(going, left_out, order)
        if not leaving:
            return going
        left_out |= {left.host: left for left in leaving}
        going = [host for host in going if host.name not in left_out]


def _passed(targets: Mapping[str, Target], plan: Plan) -> list[tuple[str, Release]]:
    """Every release on the way of a planned host, with its product."""
    paths = {(host.product, id(host.hops)): host for host in plan.hosts}
    passed = {(plan.product_of(host), hop.to_version) for host in paths.values() for hop in host.hops}
    releases = ((product, one) for product in plan.products for one in targets[product].catalogue.releases)
    return [(product, release) for product, release in releases if (product, release.version) in passed]


def _estimates(targets: Mapping[str, Target], plan: Plan) -> dict[str, str]:
    """For every version on the way of a planned host, how long its hop is expected to take, and by what.

    Versions of the plan's further products stand behind the product's name.
    """
    estimates = {}
    for product, release in _passed(targets, plan):
        taken = targets[product].durations.get(release.version)
        by = f"{in_words(taken)} by the record" if taken else f"{in_words(release.expected)} by its manifest"
        estimates[f"{'' if product == plan.product else f'{product} '}{release.version}"] = by
    return estimates
