"""Who goes first: hosts that show something new, low-risk customers before others, the same every time."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from liftlock.model import Customer, Fleet, Hop, Host, PlannedHost, Window
from liftlock.waves import in_rollout_order

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
WINDOW = Window(NOW, NOW + timedelta(hours=6))
TIERS = {"abbey": "standard", "bakery": "gold", "keystone": "key", "office": "low"}

Kind = tuple[str, str, str, str, int]
"""Customer, site, operating system, observed version, hops."""


def ordered(*kinds: Kind, shuffled: bool = False) -> list[PlannedHost]:
    """Hosts h00, h01 and so on of these kinds, in rollout order."""
    planned, hosts = [], []
    for number, (customer, site, system, observed, hops) in enumerate(kinds):
        name = f"h{number:02}"
        steps = (Hop("a", "b", "test"),) * hops
        planned.append(PlannedHost(name, customer, 0, observed, steps, WINDOW, site=site))
        hosts.append(Host(name, customer, "::1", facts={"os": system} if system else {}))
    customers = {name: Customer(name, name, "en", "UTC", (), (), tier=tier) for name, tier in TIERS.items()}
    return in_rollout_order(Fleet("river", customers, tuple(reversed(hosts) if shuffled else hosts)), planned)


def names(*kinds: Kind) -> list[str]:
    return [host.name for host in ordered(*kinds)]


def test_the_first_hosts_are_of_as_many_kinds_as_can_be():
    same: Kind = ("abbey", "east", "debian", "1.4.0", 1)
    assert names(same, same, same, ("abbey", "east", "windows", "1.4.0", 1))[:2] == ["h00", "h03"], "systems"
    assert names(same, same, same, ("abbey", "east", "debian", "1.3.0", 2))[:2] == ["h00", "h03"], "version gaps"
    assert names(same, same, same, ("abbey", "west", "debian", "1.4.0", 1))[:2] == ["h00", "h03"], "sites"


def test_who_shows_most_that_is_new_goes_before_who_shows_less():
    hosts: list[Kind] = [
        ("abbey", "east", "debian", "1.4.0", 1),
        ("abbey", "east", "debian", "1.3.0", 1),
        ("abbey", "west", "windows", "1.2.0", 3),
        ("bakery", "", "debian", "1.4.0", 1),
        ("abbey", "east", "debian", "1.4.0", 1),
    ]
    assert names(*hosts) == ["h00", "h02", "h03", "h01", "h04"]


def test_low_risk_customers_come_first_and_what_they_showed_is_not_sought_again():
    hosts: list[Kind] = [
        ("keystone", "k", "beos", "1.0.0", 5),
        ("abbey", "a", "debian", "1.4.0", 1),
        ("abbey", "a", "windows", "1.4.0", 1),
        ("office", "o", "debian", "1.4.0", 1),
        ("office", "o", "debian", "1.4.0", 1),
    ]
    assert names(*hosts) == ["h03", "h04", "h02", "h01", "h00"]
    assert names(*hosts[1:3], ("office", "o", "windows", "1.4.0", 1)) == ["h02", "h00", "h01"]


def test_hosts_that_show_nothing_new_follow_in_turns_of_customers_then_sites_then_kinds():
    two: list[Kind] = [
        *[("abbey", "east", "", "1.4.0", 1)] * 4,
        *[("abbey", "west", "", "1.4.0", 1)] * 2,
        *[("bakery", "", "", "1.4.0", 1)] * 2,
    ]
    new, rest = names(*two)[:3], names(*two)[3:]
    assert new == ["h00", "h06", "h04"]
    assert rest == ["h07", "h01", "h05", "h02", "h03"]


kinds = st.tuples(
    st.sampled_from(sorted(TIERS)),
    st.sampled_from(["", "east", "west"]),
    st.sampled_from(["", "debian", "windows"]),
    st.sampled_from(["1.2.0", "1.3.0", "1.4.0"]),
    st.integers(1, 2),
)


def features(host: PlannedHost, systems: dict[str, str]) -> set[object]:
    place = ("site", host.customer, host.site)
    return {place, ("os", systems[host.name]), ("from", host.observed), ("hops", len(host.hops))}


@given(st.lists(kinds, max_size=12))
def test_every_host_is_there_once_by_tier_whatever_the_order_of_the_inventory(drawn: list[Kind]) -> None:
    order = ordered(*drawn)
    assert sorted(host.name for host in order) == [f"h{number:02}" for number in range(len(drawn))]
    risks = [{"low": 0, "key": 2}.get(TIERS[host.customer], 1) for host in order]
    assert risks == sorted(risks)
    assert ordered(*drawn, shuffled=True) == order


@given(st.lists(kinds.map(lambda kind: ("abbey", *kind[1:])), min_size=1, max_size=7), st.integers(1, 3))
def test_a_first_wave_shows_at_least_63_percent_of_what_the_best_choice_could(drawn: list[Kind], size: int) -> None:
    systems = {f"h{number:02}": kind[2] for number, kind in enumerate(drawn)}
    order = ordered(*drawn)

    def shown(hosts: tuple[PlannedHost, ...]) -> int:
        return len(set().union(*(features(host, systems) for host in hosts)))

    best = max(shown(choice) for choice in itertools.combinations(order, min(size, len(order))))
    assert shown(tuple(order[:size])) >= 0.632 * best
