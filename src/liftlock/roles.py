"""Ranks: the order in which the hosts of one customer are upgraded (database before application). Pure.

Products of one plan go one after the other (`liftlock.needs`); within a product its hosts go by their roles. A host's
rank is the place of its product, and after that of its role in the product's `roles`; a role that is not listed, or
none, comes last. A host waits for every host of its customer with a lower rank, and does not go when one of them was
not upgraded. When the plan leaves a host out, it leaves out those that follow by their roles; whether other products
can do without it is for their needs to say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from liftlock.model import Exclusion, Fleet, Outcome, PlannedHost, Product


def rank(product: Product, role: str | None) -> int:
    """The place of the role in the product's order."""
    return product.roles.index(role) if role in product.roles else len(product.roles)


def in_order_of_rank(
    products: Sequence[Product], own: str, fleet: Fleet, planned: Sequence[PlannedHost]
) -> list[PlannedHost]:
    """The hosts with their ranks, lower ranks first, otherwise in the order they came in.

    `products` are those of the plan in the order in which they go, `own` is the name of the plan's own.
    """
    if len(products) == 1 and not products[0].roles:
        return list(planned)
    roles = {host.name: host.role for host in fleet.hosts if host.role}
    ranks = 1 + max(len(product.roles) for product in products)
    places = {product.name: (place * ranks, product) for place, product in enumerate(products)}

    def ranked(host: PlannedHost) -> PlannedHost:
        first, product = places[host.product or own]
        return host.placed(
            host.wave, host.window, host.note, first + (rank(product, roles.get(host.machine)) if product.roles else 0)
        )

    return sorted(map(ranked, planned), key=lambda host: host.rank)


def hosts_by_rank(products: Sequence[Product], planned: Iterable[PlannedHost]) -> dict[str, int]:
    """How many hosts each rank has, by product and role in words; `products` in the order in which they go."""
    ranks = 1 + max(len(product.roles) for product in products)
    counts = sorted(Counter(host.rank for host in planned).items())
    return {_rank_words(products[number // ranks], number % ranks): count for number, count in counts}


def _rank_words(product: Product, place: int) -> str:
    if not product.roles:
        return product.name
    return f"{product.name} {product.roles[place] if place < len(product.roles) else 'without such a role'}"


def without_forerunners(
    product: Product, fleet: Fleet, planned: Iterable[PlannedHost], left_out: Iterable[Exclusion]
) -> list[Exclusion]:
    """The exclusions of those planned hosts of a product whose customer has a host of a lower rank left out."""
    roles = {host.name: host.role for host in fleet.hosts}
    first_left: dict[str, tuple[int, Exclusion]] = {}
    for gone in left_out:
        place = rank(product, roles[gone.machine])
        known = first_left.get(gone.customer)
        if gone.outcome is not Outcome.ALREADY_CURRENT and (known is None or place < known[0]):
            first_left[gone.customer] = (place, gone)
    leaving = []
    for host in planned:
        first = first_left.get(host.customer)
        if first is not None and first[0] < rank(product, roles[host.machine]):
            left = first[1]
            role = roles[left.machine]
            why = f"its customer's {role} host {left.machine} comes first and is left out: {left.reason}"
            leaving.append(Exclusion(host.name, host.customer, Outcome.DEFERRED, why))
    return leaving


def forerunners(planned: Mapping[str, PlannedHost]) -> dict[str, tuple[PlannedHost, ...]]:
    """By customer its planned hosts, where they have more than one rank; other customers are absent."""
    by_customer: dict[str, list[PlannedHost]] = {}
    for host in planned.values():
        by_customer.setdefault(host.customer, []).append(host)
    return {name: tuple(hosts) for name, hosts in by_customer.items() if len({host.rank for host in hosts}) > 1}
