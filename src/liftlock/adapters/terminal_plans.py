"""Changes between plans, approvals, the maintenance calendar and the lifecycle on a terminal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from liftlock.adapters.terminal import BAD, DIM, GOOD, console, table
from liftlock.difference import Change
from liftlock.lifecycle import Ageing, Lifecycle, OpenSecurity, Source, Support, Unknown
from liftlock.maintenance import Booking, Calendar
from liftlock.model import Plan

if TYPE_CHECKING:
    from rich.table import Table

    from liftlock.app.changing import Agreed, MadeAgain

NAMED = 3
"""How many hosts of a booking or a line are named; JSON and page name all."""

_SUPPORT = {Support.PAST: BAD, Support.NEAR: "yellow", Support.UNDECLARED: DIM}
_KNOWN = {
    Source.LOOK: "seen just now",
    Source.LEDGER: "as the ledger saw last",
    Source.INVENTORY: "by the inventory's word",
}


def show_changes(old: Plan, new: Plan, changes: Sequence[Change]) -> None:
    """What changed from one plan to another, a line each; what voids notices and approvals stands out."""
    screen = console()
    screen.print(Text(f"\nFrom plan {old.id[:8]} to plan {new.id[:8]}:", style="bold"))
    if not changes:
        screen.print("  nothing but the moment it was made")
    for change in changes:
        screen.print(Text(f"  {change.words}", style="" if change.material else DIM), soft_wrap=True)


def show_made_again(made: MadeAgain) -> None:
    """What planning again brought: that the plan goes on, or the plan that is to be told and approved instead."""
    screen = console()
    if made.new is None:
        inputs = ", ".join(change.subject for change in made.changes if change.subject)
        said = f"Planned again after changes to {inputs}: nothing else changed, plan {made.old.id[:8]} goes on."
        screen.print(Text(said), soft_wrap=True)
        return
    show_changes(made.old, made.new, made.changes)
    new = made.new.id[:8]
    asked = f"liftlock approve {new} --by NAME, " if made.new.approvals else ""
    screen.print(Text(f"\nNo host was touched. Plan {new} stands in for {made.old.id[:8]}.", style="bold"))
    screen.print(Text(f"Next: {asked}liftlock gate {new}, liftlock notify {new}, liftlock rollout {new}"))


def show_approvals(agreed: Agreed) -> None:
    """Who approved a plan and how many are missing."""
    screen = console()
    if not agreed.recorded:
        screen.print("That person had approved it before; once counts.")
    for given in agreed.given:
        note = f": {given.note}" if given.note else ""
        screen.print(Text(f"{given.at:%Y-%m-%d %H:%M} UTC  {given.by}{note}"), soft_wrap=True)
    needed = agreed.plan.approvals
    style = BAD if agreed.missing else GOOD
    missing = f", {agreed.missing} missing" if agreed.missing else ""
    said = f"{len(agreed.given)} of {needed} approvals{missing}" if needed else "The plan needs no approval; recorded."
    screen.print(Text(said, style=style))


def show_calendar(calendar: Calendar, written: Sequence[Path]) -> None:
    """Week by week whose hosts are worked on; conflicts first."""
    screen = console()
    for collision in calendar.collisions:
        one, other = (plan[:8] for plan in collision.plans)
        at = f"{collision.overlap.start:%a %d %b %H:%M}-{collision.overlap.end:%a %H:%M} UTC"
        said = f"conflict: {collision.host} ({collision.customer}) is in plans {one} and {other}, {at}"
        screen.print(Text(said, style=BAD), soft_wrap=True)
    for week in calendar.weeks:
        if week.bookings:
            screen.print(Text(f"\nWeek {week.monday.isocalendar().week}, from {week.monday:%a %d %b %Y}", style="bold"))
            screen.print(_bookings(week.bookings))
    if not calendar.bookings:
        screen.print(f"No open plan has a window in the {len(calendar.weeks)} weeks from this one on.")
    if calendar.missed:
        screen.print(Text("\nWindow over, hosts not done: plan again", style="bold"))
        screen.print(_bookings(calendar.missed))
    if calendar.later:
        screen.print(f"\n{len(calendar.later)} more later; see --weeks", style=DIM)
    if calendar.superseded:
        plans = ", ".join(plan[:8] for plan in calendar.superseded)
        screen.print(Text(f"\nNot shown, a later plan stands in for it: {plans}", style=DIM), soft_wrap=True)
    for path in written:
        screen.print(Text(f"Written to {path}"), soft_wrap=True)


def _bookings(bookings: Iterable[Booking]) -> Table:
    rows = table("customer", "window (customer's time)", "plan", "hosts")
    for booking in bookings:
        start, end = booking.local
        hosts = Text(f"{len(booking.hosts)}: {some(booking.hosts)}")
        if booking.colliding:
            hosts.append(f"\nconflict: {some(booking.colliding)}", style=BAD)
        for lack in booking.lacking:
            hosts.append(f"\n{lack}", style="yellow")
        rows.add_row(
            Text(booking.customer),
            f"{start:%a %d %b %H:%M}\n  -{end:%a %H:%M %Z}",
            f"{booking.plan[:8]}\n{booking.product} {booking.version}",
            hosts,
        )
    return rows


def show_lifecycle(lifecycle: Lifecycle, days: int) -> None:
    """Versions past or near their support end, open security releases, and how the versions are known."""
    screen = console()
    if not lifecycle.hosts:
        screen.print("No version is known: nothing can be said of support and security releases.")
        _show_unknown(lifecycle.unknown)
        return
    if lifecycle.ageing:
        screen.print(Text("Support", style="bold"))
        screen.print(_ageing(lifecycle.ageing))
    else:
        screen.print(
            f"No {_all_known(lifecycle, 'known ')}version is past its support end or within {days} days of it."
        )
    screen.print()
    if lifecycle.security:
        screen.print(Text("Security releases not yet everywhere", style="bold"))
        screen.print(_security(lifecycle.security))
    else:
        screen.print(f"Every security release is at every host{_all_known(lifecycle, ' whose version is known')}.")
    for product in lifecycle.silent:
        screen.print(f"{product}: product.yaml declares no support lines", style=DIM)
    for one in lifecycle.unorderable:
        screen.print(Text(f"{one.host}: its version {one.version!r} cannot be ordered", style="yellow"))
    _show_unknown(lifecycle.unknown)
    ones = "installation" if lifecycle.hosts == 1 else "installations"
    screen.print(f"\n{lifecycle.hosts} {ones}: {known(lifecycle.sources)}", style=DIM)


def _all_known(lifecycle: Lifecycle, unless: str) -> str:
    """What a sentence about all versions has to add where some are not known, or cannot be compared."""
    return unless if lifecycle.unknown or lifecycle.unorderable else ""


def _show_unknown(unknown: Iterable[Unknown]) -> None:
    alike: dict[tuple[str, str], list[str]] = defaultdict(list)
    for one in unknown:
        alike[one.product, one.why].append(one.host)
    for (product, why), hosts in alike.items():
        of = f"version of {product}" if product else "product"
        said = f"{len(hosts)} not known, {of}: {some(sorted(hosts))} ({why})"
        console().print(Text(said, style="yellow"), soft_wrap=True)


def _ageing(lines: Iterable[Ageing]) -> Table:
    rows = table("customer", "version", "support", "hosts", "version known")
    for one in lines:
        rows.add_row(
            Text(one.customer),
            f"{one.product} {one.version}",
            Text(support(one), style=_SUPPORT[one.support]),
            Text(f"{len(one.hosts)}: {some(one.hosts)}"),
            known(one.sources),
        )
    return rows


def _security(lines: Iterable[OpenSecurity]) -> Table:
    rows = table("release", "since", "hosts without", "customers")
    for one in lines:
        since = "no date given" if one.days_since is None else f"{one.days_since} days"
        customers = [f"{customer} ({len(hosts)})" for customer, hosts in one.lacking.items()]
        without = f"{one.hosts_lacking} of {one.hosts}"
        rows.add_row(f"{one.product} {one.version}", since, without, Text(some(customers, 10)))
    return rows


def support(one: Ageing) -> str:
    """How the version stands, in words."""
    if one.days_left is None:
        return "no support line declared"
    if one.support is Support.PAST:
        return f"ended {one.ends}, {-one.days_left} days ago"
    return f"ends {one.ends}, in {one.days_left} days"


def known(sources: Mapping[Source, int]) -> str:
    """How many versions are known in which way."""
    return ", ".join(f"{count} {_KNOWN[source]}" for source, count in sources.items())


def some(names: Sequence[str], shown: int = NAMED) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
