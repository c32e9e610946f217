"""Makes docs/reliability.md from the results file of a run: `python tests/faults/reliability.py RESULTS PAGE`."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from faults.fault_fleet import CONFIRMED_WITHIN, DEADLINE, LOOKED_FOR
from faults.watcher import LONGEST_GAP

PAGE = """\
# Reliability

What rollouts and their record do when things break, as measured on {day}. This page was written by
`tests/faults/reliability.py` from what the tests recorded, and nothing in it by hand.

Real `sshd` hosts run a small product that changes its data with its release, so that the old release cannot run on new
data. One fault strikes each try. Then the same command runs again until it ends, and a checker compares the record with
the hosts: the release that is current, every byte of it, the one that runs, and the data. It times every run, also the
one that the fault struck. Plans have one hop, or two where a row says so: then over a release that is a `stop`.

A process of its own looks at every host's `current` every 5 ms. A longer time between two looks is told; one of more
than {longest_gap} s fails the test, since nobody would have seen what happened meanwhile.

## Figures

| What | Seen |
|---|---|
| tries, each with one fault | {tries} |
| looks at `current` while they ran | {samples} |
| looks that found no complete release | **{broken}** |
| longest time between two looks at a host | {gap} |
| outcomes of hosts that were compared | {outcomes} |
| outcomes that agree with their host | **{agreeing}** ({share}) |
| of these, hosts that failed and needed a person (agreed: the record says what runs, or that nobody knows) | {failed} |
| outcomes lost | **{lost}** |
| outcomes doubled | **{doubled}** |
| runs, struck ones among them, that ended later than the deadline and 5 s | **{stalls}** |

The deadline of a run is {deadline} s: {looked_for} s for which a lost host is looked for, {confirmed_within} s more in
which it may go back by itself, and 5 s for the work. A run whose link goes silent in mid-phase has the time of the
phase besides.

## Faults

*Looks* is how often hosts were looked at meanwhile, *gap* the longest time between two looks at one; none where no host
is part of it.

| Fault | Tries | Seen | Looks | Gap |
|---|---|---|---|---|
{rows}
{left}
## How to repeat it

`make faults` runs all of this and writes this page. As root it tries everything; as another user it leaves out what
needs root, and says so. `make test` runs a short selection. The tests are in `tests/faults/`.

The machine: {machine}.
"""


@dataclass
class Row:
    """What the table says of one fault, from all lines about it."""

    tries: int = 0
    seen: list[str] = field(default_factory=list)
    looks: int = 0
    gap: int = 0

    def add(self, line: dict[str, Any]) -> None:
        """One more line of the results."""
        self.tries += line["tries"]
        self.seen += {line["seen"]} - set(self.seen)
        figures = line.get("figures", {})
        self.looks += figures.get("samples", 0)
        self.gap = max(self.gap, figures.get("longest_gap_ms", 0))

    def cells(self, fault: str) -> list[str]:
        """As the table has it."""
        watched = [_number(self.looks), _length(self.gap)] if self.looks else ["", ""]
        return [_cell(fault), _number(self.tries), _cell("; ".join(self.seen)), *watched]


def make_page(lines: list[dict[str, Any]], now: datetime) -> str:
    """The page for these results."""
    rows: defaultdict[str, Row] = defaultdict(Row)
    sums: Counter[str] = Counter()
    left: list[str] = []
    for line in lines:
        if not line["tries"]:
            left.append(f"- {line['fault']}: {line['seen']}")
            continue
        rows[line["fault"]].add(line)
        sums.update({**line.get("figures", {}), "tries": line["tries"]})
    return PAGE.format(
        day=f"{now:%Y-%m-%d}",
        rows="\n".join(f"| {' | '.join(row.cells(fault))} |" for fault, row in sorted(rows.items())),
        left="\n## Not tried here\n\n" + "\n".join(left) + "\n" if left else "",
        share=f"{100 * sums['agreeing'] / sums['outcomes']:.2f} %" if sums["outcomes"] else "no data",
        gap=_length(max((row.gap for row in rows.values()), default=0)),
        longest_gap=f"{LONGEST_GAP:g}",
        machine=machine(),
        deadline=DEADLINE,
        looked_for=LOOKED_FOR,
        confirmed_within=CONFIRMED_WITHIN,
        **{name: _number(sums[name]) for name in _FIGURES},
    )


_FIGURES = ("tries", "samples", "broken", "outcomes", "agreeing", "failed", "lost", "doubled", "stalls")


def machine() -> str:
    """The machine in words, without its name."""
    ssh = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=False).stderr.partition(",")[0]
    kernel = ".".join(platform.release().split(".")[:2])
    who = "root" if os.geteuid() == 0 else "an ordinary user"
    words = [f"{platform.system()} {kernel}", f"{os.cpu_count()} cores", f"Python {platform.python_version()}", ssh]
    return ", ".join(word for word in words if word) + f"; run by {who}"


def _number(value: int) -> str:
    return f"{value:,}".replace(",", " ")


def _length(milliseconds: int) -> str:
    return f"{_number(milliseconds)} ms"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    results, page = map(Path, sys.argv[1:])
    told = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
    page.write_text(make_page(told, datetime.now(UTC)), encoding="utf-8")
