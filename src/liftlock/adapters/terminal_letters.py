"""What people read on a terminal about letters."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from liftlock.adapters.terminal import BAD, GOOD, console, table, warn
from liftlock.model import NoticeState, Plan
from liftlock.outbox import identity

if TYPE_CHECKING:
    from liftlock.app.telling import Told


def show_told(told: Told, plan: Plan) -> None:
    """What became of each letter, which wait for a person's word, and who cannot be told by this plan."""
    screen = console()
    if told.delivered:
        rows = table("customer", "recipient", "notice", "", "")
        for letter in told.delivered:
            style = GOOD if letter.state is NoticeState.SENT else BAD
            detail = "" if letter.state is NoticeState.SENT else letter.detail
            rows.add_row(
                letter.customer or "(release manager)",
                Text(letter.recipient),
                letter.kind,
                Text(letter.state, style=style),
                Text(detail),
            )
        screen.print(rows)
    sent = sum(letter.state is NoticeState.SENT for letter in told.delivered)
    screen.print(f"{sent} sent now, {told.already_sent} sent before")
    for one in (*told.ambiguous, *told.refused):
        refused = one.state is NoticeState.REFUSED
        words = f"was refused: {one.detail}" if refused else "may or may not have arrived"
        screen.print(Text(f"{one.recipient}: {one.kind} {words}", style=BAD), soft_wrap=True)
        settle = f"--settle {identity(one.message_id)[:12]}=sent (or =resend) --reason WHY"
        screen.print(f"  liftlock notify {plan.id[:8]} {settle}", soft_wrap=True)
    for later in told.gave_way_to:
        screen.print(f"a later plan stands in for it: liftlock notify {later[:8]}", soft_wrap=True)
    if told.too_late:
        who = ", ".join(told.too_late)
        words = f"{who}: not told, it is too late to keep the lead time of plan {plan.id[:8]}; plan again:"
        screen.print(Text(words, style=BAD), soft_wrap=True)
        screen.print(f"  {plan.command}", soft_wrap=True)


def show_loop(told: Told | str, plan: Plan) -> None:
    """What people were told at the end of a rollout: nothing is said when there was nothing to tell."""
    if isinstance(told, str):
        warn(told)
    elif told.delivered or told.ambiguous or told.refused:
        console().print("\nNotices:", style="bold")
        show_told(told, plan)


def open_page(path: Path) -> None:
    """Open a page in the browser of whoever sits at the terminal; nothing happens where nobody does."""
    if sys.stdout.isatty():
        webbrowser.open(path.absolute().as_uri())
