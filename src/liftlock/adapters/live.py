"""A rollout as it happens: a line for every fact, and on a terminal a standing bar below them.

Only waves and the hosts in hand are drawn, never a row per host: redrawing hundreds of rows costs
more than the rollout itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from liftlock import ledger
from liftlock.adapters import terminal
from liftlock.ledger import Entry
from liftlock.model import Action, Outcome, Plan
from liftlock.progress import Progress, Standing

SHOWN = 8
"""How many of the hosts in hand the bar names."""


@contextmanager
def watching(plan: Plan, *, quiet: bool) -> Iterator[Callable[[Entry, Progress], None]]:
    """Show facts as they are recorded; with `quiet` on standard error, and only on a terminal."""
    screen = terminal.errors() if quiet else terminal.console()
    if quiet and not screen.is_terminal:
        yield lambda _entry, _progress: None
        return
    if not screen.is_terminal:
        yield lambda entry, progress: _say(screen, entry, progress)
        return
    with Live(console=screen, refresh_per_second=8, transient=True) as bar:

        def on_entry(entry: Entry, progress: Progress) -> None:
            _say(screen, entry, progress)
            bar.update(_bar(plan, progress))

        yield on_entry


def line(entry: Entry, progress: Progress) -> Text | None:
    """One fact in words; None for facts that say nothing to a person watching."""
    fact = entry.fact
    match fact:
        case ledger.Started(action=Action.UPGRADE):
            return Text(f"{fact.host}: {fact.from_version} > {fact.to_version}, attempt {fact.attempt}")
        case ledger.Started():
            return Text(f"{fact.host}: back {fact.from_version} > {fact.to_version}", style="yellow")
        case ledger.Switched():
            return Text(f"{fact.host}: {fact.version} answers healthy ({fact.seconds:.1f} s)", style="green")
        case ledger.Ailing():
            return Text(f"{fact.host}: ailing: {fact.cause}", style="red")
        case ledger.Recalled():
            return Text(f"{fact.host}: recalled: {fact.reason}", style="yellow")
        case ledger.Voided():
            what = f"is left on {fact.version}, on its way" if fact.version else "switched nothing"
            return Text(f"{fact.host}: attempt {fact.attempt} {what} ({fact.cause})", style="yellow")
        case ledger.LeftOut():
            return Text(f"{fact.host}: {fact.outcome}: {fact.reason}", style="yellow")
        case ledger.Ended():
            return _ended(fact)
        case ledger.WaveOpened():
            hosts = "1 host" if len(fact.hosts) == 1 else f"{len(fact.hosts)} hosts"
            return Text(f"wave {fact.wave}: {hosts}, by what the others have shown")
        case ledger.Baking():
            bake = progress.lineup.plan.policy.bake
            return Text(f"wave {fact.wave}: all through, watching for {bake.total_seconds():g} s")
        case ledger.Drilled():
            return Text(f"{fact.host}: the drill: back on {fact.version}, up again next", style="yellow")
        case ledger.Paused():
            return Text(f"paused by {fact.by}: {fact.reason}", style="bold yellow")
        case ledger.Resumed():
            return Text(f"resumed by {fact.by}")
        case ledger.Approved():
            return Text(f"approved by {fact.by}")
        case ledger.Halted() if not progress.aborted:
            return Text(f"halted: {fact.reason}", style="bold red")
        case ledger.Aborted():
            return Text(f"ended by {fact.by}: {fact.reason}", style="bold red")
        case _:
            return None


def _ended(fact: ledger.Ended) -> Text:
    style = {Outcome.SUCCEEDED: "green", Outcome.ALREADY_CURRENT: "green", Outcome.ROLLED_BACK: "yellow"}
    version = f" on {fact.version}" if fact.version else ""
    cause = f": {fact.cause}" if fact.cause else ""
    if fact.outcome is Outcome.REFUSED and fact.detail:  # it says what would free the host
        cause += f": {fact.detail}"
    return Text(f"{fact.host}: {fact.outcome}{version}{cause}", style=style.get(fact.outcome, "red"))


def _say(screen: Console, entry: Entry, progress: Progress) -> None:
    text = line(entry, progress)
    if text is not None:
        screen.print(Text(f"{entry.at:%H:%M:%S} ", style="dim") + text, soft_wrap=True)


def _bar(plan: Plan, progress: Progress) -> Group:
    in_hand = sorted(progress.group(Standing.IN_HAND))
    more = f" and {len(in_hand) - SHOWN} more" if len(in_hand) > SHOWN else ""
    of = "" if plan.policy.by_evidence else f" of {len(progress.sizes)}"
    counts = Text.assemble(
        (f"{plan.brings}  ", "bold"),
        f"wave {progress.wave or len(progress.sizes)}{of}  ",
        (f"{progress.count(Standing.SUCCEEDED)} succeeded  ", "green"),
        f"{progress.count(Standing.SWITCHED)} in the bake  ",
        (f"{progress.count(Standing.FAILED)} failed of {plan.allowed_failures} allowed", "red"),
    )
    hands = Text(f"in hand: {', '.join(in_hand[:SHOWN]) or 'none'}{more}", style="dim")
    for text in (counts, hands):
        text.no_wrap, text.overflow = True, "ellipsis"
    return Group(counts, hands)
