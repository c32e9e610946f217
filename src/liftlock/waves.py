"""Order and waves: who goes first, how many go together, and what may be lost on the way.

Hosts of low-risk customers come first (tier `internal` or `low`, then `standard` and any other, then
`key`). Within a tier customers take turns, and within a customer its sites (the host label `site`)
take turns, so that an early wave is spread; ties go by name. `Policy.waves` are cumulative: `"5"`
means that up to 5 hosts are through in total, `"25%"` that a quarter of all planned hosts is, rounded
up; each is at least one host. A wave that adds nobody is dropped; hosts left over by the last entry
make one more wave.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from operator import itemgetter

from liftlock.errors import InputError
from liftlock.model import Fleet, Plan, PlannedHost

_TIERS = {"internal": 0, "low": 0, "standard": 1, "key": 2}


def in_rollout_order(fleet: Fleet, planned: Iterable[PlannedHost]) -> list[PlannedHost]:
    """By the order in this module's docstring; `planned` comes in by name."""
    sites = {host.name: host.labels.get("site", "") for host in fleet.hosts}
    by_site = _taking_turns(planned, lambda host: (host.customer, sites[host.name]))
    by_customer = _taking_turns(by_site, lambda host: host.customer)
    return sorted(by_customer, key=lambda host: _TIERS.get(fleet.customers[host.customer].tier, _TIERS["standard"]))


def _taking_turns(
    hosts: Iterable[PlannedHost], party: Callable[[PlannedHost], str | tuple[str, str]]
) -> list[PlannedHost]:
    """First the first host of each party, in the order of the parties' names, then the second of each, and so on."""
    turns: Counter[str | tuple[str, str]] = Counter()
    placed = []
    for host in hosts:
        turns[party(host)] += 1
        placed.append((turns[party(host)], party(host), host))
    return [host for _, _, host in sorted(placed, key=itemgetter(0, 1))]


def in_waves(hosts: Sequence[PlannedHost], waves: Iterable[str]) -> Iterator[PlannedHost]:
    """The hosts in the same order, each with its wave."""
    ends = [min(_end_of_wave(wave, len(hosts)), len(hosts)) for wave in waves]
    number = through = 0
    for end in (*ends, len(hosts)):
        if end > through:
            number += 1
            yield from (replace(host, wave=number) for host in hosts[through:end])
            through = end


def _end_of_wave(wave: str, planned: int) -> int:
    """How many hosts are through after the wave."""
    if re.fullmatch(r"[0-9]+", wave):
        return max(1, int(wave))
    if share := re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)%", wave):
        return max(1, math.ceil(planned * Fraction(share[1]) / 100))
    raise InputError(f"policy: the wave {wave!r} is neither a number of hosts nor a percentage")


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
    if plan.allowed_failures == 0:
        return f"{allows}: one failure stops the rollout."
    risked = sum(host.wave == 1 for host in plan.hosts)
    return f"{allows}; wave 1 risks {_count(risked, 'host')}."


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
