"""A ledger in memory, for the tests of the report: plans, and the entries a rollout writes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from pydantic import TypeAdapter

from liftlock.ledger import GENESIS, Ended, Entry, Fact, LeftOut, Planned, Started, Switched, encode, link
from liftlock.model import Action, Exclusion, Hop, Outcome, Plan, PlannedHost, Policy, ReleaseKind, Window

START = datetime(2026, 11, 21, 22, 0, tzinfo=UTC)


def planned_host(name: str, customer: str = "acme", wave: int = 1, version: str = "4.2.0") -> PlannedHost:
    return PlannedHost(
        name=name,
        customer=customer,
        wave=wave,
        observed="4.1.0",
        hops=(Hop("4.1.0", version, "direct"),),
        window=Window(START, START + timedelta(hours=6)),
    )


def make_plan(
    id_: str,
    hosts: Iterable[PlannedHost | str],
    *,
    product: str = "kanal",
    version: str = "4.2.0",
    kind: ReleaseKind = ReleaseKind.PATCH,
    created_at: datetime = START,
    exclusions: Iterable[Exclusion] = (),
) -> Plan:
    return Plan(
        id=id_,
        product=product,
        version=version,
        kind=kind,
        fleet="customers",
        created_at=created_at,
        policy=Policy(),
        hosts=tuple(planned_host(host, version=version) if isinstance(host, str) else host for host in hosts),
        exclusions=tuple(exclusions),
        inputs={},
    )


@dataclass
class Book:
    """Entries in order, chained as the real ledger chains them."""

    entries: list[Entry] = field(default_factory=list)
    now: datetime = START

    def write(self, plan: Plan, *facts: Fact) -> Book:
        for fact in facts:
            previous = self.entries[-1].hash if self.entries else GENESIS
            hash_ = link(previous, self.now, plan.id, encode(fact))
            self.entries.append(Entry(len(self.entries) + 1, self.now, plan.id, fact, previous, hash_))
            self.now += timedelta(seconds=1)
        return self

    def planned(self, plan: Plan) -> Book:
        return self.write(plan, Planned(document=TypeAdapter(Plan).dump_python(plan, mode="json")))

    def upgraded(self, plan: Plan, *hosts: str) -> Book:
        for host in hosts:
            self.write(plan, started(host), switched(host), ended(host, Outcome.SUCCEEDED, version=plan.version))
        return self

    def failed(self, plan: Plan, *hosts: str, outcome: Outcome = Outcome.ROLLED_BACK, cause: str = "health") -> Book:
        for host in hosts:
            self.write(plan, started(host), ended(host, outcome, cause=cause))
        return self


def started(host: str, attempt: int = 1, action: Action = Action.UPGRADE) -> Started:
    there, back = ("4.1.0", "4.2.0") if action is Action.UPGRADE else ("4.2.0", "4.1.0")
    return Started(host=host, attempt=attempt, action=action, from_version=there, to_version=back, session="s1")


def switched(host: str, attempt: int = 1, version: str = "4.2.0") -> Switched:
    return Switched(host=host, attempt=attempt, version=version, seconds=12.5)


def ended(host: str, outcome: Outcome, attempt: int = 1, version: str | None = "4.1.0", cause: str = "") -> Ended:
    return Ended(host=host, attempt=attempt, outcome=outcome, version=version, cause=cause)


def left_out(host: str, outcome: Outcome, reason: str) -> LeftOut:
    return LeftOut(host=host, outcome=outcome, reason=reason)
