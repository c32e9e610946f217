"""A plan's case: all that the record says of a plan, as letters go by it and tell of it. Pure.

Of a customer's hosts that are still *ahead*, those are *coming* that the plan may still start. Where none is, those
that are ahead are *off*: nobody will work on them under this plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from liftlock.incident import Incident, incidents
from liftlock.ledger import Aborted, Ended, Entry, Halted, Judged, Queued, Recalled, Switched
from liftlock.model import Contact, Customer, NoticeKind, Occasion, Outcome, Plan, PlannedHost, Window
from liftlock.notice import ANNOUNCEMENTS, explicit
from liftlock.outbox import Dispatch, Told, identity, message_id, standing
from liftlock.progress import Progress, Standing
from liftlock.records import HostRecord, host_records
from liftlock.stops import is_dead, why_over

_PROVES_WORK = frozenset({Outcome.SUCCEEDED, Outcome.ROLLED_BACK, Outcome.FAILED})


@dataclass(frozen=True, slots=True)
class Before:
    """An earlier plan that customers go by, and those of its hosts, by name there, that a later one takes over."""

    case: Case
    hosts: frozenset[str]


@dataclass(frozen=True)
class Case:
    """A plan as its record tells: what `owed` goes by, and what letters tell of.

    `customers` are those of its fleet, `held` their hosts that are on hold, by name with their customer. `before` are
    the earlier plans that customers know, newest first, `heirs` the hosts that go by a later plan (`giving_way`).
    """

    plan: Plan
    entries: tuple[Entry, ...]
    customers: Mapping[str, Customer]
    managers: tuple[Contact, ...] = ()
    held: Mapping[str, str] = field(default_factory=dict)
    before: tuple[Before, ...] = ()
    heirs: Mapping[str, Plan] = field(default_factory=dict)

    @cached_property
    def hosts(self) -> dict[str, list[HostRecord]]:
        """What became of every planned host, by customer, in rollout order.

        Without those of which their customer hears by a later plan.
        """
        customers = {heir.id: {host.customer for host in heir.hosts} for heir in self.heirs.values()}
        elsewhere = {name for name, heir in self.heirs.items() if self.planned[name].customer in customers[heir.id]}
        by_customer: dict[str, list[HostRecord]] = {}
        for record in host_records(self.entries):
            if record.host in self.planned and record.host not in elsewhere:
                by_customer.setdefault(record.customer, []).append(record)
        return by_customer

    @cached_property
    def planned(self) -> dict[str, PlannedHost]:
        """Every planned host by name."""
        return {host.name: host for host in self.plan.hosts}

    @cached_property
    def letters(self) -> dict[str, Dispatch]:
        """Where every letter stands, by identity."""
        return standing(self.entries)

    @cached_property
    def progress(self) -> Progress:
        """How far its rollout is."""
        return Progress.of(self.plan).with_entries(self.entries)

    @property
    def told(self) -> Told:
        """Who was told, and has agreed."""
        return self.progress.told

    @cached_property
    def over(self) -> bool:
        """Whether nothing of it starts as the record stands."""
        return bool(why_over(self.plan, self.progress, self.entries))

    @cached_property
    def dead(self) -> bool:
        """Whether nothing of it starts ever again."""
        return is_dead(self.plan, self.progress)

    @cached_property
    def incidents(self) -> tuple[Incident, ...]:
        """The incidents that the rollout has had."""
        return incidents(self.plan, self.entries)

    @cached_property
    def begun(self) -> frozenset[str]:
        """The hosts that are proven to have been worked on: they switched, or came to an end of an attempt.

        One that is in hand may still refuse, and one that is lost may be as it was.
        """
        facts = (entry.fact for entry in self.entries)
        return frozenset(
            fact.host
            for fact in facts
            if isinstance(fact, Switched) or (isinstance(fact, Ended) and fact.outcome in _PROVES_WORK)
        )

    @cached_property
    def taken_back(self) -> dict[str, bool]:
        """The hosts that went back at an operator's word, each with whether nothing was wrong with it."""
        recalled = [entry.fact.host for entry in self.entries if isinstance(entry.fact, Recalled)]
        return {name: self.progress.host(name).standing is Standing.BROUGHT_BACK for name in recalled}

    @cached_property
    def asked(self) -> frozenset[str]:
        """The customers that are asked for an explicit yes."""
        return explicit(self.plan)

    @cached_property
    def verdicts(self) -> dict[str, Judged]:
        """What the gates said last of every host before its upgrade."""
        facts = (entry.fact for entry in self.entries)
        return {fact.host: fact for fact in facts if isinstance(fact, Judged) and fact.occasion is Occasion.BEFORE}

    @cached_property
    def _arrived(self) -> dict[tuple[str, NoticeKind], list[Dispatch]]:
        """The letters that customers have, or may have."""
        found: dict[tuple[str, NoticeKind], list[Dispatch]] = {}
        for letter in self.letters.values():
            if letter.may_have_arrived:
                found.setdefault((letter.customer, letter.kind), []).append(letter)
        return found

    def sent_to(self, customer: str, kinds: Iterable[NoticeKind]) -> list[Dispatch]:
        """The letters of these kinds that the customer has, or may have."""
        return [letter for kind in kinds for letter in self._arrived.get((customer, kind), ())]

    def copy_of(self, customer: str, kind: NoticeKind, number: int) -> Dispatch | None:
        """The letter of that number that the customer has, or may have: the copy that was sent last."""
        copies = [one for one in self._arrived.get((customer, kind), ()) if _is_number(self.plan, one, number)]
        return max(copies, key=lambda one: one.as_of, default=None)

    def last_of(self, customer: str, kind: NoticeKind, since: int) -> tuple[int, Dispatch | None]:
        """The letter of a kind that tells the customer what holds since an entry: its number, and a copy that arrived.

        It is the first that tells what that entry says; where nobody has it yet, there is no copy.
        """
        number = 0
        while (copy := self.copy_of(customer, kind, number)) is not None and copy.as_of < since:
            number += 1
        return number, copy

    @cached_property
    def knowing(self) -> frozenset[str]:
        """The customers that were told of it, or may have been."""
        return frozenset(customer for customer, kind in self._arrived if kind in ANNOUNCEMENTS)

    def ahead(self, customer: str) -> list[HostRecord]:
        """The customer's hosts that are still ahead."""
        return [record for record in self.hosts.get(customer, ()) if is_ahead(record)]

    def coming(self, customer: str, now: datetime) -> list[HostRecord]:
        """Those of the hosts ahead that the plan may still start."""
        if self.dead or customer in self.told.called_off:
            return []
        any_time = "window" in self.progress.waived
        return [
            record
            for record in self.ahead(customer)
            if record.host not in self.heirs and (any_time or now <= self.planned[record.host].latest_start)
        ]

    def off_since(self, customer: str) -> datetime:
        """Since when what is ahead of a customer is off, where it is off."""
        if self.dead:
            aborted = [entry.at for entry in self.entries if isinstance(entry.fact, Aborted)]
            halted = [entry.at for entry in self.entries if isinstance(entry.fact, Halted)]
            return (*aborted[:1], *halted[-1:], self.entries[-1].at)[0]
        ahead = [self.planned[record.host] for record in self.ahead(customer)]
        return max(self.heirs[one.name].created_at if one.name in self.heirs else one.latest_start for one in ahead)

    def begins(self, customer: str) -> datetime | None:
        """When the first window of the customer's hosts opens that are still ahead; None when none is."""
        return min((self.planned[one.host].window.start for one in self.ahead(customer)), default=None)

    def changed(self, customer: str) -> list[Before]:
        """The earlier plans that the customer goes by, as far as this one takes over hosts of it."""
        return [one for one in self.before if self._goes_by(one, customer)]

    def _goes_by(self, before: Before, customer: str) -> bool:
        case = before.case
        theirs = any(case.planned[name].customer == customer for name in before.hosts)
        off = customer in case.told.called_off or bool(case.sent_to(customer, {NoticeKind.CANCELLED}))
        return theirs and customer in case.knowing and not off

    def windows(self, customer: str) -> list[tuple[Window, frozenset[str]]]:
        """Every distinct window of the customer's planned hosts, earliest first, with their names."""
        found: dict[Window, set[str]] = {}
        for host in self.plan.hosts:
            if host.customer == customer:
                found.setdefault(host.window, set()).add(host.name)
        ordered = sorted(found, key=lambda window: (window.start, window.end))
        return [(window, frozenset(found[window])) for window in ordered]

    def events(self, customer: str) -> str:
        """The id of the plan whose calendar events go on in this one; its own where the customer has none yet.

        A plan goes on with the events of the one before when it takes over all of the customer's hosts there. It
        stays with what it was when the customer was told.
        """
        if customer in self._recorded_events:
            return self._recorded_events[customer]
        changed = self.changed(customer)
        if len(changed) == 1:
            before = changed[0]
            if before.hosts >= {host.name for host in before.case.plan.hosts if host.customer == customer}:
                return before.case.events(customer)
        return self.plan.id

    @cached_property
    def _recorded_events(self) -> dict[str, str]:
        facts = (entry.fact for entry in self.entries)
        found: dict[str, str] = {}
        for fact in facts:
            if isinstance(fact, Queued) and fact.kind in ANNOUNCEMENTS:
                found.setdefault(fact.customer, fact.events or self.plan.id)
        return found


def is_ahead(record: HostRecord) -> bool:
    """Whether the host's upgrade is still ahead: it was not attempted, nor found on the release."""
    return not record.attempted and record.outcome is not Outcome.ALREADY_CURRENT and not record.unknown


def _is_number(plan: Plan, letter: Dispatch, number: int) -> bool:
    return identity(letter.message_id) == identity(
        message_id(plan.id, letter.customer, letter.kind, letter.recipient, number=number)
    )
