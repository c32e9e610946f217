"""Paths in a plan: each host by its own facts, and downwards only for a reason."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from liftlock.model import (
    Artifact,
    BlockedEdge,
    Catalogue,
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

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
MILL = Customer("mill", "Mill", "en", "UTC", (), (WeeklyWindow("always", 0, 7 * 24 * 60),))


def release(version: str, **more: Any) -> Release:
    return Release("gate", version, ReleaseKind.UPGRADE, Artifact(f"{version}.tar", "0" * 64, 1), **more)


def plan_of(releases: tuple[Release, ...], wanted: str, hosts: dict[str, tuple[str, Any]], downgrade: str = "") -> Plan:
    """A plan for hosts given by name as the installed version and the facts."""
    catalogue = Catalogue(Product("gate", {"en": "Gate"}, Health(command="true")), releases)
    fleet = Fleet("river", {"mill": MILL}, tuple(Host(n, "mill", "::1", facts=f) for n, (_, f) in hosts.items()))
    seen = {name: Observation(name, NOW, reachable=True, installed=has) for name, (has, _) in hosts.items()}
    return make_plan(Target(catalogue, wanted, seen), fleet, Policy(), {}, NOW, downgrade=downgrade)


def routes(plan: Plan) -> dict[str, list[str]]:
    return {host.name: [host.observed, *(hop.to_version for hop in host.hops)] for host in plan.hosts}


def test_hosts_of_one_version_take_different_paths_by_their_facts() -> None:
    stop = release("1.4.0", stop=True, stop_when="npm in facts.features", settled_gate="background-jobs")
    blocked = BlockedEdge("==1.3.*", "loses rows", when='facts.db < "12"')
    plan = plan_of(
        (stop, release("1.5.0", blocked=(blocked,))),
        "1.5.0",
        {
            "m1": ("1.3.0", {"features": ("npm", "ldap"), "db": "14", "colour": "red"}),
            "m2": ("1.3.0", {"features": "ldap", "db": "14"}),
            "m3": ("1.3.0", {"db": "11"}),
            "m4": ("1.3.0", {"db": "old"}),
        },
    )
    assert routes(plan) == {
        "m1": ["1.3.0", "1.4.0", "1.5.0"],
        "m2": ["1.3.0", "1.5.0"],
        "m3": ["1.3.0", "1.4.0", "1.5.0"],
    }
    hops = {host.name: host.hops[0] for host in plan.hosts}
    assert hops["m1"].settled_gate == "background-jobs"
    assert hops["m3"].rule == "1.5.0 is blocked from 1.3.0: loses rows"
    (left,) = plan.exclusions
    assert (left.host, left.outcome) == ("m4", Outcome.REFUSED)
    assert left.reason == (
        '1.5.0: `facts.db < "12"` cannot be judged on this host: facts.db is old, which is not one version'
    )
    assert from_json(to_json(plan), "plan.json") == plan


def test_newer_hosts_go_down_only_for_a_reason_that_stands_in_the_plan() -> None:
    releases = (release("1.4.0", requires="<1.4"), release("1.5.0"))
    hosts: dict[str, tuple[str, Any]] = {"m1": ("1.5.0", {}), "m2": ("1.3.0", {}), "m3": ("1.4.0", {})}
    plan = plan_of(releases, "1.4.0", hosts)
    assert (routes(plan), plan.downgrade) == ({"m2": ["1.3.0", "1.4.0"]}, "")
    assert {left.host: left.outcome for left in plan.exclusions} == {
        "m1": Outcome.REFUSED,
        "m3": Outcome.ALREADY_CURRENT,
    }
    down = plan_of(releases, "1.4.0", hosts, downgrade="1.5.0 is withdrawn")
    assert (routes(down), down.downgrade) == (
        {"m1": ["1.5.0", "1.4.0"], "m2": ["1.3.0", "1.4.0"]},
        "1.5.0 is withdrawn",
    )
    assert from_json(to_json(down), "plan.json") == down
