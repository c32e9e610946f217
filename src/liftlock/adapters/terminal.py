"""What people read on a terminal. Colour only there; everything fits 80 columns and survives a pipe."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.table import Table
from rich.text import Text

from liftlock.model import Fleet, GateResult, Observation, Outcome, Plan, Verdict
from liftlock.plan_document import short_id
from liftlock.timing import blocked_lines
from liftlock.waves import budget_words, wave_words

if TYPE_CHECKING:
    from liftlock.app.checking import Finding, Fingerprint
    from liftlock.report import Report

GOOD, BAD, DIM = "green", "red", "dim"

_STYLES: dict[str, str] = {
    Outcome.SUCCEEDED: GOOD,
    Outcome.ALREADY_CURRENT: GOOD,
    Outcome.ROLLED_BACK: "yellow",
    Outcome.FAILED: BAD,
    Outcome.UNREACHABLE: BAD,
    Outcome.UNKNOWN: BAD,
}


_NAMED = 6  # hosts of one cause
WIDE = 200
"""Columns where no terminal says how many it has: a pipe or a file must not cut values in two."""


class _Screen(Console):
    def print(self, *objects: Any, **how: Any) -> None:
        """Print; where the disk behind standard output is full, the task goes on unseen, too."""
        try:
            super().print(*objects, **how)
        except OSError:
            self.on_broken_pipe()

    def on_broken_pipe(self) -> None:
        """A reader that has seen enough ends nothing: the task goes on unseen and has its own exit code."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


_PLAIN: dict[str, Any] = {"markup": False, "emoji": False, "highlight": False}
"""What people and hosts wrote is shown as they wrote it, `[/var]` and `:ok:` too."""


def console() -> Console:
    """Standard output as people see it."""
    wide = None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDE
    return _Screen(**_PLAIN, soft_wrap=False, width=wide)


def errors() -> Console:
    """Standard error, for progress beside JSON."""
    return Console(**_PLAIN, stderr=True)


def show_warnings(warnings: Sequence[str]) -> None:
    """What is not as it should be and stops nothing yet, a line each on standard error."""
    for warning in warnings:
        errors().print(Text(f"warning: {warning}"), style=BAD, soft_wrap=True)


def table(*columns: str) -> Table:
    """A plain table without lines."""
    made = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def outcome_text(outcome: str) -> Text:
    """An outcome in its colour."""
    return Text(outcome, style=_STYLES.get(outcome, ""))


def ignore(_: object) -> None:
    """Show nothing."""


@contextmanager
def _counting(what: str, *, quiet: bool) -> Iterator[Callable[[str], None]]:
    """A counter on standard error while it is a terminal: how many are through, and which was last."""
    screen = errors()
    if quiet or not screen.is_terminal:
        yield ignore
        return
    count = 0
    with screen.status(what) as line:

        def on_one(name: str) -> None:
            nonlocal count
            count += 1
            line.update(f"{what}: {count} hosts, last {name}")

        yield on_one


@contextmanager
def looking(*, quiet: bool) -> Iterator[Callable[[Observation], None]]:
    """Progress while hosts are looked at."""
    with _counting("looking at hosts", quiet=quiet) as on_one:
        yield lambda seen: on_one(seen.host)


