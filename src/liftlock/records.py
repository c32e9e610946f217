"""What became of every host: the ledger's entries, folded once into one record per plan and host. Pure.

* The unit is one host in one plan; its outcome is the last one recorded for it.
* An attempt without a recorded end is `unknown`: attempted, never a success, never untried.
* A host that was attempted stays attempted: only voiding the attempt itself takes that back.
* A host that is to go back, or is on its way back, has not succeeded any more.
* A planned host without an outcome is *pending*: neither attempted nor left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from liftlock.errors import LedgerError
from liftlock.ledger import (
    Ailing,
    Drilled,
    Ended,
    Entry,
    LeftOut,
    Planned,
    Recalled,
    Started,
    Switched,
    Voided,
    WaveOpened,
)
from liftlock.model import Action, Outcome, Plan, ReleaseKind
from liftlock.plan_document import from_document
from liftlock.wording import printable


@dataclass(frozen=True, slots=True)
class HostRecord:
    """What became of one host in one plan; `host` is its name there, `<host>/<product>` for further products.

    `version` is what the plan takes the product to, `observed` the one seen last on the host. `wave` is None for hosts
    that the plan left out; by evidence it is the one foretold until its own is opened. `outcome` None means
    pending. `at` is when the last entry spoke of the host, `seconds` the length of its last attempt, `back_seconds`
    that of the last rollback which was an attempt of its own and brought it back,
    `attempts` how many were started, voided ones not counted. `brought_back` says that nothing was wrong
    with it when it was rolled back: it went back with its rollout, or at an operator's word. `turned` is the number of
    the entry since which its end is this one, 0 while it has none; an attempt that ends as the one before is no turn.
    Causes and details come from hosts; they are free of control characters here.
    """

    plan: str
    product: str
    version: str
    kind: ReleaseKind
    host: str
    customer: str
    wave: int | None
    outcome: Outcome | None
    observed: str | None
    cause: str
    detail: str
    at: datetime
    seconds: float = 0.0
    attempts: int = 0
    brought_back: bool = False
    turned: int = 0
    back_seconds: float = 0.0

    @property
    def machine(self) -> str:
        """The name of the host in the inventory."""
        return self.host.partition("/")[0]

    @property
    def attempted(self) -> bool:
        """Whether it counts in the success rate's denominator."""
        return self.outcome is not None and self.outcome.attempted

    @property
    def unknown(self) -> bool:
        """Whether it was attempted and its end is not known yet."""
        return self.outcome is Outcome.UNKNOWN

    @property
    def has_ended(self) -> bool:
        """Whether it was brought to an end that is known, or found on the release."""
        return self.outcome is Outcome.ALREADY_CURRENT or (self.attempted and not self.unknown)

    @property
    def failed(self) -> bool:
        """Whether it was attempted and its end is known not to be a success."""
        return self.attempted and self.outcome not in (Outcome.SUCCEEDED, Outcome.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Records:
    """All plans by id, oldest first, and the last word on every host, in the same order."""

    plans: Mapping[str, Plan]
    hosts: tuple[HostRecord, ...]


def read_records(entries: Iterable[Entry]) -> Records:
    """Fold the entries, which stand in ledger order; linear in their number.

    Raises LedgerError when they speak of a plan or a host that no `Planned` entry before them names.
    """
    fold = _Fold()
    for entry in entries:
        fold.add(entry)
    plans = dict(sorted(fold.plans.items(), key=lambda item: (item[1].created_at, item[0])))
    return Records(plans, tuple(history.now for plan in plans for history in fold.hosts[plan].values()))


def host_records(entries: Iterable[Entry]) -> list[HostRecord]:
    """The host records alone: plans oldest first, hosts in rollout order. Raises LedgerError as `read_records`."""
    return list(read_records(entries).hosts)


def track_record(records: Iterable[HostRecord], *products: str) -> tuple[int, int]:
    """How many of the products' upgrades on record succeeded, and how many failed by themselves, over all plans.

    Hosts whose end is unknown, and those that were fine when they were brought back, count as neither.
    """
    ended = [record for record in records if record.product in products]
    succeeded = sum(record.outcome is Outcome.SUCCEEDED for record in ended)
    return succeeded, sum(record.failed and not record.brought_back for record in ended)


class _History:
    """One host while its entries fold: what holds now, and what held before the attempt in hand."""

    def __init__(self, record: HostRecord) -> None:
        self.now = self.before = record
        self.why_back = ("", "")
        self.well = False
        self.attempt, self.has_ended = 0, False
        self.action = Action.UPGRADE
        self.end: tuple[object, ...] = ()

    def turn(self, seq: int) -> None:
        """Note the entry with which the host came to another end."""
        end = (self.now.outcome, self.now.observed, self.now.brought_back)
        if self.now.has_ended and end != self.end:
            self.end, self.now = end, replace(self.now, turned=seq)

    def joins(self, wave: int) -> None:
        """By evidence a host's wave is known when it is opened."""
        self.now, self.before = replace(self.now, wave=wave), replace(self.before, wave=wave)

    def add(self, fact: object, at: datetime) -> None:
        if isinstance(fact, Switched | Ended | Voided | Drilled):
            if fact.attempt < self.attempt or (fact.attempt == self.attempt and self.has_ended):
                return  # by a controller that did not know that it was taken over
            self.has_ended = isinstance(fact, Ended) and fact.outcome not in (Outcome.UNKNOWN, Outcome.UNREACHABLE)
        match fact:
            case Started():
                self._started(fact, at)
            case Switched():
                self._unknown(at, "in the bake", observed=_plain(fact.version), seconds=fact.seconds)
            case Ailing() if fact.attempt is None or fact.attempt >= self.attempt:
                self._goes_back(at, fact.cause, fact.detail, well=self.well)
            case Recalled():
                self._goes_back(at, fact.reason, well=True)
            case Voided():
                self._voided(fact, at)
            case Drilled():  # the way back of a drill is no end
                self.now = replace(self.before, outcome=None, observed=_plain(fact.version), cause="", detail="", at=at)
            case LeftOut() if not self.now.attempted:
                self.now = replace(self.now, outcome=fact.outcome, cause=_plain(fact.reason), detail="", at=at)
            case Ended():
                self._ended(fact, at)
            case _:
                pass

    def _started(self, fact: Started, at: datetime) -> None:
        self.before, self.attempt, self.has_ended = self.now, fact.attempt, False
        self.action = fact.action
        if fact.action is Action.UPGRADE:
            self.why_back, self.well = ("", ""), False
        elif not self.why_back[0]:  # neither ailing nor recalled: the policy takes it back with the failing hosts
            self.why_back, self.well = ("brought back as the rollout halted", ""), True
        attempts = self.now.attempts + 1
        self._unknown(at, "no recorded end", observed=_plain(fact.from_version), seconds=0.0, attempts=attempts)

    def _goes_back(self, at: datetime, cause: str, detail: str = "", *, well: bool = False) -> None:
        self.why_back, self.well = (_plain(cause), _plain(detail)), well
        self._unknown(at, self.why_back[0], detail=self.why_back[1])

    def _unknown(self, at: datetime, cause: str, detail: str = "", **changes: Any) -> None:
        self.now = replace(self.now, outcome=Outcome.UNKNOWN, at=at, cause=cause, detail=detail, **changes)

    def _voided(self, fact: Voided, at: datetime) -> None:
        pending = replace(self.before, outcome=None, cause=_plain(fact.cause), detail="", at=at)
        if fact.version:
            pending = replace(pending, observed=_plain(fact.version))
        self.now = self.before if self.before.attempted else pending

    def _ended(self, fact: Ended, at: datetime) -> None:
        before = self.before if self.now.unknown else self.now
        if before.attempted and not fact.outcome.attempted:
            self.now = before
            return
        cause, detail = ("", "") if fact.outcome is Outcome.SUCCEEDED else self.why_back
        back = self.action is Action.ROLL_BACK and fact.outcome is Outcome.ROLLED_BACK
        self.now = replace(
            self.now,
            outcome=fact.outcome,
            observed=None if fact.version is None else _plain(fact.version),
            cause=_plain(fact.cause) or cause,
            detail=_plain(fact.detail) or detail,
            at=at,
            seconds=fact.seconds or self.now.seconds,
            brought_back=self.well and fact.outcome is Outcome.ROLLED_BACK,
            back_seconds=fact.seconds if back else self.now.back_seconds,
        )


class _Fold:
    """Plans and host histories, as far as the entries tell."""

    def __init__(self) -> None:
        self.plans: dict[str, Plan] = {}
        self.hosts: dict[str, dict[str, _History]] = {}

    def add(self, entry: Entry) -> None:
        match entry.fact:
            case Planned(document=document):
                if entry.plan not in self.plans:  # recorded twice, it is still the same: plans never change
                    self._plan(entry, document)
            case Started() | Switched() | Drilled() | Ailing() | Recalled() | Voided() | LeftOut() | Ended() as fact:
                history = self._history(entry, fact.host)
                history.add(fact, entry.at)
                history.turn(entry.seq)
            case WaveOpened(wave=wave, hosts=hosts):
                for host in hosts:
                    self._history(entry, host).joins(wave)
            case _:
                pass

    def _plan(self, entry: Entry, document: Mapping[str, Any]) -> None:
        try:
            plan = from_document(document)
        except ValueError as error:
            raise LedgerError(f"ledger entry {entry.seq} holds a plan this version cannot read: {error}") from error
        self.plans[entry.plan] = plan
        self.hosts[entry.plan] = {
            record.host: _History(record) for record in _before_the_rollout(entry.plan, plan, entry.at)
        }

    def _history(self, entry: Entry, host: str) -> _History:
        history = self.hosts.get(entry.plan, {}).get(host)
        if history is None:
            raise LedgerError(f"ledger entry {entry.seq} speaks of {host}, which no plan {entry.plan} before it names")
        return history


def _before_the_rollout(id_: str, plan: Plan, at: datetime) -> Iterable[HostRecord]:
    by_product = {
        product: HostRecord(
            plan=id_,
            product=product,
            version=version,
            kind=plan.kind,
            host="",
            customer="",
            wave=None,
            outcome=None,
            observed=None,
            cause="",
            detail="",
            at=at,
        )
        for product, version in plan.products.items()
    }
    for host in plan.hosts:
        blank = by_product[plan.product_of(host)]
        yield replace(blank, host=host.name, customer=host.customer, wave=host.wave, observed=_plain(host.observed))
    for left in plan.exclusions:
        blank = by_product[plan.product_of(left)]
        yield replace(blank, host=left.host, customer=left.customer, outcome=left.outcome, cause=_plain(left.reason))


def _plain(text: str) -> str:
    """The text without terminal escape sequences, control, bidi and other unprintable characters."""
    if text.isprintable():
        return text
    return " ".join(printable(text, " ").split())
