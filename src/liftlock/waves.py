"""Order and waves: who goes first, how many go together, and what may be lost on the way.

Hosts of low-risk customers come first (tier `internal` or `low`, then `standard` and any other, then
`key`). Within a tier:

1. First come hosts that show something new, so that a small first wave meets as many kinds of hosts as it can.
   A host's kind is its customer's site (the host label `site`), its operating system (the fact `os`), the version
   it comes from, and its number of hops. Whoever shows most that nobody before has shown is next. Such a greedy
   cover shows, for every number of hosts, at least 63 % (1 - 1/e) of what the best choice of as many could show
   (Nemhauser, Wolsey and Fisher 1978, doi:10.1007/BF01588971).
2. All others follow: customers take turns, within a customer its sites, and within a site its kinds.

Ties in the first go by the turns of the second, there by name. Nothing is drawn by lot, so the same inputs
give the same order.

`Policy.waves` are cumulative: `"5"` means that up to 5 hosts are through in total, `"25%"` that a quarter of all
planned hosts is, rounded up; each is at least one host. A wave that adds nobody is dropped; hosts left over by
the last entry make one more wave.

`Policy.waves` of just `"evidence"`: the canaries go first, then each wave is the largest whose chance of
overrunning what is left of the budget is at most `risk_percent` (`next_wave`). The plan foretells the waves
that come when no host fails; a rollout asks the same function again before each wave.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from heapq import heapify, heappop, heappush
from itertools import groupby, islice
from operator import attrgetter, itemgetter

from liftlock.errors import InputError
from liftlock.evidence import largest_wave, posterior, prior_from
from liftlock.model import Fleet, Plan, PlannedHost, Prior

MOST_CANARIES = 10
_WAVES_LISTED = 8
_Kind = tuple[str, str, str, str, int]
"""Customer, site, operating system, observed version, number of hops."""
_Feature = tuple[str, *tuple[str | int, ...]]
_TIERS = {"internal": 0, "low": 0, "standard": 1, "key": 2}


def in_rollout_order(fleet: Fleet, planned: Iterable[PlannedHost]) -> list[PlannedHost]:
    """By the order in this module's docstring; `planned` comes in by name."""
    systems = {host.name: str(host.facts["os"]) for host in fleet.hosts if "os" in host.facts}
    kinds: dict[_Kind, list[PlannedHost]] = {}
    for host in planned:
        kind = host.customer, host.site, systems.get(host.machine, "") if systems else "", host.observed, len(host.hops)
        kinds.setdefault(kind, []).append(host)
    first_of_kind = {hosts[0].name: kind for kind, hosts in kinds.items()}
    sites = {
        site: _in_turns(kinds[kind] for kind in of_site)
        for site, of_site in groupby(sorted(kinds, key=itemgetter(0, 1)), key=itemgetter(0, 1))
    }
    tiers: dict[int, list[list[PlannedHost]]] = {}
    for customer, of_customer in groupby(sites, key=itemgetter(0)):
        tier = _TIERS.get(fleet.customers[customer].tier, _TIERS["standard"])
        tiers.setdefault(tier, []).append(_in_turns(sites[site] for site in of_customer))
    shown: set[_Feature] = set()
    return [host for tier in sorted(tiers) for host in _new_first(_in_turns(tiers[tier]), first_of_kind, shown)]


def _in_turns(parties: Iterable[Iterable[PlannedHost]]) -> list[PlannedHost]:
    """First the first host of each party, then the second of each, and so on."""
    placed: list[PlannedHost] = []
    ahead = [iter(party) for party in parties]
    while ahead:
        row = [(host, party) for party in ahead if (host := next(party, None))]
        placed += [host for host, _ in row]
        ahead = [party for _, party in row]
    return placed


def _new_first(
    placed: Sequence[PlannedHost], first_of_kind: Mapping[str, _Kind], shown: set[_Feature]
) -> list[PlannedHost]:
    """Hosts that show a feature not yet `shown`, whoever shows most first, then the others; adds what they show.

    What a host adds only shrinks as others are drawn, so only the one that promised most is looked at again
    (Minoux 1978, doi:10.1007/BFb0006528).
    """
    firsts = [(place, first_of_kind[host.name]) for place, host in enumerate(placed) if host.name in first_of_kind]
    promised = [(-len(_features(kind) - shown), place, kind) for place, kind in firsts]
    heapify(promised)
    drawn: dict[int, None] = {}
    while promised and promised[0][0] < 0:
        promise, place, kind = heappop(promised)
        adds = len(_features(kind) - shown)
        if adds == -promise:
            drawn[place] = None
            shown |= _features(kind)
        else:
            heappush(promised, (-adds, place, kind))
    return [placed[place] for place in drawn] + [host for place, host in enumerate(placed) if place not in drawn]


def _features(kind: _Kind) -> set[_Feature]:
    customer, site, system, observed, hops = kind
    return {("site", customer, site), ("os", system), ("from", observed), ("hops", hops)}


