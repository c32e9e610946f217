"""Roles: the order in which the hosts of one customer are upgraded (database before application). Pure.

A host's rank is the place of its role in the product's `roles`; a role that is not listed, or none, comes
last. A host waits for every host of its customer with a lower rank, and does not go when one of them
was not upgraded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from liftlock.model import Exclusion, Fleet, Outcome, PlannedHost, Product


def rank(product: Product, role: str | None) -> int:
    """The place of the role in the product's order."""
    return product.roles.index(role) if role in product.roles else len(product.roles)


def in_order_of_rank(product: Product, fleet: Fleet, planned: Sequence[PlannedHost]) -> list[PlannedHost]:
    """The hosts with their ranks, lower ranks first, otherwise in the order they came in."""
    if not product.roles:
        return list(planned)
    roles = {host.name: host.role for host in fleet.hosts}
    ranked = [replace(host, rank=rank(product, roles[host.name])) for host in planned]
    return sorted(ranked, key=lambda host: host.rank)


def without_forerunners(
    product: Product, fleet: Fleet, planned: Iterable[PlannedHost], left_out: Sequence[Exclusion]
) -> tuple[list[PlannedHost], list[Exclusion]]:
    """The planned hosts that may stay, and the exclusions of those whose customer has a lower rank left out."""
    if not product.roles:
        return list(planned), []
    roles = {host.name: host.role for host in fleet.hosts}
    first_left: dict[str, tuple[int, Exclusion]] = {}
    for gone in left_out:
        place = rank(product, roles[gone.host])
        known = first_left.get(gone.customer)
        if gone.outcome is not Outcome.ALREADY_CURRENT and (known is None or place < known[0]):
            first_left[gone.customer] = (place, gone)
    staying, leaving = [], []
    for host in planned:
        first = first_left.get(host.customer)
        if first is not None and first[0] < rank(product, roles[host.name]):
            left = first[1]
            why = f"its customer's {roles[left.host]} host {left.host} comes first and is left out: {left.reason}"
            leaving.append(Exclusion(host.name, host.customer, Outcome.DEFERRED, why))
        else:
            staying.append(host)
    return staying, leaving


def forerunners(planned: Mapping[str, PlannedHost]) -> dict[str, tuple[PlannedHost, ...]]:
    """By customer its planned hosts, where they have more than one rank; other customers are absent."""
    by_customer: dict[str, list[PlannedHost]] = {}
    for host in planned.values():
        by_customer.setdefault(host.customer, []).append(host)
    return {name: tuple(hosts) for name, hosts in by_customer.items() if len({host.rank for host in hosts}) > 1}
