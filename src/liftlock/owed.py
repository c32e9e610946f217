"""What customers, and the vendor's own people, are owed by now: which news, and to whom. Pure.

All of it follows from the plan, its entries and the time, so what a dead controller did not say is owed to the next:

- `announced` while the customer's part is ahead, and the lead time can be kept; `rescheduled` in its place where the
  plan takes over hosts of another that the customer was told of. A plan speaks of no host that goes by a later one.
- `reminder` from some time before the first window on, where the announcement is older than that; from then on also
  `action_needed`, when a yes is missing or a host is on hold. Hosts whose gate failed, or that could not be reached,
  ask for action at once; when one more does later, there is one more letter.
- `started` while the customer's hosts are being worked on, from the first on that is proven to have been begun: one
  that is in hand may still refuse, untouched.
- `completed` when every planned host is proven to run the release. `rolled_back` when none is being worked on and at
  least one went back or failed; when the others succeed later, `completed` names which. What turns after such a
  letter is told by one more.
- `cancelled` when nothing comes any more of hosts that are ahead (`Case.coming`), and none is being worked on: to the
  very people who were told. Where a `rolled_back` is still to be written, that says so instead.
- `incident` when a rule stopped the rollout, `digest` of the letters since the one before: to the release managers.

Nothing is promised while a plan is over.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from liftlock.case import Case, is_ahead
from liftlock.ledger import Delivered, Sending, Settled
from liftlock.model import Contact, Customer, NoticeKind, NoticeState, Outcome, Verdict
from liftlock.notice import ANNOUNCEMENTS, contacts, promised_leads
from liftlock.outbox import Dispatch, identity, message_id
from liftlock.records import HostRecord
from liftlock.wording import printable

_DONE = frozenset({Outcome.SUCCEEDED, Outcome.ALREADY_CURRENT})
_WENT_WRONG = frozenset({Outcome.ROLLED_BACK, Outcome.FAILED, Outcome.UNREACHABLE})
_GATE_WORDS = re.compile(r"(?P<check>\S+): (?P<said>.+?)(?: \(and (?P<more>\d+) more\))?", re.DOTALL)
_PROMISES = frozenset({*ANNOUNCEMENTS, NoticeKind.REMINDER})
_TO_OURSELVES = frozenset({NoticeKind.DIGEST, NoticeKind.INCIDENT})


class What(StrEnum):
    """What a customer is asked to do about one of its hosts, or about the plan as a whole."""

    GATE = "gate"
    UNREACHABLE = "unreachable"
    HELD = "held"
    CONSENT = "consent"


_OF_HOSTS = frozenset({What.GATE, What.UNREACHABLE})
"""What is asked for as soon as it is known, of hosts that are still coming."""


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

    `asks` are what the customer has to do. `number` tells letters of the same kind apart that tell something else
    each, `letters` are what a digest tells of. `coming` are the customer's hosts that the plan may still start, `off`
    those of which it says that they will not be upgraded any more, `off_since` since when.
    """

    kind: NoticeKind
    customer: str
    recipients: tuple[Contact, ...]
    asks: tuple[Ask, ...] = ()
    number: int = 0
    letters: tuple[Dispatch, ...] = ()
    coming: tuple[str, ...] = ()
    off: tuple[str, ...] = ()
    off_since: datetime | None = None


def owed(case: Case, now: datetime, remind_before: timedelta) -> list[Debt]:
    """All that is owed by now, customer by customer in rollout order, whether it was sent or not."""
    debts: list[Debt] = []
    for name in case.hosts:
        if customer := case.customers.get(name):  # nobody knows how to reach one that has left the inventory
            debts += _to(case, customer, now, remind_before)
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
    name, hosts = customer.name, case.hosts[customer.name]
    coming = tuple(record.host for record in case.coming(name, now))
    news, told = _News(case, name, contacts(customer), coming), case.told.since.get(name)
    if coming and not case.over:
        untouched = not any(record.attempts for record in hosts)
        if untouched and all(map(is_ahead, hosts)) and not _is_too_late(case, name, now):
            yield news.debt(_announcement(case, name))
        begins = min(case.planned[host].window.start for host in coming)
        if told is not None and now < begins:
            due = told < begins - remind_before <= now
            if due and untouched:
                yield news.debt(NoticeKind.REMINDER)
            wanted = tuple(ask for ask in asks(case, name) if ask.what not in _OF_HOSTS or ask.host in coming)
            if wanted and (due or wanted[0].what in _OF_HOSTS):
                number = _number_of(case, name, wanted)
                yield replace(news.debt(NoticeKind.ACTION_NEEDED, number), asks=wanted)
    yield from _ends(news, hosts)


