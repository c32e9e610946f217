"""What a benchmark found, and how it is written down: Markdown tables that read well on a terminal, too."""

from __future__ import annotations

from dataclasses import dataclass

ROUNDED_BELOW = 0.01


@dataclass(frozen=True, slots=True)
class Table:
    """One table; the first column names, the others measure."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __str__(self) -> str:
        widths = [max(len(row[column]) for row in (self.head, *self.rows)) for column in range(len(self.head))]
        rule = [f"{'-' * (width - 1)}:" if column else "-" * width for column, width in enumerate(widths)]
        return "\n".join(_line(cells, widths) for cells in (self.head, tuple(rule), *self.rows))


@dataclass(frozen=True, slots=True)
class Report:
    """One benchmark's findings: what was measured against what, in tables."""

    title: str
    about: str
    tables: tuple[Table, ...]

    def __str__(self) -> str:
        return "\n\n".join((f"## {self.title}", self.about, *map(str, self.tables))) + "\n"


def seconds(value: float) -> str:
    """Seconds with as many digits as mean something."""
    return f"{value:.4f}" if value < ROUNDED_BELOW else f"{value:.3f}" if value < 1 else f"{value:.2f}"


def times(value: float, reference: float) -> str:
    """`value` as a multiple of `reference`."""
    return f"{value / reference:.2f} x"


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    aligned = [
        cell.rjust(width) if column else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return f"| {' | '.join(aligned)} |"
