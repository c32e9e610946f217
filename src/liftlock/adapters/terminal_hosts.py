"""Work on hosts beside a rollout, as people read it on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from liftlock.adapters.terminal import BAD, DIM, GOOD, console, table

if TYPE_CHECKING:
    from liftlock.app.staging import HostWork


def show_host_work(verb: str, done: Sequence[HostWork], logs: Path) -> None:
    """A line per host, those that went wrong first, then one sentence."""
    screen = console()
    rows = table("host", verb, "releases", "why")
    for one in sorted(done, key=lambda one: (one.well, one.host)):
        word = Text("yes", style=GOOD) if one.well else Text("no", style=BAD)
        why = ": ".join(part for part in (one.cause, one.detail) if part)
        rows.add_row(one.host, word, ", ".join(one.versions), Text(why))
    if done:
        screen.print(rows)
    screen.print(f"{sum(one.well for one in done)} of {len(done)} hosts {verb}.")
    if not all(one.well for one in done):
        screen.print(f"Full output in {logs}", style=DIM, soft_wrap=True)


def show_unlocked(one: HostWork) -> None:
    """Whether the lock was broken, and who held it."""
    why = ": ".join(part for part in (one.cause, one.detail) if part)
    style = "" if one.well else BAD
    screen_text = f"{one.host}: {'unlocked' if one.well else 'not unlocked'}{f' ({why})' if why else ''}"
    console().print(Text(screen_text, style=style))
