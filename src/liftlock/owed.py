"""What customers, and the vendor's own people, are owed by now: which news, and to whom. Pure.

All of it follows from the plan, its entries and the time, so what a dead controller did not say is owed to the next:

- `announced` while the customer's part is ahead; `rescheduled` in its place where the plan stands in for another
  that the customer was told of.
- `reminder` from some time before the first window on, where the announcement is older than that; from then on also
  `action_needed`, when a yes is missing or a host is on hold. Hosts whose gate failed, or that could not be reached,
  ask for action at once; when one more does later, there is one more letter.
- `started` while the customer's hosts are being worked on.
- `completed` when every planned host is proven to run the release. `rolled_back` when none is being worked on and at
  least one went back or failed; when the others succeed later, `completed` names which.
- `cancelled` when the plan is dead (aborted, or another stands in for it that leaves the customer out), hosts of
  those who were told are still as they were, and none is being worked on: to the very people who were told.
- `incident` when a rule stopped the rollout, `digest` of the letters since the one before: to the release managers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property

from liftlock.incident import Incident, incidents
from liftlock.ledger import Aborted, Delivered, Entry, Halted, Judged, Queued, Recalled, Sending, Settled
from liftlock.model import (
    Contact,
    Customer,
    NoticeKind,
    NoticeState,
    Occasion,
    Outcome,
    Plan,
    PlannedHost,
    Verdict,
)
from liftlock.notice import ANNOUNCEMENTS, contacts, explicit
from liftlock.outbox import Dispatch, Told, identity, message_id, standing
from liftlock.progress import Progress, Standing
from liftlock.records import HostRecord, host_records
from liftlock.wording import printable

_DONE = frozenset({Outcome.SUCCEEDED, Outcome.ALREADY_CURRENT})
_WENT_WRONG = frozenset({Outcome.ROLLED_BACK, Outcome.FAILED, Outcome.UNREACHABLE})
_GATE_WORDS = re.compile(r"(?P<check>\S+): (?P<said>.+?)(?: \(and (?P<more>\d+) more\))?", re.DOTALL)
_TO_OURSELVES = frozenset({NoticeKind.DIGEST, NoticeKind.INCIDENT})


class What(StrEnum):
    """What a customer is asked to do about one of its hosts, or about the plan as a whole."""

    GATE = "gate"
    UNREACHABLE = "unreachable"
    HELD = "held"
    CONSENT = "consent"


@dataclass(frozen=True, slots=True)
class Ask:
    """One thing that a customer has to do; `words` are what the gate said, in the language of who wrote it.

    They name the `check` that failed, what it `said`, and how many `more` did not pass.
    """

    what: What
    host: str = ""
    words: str = ""

    @property
    def check(self) -> str:
        """The name of the check; empty where the words name none."""
        return self._parts[0]

    @property
    def said(self) -> str:
        """What the check itself said."""
        return self._parts[1]

    @property
    def more(self) -> int:
        """How many further checks did not pass."""
        return self._parts[2]

    @property
    def _parts(self) -> tuple[str, str, int]:
        found = _GATE_WORDS.fullmatch(self.words)
        return (found["check"], found["said"], int(found["more"] or 0)) if found else ("", self.words, 0)


@dataclass(frozen=True, slots=True)
class Debt:
    """One piece of news that is owed, and to whom; `customer` is empty for the vendor's own people.

    `asks` are what the customer has to do. `number` tells digests, incidents and letters that ask for
    one action more apart, `letters` are what a digest tells of.
    """

    kind: NoticeKind
    customer: str
    recipients: tuple[Contact, ...]
    asks: tuple[Ask, ...] = ()
    number: int = 0
    letters: tuple[Dispatch, ...] = ()


@dataclass(frozen=True)
class Case:
    """A plan as its record tells: what `owed` goes by, and what letters tell of.

    `customers` are those of its hosts, `held` their hosts that are on hold, by name with their customer. `before` is
    the plan that it stands in for, `after` the one that stands in for it, where there are such.
    """

    plan: Plan
    entries: tuple[Entry, ...]
    customers: Mapping[str, Customer]
    managers: tuple[Contact, ...] = ()
    held: Mapping[str, str] = field(default_factory=dict)
    before: Case | None = None
    after: Plan | None = None

    @cached_property
    def hosts(self) -> dict[str, list[HostRecord]]:
        """What became of every planned host, by customer, in rollout order."""
        planned = {host.name for host in self.plan.hosts}
        by_customer: dict[str, list[HostRecord]] = {}
        for record in host_records(self.entries):
            if record.host in planned:
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
    def told(self) -> Told:
        """Who was told, and has agreed."""
        told = Told()
        for entry in self.entries:
            told = told.with_entry(entry)
        return told

    @cached_property
    def ended(self) -> datetime | None:
        """Since when the plan is dead; None while it lives."""
        if self.after is not None:
            return self.after.created_at
        return next((entry.at for entry in self.entries if isinstance(entry.fact, Aborted)), None)

    @property
    def stopped(self) -> bool:
        """Whether nothing of it starts any more, as far as the record goes."""
        return self.ended is not None or any(isinstance(entry.fact, Halted) for entry in self.entries)

    @cached_property
    def incidents(self) -> tuple[Incident, ...]:
        """The incidents that the rollout has had."""
        return incidents(self.plan, self.entries)

    @cached_property
    def taken_back(self) -> dict[str, bool]:
        """The hosts that went back at an operator's word, each with whether nothing was wrong with it."""
        recalled = [entry.fact.host for entry in self.entries if isinstance(entry.fact, Recalled)]
        progress = Progress.of(self.plan).with_entries(self.entries if recalled else ())
        return {name: progress.host(name).standing is Standing.BROUGHT_BACK for name in recalled}

    @cached_property
    def asked(self) -> frozenset[str]:
        """The customers that are asked for an explicit yes."""
        return explicit(self.plan)

    @cached_property
    def verdicts(self) -> dict[str, Judged]:
        """What the gates said last of every host before its upgrade."""
        facts = (entry.fact for entry in self.entries)
        return {fact.host: fact for fact in facts if isinstance(fact, Judged) and fact.occasion is Occasion.BEFORE}

    def sent_to(self, customer: str, kinds: Iterable[NoticeKind]) -> list[Dispatch]:
        """The letters of these kinds that the customer has, or may have."""
        wanted = frozenset(kinds)
        return [
            letter
            for letter in self.letters.values()
            if letter.customer == customer and letter.kind in wanted and letter.may_have_arrived
        ]

    def begins(self, customer: str) -> datetime | None:
        """When the first window of the customer's hosts opens that are still ahead; None when none is."""
        return min((self.planned[one.host].window.start for one in self.hosts[customer] if is_ahead(one)), default=None)


