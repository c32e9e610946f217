"""What `calendar` and `lifecycle` do: overviews over all plans, fleets and products. They change nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from liftlock.adapters import files
from liftlock.app.workspace import Workspace
from liftlock.errors import InputError, NoLedgerError
from liftlock.ledger import Planned
from liftlock.lifecycle import Installed, Lifecycle, Unknown, known_version, review, seen_in_record
from liftlock.maintenance import Calendar, make_calendar
from liftlock.model import Catalogue, Customer, Fleet, Host, Observation, Plan
from liftlock.plan_document import from_document
from liftlock.progress import Progress
from liftlock.records import Records, read_records


def whole_number(text: str, flag: str, low: int, high: int) -> int:
    """What a flag says as a number. Raises InputError when it is none, or out of bounds."""
    if text.isascii() and text.isdigit() and low <= int(text) <= high:
        return int(text)
    raise InputError(f"{flag} takes a whole number from {low} to {high}, not {text!r}")


def draw_up_calendar(workspace: Workspace, weeks: int) -> Calendar:
    """The maintenance calendar of all plans in the record, for so many weeks from this one on."""
    with workspace.ledger(create=False) as ledger:
        rollouts = []
        for id_ in ledger.plans():
            entries = list(ledger.entries(id_))
            plan = from_document(next(entry.fact.document for entry in entries if isinstance(entry.fact, Planned)))
            rollouts.append((plan, Progress.of(plan).with_entries(entries)))
    return make_calendar(rollouts, _customers(workspace, (plan for plan, _ in rollouts)), workspace.clock.now(), weeks)


def write_calendar(workspace: Workspace, calendar: Calendar, html: str, ics: str) -> list[Path]:
    """Write the calendar as a page, as an .ics file, or both; return the files."""
    from liftlock.adapters.calendar_page import calendar_page
    from liftlock.adapters.ics import publish

    now = workspace.clock.now()
    written: dict[Path, bytes | str] = {}
    if html:
        written[Path(html)] = calendar_page(calendar, now, "Maintenance calendar")
    if ics:
        written[Path(ics)] = publish(calendar, now, workspace.settings.vendor.name)
    for path, content in written.items():
        files.write_atomically(path, content)
    return list(written)


def review_lifecycle(
    workspace: Workspace,
    fleet_name: str | None,
    days: int,
    *,
    look: bool,
    on_seen: Callable[[Observation], None] = lambda _: None,
) -> Lifecycle:
    """Support and security of one fleet, or of all; `days` is how far ahead an end is near.

    With `look` every host is looked at first. Raises InputError for files that cannot be read.
    """
    fleets = [workspace.fleet(fleet_name)] if fleet_name else [workspace.fleet(name) for name in _fleets(workspace)]
    catalogues = [workspace.catalogue(product) for product in files.list_products(workspace.root)]
    recorded = seen_in_record(_records(workspace))
    found: list[Installed | Unknown] = []
    for catalogue in catalogues:
        product = catalogue.product.name
        for fleet in fleets:
            hosts = [host for host in fleet.hosts if _has(host, fleet, product, catalogues, recorded)]
            looks = workspace.observe(catalogue.product, hosts, on_seen) if look else {}
            for host in hosts:
                expected = host.of(product).expected_version if _meant(host, product, catalogues) else None
                place = fleet.name, product, host.name
                found.append(known_version(place, host.customer, expected, recorded, looks.get(host.name)))
    accounted = {(one.fleet, one.host) for one in found}
    found += [
        Unknown(
            fleet.name,
            host.customer,
            host.name,
            "",
            "neither the inventory (products) nor the record says what runs there",
        )
        for fleet in fleets
        for host in fleet.hosts
        if (fleet.name, host.name) not in accounted
    ]
    return review(found, catalogues, workspace.clock.now().date(), timedelta(days=days))


def _has(
    host: Host,
    fleet: Fleet,
    product: str,
    catalogues: Iterable[Catalogue],
    recorded: Mapping[tuple[str, str, str], object],
) -> bool:
    """Whether the product is on the host, by the inventory or by the record."""
    named = product in host.products or _meant(host, product, catalogues)
    return named or (fleet.name, product, host.name) in recorded


def _meant(host: Host, product: str, catalogues: Iterable[Catalogue]) -> bool:
    """Whether the inventory's word on the host is about this product: one that it names, or the only one there is."""
    return product in host.products or tuple(catalogue.product.name for catalogue in catalogues) == (product,)


def _records(workspace: Workspace) -> Records:
    try:
        with workspace.ledger(create=False) as ledger:
            return read_records(ledger.entries())
    except NoLedgerError:
        return Records({}, ())


def _fleets(workspace: Workspace) -> list[str]:
    names = sorted(path.stem for path in (workspace.root / files.INVENTORIES).glob("*.yaml"))
    if not names:
        raise InputError("inventories/ has none: nothing to review")
    return names


def _customers(workspace: Workspace, plans: Iterable[Plan]) -> dict[tuple[str, str], Customer]:
    """The customers of the plans' fleets; a fleet that has no readable inventory any more has none."""

    def of(name: str) -> Iterator[tuple[tuple[str, str], Customer]]:
        with suppress(InputError):
            yield from (((name, customer), value) for customer, value in workspace.fleet(name).customers.items())

    return {key: customer for name in {plan.fleet for plan in plans} for key, customer in of(name)}
