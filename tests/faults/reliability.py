"""Makes docs/reliability.md from the results file of a run: `python tests/faults/reliability.py RESULTS PAGE`."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from faults.fault_fleet import CONFIRMED_WITHIN, DEADLINE, LOOKED_FOR

PAGE = """\
# Reliability

What rollouts and their record do when things break, as measured on {day}. This page was written by
`tests/faults/reliability.py` from what the tests recorded, and nothing in it by hand.

Real `sshd` hosts run a small product that changes its data with its release, so that the old release cannot run on new
data. One fault strikes each try. Then the same command runs again until it ends, and a checker compares the record with
the hosts: the release that is current, every byte of it, the one that runs, and the data. A process of its own looks at
every host's `current` every 5 ms.

## Figures

| What | Seen |
|---|---|
| tries, each with one fault | {tries} |
| looks at `current` while they ran | {samples} |
| looks that found no complete release | **{broken}** |
| outcomes of hosts that were compared | {outcomes} |
| outcomes that agree with their host | **{agreeing}** ({share}) |
| of these, hosts that failed and needed a person (agreed: the record says what runs, or that nobody knows) | {failed} |
| outcomes lost | **{lost}** |
| outcomes doubled | **{doubled}** |
| runs that ended later than the deadline and 5 s | **{stalls}** |

The deadline of a run is {deadline} s: {looked_for} s for which a lost host is looked for, {confirmed_within} s more in
which it may go back by itself, and 5 s for the work.

## Faults

| Fault | Tries | Seen |
|---|---|---|
{rows}
{left}
## How to repeat it

`make faults` runs all of this and writes this page. As root it tries everything; as another user it leaves out what
needs root, and says so. `make test` runs a short selection. The tests are in `tests/faults/`.

The machine: {machine}.
"""


def make_page(lines: list[dict[str, Any]], now: datetime) -> str:
    """The page for these results."""
    rows: dict[str, tuple[int, list[str]]] = {}
    sums: Counter[str] = Counter()
    left: list[str] = []
    for line in lines:
        if not line["tries"]:
            left.append(f"- {line['fault']}: {line['seen']}")
            continue
        tries, seen = rows.get(line["fault"], (0, []))
        rows[line["fault"]] = tries + line["tries"], [*seen, *({line["seen"]} - set(seen))]
        sums.update({**line.get("figures", {}), "tries": line["tries"]})
    return PAGE.format(
        day=f"{now:%Y-%m-%d}",
        rows="\n".join(f"| {_cell(fault)} | {_number(tries)} | {_cell('; '.join(seen))} |"
                       for fault, (tries, seen) in sorted(rows.items())),
        left="\n## Not tried here\n\n" + "\n".join(left) + "\n" if left else "",
        share=f"{100 * sums['agreeing'] / sums['outcomes']:.2f} %" if sums["outcomes"] else "no data",
        machine=machine(),
        deadline=DEADLINE,
        looked_for=LOOKED_FOR,
        confirmed_within=CONFIRMED_WITHIN,
        **{name: _number(sums[name]) for name in _FIGURES},
    )  # fmt: skip


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


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    results, page = map(Path, sys.argv[1:])
    told = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
    page.write_text(make_page(told, datetime.now(UTC)), encoding="utf-8")