def in_waves(plan: Plan) -> Iterator[PlannedHost]:
    """The plan's hosts in the same order, each with its wave."""
    hosts = iter(plan.hosts)
    ranks = [sum(1 for _ in of_rank) for _, of_rank in groupby(plan.hosts, key=lambda host: host.rank)]
    fixed = (size for count in ranks for size in _cumulative(plan.policy.waves, count))
    sizes = _foretold(plan) if plan.policy.by_evidence else fixed
    for number, size in enumerate(sizes, start=1):
        for host in islice(hosts, size):
            yield host if host.wave == number else host.placed(number, host.window, host.note)


def next_wave(plan: Plan, *, remaining: int, succeeded: int, failed: int) -> int:
    """How many of the `remaining` hosts the next wave by evidence has, when others ended so in this rollout.

    As long as nothing has succeeded or failed these are the canaries: one in a hundred planned hosts, at most
    ten and no more than may fail, but at least one. Losing all of them stays within the budget if there is one,
    and ten that stay healthy already make a failure rate above 26 % implausible (0.74^10 = 5 %).
    """
    budget = plan.allowed_failures
    if succeeded + failed == 0:
        return min(remaining, max(1, min(math.ceil(len(plan.hosts) / 100), MOST_CANARIES, budget)))
    known = posterior(_known_before(plan), succeeded, failed)
    return largest_wave(known, budget - failed, remaining, plan.policy.risk_percent / 100)


def _known_before(plan: Plan) -> Prior:
    return plan.prior or prior_from(0, 0)


def _foretold(plan: Plan) -> Iterator[int]:
    """The sizes of the waves by evidence when every host succeeds."""
    through = 0
    while through < len(plan.hosts):
        size = next_wave(plan, remaining=len(plan.hosts) - through, succeeded=through, failed=0)
        yield size
        through += size


def _cumulative(waves: Iterable[str], hosts: int) -> Iterator[int]:
    """The sizes of the waves whose ends the policy gives."""
    through = 0
    for end in (*(min(_end_of_wave(wave, hosts), hosts) for wave in waves), hosts):
        if end > through:
            yield end - through
            through = end


def _end_of_wave(wave: str, planned: int) -> int:
    """How many hosts are through after the wave."""
    if re.fullmatch(r"[0-9]+", wave):
        return max(1, int(wave))
    if share := re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)%", wave):
        return max(1, math.ceil(planned * Fraction(share[1]) / 100))
    raise InputError(f"policy: the wave {wave!r} is neither a number of hosts nor a percentage")


def wave_words(plan: Plan) -> str:
    """The sizes of fixed waves, and what their shares are of, in one sentence; empty where there are none."""
    if not plan.shares_of:
        return ""
    many = len(plan.shares_of) > 1
    sizes = [str(sum(1 for _ in hosts)) for _, hosts in groupby(plan.hosts, key=attrgetter("wave"))]
    more = f" and so on, {len(sizes)} waves in all" if len(sizes) > _WAVES_LISTED else ""
    bases = (
        f"{_count(count, 'planned host')}{f' of {name}' if many else ''}" for name, count in plan.shares_of.items()
    )
    waves = f"Waves {', '.join(plan.policy.waves)}{' for each product and role' if many else ''}"
    listed = f"{', '.join(sizes[:_WAVES_LISTED])}{more}"
    return f"{waves}: {listed}; shares of {' and '.join(bases)}, rounded up, never 0."


def budget_words(plan: Plan) -> str:
    """What the target means for this plan, in one sentence: the failures it allows and what the first wave risks."""
    total, target = len(plan.hosts), plan.policy.target_percent
    if not total:
        return "No host is planned."
    by_target = total * (100 - target) // 100
    allows = f"{target} % of {_count(total, 'host')} allows {_count(by_target, 'failure')}"
    if plan.policy.max_failures is not None:
        by_policy = _count(plan.policy.max_failures, "failure")
        allows = f"The policy allows {by_policy} ({target} % of {_count(total, 'host')} would allow {by_target})"
    if plan.policy.by_evidence:
        return _evidence_words(plan, allows)
    if plan.allowed_failures == 0:
        return f"{allows}: one failure stops the rollout."
    risked = sum(host.wave == 1 for host in plan.hosts)
    return f"{allows}; wave 1 risks {_count(risked, 'host')}."


def _evidence_words(plan: Plan, allows: str) -> str:
    sizes = [len(list(hosts)) for _, hosts in groupby(plan.hosts, key=attrgetter("wave"))]
    canaries = f"{sizes[0]} {'canary' if sizes[0] == 1 else 'canaries'}"
    shown = ", ".join(map(str, sizes[1 : _WAVES_LISTED + 1]))
    more = f" and so on, {len(sizes)} waves in all" if len(sizes) > _WAVES_LISTED + 1 else ""
    then = f", then {shown}{more} while no host fails" if shown else ""
    stops = ": one failure stops the rollout" if plan.allowed_failures == 0 else ""
    loss = "break more than one host" if stops else "overrun what is left"
    return (
        f"{allows}{stops}. Waves by evidence: {canaries}{then}; none is more than {plan.policy.risk_percent} % "
        f"likely to {loss}. Known before: {_known_before(plan).basis}."
    )


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