@contextmanager
def working(what: str, *, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Progress of other work on hosts; call it with the name of each host that is through."""
    with _counting(what, quiet=quiet) as on_one:
        yield on_one


@contextmanager
def judging(*, quiet: bool) -> Iterator[Callable[[GateResult], None]]:
    """Progress while gates run."""
    with _counting("running gates", quiet=quiet) as on_one:
        yield lambda result: on_one(result.host)


def show_workspace(folder: Path, written: Sequence[Path]) -> None:
    """Say what was made and what comes next."""
    screen = console()
    screen.print(f"Made {folder} with {len(written)} files.")
    for line in (
        f"cd {folder}",
        "put your hosts into inventories/example.yaml, your key into liftlock.yaml",
        "liftlock trust       # compare and record the hosts' keys",
        "liftlock doctor      # what is missing before a rollout",
        "liftlock plan boathouse 1.5.0",
    ):
        screen.print(f"  {line}", style=DIM)


def show_plan(plan: Plan, path: Path, fleet: Fleet) -> None:
    """The plan as people read it: budget, waves with windows in the customer's own time, who is left out."""
    screen = console()
    brings = f": {plan.brings} ({plan.kind}) for fleet {plan.fleet}"
    screen.print(Text.assemble((f"Plan {short_id(plan)}", "bold"), brings))
    screen.print(budget_words(plan))
    if waves := wave_words(plan):
        screen.print(waves)
    _show_times(screen, plan, fleet)
    if plan.hosts:
        screen.print()
        rows = table("wave", "host", "customer", "path", "window (customer's time)")
        for host in plan.hosts:
            zone = ZoneInfo(fleet.customers[host.customer].timezone)
            start, end = host.window.start.astimezone(zone), host.window.end.astimezone(zone)
            path_text = " > ".join((host.observed, *(hop.to_version for hop in host.hops)))
            rows.add_row(
                str(host.wave), host.name, host.customer, path_text, f"{start:%a %d %b %H:%M}-{end:%a %d %b %H:%M %Z}"
            )
        screen.print(rows)
    notes: dict[str, list[str]] = {}
    for host in plan.hosts:
        if host.note:
            notes.setdefault(host.note, []).append(host.name)
    for note, names in notes.items():
        screen.print(Text(f"note: {note}: {', '.join(names)}", style="yellow"))
    left_out = [left for left in plan.exclusions if left.outcome is not Outcome.DEFERRED]
    if left_out:
        screen.print()
        rows = table("left out", "customer", "how", "why")
        for left in left_out:
            rows.add_row(left.host, left.customer, outcome_text(left.outcome), left.reason)
        screen.print(rows)
    screen.print(f"\nWritten to {path}", soft_wrap=True)


def _show_times(screen: Console, plan: Plan, fleet: Fleet) -> None:
    """When all are through, who has no slot, and for each customer by when it must be told, in its own time."""
    if plan.through:
        by = ", ".join(f"{version} {words}" for version, words in plan.estimates.items())
        by += "".join(f", {product} back {words}" for product, words in plan.ways_back.items())
        provided = f"if none fails and each hop takes what is expected: {by}"
        screen.print(f"All planned hosts through by {plan.through:%a %d %b %Y %H:%M} UTC, {provided}.")
        if plan.finish and plan.finish < plan.through:
            screen.print(f"No order of these waves could be through before {plan.finish:%a %d %b %Y %H:%M} UTC.")
    for line in blocked_lines(plan):
        screen.print(Text(line, style="yellow"), soft_wrap=True)
    if plan.waived:
        screen.print(Text(f"Set aside for this plan: {', '.join(plan.waived)}.", style="yellow"))
    if plan.customers:
        screen.print()
        rows = table("customer", "tell by", "begins", "ends (customer's time)")
        for one in plan.customers:
            zone = ZoneInfo(fleet.customers[one.name].timezone)
            told, begins, ends = (at.astimezone(zone) for at in (one.notify_by, one.begins, one.ends))
            rows.add_row(one.name, f"{told:%a %d %b %H:%M}", f"{begins:%a %d %b %H:%M}", f"{ends:%a %d %b %H:%M %Z}")
        screen.print(rows)


def show_gates(results: Sequence[GateResult], logs: Path) -> None:
    """Each host's verdict; reasons where it did not pass."""
    screen = console()
    rows = table("host", "verdict", "tests", "why")
    for result in sorted(results, key=lambda one: (one.verdict is Verdict.PASSED, one.host)):
        style = GOOD if result.verdict is Verdict.PASSED else BAD
        rows.add_row(result.host, Text(result.verdict, style=style), str(result.tests), Text(result.reason))
    screen.print(rows)
    counts = Counter(result.verdict.value for result in results)
    screen.print(", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items())) or "No host is planned.")
    if counts.keys() - {Verdict.PASSED.value}:
        screen.print(f"Full output in {logs}", style=DIM, soft_wrap=True)


def show_files(title: str, written: Sequence[Path]) -> None:
    """The files that were written, a line each."""
    screen = console()
    screen.print(f"{title}: {len(written)} written")
    for path in written:
        screen.print(Text(f"  {path}"), soft_wrap=True)


def show_ending(told: dict[str, Any], plan: Plan, logs: Path) -> None:
    """How the rollout ended (the document that `--json` prints): per host, in one sentence, where to read on."""
    screen = console()
    screen.print()
    if told["hosts"]:
        screen.print(_host_rows(told["hosts"], proofs=told["end"] in {"halt", "aborted"}))
    for left in plan.exclusions:
        if not plan.hosts:
            screen.print(Text(f"{left.host}: {left.outcome.value} ({left.reason})"))
    counts = ", ".join(f"{count} {outcome}" for outcome, count in told["outcomes"].items())
    screen.print(f"\n{_end_words(told)}{f' {counts}.' if counts else ''}", style="bold")
    if told["end"] != "verified" and told["rate"]["attempted"] and told["end"] != "aborted":
        rate = told["rate"]
        unknown = f", {rate['unknown']} still unknown" if rate["unknown"] else ""
        screen.print(
            f"{rate['succeeded']} of {rate['attempted']} upgrades succeeded: {rate['percent']} %{unknown}, "
            f"target {rate['target_percent']} %: {rate['target']}"
        )
    _show_causes(screen, told["causes"])
    for host, why in told["unpruned"].items():
        screen.print(Text(f"{host}: old releases could not be removed: {why}"), style=DIM)
    if told["exit_code"]:
        in_trouble = [host.partition("/")[0] for one in told["causes"] for host in one["hosts"]]
        kept = any((logs / f"{host}.log").is_file() for host in in_trouble)
        where = f" The hosts' full output is in {logs}" if kept else ""
        screen.print(f"Exit code {told['exit_code']}.{where}", style=DIM, soft_wrap=True)


def _host_rows(lines: Sequence[dict[str, Any]], *, proofs: bool) -> Table:
    """A row per host; with `proofs` the versions before and now, and what the latter rests on."""
    rows = table("wave", "host", "outcome", "attempts", *(("before", "now", "proof") if proofs else ()), "why")
    for line in lines:
        versions = (line["before"], line["version"] or "not known", line["proof"]) if proofs else ()
        rows.add_row(
            str(line["wave"]),
            line["host"],
            outcome_text(line["outcome"]),
            str(line["attempts"]),
            *map(Text, versions),
            Text(line["cause"]),
        )
    return rows


def _show_causes(screen: Console, causes: Sequence[dict[str, Any]]) -> None:
    """Failures grouped by cause, most hosts first, with what is known to help."""
    if not causes:
        return
    hosts = sum(len(one["hosts"]) for one in causes)
    counted = f"{hosts} host{'s' if hosts > 1 else ''}, {len(causes)} cause{'s' if len(causes) > 1 else ''}"
    for place, one in enumerate(causes):
        before = f"{counted}: " if len(causes) == 1 else f"  {len(one['hosts'])} x "
        if place == 0 and len(causes) > 1:
            screen.print(f"{counted}:")
        screen.print(Text(f"{before}{one['cause']} ({_some(one['hosts'])})"), soft_wrap=True)
        if one["suggestion"]:
            screen.print(Text(f"    {one['suggestion']}", style=DIM), soft_wrap=True)


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_NAMED])
    return shown if len(names) <= _NAMED else f"{shown} and {len(names) - _NAMED} more"


