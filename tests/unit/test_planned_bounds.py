"""What a plan takes from the inventory for the bounds on what runs at once, and whom it does not consider."""

from __future__ import annotations

from datetime import UTC, datetime

from liftlock.model import (
    Artifact,
    Catalogue,
    Customer,
    Fleet,
    Health,
    Host,
    Observation,
    Plan,
    Policy,
    Product,
    Release,
    ReleaseKind,
    WeeklyWindow,
)
from liftlock.plan import Target, make_plan
from liftlock.plan_document import from_json, to_json

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
CATALOGUE = Catalogue(
    Product("boathouse", {"en": "Boathouse"}, Health(command="true")),
    tuple(
        Release("boathouse", version, ReleaseKind.PATCH, Artifact("x.tar", "0" * 64, 1))
        for version in ("1.4.0", "1.5.0")
    ),
)
MILL = Customer("mill", "Mill", "en", "UTC", (), (WeeklyWindow("always", 0, 7 * 24 * 60),), at_once=2)


def plan_of(*hosts: Host, only: tuple[str, ...] = ()) -> Plan:
    seen = {host.name: Observation(host.name, NOW, reachable=True, installed="1.4.0") for host in hosts}
    fleet = Fleet("river", {"mill": MILL}, hosts)
    return make_plan(Target(CATALOGUE, "1.5.0", seen), fleet, Policy(), {}, NOW, hosts=only)


def test_a_planned_host_carries_its_site_its_redundancy_group_and_how_many_of_that_stay_out():
    pair = [Host(f"db-{n}", "mill", "::1", labels={"site": "kiel"}, redundancy="db") for n in (1, 2, 3)]
    plan = plan_of(*pair, Host("web", "mill", "::1"), only=("db-1", "db-2", "web"))
    known = {host.name: (host.site, host.redundancy, host.stand_ins) for host in plan.hosts}
    assert known == {"db-1": ("kiel", "db", 1), "db-2": ("kiel", "db", 1), "web": ("", "", 0)}
    assert [(customer.name, customer.at_once) for customer in plan.customers] == [("mill", 2)]
    assert from_json(to_json(plan), "plan.json") == plan


def test_a_host_that_runs_other_products_is_not_considered():
    hosts = [Host("any", "mill", "::1"), Host("ours", "mill", "::1", products=("chandler", "boathouse"))]
    plan = plan_of(*hosts, Host("theirs", "mill", "::1", products=("chandler",)))
    assert {host.name for host in plan.hosts} == {"any", "ours"}
    assert plan.exclusions == ()
