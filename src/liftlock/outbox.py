"""The outbox: the identity of every letter, and where it stands by the record. Pure.

A letter is `queued` with the decision that it tells of, `sending` from just before the conversation with the server
begins, and then what the server made of it. Queued, it was surely not sent. Sending without an end, the controller
died in between: the letter is `ambiguous`, may have arrived or not, and is never sent again before somebody, or the
policy, has settled that. `refused` is a dead letter: the server will not take it, until somebody says to try again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from immutables import Map

from liftlock.errors import InputError
from liftlock.ledger import Consented, Delivered, Entry, Queued, Sending, Settled
from liftlock.model import NoticeKind, NoticeState
from liftlock.notice import ANNOUNCEMENTS

_UNSETTLED = frozenset({NoticeState.SENDING, NoticeState.AMBIGUOUS})
_SHORTEST = 6


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Where one letter stands, since when, and the server's last word; `began` is when it was last being sent.

    It told then what the entries up to `as_of` say; `calls_off` says that it told what is off.
    """

    message_id: str
    customer: str
    kind: NoticeKind
    recipient: str
    state: NoticeState
    at: datetime
    began: datetime
    detail: str = ""
    as_of: int = 0
    calls_off: bool = False

    @property
    def may_have_arrived(self) -> bool:
        """Whether the recipient has it, or may have it."""
        return self.state is NoticeState.SENT or self.state in _UNSETTLED


def message_id(
    plan_id: str, customer: str, kind: NoticeKind, recipient: str, domain: str = "liftlock.invalid", number: int = 0
) -> str:
    """The same identity each time the same notice is made, so that a mail server can drop a second copy.

    What tells letters apart stands before the `@` (`identity`): the sender's domain may change. `number` tells
    apart those kinds of which a plan makes several.
    """
    parts = (plan_id, customer, kind.value, recipient.casefold(), *([str(number)] if number else ()))
    digest = hashlib.sha256("".join(f"{len(part)}:{part}," for part in parts).encode()).hexdigest()
    return f"<{digest[:40]}@{domain}>"


def identity(message_id: str) -> str:
    """What tells a letter apart, whichever domain it was sent from."""
    return message_id.strip("<>").partition("@")[0]


def standing(entries: Iterable[Entry]) -> dict[str, Dispatch]:
    """Where every letter of a plan stands, by its `identity`, in the order of their first entries.

    Once sent, a letter stays sent, since its first time.
    """
    letters: dict[str, Dispatch] = {}
    for entry in entries:
        match entry.fact:
            case Queued() as fact:
                letters.setdefault(identity(fact.message_id), _first(fact, entry))
            case Sending(message_id=message) as fact:
                _move(letters, message, NoticeState.SENDING, entry.at)
                _note(letters, fact, entry.seq)
            case Delivered() as fact:
                letters.setdefault(identity(fact.message_id), _first(fact, entry))
                _move(letters, fact.message_id, fact.state, entry.at, fact.detail)
            case Settled(message_id=message, state=state, reason=reason):
                before = letters.get(identity(message))
                arrived = before is not None and state is NoticeState.SENT
                _move(letters, message, state, before.began if before and arrived else entry.at, reason)
            case _:
                pass
    return letters


def _first(fact: Queued | Delivered, entry: Entry) -> Dispatch:
    queued, at = NoticeState.QUEUED, entry.at
    return Dispatch(fact.message_id, fact.customer, fact.kind, fact.recipient, queued, at, at, as_of=entry.seq)


def _note(letters: dict[str, Dispatch], fact: Sending, seq: int) -> None:
    """What the letter tells this time: it is written anew each time it is sent."""
    if (name := identity(fact.message_id)) in letters:
        letters[name] = replace(letters[name], as_of=fact.as_of or seq, calls_off=bool(fact.calls_off))


def _move(letters: dict[str, Dispatch], message: str, state: NoticeState, at: datetime, detail: str = "") -> None:
    before = letters.get(identity(message))
    if before is not None and before.state is not NoticeState.SENT:
        began = at if state is NoticeState.SENDING else before.began
        letters[identity(message)] = replace(before, state=state, at=at, began=began, detail=detail)