def _end_words(told: dict[str, Any]) -> str:
    return {
        "done": "Done." if told["exit_code"] == 0 else "Every planned host has an outcome.",
        "halt": f"Halted: {told['reason']}.",
        "aborted": f"E{_ended(told['reason'])[1:]}.",
        "pause": f"Paused: {told['reason']}.",
        "verified": "Nothing to do: looked at every host, touched none.",
    }.get(told["end"], "Stopped by the operator; run it again to go on.")


def _ended(reason: str) -> str:
    """On screen a rollout is ended by its operator; the record and `--json` say aborted."""
    return f"ended: {reason.removeprefix('aborted: ')}" if reason.startswith("aborted: ") else reason


def show_standings(standings: Sequence[dict[str, Any]], *, in_full: bool) -> None:
    """Where plans stand, a line each; the hosts of one plan when asked for in full."""
    screen = console()
    rows = table("plan", "release", "fleet", "succeeded", "failures", "state")
    for told in standings:
        rate = told["rate"]
        rows.add_row(
            told["plan"][:8],
            ", ".join(
                f"{name} {version}" for name, version in {told["product"]: told["version"], **told["also"]}.items()
            ),
            told["fleet"],
            f"{rate['succeeded']} of {rate['attempted']}",
            f"{told['failures']} of {told['allowed_failures']} allowed",
            _ended(told["state"]) + _approvals_missing(told["approvals"]),
        )
    screen.print(rows)
    for told in standings if in_full else ():
        for given in told["approvals"]["given"]:
            note = f": {given['note']}" if given["note"] else ""
            screen.print(Text(f"approved by {given['by']}{note} ({given['at']:%Y-%m-%d %H:%M} UTC)"))
        for waived in told["waived"]:
            screen.print(Text(f"waived {waived['rule']}: {waived['reason']} ({waived['by']})", style="yellow"))
        screen.print()
        screen.print(_host_rows(told["hosts"], proofs=False))
        _show_causes(screen, told["causes"])


