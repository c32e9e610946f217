"""Needs: which product of a plan goes first at a customer, and what must not run beside what. Pure.

A release may need versions of other products at the same customer (`Release.needs`). The rules:

1. A product goes after those that the releases on its hosts' ways need (`Needs.order`); otherwise by name. When that
   leads round in a circle, only what is not met yet counts; when it still does, there is no such plan.
2. A host goes only when every host of each needed product at its customer meets all needs on its way: with the version
   that the plan takes it to, if that product goes first, else also with the one it has. A customer at which nobody is
   known to run the product meets nothing.
3. A host does not go where its new version would break a release of another product that is installed at its customer
   and stays. What was broken before does not hold it back.

Rules 2 and 3 look at where things stand before the plan and at its end, not at what runs while it is half through.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter

from packaging.version import Version

from liftlock.errors import InputError
from liftlock.model import Catalogue, Channel, Exclusion, Hop, Outcome, PlannedHost, Release
from liftlock.version import meets, parsed

_Edges = Mapping[str, Mapping[str, Release]]
"""By product, and by what it needs of others, the newest release on a way that says so."""


@dataclass(frozen=True, slots=True)
class Installed:
    """One product on one host of a customer, `name` as the plan would call it; no version when nobody knows it."""

    host: str
    name: str
    version: str
    unknown: str = ""


@dataclass(frozen=True)
class Needs:
    """What the products of a fleet need of each other.

    `catalogues` are by product, `wanted` are the versions of the plan's products, its own first, and `installed` is
    what is known of each customer's hosts, by customer and product.
    """

    catalogues: Mapping[str, Catalogue]
    wanted: Mapping[str, str]
    installed: Mapping[tuple[str, str], Sequence[Installed]]

    @cached_property
    def any(self) -> bool:
        """Whether some release needs something."""
        return any(release.needs for catalogue in self.catalogues.values() for release in catalogue.releases)

    def order(self, planned: Iterable[PlannedHost]) -> list[str]:
        """The plan's products in the order in which they go. Raises InputError, with the members, for a circle."""
        ways = {(host.customer, id(host.hops)): host for host in planned} if self.any else {}
        every = self._edges(ways.values(), lambda _customer, _product, _range: True)
        try:
            return _in_order(self.wanted, every)
        except CycleError:
            pending = self._edges(ways.values(), self._unmet_now)
        try:
            return _in_order(self.wanted, pending)
        except CycleError as error:
            raise InputError(f"no order is right: {self._circle(pending, error.args[1])}") from None

    def refusals(
        self, planned: Sequence[PlannedHost], left_out: Mapping[str, Exclusion], order: Sequence[str]
    ) -> list[Exclusion]:
        """Those of the planned hosts that must not go, each with the reason; `left_out` are the others, by name.

        With them left out, more may have to be: ask again.
        """
        if not self.any:
            return []
        going = {host.name for host in planned}
        reasons: dict[tuple[str, int], str] = {}
        for host in planned:
            way = host.customer, id(host.hops)
            if way not in reasons:
                reasons[way] = self._lack(host, going, left_out, order) or self._harm(host, going)
        return [
            Exclusion(host.name, host.customer, Outcome.REFUSED, reason)
            for host in planned
            if (reason := reasons[host.customer, id(host.hops)])
        ]

    def _product(self, host: PlannedHost) -> str:
        return host.product or next(iter(self.wanted))

    def _on_the_way(self, product: str, hops: Iterable[Hop]) -> list[Release]:
        return [self._releases[product][parsed(hop.to_version)] for hop in hops]

    @cached_property
    def _releases(self) -> dict[str, dict[Version, Release]]:
        return {
            name: {parsed(release.version): release for release in catalogue.releases}
            for name, catalogue in self.catalogues.items()
        }

    def _edges(self, hosts: Iterable[PlannedHost], counts: Callable[[str, str, str], bool]) -> _Edges:
        """The needs among the plan's products on the ways of these hosts, as far as `counts` for their customer."""
        edges: dict[str, dict[str, Release]] = {}
        for host in hosts:
            product = self._product(host)
            for release in self._on_the_way(product, host.hops):
                for needed, wanted in release.needs.items():
                    if needed not in self.wanted or not counts(host.customer, needed, wanted):
                        continue
                    newest = edges.setdefault(product, {}).setdefault(needed, release)
                    if parsed(newest.version) < parsed(release.version):
                        edges[product][needed] = release
        return edges

    def _unmet_now(self, customer: str, product: str, wanted: str) -> bool:
        return any(not _meets(one.version, wanted) for one in self.installed.get((customer, product), ()))

    def _circle(self, edges: _Edges, found: Sequence[str]) -> str:
        """The members of a circle in words; in `found` each is needed by the next, and the last is the first."""
        members = list(reversed(found[1:]))
        first = next((name for name in self.wanted if name in members), members[0])
        place = members.index(first)
        members = [*members[place:], *members[:place]]
        needs = zip(members, [*members[1:], first], strict=True)
        return ", ".join(f"{one} {edges[one][other].version} needs {other}" for one, other in needs)

    def _lack(
        self, host: PlannedHost, going: Collection[str], left_out: Mapping[str, Exclusion], order: Sequence[str]
    ) -> str:
        """What the customer lacks of what the host's way needs (rule 2); empty when nothing."""
        product = self._product(host)
        for release in self._on_the_way(product, host.hops):
            for needed, wanted in sorted(release.needs.items()):
                demand = f"{release.version} needs {needed} {wanted}"
                there = self.installed.get((host.customer, needed), ())
                if not there:
                    unsaid = f"no host of {host.customer} is known to run {needed} (products in the inventory)"
                    return f"{demand}, and {unsaid}"
                first = needed in order and order.index(needed) < order.index(product)
                comes_right = first and _meets(self.wanted[needed], wanted)
                for one in there:
                    if comes_right and one.name in going:
                        continue
                    if lack := self._falls_short(one, needed, wanted, goes=one.name in going, first=first):
                        return f"{demand}, {lack}{self._remedy(one, host, needed, going, left_out)}"
        return ""

    def _falls_short(self, one: Installed, needed: str, wanted: str, *, goes: bool, first: bool) -> str:
        """How a host does not meet what is wanted of it, when it goes by this plan, first or later; else empty."""
        if goes and not _meets(self.wanted[needed], wanted):
            return f"{one.host} gets {self.wanted[needed]}"
        if (goes and first) or _meets(one.version, wanted):
            return ""
        return f"{one.host} has {one.version}" if one.version else f"what {one.host} has is not known: {one.unknown}"

    def _remedy(
        self,
        one: Installed,
        host: PlannedHost,
        needed: str,
        going: Collection[str],
        left_out: Mapping[str, Exclusion],
    ) -> str:
        """What would help a host whose way needs another version, or why this plan does not."""
        left = left_out.get(one.name)
        if not one.version:
            return ""
        if left and left.outcome is not Outcome.ALREADY_CURRENT:
            return f" and is left out: {left.reason}"
        if needed in self.wanted and not left and one.name not in going:
            return " and is not asked for"
        ranges = [
            release.needs[needed]
            for release in self._on_the_way(self._product(host), host.hops)
            if needed in release.needs
        ]

        def that(release: Release) -> bool:
            return all(_meets(release.version, wanted) for wanted in ranges)

        fits = self._newest(needed, lambda release: that(release) and not self._needs_in_turn(release, host))
        if not fits and self._newest(needed, that):
            return f"; each stable release of {needed} that is that needs {self._product(host)} in turn"
        if not fits:
            return f"; no stable release of {needed} is that"
        is_own = needed == next(iter(self.wanted))
        return f": plan {needed} {fits} instead" if is_own else f": plan it along with --also {needed}={fits}"

    def _needs_in_turn(self, release: Release, host: PlannedHost) -> bool:
        """Whether a release that this host's way needs would make a circle: what it lacks itself leads back there."""
        lacking: set[str] = set()
        ahead = [release]
        while ahead:
            for other, wanted in ahead.pop().needs.items():
                if other in self.wanted and other not in lacking and self._unmet_now(host.customer, other, wanted):
                    lacking.add(other)
                    ahead.append(self._releases[other][parsed(self.wanted[other])])
        return self._product(host) in lacking

    def _newest(self, product: str, fits: Callable[[Release], bool]) -> str:
        """The newest stable release of a product that fits; empty when none does."""
        stable = (
            release
            for release in reversed(self.catalogues[product].releases)
            if release.channel is Channel.STABLE and not parsed(release.version).is_prerelease
        )
        return next((release.version for release in stable if fits(release)), "")

    def _harm(self, host: PlannedHost, going: Collection[str]) -> str:
        """What installed at its customer the host's new version would break (rule 3); empty when nothing."""
        product, goal = self._product(host), host.wanted
        for other, customer_has in self._beside(host.customer, product):
            for one in customer_has:
                wanted = self._needs_of(other, one.version).get(product, "")
                if not wanted or one.name in going or _meets(goal, wanted) or not _meets(host.observed, wanted):
                    continue
                fits = self._newest(other, lambda release: _meets(goal, release.needs.get(product, "")))
                along = f": plan {other} along with --also {other}={fits}" if fits and other not in self.wanted else ""
                return f"{goal} would break {other} {one.version} on {one.host}, which needs {product} {wanted}{along}"
        return ""

    def _beside(self, customer: str, product: str) -> Iterator[tuple[str, Sequence[Installed]]]:
        """The other products at a customer that may need this one, by name."""
        for other in self._needing.get(product, ()):
            if there := self.installed.get((customer, other)):
                yield other, there

    @cached_property
    def _needing(self) -> dict[str, list[str]]:
        """By product the others that have a release which needs it, by name."""
        needing: dict[str, list[str]] = {}
        for name in sorted(self.catalogues):
            for needed in {needed for release in self.catalogues[name].releases for needed in release.needs}:
                needing.setdefault(needed, []).append(name)
        return needing

    def _needs_of(self, product: str, version: str) -> Mapping[str, str]:
        """What an installed version needs: a fix of a customer's own, `2.0.0+hot1`, as much as what it is of."""
        known = self._known
        if (product, version) not in known:
            try:
                release = self._releases[product].get(parsed(parsed(version).public))
            except ValueError:
                release = None
            known[product, version] = release.needs if release else {}
        return known[product, version]

    @cached_property
    def _known(self) -> dict[tuple[str, str], Mapping[str, str]]:
        """What installed versions need, as far as that was asked: hosts are many, versions few."""
        return {}


def _meets(version: str, wanted: str) -> bool:
    """Whether a version is in a range; one that is not known, or cannot be ordered, is in none but the empty."""
    try:
        return not wanted or meets(version, wanted)
    except ValueError:
        return False


def _in_order(products: Iterable[str], edges: _Edges) -> list[str]:
    """The products, each after those it needs, otherwise by name. Raises CycleError when they go round."""
    sorter = TopologicalSorter({product: sorted(edges.get(product, ())) for product in sorted(products)})
    sorter.prepare()
    ready: list[str] = []
    ordered: list[str] = []
    while sorter.is_active():
        first, *ready = sorted((*ready, *sorter.get_ready()))
        ordered.append(first)
        sorter.done(first)
    return ordered