def is_ahead(record: HostRecord) -> bool:
    """Whether the host's upgrade is still ahead: it was not attempted, nor found on the release."""
    return not record.attempted and record.outcome is not Outcome.ALREADY_CURRENT and not record.unknown


def owed(case: Case, now: datetime, remind_before: timedelta) -> list[Debt]:
    """All that is owed by now, customer by customer in rollout order, whether it was sent or not."""
    debts: list[Debt] = []
    for name in case.hosts:
        debts += _to(case, case.customers[name], now, remind_before)
    for number in range(len(case.incidents) if case.managers else 0):
        debts.append(Debt(NoticeKind.INCIDENT, "", case.managers, number=number))
    return debts


def digests(case: Case) -> list[Debt]:
    """The digests of all letters to customers that were tried: one for each batch, the last of what came since.

    A batch is closed when its digest has gone out; one that could not be sent grows, instead of a second beside it.
    """
    if not case.managers:
        return []
    batches: list[dict[str, None]] = [{}]
    for entry in case.entries:
        match entry.fact:
            case Delivered(kind=kind, message_id=message) if kind not in _TO_OURSELVES:
                batches[-1][identity(message)] = None
            case Sending() | Delivered() | Settled() as fact if batches[-1] and _went_out(case, fact, len(batches)):
                batches.append({})
    return [
        Debt(NoticeKind.DIGEST, "", case.managers, number=number, letters=tuple(case.letters[one] for one in batch))
        for number, batch in enumerate(batches, start=1)
        if batch
    ]


def _went_out(case: Case, fact: Sending | Delivered | Settled, number: int) -> bool:
    """Whether this is the word that somebody has, or may have, the digest of that number."""
    letter = case.letters.get(identity(fact.message_id))
    if letter is None or letter.kind is not NoticeKind.DIGEST:
        return False
    no_later_word = letter.state is NoticeState.SENDING
    gone = no_later_word if isinstance(fact, Sending) else fact.state is not NoticeState.FAILED
    return gone and any(
        identity(message_id(case.plan.id, "", NoticeKind.DIGEST, one.recipient, number=number))
        == identity(fact.message_id)
        for one in case.managers
    )


def addressed(case: Case, debts: Iterable[Debt], domain: str) -> dict[str, tuple[Debt, Contact]]:
    """Every letter of the debts by its message id: the one on record where there is one, else of this domain."""
    found = {}
    for debt in debts:
        for contact in debt.recipients:
            new = message_id(case.plan.id, debt.customer, debt.kind, contact.recipient, domain, debt.number)
            known = case.letters.get(identity(new))
            found[known.message_id if known else new] = (debt, contact)
    return found


def asks(case: Case, customer: str) -> Iterator[Ask]:
    """What the customer has to do before its hosts that are still ahead can go, most urgent first."""
    for record in case.hosts[customer]:
        verdict = case.verdicts.get(record.host)
        if record.outcome is Outcome.UNREACHABLE_BEFORE:
            yield Ask(What.UNREACHABLE, record.host)
        elif is_ahead(record) and verdict and verdict.verdict is Verdict.FAILED:
            yield Ask(What.GATE, record.host, printable(verdict.reason, " "))
    if customer in case.asked and customer not in case.told.consented:
        yield Ask(What.CONSENT)
    for host, whose in case.held.items():
        if whose == customer:
            yield Ask(What.HELD, host)


