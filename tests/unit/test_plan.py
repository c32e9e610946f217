from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest

from liftlock.errors import InputError
from liftlock.model import (
    Artifact,
    Catalogue,
    Customer,
    DatedWindow,
    Exclusion,
    Fleet,
    Freeze,
    Health,
    Host,
    HostGroup,
    Observation,
    Outcome,
    Plan,
    PlannedCustomer,
    Policy,
    Product,
    Release,
    ReleaseKind,
    WeeklyWindow,
    Window,
    WindowRule,
)
from liftlock.plan import Target, make_plan
from liftlock.plan_document import from_json, plan_file_name, plan_id, short_id, to_document, to_json
from liftlock.timing import TO_TELL, blocked_lines, first_start
from liftlock.waves import budget_words, wave_words

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
WEEK = timedelta(days=7)
ALWAYS = WeeklyWindow("always", 0, 7 * 24 * 60)


def release(version: str, requires: str = "", length: int = 100) -> Release:
    artifact = Artifact(path=f"{version}.tar.gz", sha256="0" * 64, length=length)
    return Release("gate", version, ReleaseKind.UPGRADE, artifact, requires=requires, expected=timedelta(minutes=10))


CATALOGUE = Catalogue(
    Product("gate", {"en": "Gate"}, Health(command="true")),
    (release("1.3.0"), release("1.4.0", length=700), release("1.5.0", ">=1.4"), release("1.6.0")),
)

TARGET = Target(CATALOGUE, "1.5.0")


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
    return make_plan(Target(CATALOGUE, "1.5.0", by_host), planned, policy or Policy(), inputs, NOW, **asked)


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
    assert host.window == Window(NOW + TO_TELL + WEEK, NOW + TO_TELL + WEEK + timedelta(days=1))
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
            "has 1.6.0, newer than 1.5.0; downgrades are not planned without --downgrade (not observed: nobody looked)",
        ),
        ({}, seen("m1", ""), Outcome.REFUSED, "no installed version found: nothing is installed there"),
        ({}, seen("m1", None, detail="no current"), Outcome.REFUSED, "no installed version found: no current"),
        ({}, seen("m1", "1.5.0"), Outcome.ALREADY_CURRENT, "has 1.5.0"),
        (
            {},
            seen("m1", "1.6.0"),
            Outcome.REFUSED,
            "has 1.6.0, newer than 1.5.0; downgrades are not planned without --downgrade",
        ),
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
        "no slot before 2027-02-28: needs 20 min (1 hop of 10 min and the way back) in a 19 min window",
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


def test_a_release_without_a_way_back_but_the_backup_needs_somebodys_word() -> None:
    last = replace(CATALOGUE.releases[2], reversible=False, backup=True)
    catalogue = replace(CATALOGUE, releases=(*CATALOGUE.releases[:2], last, CATALOGUE.releases[3]))
    host, observed = Host("m1", "mill", "::1"), {"m1": seen("m1")}
    assert make_plan(Target(catalogue, "1.5.0", observed), fleet(host), Policy(), {}, NOW).approvals == 1
    assert make_plan(Target(catalogue, "1.6.0", observed), fleet(host), Policy(), {}, NOW).approvals == 0, "not passed"
    assert make_plan(Target(CATALOGUE, "1.5.0", observed), fleet(host), Policy(), {}, NOW).approvals == 0


def test_a_release_without_a_way_back_but_the_backup_is_not_drilled_on_a_customer_and_the_plan_says_so() -> None:
    last = replace(CATALOGUE.releases[2], reversible=False, backup=True)
    catalogue = replace(CATALOGUE, releases=(*CATALOGUE.releases[:2], last, CATALOGUE.releases[3]))
    hosts, observed = fleet(Host("m1", "mill", "::1"), Host("m2", "mill", "::1")), {"m1": seen("m1"), "m2": seen("m2")}
    plan = make_plan(Target(catalogue, "1.5.0", observed), hosts, Policy(drill=True), {}, NOW)
    assert not plan.policy.drill
    assert [host.note for host in plan.hosts] == [f"no drill: {last.version} is not reversible", ""]
    drilled = make_plan(Target(CATALOGUE, "1.5.0", observed), hosts, Policy(drill=True), {}, NOW)
    assert drilled.policy.drill
    assert drilled.hosts[0].note == ""


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
        make_plan(Target(CATALOGUE, "1.7.0"), fleet(), Policy(), {}, NOW)


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


