"""Making the manuals of many customers, each with two chapters: page and PDF, on one core."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.report import Report, Table, seconds
from liftlock.adapters import files
from liftlock.adapters.manual import Writer
from liftlock.adapters.manual_pdf import Press
from liftlock.adapters.rendering import environment
from liftlock.model import Fleet, Hop, Plan, PlannedHost, Policy, ReleaseKind, Window
from liftlock.notice import Share, share
from liftlock.settings import Vendor

REPOSITORY = Path(__file__).parents[1]
VENDOR = Vendor("Boathouse Software", "support@boathouse.example", "+49 30 5550 100")
HOPS = (Hop("1.4.0", "1.5.0", "stop"), Hop("1.5.0", "1.6.0", "target"))


def measure(say: Callable[[str], None], *, quick: bool) -> Report:
    """The manuals of 100 and 1 000 customers (quick: 4), every other one in Chinese."""
    rows = []
    for customers in (4,) if quick else (100, 1_000):
        say(f"manuals: {customers} customers")
        rows.append(_row(customers))
    head = (
        "customers",
        "seconds in all",
        "a manual",
        "its text",
        "its page",
        "its PDF",
        "KiB a PDF",
        "peak memory, MiB",
    )
    return Report(
        "manuals",
        "Boathouse 1.6.0 from 1.4.0, over two releases with a chapter each; three hosts a customer; every other "
        "customer is Chinese. One process, one manual after the other, reading fonts and templates included.",
        (Table(head, tuple(rows)),),
    )


def _row(customers: int) -> tuple[str, ...]:
    parts = _shares(customers)
    began, spent, size = time.perf_counter(), [0.0, 0.0, 0.0], 0
    writer = Writer(REPOSITORY / "manuals", VENDOR, environment())
    press = Press(REPOSITORY / "manuals", environment())
    for part in parts:
        start = time.perf_counter()
        manual = writer.write(part)
        written = time.perf_counter()
        page = writer.page(manual)
        shown = time.perf_counter()
        pdf = press.pdf(manual)
        ended = time.perf_counter()
        assert part.customer.name.encode() in page
        spent = [a + b for a, b in zip(spent, (written - start, shown - written, ended - shown), strict=True)]
        size += len(pdf)
    took = time.perf_counter() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    each = [seconds(value / customers) for value in (took, *spent)]
    return (str(customers), seconds(took), *each, f"{size / customers / 1024:.0f}", f"{memory:.0f}")


def _shares(customers: int) -> list[Share]:
    """What one plan means for each customer; the sample's two, again and again under other names."""
    catalogue, sample = files.load_catalogue(REPOSITORY, "boathouse"), files.load_fleet(REPOSITORY, "example")
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)
    window = Window(now + timedelta(days=7), now + timedelta(days=7, hours=6))
    models = list(sample.customers.values())
    named = {
        f"customer-{number}": replace(models[number % 2], name=f"customer-{number}", title=f"customer-{number} 俱乐部")
        for number in range(customers)
    }
    hosts = tuple(
        replace(sample.hosts[0], name=f"{name}-{number}", customer=name) for name in named for number in range(1, 4)
    )
    fleet = Fleet("bench", named, hosts)
    planned = tuple(PlannedHost(host.name, host.customer, 1, "1.4.0", HOPS, window) for host in hosts)
    plan = Plan(
        id="b" * 64,
        product="boathouse",
        version="1.6.0",
        kind=ReleaseKind.UPGRADE,
        fleet="bench",
        created_at=now,
        policy=Policy(),
        hosts=planned,
        exclusions=(),
        inputs={},
    )
    return [
        share(replace(plan, hosts=planned[3 * place : 3 * place + 3]), customer, fleet, catalogue)
        for place, customer in enumerate(named.values())
    ]