def _to(case: Case, customer: Customer, now: datetime, remind_before: timedelta) -> Iterator[Debt]:
    hosts, name, everybody = case.hosts[customer.name], customer.name, contacts(customer)
    told = case.told.since.get(name)
    if case.ended is not None:
        before = case.sent_to(name, {*ANNOUNCEMENTS, NoticeKind.REMINDER})
        goes_on = case.after is not None and any(host.customer == name for host in case.after.hosts)
        moving = any(record.unknown for record in hosts)
        if before and not goes_on and not moving and any(map(is_ahead, hosts)):
            yield Debt(NoticeKind.CANCELLED, name, _the_same(before, everybody))
    elif all(record.attempts == 0 and is_ahead(record) for record in hosts):
        yield Debt(_announcement(case, name), name, everybody)
    begins = case.begins(name)
    if case.ended is None and told is not None and begins is not None:
        due = told < begins - remind_before <= now < begins
        if due and not any(record.attempts for record in hosts):
            yield Debt(NoticeKind.REMINDER, name, everybody)
        wanted = tuple(asks(case, name))
        if wanted and (due or wanted[0].what in {What.GATE, What.UNREACHABLE}):
            number = _number_of(case, name, everybody, wanted)
            yield Debt(NoticeKind.ACTION_NEEDED, name, everybody, asks=wanted, number=number)
    yield from _ends(case, name, hosts, everybody)


def _number_of(case: Case, name: str, everybody: tuple[Contact, ...], wanted: Iterable[Ask]) -> int:
    """Which letter asks for these actions: that which did when it was decided on, else the next one."""
    missing, number = {(ask.what, ask.host) for ask in wanted}, 0
    while (at := _decided(case, name, everybody, number)) is not None:
        missing -= {(ask.what, ask.host) for ask in asks(replace(case, entries=case.entries[:at]), name)}
        if not missing:
            break
        number += 1
    return number


def _decided(case: Case, name: str, everybody: tuple[Contact, ...], number: int) -> int | None:
    """How many entries stood before that letter to one of these, where one has it or may have it."""
    kind, plan = NoticeKind.ACTION_NEEDED, case.plan.id
    ids = {identity(message_id(plan, name, kind, contact.recipient, number=number)) for contact in everybody}
    if not any(one in case.letters and case.letters[one].may_have_arrived for one in ids):
        return None
    rows = ((place, entry.fact) for place, entry in enumerate(case.entries))
    return next(
        place for place, fact in rows if isinstance(fact, Queued | Delivered) and identity(fact.message_id) in ids
    )


def _announcement(case: Case, customer: str) -> NoticeKind:
    """How the customer is told of the plan: one that was told of the plan before is told that it is another now."""
    before = case.before
    if before is None or not before.sent_to(customer, ANNOUNCEMENTS):
        return NoticeKind.ANNOUNCED
    return NoticeKind.ANNOUNCED if before.sent_to(customer, {NoticeKind.CANCELLED}) else NoticeKind.RESCHEDULED


def _ends(case: Case, name: str, hosts: list[HostRecord], everybody: tuple[Contact, ...]) -> Iterator[Debt]:
    moving = any(record.unknown for record in hosts)
    wrong = any(record.outcome in _WENT_WRONG for record in hosts)
    if all(record.outcome in _DONE for record in hosts):
        yield Debt(NoticeKind.COMPLETED, name, everybody)
    elif wrong and not moving:
        yield Debt(NoticeKind.ROLLED_BACK, name, everybody)
        said = [one for one in case.sent_to(name, {NoticeKind.ROLLED_BACK}) if one.state is NoticeState.SENT]
        since = [record for record in hosts if record.outcome is Outcome.SUCCEEDED and said and record.at > said[0].at]
        if since and not any(map(is_ahead, hosts)):
            yield Debt(NoticeKind.COMPLETED, name, everybody)
    elif any(record.attempts for record in hosts) and case.ended is None:
        yield Debt(NoticeKind.STARTED, name, everybody)


def _the_same(letters: Iterable[Dispatch], known: Iterable[Contact]) -> tuple[Contact, ...]:
    """The recipients of these letters, each once, by the names that we know them by."""
    names = {contact.recipient.casefold(): contact for contact in known}
    distinct: dict[str, Contact] = {}
    for letter in letters:
        distinct.setdefault(letter.recipient.casefold(), names.get(letter.recipient.casefold(), _who(letter)))
    return tuple(distinct.values())


def _who(letter: Dispatch) -> Contact:
    """A recipient that is no contact any more."""
    channel = letter.recipient.removeprefix("channel:")
    return Contact(channel, channel=channel) if channel != letter.recipient else Contact(channel, letter.recipient)