@dataclass(frozen=True, slots=True)
class Sorted:
    """Letters that are owed, by what is to become of them: those of `refused` and `ambiguous` wait for a person."""

    to_send: tuple[str, ...]
    sent: tuple[str, ...]
    ambiguous: tuple[str, ...]
    refused: tuple[str, ...]


def sort_out(owed: Iterable[str], letters: Mapping[str, Dispatch]) -> Sorted:
    """What is to become of the owed letters, named by their message ids, where those of the record stand so."""
    piles: dict[str, list[str]] = {"to_send": [], "sent": [], "ambiguous": [], "refused": []}
    for message in owed:
        dispatch = letters.get(identity(message))
        if dispatch is None or dispatch.state in {NoticeState.QUEUED, NoticeState.FAILED}:
            piles["to_send"].append(message)
        elif dispatch.state in _UNSETTLED:
            piles["ambiguous"].append(message)
        else:
            piles["sent" if dispatch.state is NoticeState.SENT else "refused"].append(message)
    return Sorted(**{name: tuple(pile) for name, pile in piles.items()})


def find(named: str, letters: Mapping[str, Dispatch]) -> Dispatch:
    """The unsettled or refused letter with that message id, or whose id begins so.

    Raises InputError when there is none, several, or one of which nothing is in doubt.
    """
    wanted = identity(named.strip())
    found = [letters[name] for name in letters if name.startswith(wanted)]
    if len(wanted) < _SHORTEST or len(found) != 1:
        raise InputError(
            f"{named!r} names {len(found) or 'no'} letter{'s' * (len(found) != 1)} of this plan;"
            " `notify` lists those that wait for a word, each with what names it"
        )
    (letter,) = found
    if letter.state not in _UNSETTLED | {NoticeState.REFUSED}:
        raise InputError(f"the letter {wanted[:8]} to {letter.recipient} is {letter.state}: nothing is to be settled")
    return letter


@dataclass(frozen=True, slots=True)
class Told:
    """Which customers were told of a plan, `since` when, and which have `consented`; entries fold into it one by one.

    `on_the_way` are the letters that tell them, by identity: the customer, and when its sending last began. One that
    somebody settled counts as sent since then. `called_off` are the customers that were told, or may have been, that
    what is ahead of their hosts is off, and since when.
    """

    since: Map[str, datetime] = field(default_factory=Map)
    on_the_way: Map[str, tuple[str, datetime]] = field(default_factory=Map)
    consented: frozenset[str] = frozenset()
    called_off: Map[str, datetime] = field(default_factory=Map)

    def with_fact(self, fact: Queued | Sending | Delivered | Settled | Consented, at: datetime) -> Told:
        """What is known after one more entry."""
        match fact:
            case Queued(kind=kind) if kind in ANNOUNCEMENTS:
                return self._with_letter(fact.message_id, fact.customer, at)
            case Sending() if identity(fact.message_id) in self.on_the_way:
                return self._with_letter(fact.message_id, self.on_the_way[identity(fact.message_id)][0], at)
            case Sending(calls_off=customer) if customer and customer not in self.called_off:
                return replace(self, called_off=self.called_off.set(customer, at))
            case Delivered(state=NoticeState.SENT, kind=kind) if kind in ANNOUNCEMENTS:
                return self._with_told(fact.customer, at)
            case Settled(state=NoticeState.SENT) if identity(fact.message_id) in self.on_the_way:
                return self._with_told(*self.on_the_way[identity(fact.message_id)])
            case Consented():
                return replace(self, consented=self.consented | {fact.customer})
            case _:
                return self

    def _with_letter(self, message: str, customer: str, at: datetime) -> Told:
        return replace(self, on_the_way=self.on_the_way.set(identity(message), (customer, at)))

    def _with_told(self, customer: str, at: datetime) -> Told:
        return replace(self, since=self.since.set(customer, min(at, self.since.get(customer, at))))