def _approvals_missing(approvals: dict[str, Any]) -> str:
    given, needed = len(approvals["given"]), approvals["needed"]
    return f", {given} of {needed} approvals" if given < needed else ""


def show_report(report: Report) -> None:
    """The report."""
    from liftlock.adapters.terminal_report import show_report as show

    show(report, console())


def show_fingerprints(found: Sequence[Fingerprint]) -> None:
    """Each host's key as it answers now, for comparison with what its owner says."""
    rows = table("host", "address", "key", "fingerprint")
    rows.columns[-1].no_wrap = True
    for one in found:
        style = BAD if one.state in {"changed", "unreachable"} else ""
        rows.add_row(
            one.host, f"{one.address}:{one.port}", Text(one.state, style=style), one.fingerprint or Text(one.detail)
        )
    console().print(rows)


def show_recorded(recorded: Sequence[str], path: Path) -> None:
    """Which keys were written down."""
    keys = "1 key" if len(recorded) == 1 else f"{len(recorded)} keys"
    words = f"Recorded {keys} in {path}" if recorded else "Nothing new was recorded."
    console().print(Text(words), soft_wrap=True)


def say_waiting(reason: str) -> None:
    """Say what a patient rollout waits for."""
    errors().print(Text(f"waiting: {reason}"), soft_wrap=True)


def warn(text: str) -> None:
    """Say what a person must not overlook."""
    console().print(Text(text, style=BAD), soft_wrap=True)


def confirm(question: str) -> bool:
    """Ask a person; only yes is yes."""
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def show_finding(finding: Finding) -> None:
    """One line of the doctor, and what to do when it is not well."""
    screen = console()
    mark = Text("well   ", style=GOOD) if finding.well else Text("unwell ", style=BAD)
    screen.print(mark + Text(f"{finding.subject}: {finding.detail}"), soft_wrap=True)
    if not finding.well:
        screen.print(Text(f"       {finding.remedy}", style=DIM))
