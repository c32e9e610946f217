"""Bounds on what is acted on at once: per site, per customer, and never a whole redundancy group. Pure.

- A site is known by its name alone, whoever's hosts stand there: at most `Policy.site_at_once` of them are in hand.
- Of a customer's hosts, at most its own `at_once` are in hand, else `Policy.customer_at_once`.
- Hosts of one customer with the same `redundancy` stand in for each other: at least one always stands. A host is
  down while it is in hand, lost or ailing, and when it failed or could not be reached. One that has switched
  serves, and counts as standing although it is not yet proven: the others could not start before its wave's bake
  otherwise. Hosts of the group that the plan leaves out count as standing (`PlannedHost.stand_ins`). A group of one
  host has nothing to keep.

A host that is ailing goes back at once, whatever the bounds: it is down already.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from liftlock.model import Customer, Fleet, Plan, PlannedCustomer, PlannedHost

Key = tuple[str, ...]
"""What a bound is on: `("site", site)`, `("customer", customer)` or `("redundancy", customer, group)`."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Which bounds each host is under (none for most), and how many hosts each of them allows."""

    keys: Mapping[str, tuple[Key, ...]]
    limits: Mapping[Key, int]


def bounds_of(plan: Plan, customers: Iterable[Customer | PlannedCustomer] | None = None) -> Bounds:
    """The bounds that the plan's policy, customers and redundancy groups set; a draft's customers are the fleet's."""
    policy = plan.policy
    own = {customer.name: customer.at_once for customer in (plan.customers if customers is None else customers)}
    keys: dict[str, tuple[Key, ...]] = {}
    limits: dict[Key, int] = {}
    members: dict[Key, set[str]] = {}
    for host in plan.hosts:
        under: list[Key] = []
        if policy.site_at_once and host.site:
            under.append(("site", host.site))
            limits[under[-1]] = policy.site_at_once
        if at_once := own.get(host.customer) or policy.customer_at_once:
            under.append(("customer", host.customer))
            limits[under[-1]] = at_once
        if host.redundancy:
            under.append(("redundancy", host.customer, host.redundancy))
            members.setdefault(under[-1], set()).add(host.machine)
            limits[under[-1]] = max(1, len(members[under[-1]]) + host.stand_ins - 1)
        if under:
            keys[host.name] = tuple(under)
    return Bounds(keys, limits)


def is_redundancy(key: Key) -> bool:
    """Whether the bound counts hosts that are down, not only those in hand."""
    return key[0] == "redundancy"


def with_stand_ins(fleet: Fleet, hosts: Iterable[PlannedHost]) -> tuple[PlannedHost, ...]:
    """The planned hosts, each with the number of hosts of its redundancy group that are not among them."""
    hosts = tuple(hosts)
    all_members = Counter((host.customer, host.redundancy) for host in fleet.hosts if host.redundancy)
    if not all_members:
        return hosts
    machines = {(host.customer, host.redundancy, host.machine) for host in hosts if host.redundancy}
    planned = Counter((customer, group) for customer, group, _ in machines)
    outside = {group: number - planned[group] for group, number in all_members.items()}
    return tuple(
        replace(host, stand_ins=outside[host.customer, host.redundancy]) if host.redundancy else host for host in hosts
    )
