from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from liftlock.errors import InputError
from liftlock.model import (
    Artifact,
    Catalogue,
    Customer,
    Exclusion,
    Fleet,
    Freeze,
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
    Window,
)
from liftlock.plan import make_plan
from liftlock.plan_document import from_json, plan_file_name, plan_id, short_id, to_document, to_json
from liftlock.waves import budget_words

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ALWAYS = WeeklyWindow("always", 0, 7 * 24 * 60)


def release(version: str, requires: str = "", length: int = 100) -> Release:
    artifact = Artifact(path=f"{version}.tar.gz", sha256="0" * 64, length=length)
    return Release("gate", version, ReleaseKind.UPGRADE, artifact, requires=requires, expected=timedelta(minutes=10))


CATALOGUE = Catalogue(
    Product("gate", {"en": "Gate"}, Health(command="true")),
    (release("1.3.0"), release("1.4.0", length=700), release("1.5.0", ">=1.4"), release("1.6.0")),
)


def customer(name: str, tier: str = "standard", windows: tuple[WeeklyWindow, ...] = (ALWAYS,)) -> Customer:
    return Customer(name, name.title(), "en", "Europe/Berlin", (), windows, tier=tier)


def fleet(
    *hosts: Host, customers: tuple[Customer, ...] = (customer("mill"),), freezes: tuple[Freeze, ...] = ()
) -> Fleet:
    return Fleet("river", {one.name: one for one in customers}, hosts, freezes)


def seen(name: str, installed: str | None = "1.4.0", **facts: object) -> Observation:
    return replace(Observation(name, NOW, reachable=True, installed=installed), **facts)  # type: ignore[arg-type]


def plan_of(planned: Fleet, *observations: Observation, policy: Policy | None = None, **asked: list[str]) -> Plan:
    by_host = {observation.host: observation for observation in observations}
    inputs = {"river.yaml": "f" * 64}
    return make_plan(CATALOGUE, planned, policy or Policy(), by_host, "1.5.0", inputs, NOW, **asked)


def plan_for(host: Host, observation: Observation | None) -> Plan:
    return plan_of(fleet(host), *([observation] if observation else []))


def plan_of_many(count: int, policy: Policy | None = None) -> Plan:
    names = [f"m{n:03}" for n in range(count)]
    return plan_of(fleet(*(Host(n, "mill", "::1") for n in names)), *map(seen, names), policy=policy)


def test_a_host_is_planned_from_the_version_that_was_observed() -> None:
    plan = plan_for(Host("m1", "mill", "::1", expected_version="1.4.0"), seen("m1", "1.3.0"))
    (host,) = plan.hosts
    assert host.observed == "1.3.0"
    assert [(hop.from_version, hop.to_version) for hop in host.hops] == [("1.3.0", "1.4.0"), ("1.4.0", "1.5.0")]
    assert host.note == "inventory expects 1.4.0, the host has 1.3.0"
    assert host.window == Window(NOW, NOW + timedelta(days=92))
    assert (plan.kind, plan.fleet, plan.product, host.wave) == (ReleaseKind.UPGRADE, "river", "gate", 1)


def test_an_unreachable_host_is_planned_on_what_the_inventory_expects_and_says_so() -> None:
    host = Host("m1", "mill", "::1", expected_version="1.4.0")
    unreachable = Observation("m1", NOW, reachable=False, cause="timed out")
    assert plan_for(host, unreachable).hosts[0].note == "not observed: timed out"
    assert plan_for(host, None).hosts[0].note == "not observed: nobody looked"


