"""A path on a terminal: a line for each hop with the rule behind it, or what cuts the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from liftlock.adapters.terminal import BAD, DIM, console, table

if TYPE_CHECKING:
    from liftlock.app.paths import Explained


def show_path(explained: Explained) -> None:
    """The path, or why there is none, and which facts of a host it depends on."""
    screen = console()
    way = f"{explained.product} from {explained.from_version} to {explained.to_version}"
    if explained.reason:
        screen.print(Text(f"{way}: no path", style=BAD))
        _show_dead_end(explained)
    elif not explained.hops:
        screen.print(Text(f"{way}: nothing to do, it is the same version"))
    else:
        screen.print(Text(f"{way}: {len(explained.hops)} hop{'s' if len(explained.hops) > 1 else ''}"))
        _show_hops(explained)
    if explained.asked:
        given = (_given(explained, name) for name in explained.asked)
        screen.print(Text(f"Conditions ask for facts of the host: {', '.join(given)}", style=DIM))
    if idle := sorted(set(explained.facts) - set(explained.asked)):
        screen.print(Text(f"No condition asks for: {', '.join(idle)}", style=DIM))


def _show_hops(explained: Explained) -> None:
    rows = table("hop", "from", "to", "rule")
    for number, hop in enumerate(explained.hops, start=1):
        rows.add_row(str(number), hop.from_version, hop.to_version, Text(hop.rule))
        if hop.settled_gate:
            rows.add_row("", "", "", Text(f"then the gate {hop.settled_gate} must pass", style=DIM))
    console().print(rows)


def _show_dead_end(explained: Explained) -> None:
    screen = console()
    if not explained.cuts:
        screen.print(Text(explained.reason))
        return
    screen.print(Text(f"Nearest reachable: {', '.join(explained.nearest) or 'no other release'}"))
    for cut in explained.cuts:
        screen.print(Text(f"  {cut}"))


def _given(explained: Explained, name: str) -> str:
    value = explained.facts.get(name, "")
    words = value if isinstance(value, str) else "+".join(value)
    return f"{name}={words}" if words else f"{name} (empty)"