@dataclass(frozen=True, slots=True)
class _News:
    """What concerns one customer: who is told there, and its hosts that are still coming."""

    case: Case
    customer: str
    everybody: tuple[Contact, ...]
    coming: tuple[str, ...]

    def debt(self, kind: NoticeKind, number: int = 0, *, calls_off: bool = False) -> Debt:
        coming = () if self.case.over else self.coming
        debt = Debt(kind, self.customer, self.everybody, number=number, coming=coming)
        if not calls_off:
            return debt
        off = tuple(record.host for record in self.case.ahead(self.customer))
        return replace(debt, off=off, off_since=self.case.off_since(self.customer))


def too_late(case: Case, now: datetime) -> list[str]:
    """The customers that the plan cannot be announced to any more: it has to be made again for them."""
    if case.over:
        return []
    known = {*case.knowing, *case.told.called_off}
    return [
        name
        for name, hosts in case.hosts.items()
        if name not in known
        and name in case.customers
        and all(is_ahead(record) and not record.attempts and record.host not in case.heirs for record in hosts)
        and _is_too_late(case, name, now)
    ]


def _is_too_late(case: Case, customer: str, now: datetime) -> bool:
    """Whether the lead time that was promised can no longer be kept for every host of a customer.

    Who was told in time can still be told, as long as a host may start: others there may have missed the letter.
    """
    lead = timedelta() if "notice" in case.progress.waived else promised_leads(case.plan)[customer]
    starts = [case.planned[record.host].latest_start for record in case.ahead(customer)]
    told = [letter.began for letter in case.sent_to(customer, ANNOUNCEMENTS)]
    return max(now, min(told) + lead) > max(starts) if told else now + lead > min(starts)


def _ends(news: _News, hosts: list[HostRecord]) -> Iterator[Debt]:
    """What became of the customer's hosts, and that nothing comes of those ahead any more.

    A letter tells what has turned since the one before it. What went wrong and what is off are told in one letter,
    unless the customer knows the one already.
    """
    case, name = news.case, news.customer
    is_off, moving = _is_off(news, hosts), any(record.unknown for record in hosts)
    done = [record.turned for record in hosts if record.outcome in _DONE]
    wrong = [record.turned for record in hosts if record.outcome in _WENT_WRONG]
    if len(done) == len(hosts):
        yield news.debt(NoticeKind.COMPLETED, case.last_of(name, NoticeKind.COMPLETED, max(done))[0])
    elif wrong and not moving:
        number, known = case.last_of(name, NoticeKind.ROLLED_BACK, max(wrong))
        in_one = is_off and (known is None or known.calls_off)
        yield news.debt(NoticeKind.ROLLED_BACK, number, calls_off=in_one)
        if known is not None and done and max(done) > known.as_of and not any(map(is_ahead, hosts)):
            yield news.debt(NoticeKind.COMPLETED, case.last_of(name, NoticeKind.COMPLETED, max(done))[0])
        is_off = is_off and not in_one
    elif any(record.host in case.begun for record in hosts) and not case.over:
        yield news.debt(NoticeKind.STARTED)
    if is_off:
        recipients = _the_same(case.sent_to(name, _PROMISES), news.everybody)
        yield replace(news.debt(NoticeKind.CANCELLED, calls_off=True), recipients=recipients)


def _is_off(news: _News, hosts: list[HostRecord]) -> bool:
    """Whether the customer was told of hosts that are ahead, and nothing comes of them any more."""
    known, moving = news.case.sent_to(news.customer, _PROMISES), any(record.unknown for record in hosts)
    return bool(known) and not news.coming and not moving and any(map(is_ahead, hosts))


def _number_of(case: Case, name: str, wanted: Iterable[Ask]) -> int:
    """Which letter asks for these actions: that which did when it was last sent, else the next one."""
    missing, number = {(ask.what, ask.host) for ask in wanted}, 0
    while (letter := case.copy_of(name, NoticeKind.ACTION_NEEDED, number)) is not None:
        before = tuple(entry for entry in case.entries if entry.seq <= letter.as_of)
        missing -= {(ask.what, ask.host) for ask in asks(replace(case, entries=before), name)}
        if not missing:
            break
        number += 1
    return number


def _announcement(case: Case, customer: str) -> NoticeKind:
    """How the customer is told of the plan: one that goes by another is told that it is another now."""
    for kind in ANNOUNCEMENTS:
        if case.sent_to(customer, {kind}):
            return kind
    return NoticeKind.RESCHEDULED if case.changed(customer) else NoticeKind.ANNOUNCED


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
