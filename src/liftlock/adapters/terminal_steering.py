"""What people read when they steer a rollout, or look at its incident."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from liftlock.adapters.terminal import BAD, DIM, GOOD, console

if TYPE_CHECKING:
    from liftlock.app.steering import Steered

_NEXT = {
    "paused": "a rollout that runs stops after the hosts in hand; go on with: liftlock resume {plan}",
    "resumed": "a rollout that waits goes on by itself; else: liftlock rollout {plan}",
    "aborted": "nothing new starts under it; bring its hosts back with: liftlock rollback {plan} --reason WHY",
}


def show_steered(did: Steered) -> None:
    """What was recorded, and what comes of it."""
    screen, plan = console(), did.plan.id[:8]
    why = f": {did.reason}" if did.reason else ""
    screen.print(Text(f"Plan {plan} {did.did} by {did.by}{why}"), soft_wrap=True)
    if did.in_hand:
        screen.print(Text(f"in hand: {', '.join(did.in_hand)}"), soft_wrap=True)
    screen.print(Text(_NEXT[did.did].format(plan=plan), style=DIM), soft_wrap=True)


def show_incidents(told: dict[str, Any]) -> None:
    """Each incident with its clocks."""
    screen = console()
    for one in told["incidents"]:
        screen.print(Text(f"{one['opened_at']:%Y-%m-%d %H:%M:%S} UTC: {one['reason']}", style="bold"), soft_wrap=True)
        by = f" ({one['by']})" if one["by"] else ""
        for what, clock, who in (("acknowledged", one["acknowledge"], by), ("recovered", one["recover"], "")):
            style = BAD if clock["missed"] else GOOD
            within = f"within {clock['within_seconds'] / 60:g} min"
            screen.print(Text(f"  {what} {within}: ") + Text(f"{clock['words']}{who}", style=style), soft_wrap=True)
    if not told["incidents"]:
        screen.print("No incident.")
