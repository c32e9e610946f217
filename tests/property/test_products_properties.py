"""Several products in one plan: no plan breaks a need or an order, and no rollout starts a host before its turn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from random import Random

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from liftlock import ledger
from liftlock.engine import Engine
from liftlock.errors import InputError
from liftlock.ledger import verify_chain
from liftlock.model import (
    Artifact,
    Catalogue,
    Contact,
    Customer,
    Fleet,
    Health,
    Host,
    Observation,
    Outcome,
    Plan,
    Policy,
    Product,
    Release,
    ReleaseKind,
    WeeklyWindow,
)
from liftlock.plan import Target, make_plan
from liftlock.plan_document import from_json, to_json
from liftlock.progress import Progress, Standing
from liftlock.rollout import Done, Halt, Pause
from liftlock.version import meets
from world import START, CrashError, MemoryClock, MemoryHost, MemoryLedger, MemoryTransport, all_pass, announced, judged

relaxed = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])

PRODUCTS = ("app", "base", "web")
VERSIONS = ("1.4.0", "1.5.0", "2.0.0")
RANGES = (*[""] * 8, ">=1.5", ">=1.5", ">=2", "<2")
ALWAYS = WeeklyWindow("always", 0, 7 * 24 * 60)
UNTOLD = dict.fromkeys(ReleaseKind, timedelta())
CUSTOMERS = {
    name: Customer(name, name.title(), "en", "UTC", (Contact("Ann", f"ann@{name}.example"),), (ALWAYS,))
    for name in ("acme", "mill")
}


@st.composite
def offers(draw: st.DrawFn) -> dict[str, Catalogue]:
    """Three products whose releases need versions of each other, or nothing."""
    made = {}
    for product in PRODUCTS:
        releases = []
        for version in VERSIONS:
            needs = {other: draw(st.sampled_from(RANGES)) for other in PRODUCTS if other != product}
            needs = {other: wanted for other, wanted in needs.items() if wanted}
            artifact = Artifact("x.tar", "0" * 64, 1)
            releases.append(
                Release(product, version, ReleaseKind.PATCH, artifact, stop=draw(st.booleans()), needs=needs)
            )
        roles = draw(st.sampled_from([(), ("first", "second")]))
        made[product] = Catalogue(
            Product(product, {"en": product}, Health(command="true"), roles=roles), tuple(releases)
        )
    return made


@st.composite
def fleets(draw: st.DrawFn) -> tuple[Fleet, dict[str, dict[str, Observation]]]:
    """Hosts that run some of the products, and what a look found of each."""
    hosts, seen = [], {product: {} for product in PRODUCTS}
    for number in range(draw(st.integers(2, 8))):
        name = f"h{number}"
        products = tuple(sorted({*draw(st.sets(st.sampled_from(PRODUCTS))), draw(st.sampled_from(PRODUCTS))}))
        role = draw(st.sampled_from([None, "first", "second"]))
        hold = draw(st.sampled_from([*[None] * 7, "on trial"]))
        customer = draw(st.sampled_from(sorted(CUSTOMERS)))
        hosts.append(Host(name, customer, "::1", products=products, role=role, hold=hold))
        for product in products:
            version = draw(st.sampled_from(["1.4.0"] * 5 + ["1.5.0", "1.5.0", "2.0.0", None]))
            seen[product][name] = Observation(name, START, reachable=version is not None, installed=version)
    return Fleet("river", CUSTOMERS, tuple(hosts)), seen


Drawn = tuple[Fleet, dict[str, dict[str, Observation]]]
WANTED = st.dictionaries(st.sampled_from(PRODUCTS), st.sampled_from(["1.5.0", "2.0.0"]), min_size=2)
POLICY = Policy(waves=("1", "50%", "100%"), bake=timedelta(minutes=5), notice_lead=UNTOLD)


def planned(offered: Mapping[str, Catalogue], drawn: Drawn, wanted: Mapping[str, str], policy: Policy = POLICY) -> Plan:
    fleet, seen = drawn
    own = next(iter(wanted))
    others = sorted(set(offered) - {own})
    targets = [Target(offered[name], wanted.get(name, ""), seen[name]) for name in (own, *others)]
    return make_plan(targets[0], fleet, policy, {}, START, also=targets[1:])


def there(drawn: Drawn, customer: str) -> Iterator[tuple[str, Host, str | None]]:
    """What is installed at a customer: product, host, version."""
    fleet, seen = drawn
    for host in fleet.hosts:
        if host.customer == customer:
            for product in host.products:
                yield product, host, seen[product][host.name].installed


@relaxed
@given(offers(), fleets(), WANTED)
def test_no_plan_breaks_a_need(offered: dict[str, Catalogue], drawn: Drawn, wanted: dict[str, str]) -> None:
    try:
        plan = planned(offered, drawn, wanted)
    except InputError as error:
        event("a circle" if "no order is right" in str(error) else "nobody runs it")
        return
    releases = {(one.product, one.version): one for catalogue in offered.values() for one in catalogue.releases}
    goals = {(plan.product_of(host), host.machine): host for host in plan.hosts}
    event(f"{len({plan.product_of(host) for host in plan.hosts})} products go")
    for host in plan.hosts:
        product, beside = plan.product_of(host), list(there(drawn, host.customer))
        for hop in host.hops:
            for needed, allowed in releases[product, hop.to_version].needs.items():
                theirs = [(goals.get((needed, machine.name)), version) for p, machine, version in beside if p == needed]
                assert theirs, "nobody is known to run what is needed"
                for goal, version in theirs:
                    assert meets(goal.wanted if goal else version or "0", allowed)
                    if goal and not meets(version or "0", allowed):
                        assert goal.rank < host.rank, "what has to come first comes first"
        for other, machine, version in beside:
            stays = (other, machine.name) not in goals and other != product
            allowed = releases[other, version].needs.get(product, "") if stays and version else ""
            assert not meets(host.observed, allowed) or meets(host.wanted, allowed), "what stays is not broken"
    told = [*(host.name for host in plan.hosts), *(left.host for left in plan.exclusions)]
    runs = [(host, product) for host in drawn[0].hosts for product in host.products if product in plan.products]
    assert sorted(told) == sorted(
        host.name if product == plan.product else f"{host.name}/{product}" for host, product in runs
    )
    assert [host.rank for host in plan.hosts] == sorted(host.rank for host in plan.hosts)
    assert [host.wave for host in plan.hosts] == sorted(host.wave for host in plan.hosts)
    assert from_json(to_json(plan), "plan.json") == plan


@relaxed
@given(offers(), fleets(), WANTED, st.randoms(use_true_random=False))
def test_the_same_products_in_any_order_make_the_same_bytes(
    offered: dict[str, Catalogue], drawn: Drawn, wanted: dict[str, str], random: Random
) -> None:
    fleet, seen = drawn
    other_fleet = replace(fleet, hosts=tuple(random.sample(fleet.hosts, len(fleet.hosts))))
    own, *more = wanted
    others = [Target(offered[name], wanted.get(name, ""), seen[name]) for name in sorted(set(offered) - {own})]
    first = Target(offered[own], wanted[own], seen[own])
    made: list[str] = []
    for fleet_now, also in ((fleet, others), (other_fleet, random.sample(others, len(others)))):
        try:
            made.append(to_json(make_plan(first, fleet_now, POLICY, {}, START, also=also)))
        except InputError as error:
            made.append(str(error))
    assert made[0] == made[1]
    assert len(more) < len(PRODUCTS)


# rollouts -----------------------------------------------------------------------------------------


def chain() -> dict[str, Catalogue]:
    """`web` needs the new `app`, which needs the new `base`."""
    artifact = Artifact("x.tar", "0" * 64, 1)
    needs = {"base": {}, "app": {"base": ">=1.5"}, "web": {"app": ">=1.5"}}
    return {
        product: Catalogue(
            Product(product, {"en": product}, Health(command="true")),
            (
                Release(product, "1.4.0", ReleaseKind.PATCH, artifact),
                Release(product, "1.5.0", ReleaseKind.PATCH, artifact, needs=needs[product]),
            ),
        )
        for product in PRODUCTS
    }


CHAIN = chain()


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Plan, dict[str, MemoryHost]]:
    """A plan of three products for hosts on 1.4.0, with this and that wrong on them."""
    hosts, seen = [], {}
    for customer in CUSTOMERS:
        for number in range(draw(st.integers(1, 3))):
            name = f"{customer}-{number}"
            hosts.append(Host(name, customer, "::1", products=PRODUCTS, redundancy="pair"))
            seen[name] = Observation(name, START, reachable=True, installed="1.4.0")
    policy = replace(
        POLICY,
        waves=draw(st.sampled_from([("100%",), ("1", "100%"), ("evidence",)])),
        concurrency=draw(st.integers(1, 6)),
        max_failures=draw(st.sampled_from([None, 2, 20])),
        reconcile_within=timedelta(seconds=5),
        gates_after=False,
    )
    fleet = Fleet("river", CUSTOMERS, tuple(hosts))
    drawn = fleet, dict.fromkeys(PRODUCTS, seen)
    plan = planned(CHAIN, drawn, dict.fromkeys(draw(st.permutations(PRODUCTS)), "1.5.0"), policy)
    target = st.sampled_from([frozenset(), frozenset(), frozenset(), frozenset({"1.5.0"})])
    return plan, {
        host.name: MemoryHost(
            breaks=draw(target),
            sickens=draw(target),
            drops=draw(st.lists(st.sampled_from(["before", "after"]), max_size=1)),
        )
        for host in plan.hosts
    }


@relaxed
@given(worlds(), st.lists(st.tuples(st.integers(1, 40), st.booleans()), max_size=2))
def test_no_host_starts_before_what_its_customer_needs_is_through(
    world: tuple[Plan, dict[str, MemoryHost]], crashes: list[tuple[int, bool]]
) -> None:
    plan, hosts = world
    clock, store = MemoryClock(), MemoryLedger()
    transport = MemoryTransport(hosts, clock)
    for customer in CUSTOMERS:
        store.append(plan.id, announced(customer), START)
    for host in plan.hosts:
        store.append(plan.id, judged(host.name), START)

    def go(session: int) -> object:
        engine = Engine(
            plan=plan,
            releases={name: {one.version: one for one in each.releases} for name, each in CHAIN.items()},
            hosts={host.name: Host(host.name, host.customer, "::1") for host in plan.hosts},
            transports=dict.fromkeys(PRODUCTS, transport),
            store=store,
            clock=clock,
            session=f"s{session}",
            controller="test",
            judge=all_pass,
        )
        try:
            return engine.run()
        except CrashError:
            return None

    for session, (appends_left, after_writing) in enumerate(crashes):
        store.dies_at, store.dies_after_writing = len(store.lines) + appends_left, after_writing
        if go(session) is not None:
            break
    store.dies_at = None
    end = go(len(crashes))
    assert isinstance(end, Done | Halt | Pause)
    verify_chain(store.entries())
    progress = Progress.of(plan)
    through = {Standing.SWITCHED, Standing.SUCCEEDED}
    for entry in store.entries():
        match entry.fact:
            case ledger.Started(host=name, action="upgrade"):
                own = progress.lineup.planned[name]
                for first in plan.hosts:
                    if first.customer == own.customer and first.rank < own.rank:
                        assert progress.host(first.name).standing in through, f"{name} began before {first.name}"
                in_hand = [progress.lineup.planned[other] for other in progress.group(Standing.IN_HAND)]
                assert own.machine not in {other.machine for other in in_hand}, "two products of a machine at once"
            case _:
                pass
        progress = progress.with_entry(entry)
    if isinstance(end, Done):
        for host in plan.hosts:
            part = progress.host(host.name)
            if part.outcome is Outcome.SUCCEEDED:
                assert hosts[host.name].version == "1.5.0"
