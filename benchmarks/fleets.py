"""Large fleets that do not exist: a thousand customers, sixty releases, any number of hosts; always the same ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from liftlock.inventory import read_fleet
from liftlock.model import Artifact, Catalogue, Fleet, Health, Observation, Product, Release, ReleaseKind

CUSTOMERS = 1_000
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LINES, PATCHES = 10, 6
WANTED = f"1.{LINES - 1}.{PATCHES - 1}"
_ZONES = ("Europe/Berlin", "Asia/Shanghai", "America/New_York", "Australia/Sydney", "UTC")
_WINDOWS = ("sat 22:00-sun 04:00", "daily 23:00-05:00", "tue 01:00-03:00", "always")
_TIERS = ("low", "standard", "standard", "key")


def catalogue() -> Catalogue:
    """Sixty releases in ten lines; every third line begins with a stop, every line needs the one before."""
    releases = tuple(_release(line, patch) for line in range(LINES) for patch in range(PATCHES))
    return Catalogue(Product("gate", {"en": "Gate"}, Health(command="true")), releases)


def _release(line: int, patch: int) -> Release:
    version = f"1.{line}.{patch}"
    artifact = Artifact(f"gate-{version}.tar", "0" * 64, 1_000_000)
    stop = patch == 0 and line % 3 == 0
    return Release("gate", version, ReleaseKind.UPGRADE, artifact, requires=f">=1.{max(0, line - 1)}", stop=stop)


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
        f'labels: {{site: "s{number % 7}"}}}}'
    )


def _installed(number: int) -> str:
    return f"1.{number % (LINES - 1)}.{number % PATCHES}"


def fleet(hosts: int) -> Fleet:
    """The fleet of `inventory(hosts)`."""
    return read_fleet(inventory(hosts), "large.yaml")


def observations(hosts: int) -> dict[str, Observation]:
    """What a look at each of them found: nine in ten as expected, the others could not be reached."""
    return {f"host-{number}": _observation(number) for number in range(hosts)}


def _observation(number: int) -> Observation:
    name, at = f"host-{number}", NOW - timedelta(minutes=1)
    if number % 10 == 9:
        return Observation(name, at, reachable=False, cause="connection timed out")
    version = _installed(number)
    return Observation(
        name, at, reachable=True, installed=version, running=version, healthy=True, free_bytes=10**10, free_inodes=10**6
    )
