"""The plan's hosts in rollout order, ready to be looked up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from itertools import accumulate

from liftlock.bounds import Bounds, bounds_of
from liftlock.model import Plan, PlannedHost
from liftlock.notice import explicit, promised_leads
from liftlock.roles import forerunners


@dataclass(frozen=True)
class Lineup:
    """The plan's hosts in rollout order, ready to be looked up."""

    plan: Plan

    @cached_property
    def planned(self) -> dict[str, PlannedHost]:
        """Every planned host by name."""
        return {host.name: host for host in self.plan.hosts}

    @cached_property
    def forerunners(self) -> dict[str, tuple[PlannedHost, ...]]:
        """By customer its planned hosts, where some wait for others (`liftlock.roles`)."""
        return forerunners(self.planned)

    @cached_property
    def order(self) -> tuple[str, ...]:
        """Host names in rollout order."""
        return tuple(host.name for host in self.plan.hosts)

    @cached_property
    def by_evidence(self) -> bool:
        """Whether waves are opened by evidence; kept, as every entry asks."""
        return self.plan.policy.by_evidence

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """How many hosts each wave of the plan has."""
        counted = Counter(host.wave for host in self.plan.hosts)
        return tuple(counted[wave] for wave in sorted(counted))

    @cached_property
    def ends(self) -> tuple[int, ...]:
        """For each wave of the plan, the place in `order` right after its last host."""
        return tuple(accumulate(self.sizes))

    @cached_property
    def leads(self) -> dict[str, timedelta]:
        """How long before the work each customer must have been told."""
        return promised_leads(self.plan)

    @cached_property
    def asked(self) -> frozenset[str]:
        """The customers that are asked for an explicit yes."""
        return explicit(self.plan)

    @cached_property
    def places(self) -> dict[str, int]:
        """For each host its place in `order`."""
        return {name: place for place, name in enumerate(self.order)}

    @cached_property
    def bounds(self) -> Bounds:
        """The bounds on what is acted on at once."""
        return bounds_of(self.plan)
