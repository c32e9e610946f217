"""The record's own state, as people read it on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from liftlock.adapters.terminal import BAD, GOOD, console

if TYPE_CHECKING:
    from liftlock.app.auditing import Verified


def show_verified(made: Verified) -> None:
    """How many entries hold, the hash to keep elsewhere, and what does not hold."""
    screen = console()
    for problem in made.problems:
        screen.print(Text(problem, style=BAD), soft_wrap=True)
    holds = Text(
        "1 entry holds" if made.entries == 1 else f"{made.entries} entries hold", style="" if made.problems else GOOD
    )
    if made.written_at:
        holds.append(f"; the last, of {made.written_at:%Y-%m-%d %H:%M:%S} UTC, has the hash", style="default")
    screen.print(holds, soft_wrap=True)
    if made.written_at:
        screen.print(made.head)
    if made.file:
        screen.print(Text(f"They are in {made.file}"), soft_wrap=True)
