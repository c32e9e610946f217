"""The record: what an entry states, and the rule that chains entries together.

An entry's hash is the sha256 of the previous entry's hash and its own canonical JSON, so a changed,
removed or reordered entry is found by `verify_chain`. Facts are typed; `encode` and `decode` are the
only two ways in and out of their stored form.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from liftlock.errors import LedgerError
from liftlock.model import Action, NoticeKind, NoticeState, Occasion, Outcome, Verdict

# For fields that a fact did not have at first: stored only where they say something, or older hashes would not follow.
_LATE = Field(exclude_if=lambda value: not value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A plan was made; `document` is the whole plan, so that reports need nothing but the ledger."""

    fact: Literal["planned"] = "planned"
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The gate suites ended on a host; `not_passed` names the tests that did not."""

    fact: Literal["judged"] = "judged"
    host: str
    verdict: Verdict
    reason: str = ""
    tests: int = 0
    occasion: Occasion = Occasion.BEFORE
    not_passed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """A letter is owed; `events` is the plan whose calendar events its invites go on with, empty for its own."""

    fact: Literal["queued"] = "queued"
    message_id: str
    customer: str
    kind: NoticeKind
    recipient: str
    events: Annotated[str, _LATE] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """A letter is about to be sent: it tells what entries to `as_of` say; `calls_off` is whose hosts it calls off."""

    fact: Literal["sending"] = "sending"
    message_id: str
    as_of: Annotated[int, _LATE] = 0
    calls_off: Annotated[str, _LATE] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """What became of a letter."""

    fact: Literal["delivered"] = "delivered"
    message_id: str
    customer: str
    kind: NoticeKind
    recipient: str
    state: NoticeState
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A person or a policy decided about a letter that may or may not have arrived: `sent` or `failed` (send again)."""

    fact: Literal["settled"] = "settled"
    message_id: str
    state: NoticeState
    reason: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Consented:
    """A customer agreed to what it was told about the plan; `by` names the person."""

    fact: Literal["consented"] = "consented"
    customer: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rated:
    """A customer's word on its upgrade: `score` from 1 to 5, and perhaps a sentence."""

    fact: Literal["rated"] = "rated"
    customer: str
    score: int
    comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waived:
    """An operator set a rule aside (`notice`, `gate`, `window`, `canary`), and why."""

    fact: Literal["waived"] = "waived"
    rule: str
    reason: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """A person agreed to the plan; `by` names them."""

    fact: Literal["approved"] = "approved"
    by: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replanned:
    """Made again from changed files, the plan came out the same: these inputs are as good as its own."""

    fact: Literal["replanned"] = "replanned"
    inputs: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A controller took up the rollout; attempts begun under another session are not in its hands."""

    fact: Literal["opened"] = "opened"
    session: str
    controller: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A planned host was not attempted, how and why."""

    fact: Literal["left_out"] = "left_out"
    host: str
    outcome: Outcome
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """An attempt begins: written before the host is touched. Its entry's time makes the fence."""

    fact: Literal["started"] = "started"
    host: str
    attempt: int
    action: Action
    from_version: str
    to_version: str
    session: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Voided:
    """An attempt ended without more; the host may be tried again. `version` is the hop it was left on, if on any."""

    fact: Literal["voided"] = "voided"
    host: str
    attempt: int
    cause: str
    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Switched:
    """The wanted version answered healthy on a fresh connection; the bake is still to come."""

    fact: Literal["switched"] = "switched"
    host: str
    attempt: int
    version: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Drilled:
    """The drill's way back: the host runs the version it came from again, verified, and is to go up a second time."""

    fact: Literal["drilled"] = "drilled"
    host: str
    attempt: int
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveOpened:
    """These hosts are the next wave, each in its first or one in which it was not attempted; only by evidence."""

    fact: Literal["wave_opened"] = "wave_opened"
    wave: int
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Baking:
    """All hosts of a wave are through; watching them begins."""

    fact: Literal["baking"] = "baking"
    wave: int
    session: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ailing:
    """A host that had switched was found unhealthy; it is to be rolled back. `attempt` is the one that it tells of."""

    fact: Literal["ailing"] = "ailing"
    host: str
    attempt: int | None = None
    cause: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """An attempt's outcome, the version that was observed last, and why."""

    fact: Literal["ended"] = "ended"
    host: str
    attempt: int
    outcome: Outcome
    version: str | None
    cause: str = ""
    detail: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Halted:
    """The engine stopped the rollout, and by which rule."""

    fact: Literal["halted"] = "halted"
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused:
    """An operator suspends the rollout: hosts in hand finish, nothing else starts."""

    fact: Literal["paused"] = "paused"
    reason: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """An operator lets a paused rollout go on."""

    fact: Literal["resumed"] = "resumed"
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """A release lies verified on a host, ahead of its window."""

    fact: Literal["staged"] = "staged"
    host: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlocked:
    """An operator broke the lock of a host."""

    fact: Literal["unlocked"] = "unlocked"
    host: str
    reason: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """A person took charge of the incident that the rollout's halt opened."""

    fact: Literal["acknowledged"] = "acknowledged"
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Aborted:
    """An operator ended the rollout: nothing new starts under this plan."""

    fact: Literal["aborted"] = "aborted"
    reason: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalled:
    """An operator wants an upgraded host back on the release it came from."""

    fact: Literal["recalled"] = "recalled"
    host: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """Every planned host has an outcome."""

    fact: Literal["finished"] = "finished"


Fact = (
    Planned
    | Judged
    | Queued
    | Sending
    | Delivered
    | Settled
    | Consented
    | Rated
    | Waived
    | Approved
    | Replanned
    | Opened
    | LeftOut
    | Started
    | Voided
    | Switched
    | Drilled
    | WaveOpened
    | Baking
    | Ailing
    | Ended
    | Halted
    | Paused
    | Resumed
    | Staged
    | Unlocked
    | Acknowledged
    | Aborted
    | Recalled
    | Finished
)

_FACT: TypeAdapter[Fact] = TypeAdapter(Annotated[Fact, Field(discriminator="fact")])
GENESIS = "0" * 64


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger: its number, when, for which plan, what it states, and its link of the chain."""

    seq: int
    at: datetime
    plan: str
    fact: Fact
    previous: str
    hash: str


def encode(fact: Fact) -> str:
    """The fact as canonical JSON (sorted keys, no spaces, UTF-8 kept)."""
    return json.dumps(_FACT.dump_python(fact, mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def decode(text: str) -> Fact:
    """The fact that `encode` wrote. Raises LedgerError when the text is not one."""
    try:
        return _FACT.validate_json(text)
    except ValueError as error:
        raise LedgerError(f"the ledger holds an entry this version cannot read: {error}") from error


def link(previous: str, at: datetime, plan: str, encoded: str) -> str:
    """The hash of an entry that follows `previous`: sha256 over the parts, each ended by a newline."""
    parts = (previous, at.astimezone(UTC).isoformat(), plan, encoded)
    return hashlib.sha256("".join(f"{part}\n" for part in parts).encode()).hexdigest()


def verify_chain(entries: Iterable[Entry], previous: str = GENESIS) -> int:
    """Check every link; return how many entries hold. Raises LedgerError at the first that does not."""
    count = 0
    for entry in entries:
        expected = link(previous, entry.at, entry.plan, encode(entry.fact))
        if entry.previous != previous or entry.hash != expected:
            raise LedgerError(f"ledger entry {entry.seq} was changed, removed or inserted: its hash does not follow")
        previous = entry.hash
        count += 1
    return count
