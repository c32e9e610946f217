"""Large fleets that do not exist: a thousand customers, three products, any number of hosts; always the same ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from liftlock.inventory import read_fleet
from liftlock.model import Artifact, Catalogue, Fleet, Health, Observation, Product, Release, ReleaseKind
from liftlock.plan import Target

CUSTOMERS = 1_000
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
PRODUCTS = ("gate", "gate-db", "gate-queue")
"""The gate needs the two others, and its database the queue. A host runs one of them."""
LINES, PATCHES = 10, 2
WANTED = f"1.{LINES - 1}.{PATCHES - 1}"
_ZONES = ("Europe/Berlin", "Asia/Shanghai", "America/New_York", "Australia/Sydney", "UTC")
_WINDOWS = ("sat 22:00-sun 04:00", "daily 23:00-05:00", "tue 01:00-03:00", "always")
_TIERS = ("low", "standard", "standard", "key")


def catalogue(product: str) -> Catalogue:
    """Twenty releases in ten lines; every third line begins with a stop, every line needs the one before."""
    releases = tuple(_release(product, line, patch) for line in range(LINES) for patch in range(PATCHES))
    return Catalogue(Product(product, {"en": product.title()}, Health(command="true")), releases)


def _release(product: str, line: int, patch: int) -> Release:
    version = f"1.{line}.{patch}"
    artifact = Artifact(f"{product}-{version}.tar", "0" * 64, 1_000_000)
    needs = dict.fromkeys(PRODUCTS[PRODUCTS.index(product) + 1 :], f">=1.{line}")
    stop, requires = patch == 0 and line % 3 == 0, f">=1.{max(0, line - 1)}"
    kind = ReleaseKind.UPGRADE
    return Release(product, version, kind, artifact, requires=requires, stop=stop, needs=needs)


def inventory(hosts: int, mistakes: int = 0) -> str:
    """The text of an inventory of so many hosts, of which `mistakes`, spread evenly, have one mistake each."""
    customers = min(CUSTOMERS, hosts)
    lines = ["fleet: large", "customers:", *(line for number in range(customers) for line in _customer(number))]
    lines += ['freezes:\n  - {name: year end, from: "2026-12-20 00:00", until: "2027-01-03 00:00"}', "hosts:"]
    wrong = {place * hosts // mistakes for place in range(mistakes)}
    lines += [_host(number, customers, wrong=number in wrong) for number in range(hosts)]
    return "\n".join(lines) + "\n"


def _customer(number: int) -> tuple[str, ...]:
    return (
        f"  customer-{number}:",
        f"    title: Customer {number}",
        "    language: en",
        f"    timezone: {_ZONES[number % len(_ZONES)]}",
        f"    tier: {_TIERS[number % len(_TIERS)]}",
        f"    contacts: [{{name: Ada Example, email: ada@customer-{number}.example}}]",
        f'    windows: ["{_WINDOWS[number % len(_WINDOWS)]}"]',
    )


def _host(number: int, customers: int, *, wrong: bool) -> str:
    port = 99_999 if wrong else 22
    return (
        f"  - {{name: host-{number}, customer: customer-{number % customers}, address: 10.{number >> 16}."
        f'{number >> 8 & 255}.{number & 255}, port: {port}, expected_version: "{_installed(number)}", '
        f'labels: {{site: "s{number % 7}"}}, products: [{_product(number)}]}}'
    )


def _product(number: int) -> str:
    """A customer's hosts are one in a thousand: they take turns among the products, what needs nothing first."""
    return PRODUCTS[-1 - number // CUSTOMERS % len(PRODUCTS)]


def _installed(number: int) -> str:
    return f"1.{number % (LINES - 1)}.{number % PATCHES}"


def fleet(hosts: int) -> Fleet:
    """The fleet of `inventory(hosts)`."""
    return read_fleet(inventory(hosts), "large.yaml")


def targets(hosts: int) -> list[Target]:
    """The newest release of every product, with what a look at its hosts found: nine in ten as expected, the others
    could not be reached."""
    seen: dict[str, dict[str, Observation]] = {product: {} for product in PRODUCTS}
    for number in range(hosts):
        seen[_product(number)][f"host-{number}"] = _observation(number)
    return [Target(catalogue(product), WANTED, found) for product, found in seen.items() if found]


def _observation(number: int) -> Observation:
    name, at = f"host-{number}", NOW - timedelta(minutes=1)
    if number % 10 == 9:
        return Observation(name, at, reachable=False, cause="connection timed out")
    version = _installed(number)
    return Observation(
        name, at, reachable=True, installed=version, running=version, healthy=True, free_bytes=10**10, free_inodes=10**6
    )