@pytest.mark.parametrize(
    ("host", "observation", "outcome", "reason"),
    [
        ({"hold": "court case"}, seen("m1"), Outcome.SKIPPED, "court case"),
        ({}, None, Outcome.UNREACHABLE_BEFORE, "nobody looked"),
        ({}, seen("m1", reachable=False, cause="timed out"), Outcome.UNREACHABLE_BEFORE, "timed out"),
        (
            {"expected_version": "1.5.0"},
            seen("m1", reachable=False, cause="timed out"),
            Outcome.UNREACHABLE_BEFORE,
            "timed out; the inventory expects 1.5.0 already",
        ),
        (
            {"expected_version": "1.6.0"},
            None,
            Outcome.REFUSED,
            "has 1.6.0, newer than 1.5.0; downgrades are not planned (not observed: nobody looked)",
        ),
        ({}, seen("m1", ""), Outcome.REFUSED, "no installed version found: nothing is installed there"),
        ({}, seen("m1", None, detail="no current"), Outcome.REFUSED, "no installed version found: no current"),
        ({}, seen("m1", "1.5.0"), Outcome.ALREADY_CURRENT, "has 1.5.0"),
        ({}, seen("m1", "1.6.0"), Outcome.REFUSED, "has 1.6.0, newer than 1.5.0; downgrades are not planned"),
        ({}, seen("m1", missing_tools=("flock", "tar")), Outcome.REFUSED, "missing tools: flock, tar"),
        (
            {},
            seen("m1", "1.3.0", free_bytes=2099),
            Outcome.REFUSED,
            "too little free space: needs 2,100 bytes, has 2,099",
        ),
        (
            {},
            seen("m1", "4.2.SP1"),
            Outcome.REFUSED,
            "the version '4.2.SP1' cannot be ordered: it is not a PEP 440 version",
        ),
    ],
)
def test_a_host_that_cannot_be_upgraded_is_left_out_with_the_reason(
    host: dict[str, str], observation: Observation | None, outcome: Outcome, reason: str
) -> None:
    plan = plan_for(Host("m1", "mill", "::1", **host), observation)  # type: ignore[arg-type]
    assert plan.hosts == ()
    assert plan.exclusions == (Exclusion("m1", "mill", outcome, reason),)


def test_free_space_of_three_times_the_largest_artifact_or_unknown_free_space_will_do() -> None:
    for free in (2100, None):
        assert plan_for(Host("m1", "mill", "::1"), seen("m1", "1.3.0", free_bytes=free)).hosts


def test_a_window_must_hold_the_upgrade_and_the_rollback() -> None:
    def plan_with(minutes: int) -> Plan:
        short = WeeklyWindow("tue", 24 * 60, 24 * 60 + minutes)
        return plan_of(fleet(Host("m1", "mill", "::1"), customers=(customer("mill", windows=(short,)),)), seen("m1"))

    assert plan_with(20).hosts[0].window.end - plan_with(20).hosts[0].window.start == timedelta(minutes=20)
    (left_out,) = plan_with(19).exclusions
    assert (left_out.outcome, left_out.reason) == (
        Outcome.DEFERRED,
        "needs 20 min, the longest window before 2027-02-21 has 19 min",
    )


def test_low_risk_customers_come_first_and_customers_and_sites_take_turns() -> None:
    def host(name: str, owner: str, site: str = "") -> Host:
        return Host(name, owner, "::1", labels={"site": site} if site else {})

    hosts = (
        host("k1", "keystone"),
        *(host(f"a{n}", "abbey", "east" if n < 3 else "west") for n in (1, 2, 3)),
        host("b1", "bakery"),
        host("b2", "bakery"),
        host("o1", "office"),
        host("o2", "office"),
    )
    tiers = {"keystone": "key", "abbey": "standard", "bakery": "gold", "office": "internal"}
    customers = tuple(customer(name, tier) for name, tier in tiers.items())
    plan = plan_of(fleet(*hosts, customers=customers), *(seen(one.name) for one in hosts))
    assert [one.name for one in plan.hosts] == ["o1", "o2", "a1", "b1", "a3", "b2", "a2", "k1"]


@pytest.mark.parametrize(
    ("waves", "count", "sizes"),
    [
        (("1", "25%", "100%"), 12, [1, 2, 9]),
        (("1", "25%", "100%"), 1, [1]),
        (("1", "25%", "100%"), 4, [1, 3]),
        (("2", "5"), 12, [2, 3, 7]),
        (("0.5%", "50", "10%"), 12, [1, 11]),
        (("0", "0%"), 3, [1, 2]),
        ((), 3, [3]),
    ],
)
def test_waves_are_cumulative_and_never_empty(waves: tuple[str, ...], count: int, sizes: list[int]) -> None:
    plan = plan_of_many(count, Policy(waves=waves))
    numbers = [host.wave for host in plan.hosts]
    assert numbers == [wave for wave, size in enumerate(sizes, start=1) for _ in range(size)]


