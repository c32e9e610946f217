"""The report as one HTML page that needs nothing else: no script, no network, inline drawings.

This module computes where things stand on the page; `templates/report.html.j2` draws them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from liftlock.model import Outcome
from liftlock.report import HostRecord, Part, Report, Selection, beside, headline

if TYPE_CHECKING:
    from jinja2 import Environment

PACKAGED = Path(__file__).parent.parent / "sample" / "templates"

_PENDING = "pending"
_ATTENTION_FIRST = (
    Outcome.FAILED,
    Outcome.UNREACHABLE,
    Outcome.ROLLED_BACK,
    Outcome.UNKNOWN,
    None,
    Outcome.REFUSED,
    Outcome.DEFERRED,
    Outcome.UNREACHABLE_BEFORE,
    Outcome.SKIPPED,
    Outcome.ALREADY_CURRENT,
    Outcome.SUCCEEDED,
)


@dataclass(frozen=True, slots=True)
class Axis:
    """A percent axis that ends at 100 and starts at `low`; positions are shares of its length, 0 to 100."""

    low: int
    ticks: tuple[int, ...]

    def at(self, percent: float) -> float:
        """Where a percentage stands; what lies left of the axis stands at its start."""
        return round(max(0.0, (percent - self.low) / (100 - self.low) * 100), 2)


@dataclass(frozen=True, slots=True)
class Share:
    """One piece of the bar of all hosts."""

    name: str
    count: int


def report_page(report: Report, generated_at: datetime, title: str) -> str:
    """The whole page as HTML. `generated_at` is aware; every text of the report is escaped."""
    return (
        page_environment()
        .get_template("report.html.j2")
        .render(
            report=report,
            title=title,
            generated_at=generated_at.astimezone(UTC),
            headline=headline(report),
            beside=beside(report),
            about=_about(report.selection),
            axis=_axis(report),
            shares=_shares(report.records),
            hosts=sorted(report.records, key=lambda record: _ATTENTION_FIRST.index(record.outcome)),
        )
    )


def page_environment() -> Environment:
    """The templates of pages that need nothing else."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PACKAGED),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["words"] = lambda outcome: (outcome or _PENDING).replace("_", " ")
    return environment


def _about(selection: Selection) -> str:
    """What the report is about, in words."""
    parts = (
        f"product {selection.product}" if selection.product else "",
        f"plan {selection.plan[:8]}" if selection.plan else "",
        f"from {selection.since.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if selection.since else "",
        f"until {selection.until.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if selection.until else "",
    )
    return ", ".join(filter(None, parts)) or "all plans in the ledger"


def _axis(report: Report) -> Axis:
    """An axis that shows every rate, and the whole intervals of releases and quarters."""
    breakdowns = (report.by_release, report.by_period, report.by_customer, report.by_wave, report.by_kind)
    rates = [part.rate for parts in breakdowns for part in parts]
    shown = [rate.percent for rate in rates if rate.percent is not None]
    shown += _lower_ends((*report.by_release, *report.by_period))
    low = int(min([90, *shown]) // 10 * 10)
    if low < 40:
        low = 0
    step = {90: 2, 80: 5, 0: 25}.get(low, 10)
    return Axis(low, tuple(range(low, 101, step)))


def _lower_ends(parts: Iterable[Part]) -> list[float]:
    return [part.rate.interval_percent[0] for part in parts if part.rate.interval_percent is not None]


def _shares(records: Iterable[HostRecord]) -> list[Share]:
    """All hosts by how they stand: the attempted outcomes, pending, and the not attempted as one."""
    counted = Counter(
        (record.outcome.value if record.attempted else "not_attempted") if record.outcome else _PENDING
        for record in records
    )
    names = (*(outcome.value for outcome in Outcome if outcome.attempted), _PENDING, "not_attempted")
    return [Share(name, counted[name]) for name in names if counted[name]]
