"""Several products in one plan: which goes first at a customer, and what a plan refuses because of another product."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from liftlock.errors import InputError
from liftlock.model import (
    Artifact,
    Catalogue,
    Channel,
    Customer,
    DatedWindow,
    Fleet,
    Freeze,
    Health,
    Host,
    HostGroup,
    HostProduct,
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
ALWAYS = WeeklyWindow("always", 0, 7 * 24 * 60)
UNTOLD = dict.fromkeys(ReleaseKind, timedelta())


def catalogue(product: str, roles: tuple[str, ...] = (), **releases: Mapping[str, str]) -> Catalogue:
    """`v1_5_0={"acme-db": ">=5"}` is release 1.5.0, which needs that."""
    artifact = Artifact(path="artifact.tar", sha256="0" * 64, length=1)
    made = tuple(
        Release(product, name[1:].replace("_", "."), ReleaseKind.UPGRADE, artifact, needs=needs)
        for name, needs in releases.items()
    )
    return Catalogue(Product(product, {"en": product.title()}, Health(command="true"), roles=roles), made)


ACME = catalogue("acme", v1_5_0={"acme-db": "<6"}, v2_0_0={"acme-db": ">=5.2"})
DB = catalogue("acme-db", v5_1_0={}, v5_2_0={}, v5_2_1={}, v6_0_0={})
APP, OTHER_APP = Host("app-1", "mill", "::1", products=("acme",)), Host("app-2", "mill", "::1", products=("acme",))
BASE = Host("db-1", "mill", "::1", products=("acme-db",))


def customer(name: str, **facts: object) -> Customer:
    return replace(Customer(name, name.title(), "en", "UTC", (), (ALWAYS,)), **facts)  # type: ignore[arg-type]


def fleet(*hosts: Host, **customers: Customer) -> Fleet:
    return Fleet("river", {"mill": customer("mill"), **customers}, hosts)


def seen(**versions: str | None) -> dict[str, Observation]:
    """`app_1="1.5.0"` was seen on app-1; None could not be reached."""
    names = {name.replace("_", "-"): version for name, version in versions.items()}
    return {
        name: Observation(
            name, NOW, reachable=version is not None, installed=version, cause="" if version else "timed out"
        )
        for name, version in names.items()
    }


def planned(acme: Target, *also: Target, hosts: Fleet | None = None, **asked: object) -> Plan:
    policy = Policy(waves=("1", "100%"), notice_lead=UNTOLD)
    return make_plan(acme, hosts or fleet(APP, BASE), policy, {}, NOW, also=also, **asked)  # type: ignore[arg-type]


def acme(wanted: str = "2.0.0", **versions: str | None) -> Target:
    return Target(ACME, wanted, seen(**versions or {"app_1": "1.5.0"}))


def db(wanted: str = "", **versions: str | None) -> Target:
    return Target(DB, wanted, seen(**versions or {"db_1": "5.1.0"}))


def reasons(plan: Plan) -> dict[str, tuple[Outcome, str]]:
    return {left.host: (left.outcome, left.reason) for left in plan.exclusions}


def test_two_products_make_one_plan_in_which_what_is_needed_goes_first() -> None:
    plan = planned(acme(), db("5.2.1"))
    assert plan.products == {"acme": "2.0.0", "acme-db": "5.2.1"}
    assert [(host.name, host.machine, plan.product_of(host), host.wanted, host.rank) for host in plan.hosts] == [
        ("db-1/acme-db", "db-1", "acme-db", "5.2.1", 0),
        ("app-1", "app-1", "acme", "2.0.0", 1),
    ]
    assert [host.wave for host in plan.hosts] == [1, 2]
    assert plan.hosts[0].product == "acme-db"
    assert plan.hosts[1].product == ""
    assert plan.estimates == {"2.0.0": "10 min by its manifest", "acme-db 5.2.1": "10 min by its manifest"}
    assert from_json(to_json(plan), "plan.json") == plan


def test_one_machine_may_run_both_and_stands_in_the_plan_once_for_each() -> None:
    both = Host("m-1", "mill", "::1", products=("acme", "acme-db"), redundancy="pair", labels={"site": "east"})
    spare = replace(both, name="m-2")
    plan = planned(acme(m_1="1.5.0", m_2="1.5.0"), db("5.2.1", m_1="5.1.0", m_2="5.2.1"), hosts=fleet(both, spare))
    assert [host.name for host in plan.hosts] == ["m-1/acme-db", "m-1", "m-2"]
    assert reasons(plan) == {"m-2/acme-db": (Outcome.ALREADY_CURRENT, "has 5.2.1")}
    assert (plan.exclusions[0].machine, plan.product_of(plan.exclusions[0])) == ("m-2", "acme-db")
    assert {(host.redundancy, host.stand_ins, host.site) for host in plan.hosts} == {("pair", 0, "east")}


@pytest.mark.parametrize(
    ("versions", "reason"),
    [
        ({"db_1": "5.1.0"}, "2.0.0 needs acme-db >=5.2, db-1 has 5.1.0: plan it along with --also acme-db=6.0.0"),
        ({"db_1": "5.2.0"}, None),
        ({"db_1": None}, "2.0.0 needs acme-db >=5.2, what db-1 has is not known: timed out"),
        (
            {"db_1": "5.2.SP1"},
            "2.0.0 needs acme-db >=5.2, db-1 has 5.2.SP1: plan it along with --also acme-db=6.0.0",
        ),
    ],
)
def test_alone_a_host_goes_only_where_what_it_needs_was_seen(
    versions: dict[str, str | None], reason: str | None
) -> None:
    plan = planned(acme(), db(**versions))
    assert reasons(plan) == ({"app-1": (Outcome.REFUSED, reason)} if reason else {})
    assert [host.name for host in plan.hosts] == ([] if reason else ["app-1"])
    assert plan.also == {}


def test_every_host_of_the_needed_product_must_meet_the_need_but_only_at_the_same_customer() -> None:
    second, elsewhere = replace(BASE, name="db-2"), replace(BASE, name="db-9", customer="weir")
    hosts = fleet(APP, BASE, second, elsewhere, weir=customer("weir"))
    one = planned(acme(), db(db_1="5.2.1", db_2="5.2.1", db_9="5.1.0"), hosts=hosts)
    assert [host.name for host in one.hosts] == ["app-1"]
    two = planned(acme(), db(db_1="5.2.1", db_2="5.1.0", db_9="5.2.1"), hosts=hosts)
    assert "db-2 has 5.1.0" in reasons(two)["app-1"][1]


def test_a_customer_with_no_known_host_of_the_needed_product_is_refused() -> None:
    silent = replace(BASE, products=())
    for hosts in (fleet(APP), fleet(APP, silent)):
        plan = planned(acme(), db(), hosts=hosts)
        why = "2.0.0 needs acme-db >=5.2, and no host of mill is known to run acme-db (products in the inventory)"
        assert reasons(plan)["app-1"] == (Outcome.REFUSED, why)


def test_the_offer_is_the_newest_stable_release_that_meets_all_needs_on_the_way() -> None:
    stop = replace(ACME.releases[1], stop=True)
    newer = replace(stop, version="2.1.0", requires=">=2", stop=False, needs={"acme-db": "<6"})
    candidate = replace(DB.releases[2], version="5.3.0", channel=Channel.CANDIDATE)
    pre = replace(DB.releases[2], version="5.4.0rc1")
    asked = Target(replace(ACME, releases=(ACME.releases[0], stop, newer)), "2.1.0", seen(app_1="1.5.0"))
    offered = replace(DB, releases=(*DB.releases[:3], candidate, pre, DB.releases[3]))
    plan = planned(asked, Target(offered, "", seen(db_1="5.1.0")))
    why = "2.0.0 needs acme-db >=5.2, db-1 has 5.1.0: plan it along with --also acme-db=5.2.1"
    assert reasons(plan)["app-1"] == (Outcome.REFUSED, why)
    none = planned(asked, Target(replace(DB, releases=DB.releases[:1]), "", seen(db_1="5.1.0")))
    assert (
        reasons(none)["app-1"][1] == "2.0.0 needs acme-db >=5.2, db-1 has 5.1.0; no stable release of acme-db is that"
    )


def test_the_needs_of_every_release_on_the_way_count() -> None:
    stop = replace(ACME.releases[1], stop=True, needs={"acme-db": "<5.2"})
    newer = replace(stop, version="3.0.0", stop=False, needs={})
    asked = Target(replace(ACME, releases=(ACME.releases[0], stop, newer)), "3.0.0", seen(app_1="1.5.0"))
    plan = planned(asked, db("5.2.1"))
    assert [host.name for host in plan.hosts] == ["db-1/acme-db"]
    assert reasons(plan)["app-1"][1].startswith("2.0.0 needs acme-db <5.2, db-1 gets 5.2.1: plan it along with --also")


@pytest.mark.parametrize(
    ("base", "versions", "reason"),
    [
        ({"hold": "court case"}, {"db_1": "5.1.0"}, "db-1 has 5.1.0 and is left out: court case"),
        ({}, {"db_1": None}, "what db-1 has is not known: timed out"),
        ({"hold": "court case"}, {"db_1": "5.2.0"}, None),
        ({}, {"db_1": "6.0.0"}, None),
    ],
)
def test_beside_a_host_that_the_plan_leaves_out_its_own_version_counts(
    base: dict[str, str], versions: dict[str, str | None], reason: str | None
) -> None:
    hosts = fleet(APP, replace(BASE, **base))  # type: ignore[arg-type]
    plan = planned(acme(), db("5.2.1", **versions), hosts=hosts)
    assert [host.name for host in plan.hosts] == ([] if reason else ["app-1"])
    if reason:
        assert reasons(plan)["app-1"] == (Outcome.REFUSED, f"2.0.0 needs acme-db >=5.2, {reason}")


def test_narrowed_to_one_host_the_others_of_its_customer_count_as_they_are() -> None:
    policy = Policy(notice_lead=UNTOLD)
    plan = make_plan(acme(), fleet(APP, BASE), policy, {}, NOW, also=[db("5.2.1")], hosts=["app-1"])
    assert reasons(plan) == {
        "app-1": (Outcome.REFUSED, "2.0.0 needs acme-db >=5.2, db-1 has 5.1.0 and is not asked for")
    }


def test_what_stays_installed_is_not_broken() -> None:
    alone = planned(Target(DB, "6.0.0", seen(db_1="5.2.1")), Target(ACME, "", seen(app_1="1.5.0")))
    why = "6.0.0 would break acme 1.5.0 on app-1, which needs acme-db <6: plan acme along with --also acme=2.0.0"
    assert reasons(alone) == {"db-1": (Outcome.REFUSED, why)}
    together = planned(acme(), db("6.0.0"))
    assert [host.name for host in together.hosts] == ["db-1/acme-db", "app-1"]
    held = planned(acme(), db("6.0.0"), hosts=fleet(replace(APP, hold="on trial"), BASE))
    assert reasons(held) == {
        "app-1": (Outcome.SKIPPED, "on trial"),
        "db-1/acme-db": (Outcome.REFUSED, "6.0.0 would break acme 1.5.0 on app-1, which needs acme-db <6"),
    }
    hotfix = planned(Target(DB, "6.0.0", seen(db_1="5.2.1")), Target(ACME, "", seen(app_1="1.5.0+hot1")))
    assert "would break acme 1.5.0+hot1" in reasons(hotfix)["db-1"][1]


def test_what_is_broken_already_holds_no_upgrade_back() -> None:
    plan = planned(Target(DB, "5.1.0", seen(db_1="4.0.0")), Target(ACME, "", seen(app_1="2.0.0")))
    assert [host.name for host in plan.hosts] == ["db-1"]


def test_who_is_refused_takes_along_who_relied_on_it() -> None:
    web = catalogue("web", v1_0_0={}, v3_0_0={"acme": ">=2"})
    front = Host("web-1", "mill", "::1", products=("web",))
    hosts = fleet(APP, BASE, front)
    target = Target(web, "3.0.0", seen(web_1="1.0.0"))
    plan = planned(acme(), target, db(), hosts=hosts)
    refused = "2.0.0 needs acme-db >=5.2, db-1 has 5.1.0: plan it along with --also acme-db=6.0.0"
    assert reasons(plan) == {
        "app-1": (Outcome.REFUSED, refused),
        "web-1/web": (Outcome.REFUSED, f"3.0.0 needs acme >=2, app-1 has 1.5.0 and is left out: {refused}"),
    }
    chain = planned(acme(), target, db("5.2.1"), hosts=hosts)
    assert [(host.name, host.rank) for host in chain.hosts] == [("db-1/acme-db", 0), ("app-1", 1), ("web-1/web", 2)]


def test_products_that_need_each_other_are_refused_with_their_names_in_order() -> None:
    needing = catalogue("acme-db", v5_1_0={}, v5_2_1={"acme": ">=2.0"})
    with pytest.raises(InputError) as caught:
        planned(acme(), Target(needing, "5.2.1", seen(db_1="5.1.0")))
    assert str(caught.value) == "no order is right: acme 2.0.0 needs acme-db, acme-db 5.2.1 needs acme"


def test_a_circle_of_three_is_told_from_the_plans_own_product_on() -> None:
    hosts = fleet(*(Host(f"{name}-1", "mill", "::1", products=(name,)) for name in ("a", "b", "c")))
    circle = {"a": "c", "b": "a", "c": "b"}
    targets = {
        name: Target(catalogue(name, v1_0_0={}, v2_0_0={other: ">=2"}), "2.0.0", seen(**{f"{name}_1": "1.0.0"}))
        for name, other in circle.items()
    }
    with pytest.raises(InputError, match=r"b 2\.0\.0 needs a, a 2\.0\.0 needs c, c 2\.0\.0 needs b$"):
        planned(targets["b"], targets["a"], targets["c"], hosts=hosts)


def test_the_remedy_passes_over_releases_that_would_lead_to_a_circle() -> None:
    web = catalogue("web", v2_0_0={"db": ">=5.2"})
    apps = fleet(Host("w-1", "mill", "::1", products=("web",)), Host("d-1", "mill", "::1", products=("db",)))

    def refusal(**databases: Mapping[str, str]) -> str:
        there = Target(catalogue("db", v5_0_0={}, **databases), "", seen(d_1="5.0.0"))
        return reasons(planned(Target(web, "2.0.0", seen(w_1="1.0.0")), there, hosts=apps))["w-1"][1]

    lacks = "2.0.0 needs db >=5.2, d-1 has 5.0.0"
    way_out = {"v5_2_0": {}, "v5_3_0": {"web": ">=2.0"}}
    assert refusal(**way_out) == f"{lacks}: plan it along with --also db=5.2.0"
    along = Target(catalogue("db", v5_0_0={}, **way_out), "5.2.0", seen(d_1="5.0.0"))
    assert len(planned(Target(web, "2.0.0", seen(w_1="1.0.0")), along, hosts=apps).hosts) == 2
    assert refusal(v5_3_0={"web": ">=2.0"}) == f"{lacks}; each stable release of db that is that needs web in turn"
    assert refusal(v5_2_0={}, v5_3_0={"web": ">=1.0"}) == f"{lacks}: plan it along with --also db=5.3.0"


def test_the_remedy_passes_over_releases_that_lead_to_a_circle_by_way_of_a_third() -> None:
    web, app = catalogue("web", v2_0_0={"app": ">=2"}), catalogue("app", v2_0_0={"db": ">=5.2"})
    db = catalogue("db", v5_2_0={}, v5_3_0={"web": ">=2.0"})
    three = fleet(*(Host(f"{name}-1", "mill", "::1", products=(name,)) for name in ("web", "app", "db")))
    plan = planned(
        Target(web, "2.0.0", seen(web_1="1.0.0")),
        Target(app, "2.0.0", seen(app_1="1.0.0")),
        Target(db, "", seen(db_1="5.0.0")),
        hosts=three,
    )
    assert "plan it along with --also db=5.2.0" in reasons(plan)["app-1/app"][1]


def test_needs_that_are_met_already_make_no_circle() -> None:
    needing = catalogue("acme-db", v5_1_0={}, v5_2_1={"acme": ">=1.5"})
    plan = planned(acme(), Target(needing, "5.2.1", seen(db_1="5.1.0")))
    assert [host.name for host in plan.hosts] == ["db-1/acme-db", "app-1"]
    narrow = catalogue("acme-db", v5_1_0={}, v5_2_1={"acme": ">=1.5,<2"})
    refused = planned(acme(), Target(narrow, "5.2.1", seen(db_1="5.1.0")))
    assert reasons(refused)["db-1/acme-db"][1] == "5.2.1 needs acme >=1.5,<2, app-1 gets 2.0.0: plan acme 1.5.0 instead"


def test_products_without_a_need_between_them_go_by_name_and_roles_go_within_each() -> None:
    roles = ("database", "application")
    first = catalogue("a", roles, v1_0_0={}, v2_0_0={})
    second = catalogue("b", v1_0_0={}, v2_0_0={})
    hosts = fleet(
        Host("a-app", "mill", "::1", products=("a",), role="application"),
        Host("a-db", "mill", "::1", products=("a",), role="database"),
        Host("b-1", "mill", "::1", products=("b",), role="application"),
    )
    plan = planned(
        Target(second, "2.0.0", seen(b_1="1.0.0")),
        Target(first, "2.0.0", seen(a_app="1.0.0", a_db="1.0.0")),
        hosts=hosts,
    )
    assert [(host.name, host.rank) for host in plan.hosts] == [("a-db/a", 0), ("a-app/a", 1), ("b-1", 3)]
    held = replace(hosts, hosts=(*hosts.hosts[:1], replace(hosts.hosts[1], hold="on trial"), hosts.hosts[2]))
    without = planned(
        Target(second, "2.0.0", seen(b_1="1.0.0")),
        Target(first, "2.0.0", seen(a_app="1.0.0", a_db="1.0.0")),
        hosts=held,
    )
    assert [host.name for host in without.hosts] == ["b-1"]
    assert reasons(without)["a-app/a"] == (
        Outcome.DEFERRED,
        "its customer's database host a-db comes first and is left out: on trial",
    )


def test_the_longest_lead_time_counts_and_each_product_has_its_own_freezes() -> None:
    day = timedelta(days=1)
    patch = replace(ACME, releases=(ACME.releases[0], replace(ACME.releases[1], kind=ReleaseKind.PATCH)))
    frozen = replace(fleet(APP, BASE), freezes=(Freeze("audit", NOW, NOW + 20 * day, product="acme-db"),))
    leads = {ReleaseKind.PATCH: day, ReleaseKind.SECURITY: day, ReleaseKind.UPGRADE: 7 * day}
    policy = Policy(notice_lead=leads)
    own = Target(patch, "2.0.0", seen(app_1="1.5.0"))
    plan = make_plan(own, fleet(APP, BASE), policy, {}, NOW, also=[db("5.2.1")])
    assert (plan.kind, plan.customers[0].lead) == (ReleaseKind.PATCH, 7 * day)
    later = make_plan(own, frozen, policy, {}, NOW, also=[db("5.2.1")])
    assert later.hosts[0].window.start == NOW + 20 * day
    current = make_plan(own, frozen, policy, {}, NOW, also=[db("5.2.1", db_1="5.2.1")])
    assert current.hosts[0].window.start < NOW + 8 * day


QUARTER = WeeklyWindow("sat 22:00-sat 22:15", 5 * 1440 + 22 * 60, 5 * 1440 + 22 * 60 + 15)


def test_who_finds_no_slot_takes_along_who_relied_on_it() -> None:
    mill = customer("mill", groups={"small": HostGroup("small", (QUARTER,))})
    plan = planned(acme(), db("5.2.1"), hosts=fleet(APP, replace(BASE, group="small"), mill=mill))
    slotless = "no slot before 2027-02-21: needs 20 min (1 hop of 10 min and the way back) in a 15 min window"
    assert reasons(plan) == {
        "db-1/acme-db": (Outcome.DEFERRED, slotless),
        "app-1": (Outcome.REFUSED, f"2.0.0 needs acme-db >=5.2, db-1 has 5.1.0 and is left out: {slotless}"),
    }


def test_who_comes_too_late_for_its_window_takes_along_who_relied_on_it() -> None:
    """The second database can only go when the first has baked, and by then its one window is over."""
    once = DatedWindow("2026-11-22 12:00 for 50m", datetime.fromisoformat("2026-11-22T12:00"), timedelta(minutes=50))
    customers = {
        "mill": customer("mill", tier="low", groups={"noon": HostGroup("noon", (once,))}),
        "weir": customer("weir", groups={"noon": HostGroup("noon", (once,))}),
    }
    at_noon = replace(BASE, group="noon")
    hosts = fleet(
        APP,
        at_noon,
        replace(at_noon, name="db-9", customer="weir"),
        replace(APP, name="app-9", customer="weir"),
        **customers,
    )
    plan = planned(acme(app_1="1.5.0", app_9="1.5.0"), db("5.2.1", db_1="5.1.0", db_9="5.1.0"), hosts=hosts)
    assert [host.name for host in plan.hosts] == ["db-1/acme-db", "app-1"]
    outcome, why = reasons(plan)["db-9/acme-db"]
    assert outcome is Outcome.DEFERRED
    assert "wave 2 can begin on 2026-11-22 12:40 (UTC), and from then on: needs 20 min" in why
    assert reasons(plan)["app-9"] == (
        Outcome.REFUSED,
        f"2.0.0 needs acme-db >=5.2, db-9 has 5.1.0 and is left out: {why}",
    )


def test_a_product_that_nobody_runs_is_a_mistake() -> None:
    with pytest.raises(InputError, match="fleet river has no host that runs acme-db"):
        planned(acme(), db("5.2.1"), hosts=fleet(APP))


def test_a_host_that_runs_several_products_is_believed_to_have_a_version_of_each() -> None:
    own = {"acme-db": HostProduct(expected_version="5.1.0")}
    both = Host("m-1", "mill", "::1", products=("acme", "acme-db"), expected_version="1.5.0", per_product=own)
    plan = planned(acme(m_1=None), db("5.2.1", m_1=None), hosts=fleet(both))
    assert [(host.name, host.observed) for host in plan.hosts] == [("m-1/acme-db", "5.1.0"), ("m-1", "1.5.0")]
    silent = replace(both, expected_version=None, per_product={})
    unknown = planned(acme(m_1=None), db("5.2.1", m_1=None), hosts=fleet(silent))
    assert {left.outcome for left in unknown.exclusions} == {Outcome.UNREACHABLE_BEFORE}