def test_a_plan_file_from_before_there_were_turns_and_ways_back_is_read() -> None:
    old = to_document(plan_of_many(2))
    for name in ("through", "shares_of", "ways_back"):
        del old[name]
    for host in old["hosts"]:
        del host["back"]
    content = {key: value for key, value in old.items() if key != "id"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    plan = from_json(json.dumps(old | {"id": sha256(text.encode()).hexdigest()}), "plan.json")
    assert (plan.through, plan.shares_of) == (None, {})
    assert [host.expected for host in plan.hosts] == [timedelta(minutes=10)] * 2


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


def test_a_plan_says_what_the_shares_of_its_waves_are_of() -> None:
    plan = plan_of_many(9)
    assert plan.shares_of == {"gate": 9}
    assert wave_words(plan) == "Waves 1, 25%, 100%: 1, 2, 6; shares of 9 planned hosts, rounded up, never 0."
    assert wave_words(plan_of_many(9, Policy(waves=("evidence",)))) == ""
    ranked = Catalogue(replace(CATALOGUE.product, roles=("db",)), CATALOGUE.releases)
    hosts = fleet(*many(4), *(replace(host, name=f"x{host.name}", role="db") for host in many(2)))
    plan = make_plan(Target(ranked, "1.5.0"), hosts, Policy(waves=("50%",)), {}, NOW)
    assert plan.shares_of == {"gate db": 2, "gate without such a role": 4}
    assert wave_words(plan) == (
        "Waves 50% for each product and role: 1, 1, 2, 2; shares of 2 planned hosts of gate db and "
        "4 planned hosts of gate without such a role, rounded up, never 0."
    )


# ---- time


SATURDAYS = WeeklyWindow("sat 22:00-sun 00:00", 5 * 1440 + 22 * 60, 6 * 1440)
NO_LEAD = dict.fromkeys(ReleaseKind, timedelta(0))
HOUR = timedelta(hours=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def in_utc(name: str, *windows: WindowRule, **facts: object) -> Customer:
    return replace(customer(name, windows=windows), timezone="UTC", **facts)  # type: ignore[arg-type]


def many(count: int, owner: str = "mill", **facts: object) -> list[Host]:
    return [Host(f"{owner}{n:03}", owner, "::1", expected_version="1.4.0", **facts) for n in range(count)]  # type: ignore[arg-type]


def test_a_window_begins_no_earlier_than_the_lead_of_kind_and_tier_allows() -> None:
    customers = (in_utc("mill", ALWAYS), in_utc("weir", ALWAYS, tier="key"))
    policy = Policy(notice_lead_by_tier={"key": {ReleaseKind.UPGRADE: timedelta(days=14)}})
    plan = plan_of(fleet(*many(1), *many(1, "weir"), customers=customers), policy=policy)
    starts = {host.customer: host.window.start for host in plan.hosts}
    assert starts == {"mill": NOW + TO_TELL + timedelta(days=7), "weir": NOW + TO_TELL + timedelta(days=14)}
    assert [one.notify_by for one in plan.customers] == [NOW + TO_TELL, NOW + TO_TELL]


@pytest.mark.parametrize(
    ("planned", "lead", "tell_by"),
    [
        ("2026-11-21T12:00", 72 * HOUR, "2026-11-21T16:00"),
        ("2026-11-21T12:01", 72 * HOUR, "2026-11-21T17:00"),
        ("2026-11-21T12:01", HOUR, "2026-11-21T14:00"),
        ("2026-11-21T12:01", timedelta(), "2026-11-21T12:01"),
    ],
)
def test_there_is_half_a_day_to_tell_customers_unless_nothing_must_be_told(
    planned: str, lead: timedelta, tell_by: str
) -> None:
    assert first_start(at(planned), lead) == at(tell_by) + lead


def test_each_customer_is_told_its_last_moment_and_when_its_hosts_begin_and_end() -> None:
    plan = plan_of(fleet(*many(2), customers=(in_utc("mill", SATURDAYS),)))
    begins, ends = at("2026-11-28T22:00"), at("2026-11-29T00:00")
    assert plan.customers == (PlannedCustomer("mill", begins - timedelta(days=7), begins, ends),)
    assert plan.customers[0].lead == timedelta(days=7)


def test_a_waived_notice_leaves_no_lead_and_stands_in_the_plan() -> None:
    mill = fleet(*many(1), customers=(in_utc("mill", ALWAYS),))
    plan = make_plan(TARGET, mill, Policy(), {}, NOW, waived=["notice"])
    assert plan.waived == ("notice",)
    assert plan.hosts[0].window.start == plan.customers[0].notify_by == NOW
    assert plan.id != make_plan(TARGET, mill, Policy(), {}, NOW).id


def test_a_group_has_windows_of_its_own_and_a_freeze_of_another_product_does_not_bind() -> None:
    frozen = Freeze("not ours", NOW, NOW + timedelta(days=365), "lock")
    groups = {"db": HostGroup("db", (DatedWindow("", datetime(2026, 12, 5, 22), 2 * HOUR),))}  # noqa: DTZ001
    mill = in_utc("mill", SATURDAYS, groups=groups, freezes=(frozen,))
    db, app = Host("db", "mill", "::1", group="db"), Host("app", "mill", "::1")
    policy = Policy(notice_lead=NO_LEAD, waves=("100%",))
    plan = plan_of(fleet(db, app, customers=(mill,)), seen("db"), seen("app"), policy=policy)
    starts = {host.name: host.window.start for host in plan.hosts}
    assert starts == {"app": at("2026-11-21T22:00"), "db": at("2026-12-05T22:00")}


def test_later_waves_wait_for_the_earlier_ones_and_their_bake() -> None:
    policy = Policy(notice_lead=NO_LEAD, waves=("1", "100%"), bake=2 * HOUR)
    plan = plan_of(fleet(*many(3), customers=(in_utc("mill", SATURDAYS),)), policy=policy)
    assert [host.window.start for host in plan.hosts] == [at("2026-11-21T22:00"), *[at("2026-11-28T22:00")] * 2]
    assert plan.finish == at("2026-11-29T00:10"), "ten minutes in the second night, then the bake"


def test_a_wave_that_the_one_before_leaves_room_for_has_the_same_window() -> None:
    policy = Policy(notice_lead=NO_LEAD, waves=("1", "100%"), bake=HOUR)
    plan = plan_of(fleet(*many(3), customers=(in_utc("mill", SATURDAYS),)), policy=policy)
    assert {host.window.start for host in plan.hosts} == {at("2026-11-21T22:00")}
    assert plan.finish == at("2026-11-22T00:20")


def test_hosts_for_which_a_window_has_no_room_take_the_next() -> None:
    policy = Policy(notice_lead=NO_LEAD, waves=("100%",), concurrency=5, bake=timedelta(0))
    for at_once, in_the_first in ((None, 55), (2, 22)):
        mill = in_utc("mill", SATURDAYS, at_once=at_once)
        plan = plan_of(fleet(*many(60), customers=(mill,)), policy=policy)
        first = [host for host in plan.hosts if host.window.start == at("2026-11-21T22:00")]
        assert len(first) == in_the_first, "eleven turns of ten minutes, the last with room for the way back"


def test_the_finish_respects_how_many_hosts_are_acted_on_at_once_everywhere() -> None:
    policy = Policy(notice_lead=NO_LEAD, waves=("100%",), concurrency=4, bake=HOUR)
    customers = tuple(in_utc(name, ALWAYS) for name in ("mill", "weir", "lock"))
    hosts = [host for one in customers for host in many(8, one.name)]
    assert plan_of(fleet(*hosts, customers=customers), policy=policy).finish == NOW + 2 * HOUR


def test_the_finish_respects_how_many_hosts_of_a_site_or_redundancy_group_are_acted_on_at_once() -> None:
    hosts = [replace(host, labels={"site": "east"}) for host in many(6)]
    for policy, finish in ((Policy(), 10), (Policy(site_at_once=2), 30), (Policy(site_at_once=1), 60)):
        at_once = replace(policy, waves=("100%",), bake=timedelta(), notice_lead=NO_LEAD)
        assert plan_of(fleet(*hosts), policy=at_once).finish == NOW + timedelta(minutes=finish)
    pair = [replace(host, redundancy="pair") for host in many(2)]
    at_once = Policy(waves=("100%",), bake=timedelta(), notice_lead=NO_LEAD)
    assert plan_of(fleet(*pair), policy=at_once).finish == NOW + timedelta(minutes=20)


def test_a_host_without_a_slot_leaves_no_finish_and_its_customer_one_line() -> None:
    short = WeeklyWindow("tue", 24 * 60, 24 * 60 + 30)
    year_end = Freeze("year-end", at("2026-11-01T00:00"), at("2026-12-04T00:00"))
    customers = (in_utc("huaxin", short, freezes=(year_end,)), in_utc("mill", SATURDAYS), in_utc("weir", short))
    old, new = (Host(name, "weir", "::1") for name in ("old", "new"))
    looks = [seen("old", "1.3.0"), seen("new", "1.4.0")]
    blocked = [replace(host, expected_version="1.3.0") for host in many(2, "huaxin")]
    plan = plan_of(fleet(*blocked, *many(1), old, new, customers=customers), *looks)
    assert plan.finish is None
    need = "needs 40 min (2 hops of 10 min and the way back) in a 30 min window"
    assert blocked_lines(plan) == [
        f"huaxin: no slot before 2027-02-28: freeze year-end to 2026-12-03, then {need}",
        f"weir (old): no slot before 2027-02-28: {need}",
    ]
    assert {left.outcome for left in plan.exclusions} == {Outcome.DEFERRED}


def test_a_host_whose_only_date_passes_while_earlier_waves_run_is_left_out() -> None:
    tonight = DatedWindow("2026-11-21 22:00 for 1h", datetime(2026, 11, 21, 22), HOUR)  # noqa: DTZ001
    customers = (in_utc("alder", SATURDAYS), in_utc("mill", tonight))
    policy = Policy(notice_lead=NO_LEAD, waves=("1", "100%"), bake=3 * HOUR)
    plan = plan_of(fleet(*many(1, "alder"), *many(1), customers=customers), policy=policy)
    assert [host.name for host in plan.hosts] == ["alder000"]
    (left,) = plan.exclusions
    assert (left.host, left.outcome) == ("mill000", Outcome.DEFERRED)
    assert left.reason == (
        "no slot before 2027-02-21: wave 2 can begin on 2026-11-22 01:10 (UTC), and from then on: "
        "no window opens (2026-11-21 22:00 for 1h is over by then: give another date)"
    )
    assert plan.finish is None


def test_hosts_that_all_windows_together_have_no_room_for_are_left_out() -> None:
    once = DatedWindow("2026-11-28 22:00 for 30m", datetime(2026, 11, 28, 22), HOUR / 2)  # noqa: DTZ001
    policy = Policy(notice_lead=NO_LEAD, waves=("100%",), concurrency=1)
    plan = plan_of(fleet(*many(5), customers=(in_utc("mill", once),)), policy=policy)
    assert [host.name for host in plan.hosts] == ["mill000", "mill001"]
    assert {left.reason for left in plan.exclusions} == {
        "no slot before 2027-02-21: the hosts before it fill every window, 1 at once in all (policy.concurrency)"
    }


def test_a_freeze_that_takes_the_window_of_a_later_wave_is_named_with_what_would_free_it() -> None:
    dates = (
        DatedWindow("2026-12-05 20:00 for 4h", datetime(2026, 12, 5, 20), 4 * HOUR),  # noqa: DTZ001
        DatedWindow("2027-01-10 20:00 for 4h", datetime(2027, 1, 10, 20), 4 * HOUR),  # noqa: DTZ001
    )
    stocktaking = Freeze("stocktaking", at("2026-12-31T16:00"), at("2027-01-31T16:00"))
    shanghai = replace(in_utc("weir", *dates, freezes=(stocktaking,)), timezone="Asia/Shanghai")
    policy = Policy(waves=("1", "100%"), notice_lead=NO_LEAD)
    first = in_utc("mill", DatedWindow("", datetime(2026, 12, 5, 21), HOUR))  # noqa: DTZ001
    plan = plan_of(fleet(*many(1), *many(1, "weir"), customers=(first, shanghai)), policy=policy)
    assert blocked_lines(plan) == [
        "weir: no slot before 2027-02-21: wave 2 can begin on 2026-12-06 05:40 (Asia/Shanghai), and from then on: "
        "freeze stocktaking to 2027-01-31; without it there is one on 2027-01-10 20:00"
    ]


def test_hosts_of_many_customers_in_one_hour_take_the_next_when_all_together_are_too_many_at_once() -> None:
    hour = WeeklyWindow("sat 22:00-23:00", 5 * 1440 + 22 * 60, 5 * 1440 + 23 * 60)
    customers = tuple(in_utc(f"c{n:03}", hour) for n in range(150))
    hosts = [host for one in customers for host in many(1, one.name)]
    policy = Policy(notice_lead=NO_LEAD, waves=("100%",), concurrency=10, bake=timedelta())
    plan = plan_of(fleet(*hosts, customers=customers), policy=policy)
    nights = Counter(host.window.start for host in plan.hosts)
    assert nights == {at("2026-11-21T22:00"): 50, at("2026-11-28T22:00"): 50, at("2026-12-05T22:00"): 50}
    assert plan.through == plan.finish == at("2026-12-05T22:50"), (
        "five turns of ten minutes, the last with its way back"
    )


@pytest.mark.parametrize(
    ("facts", "policy"),
    [({"redundancy": "pair"}, {}), ({"labels": {"site": "x"}}, {"site_at_once": 1}), ({}, {"customer_at_once": 1})],
    ids=["redundancy", "site", "customer"],
)
def test_a_window_is_promised_to_no_more_hosts_than_the_bounds_let_through_it(
    facts: dict[str, object], policy: dict[str, int]
) -> None:
    short = WeeklyWindow("sat 22:00-22:25", 5 * 1440 + 22 * 60, 5 * 1440 + 22 * 60 + 25)
    bound = Policy(notice_lead=NO_LEAD, waves=("100%",), bake=timedelta(), **policy)  # type: ignore[arg-type]
    plan = plan_of(fleet(*many(2, **facts), customers=(in_utc("mill", short),)), policy=bound)
    assert [host.window.start for host in plan.hosts] == [at("2026-11-21T22:00"), at("2026-11-28T22:00")]
    assert plan.through == plan.finish == at("2026-11-28T22:10")


def test_a_host_that_is_left_out_leaves_no_finish_for_all_but_the_others_are_through() -> None:
    late = in_utc("weir", DatedWindow("", datetime(2027, 1, 10, 22), HOUR))  # noqa: DTZ001
    policy = Policy(notice_lead=NO_LEAD, waves=("100%",), bake=timedelta())
    customers = (in_utc("mill", ALWAYS), late)
    both = fleet(*many(1), *many(1, "weir"), customers=customers)
    held = fleet(*many(1), *(replace(host, hold="on trial") for host in many(1, "weir")), customers=customers)
    one, two = (plan_of(planned, policy=policy) for planned in (both, held))
    assert one.through == one.finish == at("2027-01-10T22:10")
    assert (two.finish, two.through) == (None, NOW + timedelta(minutes=10))


def test_the_record_s_durations_replace_the_manifest_s_estimates_and_the_plan_says_so() -> None:
    mill = fleet(*(replace(host, expected_version="1.3.0") for host in many(1)), customers=(in_utc("mill", ALWAYS),))
    durations = {"1.5.0": timedelta(minutes=25)}
    plan = make_plan(replace(TARGET, durations=durations), mill, Policy(), {}, NOW)
    assert plan.hosts[0].needed == 2 * timedelta(minutes=10 + 25)
    assert plan.estimates == {"1.4.0": "10 min by its manifest", "1.5.0": "25 min by the record"}


def test_the_record_s_way_back_replaces_the_length_of_the_upgrade_and_the_plan_says_so() -> None:
    short = WeeklyWindow("tue", 24 * 60, 24 * 60 + 24)
    mill = fleet(*many(1), customers=(in_utc("mill", short),))
    plan = make_plan(replace(TARGET, way_back=timedelta(minutes=4)), mill, Policy(), {}, NOW)
    assert (plan.hosts[0].needed, plan.hosts[0].expected) == (timedelta(minutes=14), timedelta(minutes=10))
    assert plan.ways_back == {"gate": "4 min by the record"}
    slow = make_plan(replace(TARGET, way_back=timedelta(minutes=15)), mill, Policy(), {}, NOW)
    assert "needs 25 min (1 hop of 10 min and the way back of 15 min) in a 24 min window" in slow.exclusions[0].reason


def test_a_bound_that_clocks_skip_is_noted_once_on_the_host() -> None:
    night = DatedWindow("2027-03-28 02:30 for 2h", datetime(2027, 3, 28, 2, 30), 2 * HOUR)  # noqa: DTZ001
    berlin = replace(in_utc("mill", night), timezone="Europe/Berlin")
    late = in_utc("weir", DatedWindow("", datetime(2027, 3, 28, 1), HOUR))  # noqa: DTZ001
    hosts, now = fleet(*many(1), *many(1, "weir"), customers=(berlin, late)), at("2027-03-20T00:00")
    plan = make_plan(TARGET, hosts, Policy(waves=("1", "100%"), bake=HOUR), {}, now)
    assert [left.host for left in plan.exclusions] == ["weir000"], "so the waves were drawn up twice"
    assert plan.hosts[0].note == (
        "not observed: nobody looked; its window starts at 02:30, which Europe/Berlin skips on 2027-03-28:"
        " 03:00 (01:00 UTC) counts instead"
    )
