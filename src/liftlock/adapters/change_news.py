"""What is new for a customer that goes by earlier plans: what changes, and from what."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from liftlock.case import Before, Case
from liftlock.difference import What, difference
from liftlock.model import Plan, PlannedHost, Window
from liftlock.notice import Share

_Hosts = dict[tuple[str, str], PlannedHost]
"""By product and machine."""
_THE_WAY = frozenset({What.PATH, What.LENGTH})


@dataclass(frozen=True, slots=True)
class ChangeNews:
    """What is new for a customer, by names of hosts.

    Its windows `moved` from those of `windows`, each with its hosts there; `releases` are what it was to get before,
    where that is another. `taken` are all the hosts of which the earlier word no longer holds, `kept` those of which it
    does: this plan leaves them to the earlier one. `other` is what else changed on the way.
    """

    moved: bool = False
    windows: tuple[tuple[Window, tuple[str, ...]], ...] = ()
    releases: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    taken: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    other: bool = False


def change_news(case: Case, part: Share, titles: Mapping[str, str]) -> ChangeNews:
    """What is new since the plans that the customer goes by; nothing where it goes by none. `titles` is by product."""
    changed = case.changed(part.customer.name)
    if not changed:
        return ChangeNews()
    old: _Hosts = {}
    for before in changed:
        old = {**_hosts(before.case.plan, part.customer.name, before.hosts), **old}  # the newest plan is the last word
    new = _hosts(case.plan, part.customer.name, {host.planned.name for host in part.hosts})
    was, now = (tuple(dict.fromkeys(host.machine for host in hosts.values())) for hosts in (old, new))
    both = old.keys() & new.keys()
    other_products = {machine for _, machine in old.keys() ^ new.keys()} & set(was) & set(now)
    windows: dict[Window, list[str]] = {}
    for host in old.values():
        windows.setdefault(host.window, []).append(host.machine)
    return ChangeNews(
        # What the difference of plans calls the same window may begin later than the customer was told.
        moved=any(old[place].window != new[place].window for place in both),
        windows=tuple(
            (window, tuple(dict.fromkeys(windows[window])))
            for window in sorted(windows, key=lambda window: (window.start, window.end))
        ),
        releases=_releases(changed, case.plan, titles),
        added=tuple(sorted(set(now) - set(was))),
        dropped=tuple(sorted(set(was) - set(now))),
        taken=tuple(sorted(was)),
        kept=_kept(changed, part.customer.name),
        other=bool(other_products) or any(_is_another_way(one, case.plan, set(now)) for one in changed),
    )


def _hosts(plan: Plan, customer: str, names: Collection[str]) -> _Hosts:
    theirs = (host for host in plan.hosts if host.customer == customer and host.name in names)
    return {(plan.product_of(host), host.machine): host for host in theirs}


def _releases(changed: Collection[Before], plan: Plan, titles: Mapping[str, str]) -> tuple[str, ...]:
    """What the customer was to get before, such as `Boathouse 1.5.0`, where it is not what it gets now."""
    products = (one.case.plan.products.items() for one in changed)
    old = dict.fromkeys(item for items in products for item in items if item not in plan.products.items())
    return tuple(f"{titles.get(name, name)} {version}" for name, version in old)


def _kept(changed: Collection[Before], customer: str) -> tuple[str, ...]:
    """The hosts that stay with an earlier plan which may go on."""
    left = [
        one.case.planned[record.host].machine
        for one in changed
        for record in one.case.ahead(customer)
        if not one.case.dead and record.host not in one.hosts
    ]
    return tuple(sorted(set(left)))


def _is_another_way(before: Before, plan: Plan, machines: Collection[str]) -> bool:
    """Whether hosts take other hops than before, or longer."""
    return any(
        change.what in _THE_WAY and any(name.partition("/")[0] in machines for name in change.hosts)
        for change in difference(before.case.plan, plan)
    )