@pytest.mark.parametrize("wave", ["some", "-1", "1.5", "10 %", ""])
def test_a_wave_that_is_neither_count_nor_share_is_refused(wave: str) -> None:
    with pytest.raises(InputError, match="neither a number of hosts nor a percentage"):
        plan_of_many(2, Policy(waves=(wave,)))


def test_asking_for_customers_and_hosts_narrows_the_plan() -> None:
    both = fleet(
        Host("m1", "mill", "::1"),
        Host("m2", "mill", "::1"),
        Host("w1", "weir", "::1"),
        customers=(customer("mill"), customer("weir")),
    )
    looks = [seen(name) for name in ("m1", "m2", "w1")]
    assert {host.name for host in plan_of(both, *looks, customers=["mill"]).hosts} == {"m1", "m2"}
    only = plan_of(both, *looks, customers=["mill"], hosts=["m2", "w1"])
    assert [host.name for host in only.hosts] == ["m2"]
    assert only.exclusions == ()
    with pytest.raises(InputError, match="no host of the customers and hosts asked for"):
        plan_of(both, *looks, customers=["mill"], hosts=["w1"])


def test_unknown_names_and_versions_are_refused_with_what_there_is() -> None:
    with pytest.raises(InputError, match="fleet river has no customer mull; there are: mill"):
        plan_of(fleet(), customers=["mull"])
    many = fleet(*(Host(f"m{n:02}", "mill", "::1") for n in range(25)))
    with pytest.raises(InputError, match=r"has no host m25, m26; there are: m00, .*, m19 and 5 more$"):
        plan_of(many, hosts=["m26", "m25", "m01"])
    with pytest.raises(InputError, match="there are: 1.3.0, 1.4.0, 1.5.0, 1.6.0"):  # noqa: RUF043
        make_plan(CATALOGUE, fleet(), Policy(), {}, "1.7.0", {}, NOW)


def test_a_plan_is_named_by_its_content() -> None:
    plan = plan_of_many(3)
    assert plan.id == plan_id(plan) == plan_id(replace(plan, id="something else"))
    assert plan_file_name(plan) == f"gate-1.5.0-{plan.id[:8]}.json"
    assert short_id(plan) == plan.id[:8]
    assert plan_id(replace(plan, policy=Policy(bake=timedelta(minutes=31)))) != plan.id


def test_a_stored_plan_reads_back_whatever_its_layout() -> None:
    plan = plan_of_many(3)
    assert to_json(plan).endswith("}\n")
    assert from_json(to_json(plan), "plan.json") == plan
    assert from_json(json.dumps(to_document(plan), indent=2), "plan.json") == plan


def test_an_edited_plan_is_refused() -> None:
    text = to_json(plan_of_many(3))
    for edited in (text.replace('"wave":2', '"wave":1'), text.replace('"fleet":', '"more":1,"fleet":')):
        assert edited != text
        with pytest.raises(InputError, match=r"^plan\.json: the plan [0-9a-f]{8} was edited"):
            from_json(edited, "plan.json")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"id": 1}', "[" * 100_000, '"\\ud800"'])
def test_a_file_that_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"^plan\.json: .*not a plan: ") as refused:
        from_json(text, "plan.json")
    assert all(problem.file == "plan.json" for problem in refused.value.problems)


def test_the_budget_is_said_in_words() -> None:
    assert budget_words(plan_of_many(240)) == "98 % of 240 hosts allows 4 failures; wave 1 risks 1 host."
    assert budget_words(plan_of_many(12)) == "98 % of 12 hosts allows 0 failures: one failure stops the rollout."
    loose = Policy(max_failures=2, waves=("3",))
    assert budget_words(plan_of_many(12, loose)) == (
        "The policy allows 2 failures (98 % of 12 hosts would allow 0); wave 1 risks 3 hosts."
    )
    assert budget_words(plan_of_many(1, Policy(max_failures=0))) == (
        "The policy allows 0 failures (98 % of 1 host would allow 0): one failure stops the rollout."
    )
    assert budget_words(plan_of_many(50)).startswith("98 % of 50 hosts allows 1 failure;")
    assert budget_words(plan_of_many(0)) == "No host is planned."
