"""What `manual` does: each customer's manual as PDF and as page, and whether the chapters are fit for any."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from liftlock.adapters import files
from liftlock.app.workspace import Workspace, collecting
from liftlock.errors import InputError, Problem
from liftlock.model import Catalogue, Customer, Fleet, Hop, Host, Plan, PlannedHost, Policy, Release, Window
from liftlock.notice import Attachment, Share, customers, share

if TYPE_CHECKING:
    from liftlock.adapters.manual import Writer


def write_manuals(workspace: Workspace, plan: Plan, only: str | None = None) -> list[Path]:
    """Write each customer's manual under `out/`, as PDF and as page; return the files."""
    if only is not None and only not in {host.customer for host in plan.hosts}:
        raise InputError(f"plan {plan.id[:8]} has no hosts of customer {only!r}")
    written = []
    for _, manual in made_manuals(workspace, plan, [only] if only else None):
        for part in manual:
            path = workspace.out(plan) / "manuals" / part.name
            files.write_atomically(path, part.content)
            written.append(path)
    return written


def made_manuals(
    workspace: Workspace, plan: Plan, only: Collection[str] | None = None
) -> Iterator[tuple[str, tuple[Attachment, Attachment]]]:
    """Every customer, or those of `only`, with its manual, the PDF first.

    Raises InputError before the first with all that is missing or wrong in the chapters of the plan.
    """
    from liftlock.adapters.manual import attachments
    from liftlock.adapters.manual_pdf import Press

    writer, chapters = _writer(workspace), workspace.root / "manuals"
    parts = [part for part in _shares(workspace, plan) if only is None or part.customer.name in only]
    if problems := writer.problems(parts):
        raise InputError(problems)
    press = Press(chapters, writer.templates)
    for part in parts:
        manual = writer.write(part)  # once more: a thousand trees at once would fill the memory
        yield part.customer.name, attachments(manual, writer.page(manual), press.pdf(manual))


def _writer(workspace: Workspace) -> Writer:
    from liftlock.adapters.manual import Writer
    from liftlock.adapters.rendering import environment

    return Writer(workspace.root / "manuals", workspace.settings.vendor, environment(workspace.root))


def _shares(workspace: Workspace, plan: Plan) -> list[Share]:
    fleet, catalogues = workspace.fleet(plan.fleet), workspace.catalogues(plan)
    return [share(plan, customer, fleet, *catalogues) for customer in customers(plan, fleet)]


def check_chapters(workspace: Workspace, fleet_name: str | None = None) -> list[str]:
    """Look through the chapters of every release in every language that customers speak; return their files.

    The customers are those of all fleets unless one is named. Raises InputError with everything missing or wrong.
    """
    problems: list[Problem] = []
    spoken = _speakers(_fleets(workspace, fleet_name, problems))
    looked_at, writer = [], _writer(workspace)
    for catalogue in _catalogues(workspace, problems):
        for release in catalogue.releases:
            for language, customer in spoken.items():
                looked_at.append(f"manuals/{release.product}/{release.version}.{language}.md")
                problems += writer.problems([_example(catalogue, release, customer)])
    if problems:
        raise InputError(dict.fromkeys(problems))
    if not looked_at:
        raise InputError("there is nothing to look through: no releases, or no customers whose language counts")
    return looked_at


def _catalogues(workspace: Workspace, problems: list[Problem]) -> Iterator[Catalogue]:
    for product in files.list_products(workspace.root):
        with collecting(problems):
            yield workspace.catalogue(product)


def _fleets(workspace: Workspace, name: str | None, problems: list[Problem]) -> Iterator[Fleet]:
    names = [name] if name else sorted(path.stem for path in (workspace.root / "inventories").glob("*.yaml"))
    for each in names:
        with collecting(problems):
            yield workspace.fleet(each)


def _speakers(fleets: Iterable[Fleet]) -> dict[str, Customer]:
    """A customer for each language that is spoken: the first with a manager, for there is more to show."""
    spoken: dict[str, Customer] = {}
    for fleet in fleets:
        for customer in fleet.customers.values():
            if customer.language not in spoken or (customer.manager and not spoken[customer.language].manager):
                spoken[customer.language] = customer
    return dict(sorted(spoken.items()))


def _example(catalogue: Catalogue, release: Release, customer: Customer) -> Share:
    """What a plan that brings this release to one host of the customer would say."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    hop = Hop(from_version="0", to_version=release.version, rule="example")
    host = Host(name="example", customer=customer.name, address="127.0.0.1")
    planned = PlannedHost(
        host.name, customer.name, 1, hop.from_version, (hop,), Window(start, start + release.expected)
    )
    plan = Plan(
        id="0" * 64,
        product=catalogue.product.name,
        version=release.version,
        kind=release.kind,
        fleet="example",
        created_at=start,
        policy=Policy(),
        hosts=(planned,),
        exclusions=(),
        inputs={},
    )
    return share(plan, customer, Fleet("example", {customer.name: customer}, (host,)), catalogue)
