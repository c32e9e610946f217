"""The report on a terminal: plain tables that read the same without colour and fit 80 columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from liftlock.report import Budget, Group, Part, Report, beside, headline

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

LINES = 20
"""How many lines of one breakdown or list are shown; the rest is counted, and stands in JSON and page."""

_STYLES = {"met": "bold green", "missed": "bold red", "undecided": "bold yellow", "no data": "bold"}


def show_report(report: Report, console: Console) -> None:
    """Print the headline, the breakdowns, the failures by cause, what is beside the rate, and the budgets."""
    from rich.text import Text

    console.print(Text(headline(report), style=_STYLES[report.target]))
    console.print(Text(beside(report)))
    for title, parts in (
        ("By release", report.by_release),
        ("By customer", report.by_customer),
        ("By wave", report.by_wave),
        ("By kind", report.by_kind),
        ("By quarter", report.by_period),
    ):
        if parts:
            _print(console, _breakdown(title, parts))
    if report.failures:
        _print(console, _failures("Did not succeed, by cause", report.failures))
    if report.unknown:
        _print(console, _failures("Attempted, end not known yet", report.unknown))
    if report.not_attempted:
        _print(console, _not_attempted(report))
    if report.budgets:
        _print(console, _budgets(report.budgets))


def _print(console: Console, table: Table) -> None:
    console.print()
    console.print(table)


def _table(title: str, *columns: str, numbers: int = 0) -> Table:
    """A table whose first column takes what room there is and whose next `numbers` columns hold numbers."""
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0))
    for place, column in enumerate(columns):
        number = 1 <= place <= numbers
        table.add_column(column, justify="right" if number else "left", no_wrap=number, overflow="fold")
    return table


def _add(table: Table, *cells: str) -> None:
    """One row; cells are text, never markup, because causes and reasons come from hosts."""
    from rich.text import Text

    table.add_row(*map(Text, cells))


def _breakdown(title: str, parts: Sequence[Part]) -> Table:
    table = _table(title, "", "succeeded", "rate", "95 % interval", "unknown", "pending", "target", numbers=5)
    for part in parts[:LINES]:
        rate, interval = part.rate, part.rate.interval_percent
        _add(
            table,
            part.name,
            f"{rate.succeeded}/{rate.attempted}",
            "" if rate.percent is None else f"{rate.percent:.1f} %",
            "" if interval is None else f"{interval[0]:.1f}-{interval[1]:.1f} %",
            str(part.unknown or ""),
            str(part.pending or ""),
            part.target,
        )
    _add_rest(table, len(parts))
    return table


def _failures(title: str, groups: Sequence[Group]) -> Table:
    table = _table(title, "", "hosts", "outcome", "which", numbers=1)
    for group in groups[:LINES]:
        ends = ", ".join(f"{count} {outcome}" for outcome, count in group.outcomes.items())
        _add(table, group.cause, str(group.size), ends, _some(record.host for record in group.records))
    _add_rest(table, len(groups))
    return table


def _not_attempted(report: Report) -> Table:
    table = _table("Not attempted", "", "hosts", "outcome", numbers=1)
    groups = [(outcome, group) for outcome, groups in report.not_attempted.items() for group in groups]
    for outcome, group in groups[:LINES]:
        _add(table, group.cause, str(group.size), outcome)
    _add_rest(table, len(groups))
    return table


def _budgets(budgets: Sequence[Budget]) -> Table:
    table = _table("Failure budget by plan", "", "planned", "allowed", "used", "unknown", "left", numbers=5)
    for budget in budgets[-LINES:]:
        numbers = (budget.planned, budget.allowed, budget.used, budget.unknown, budget.left)
        _add(table, f"{budget.product} {budget.version} ({budget.plan[:8]})", *map(str, numbers))
    _add_rest(table, len(budgets))
    return table


def _add_rest(table: Table, count: int) -> None:
    if count > LINES:
        _add(table, f"and {count - LINES} more")


def _some(hosts: Iterable[str], shown: int = 3) -> str:
    names = sorted(set(hosts))
    rest = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + rest
