"""What `notify` and `consent` do: people are told all that they are owed by now, each thing once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from liftlock.app.artifacts import check_artifacts
from liftlock.app.cases import open_case, plan_on_record
from liftlock.app.ended import refuse_over
from liftlock.app.rolling import ensure_recorded
from liftlock.app.workspace import Workspace, operator
from liftlock.approval import approvals
from liftlock.case import Case
from liftlock.errors import InputError, LiftlockError, LockedError, RefusedError
from liftlock.ledger import Consented, Delivered, Entry, Fact, Queued, Sending, Settled
from liftlock.model import Contact, NoticeKind, NoticeState, Plan
from liftlock.notice import ANNOUNCEMENTS, Attachment, Letter
from liftlock.outbox import Dispatch, find, identity, sort_out
from liftlock.owed import Debt, addressed, digests, owed, too_late
from liftlock.ports import Mailer
from liftlock.settings import Ambiguous

if TYPE_CHECKING:
    from liftlock.adapters.db import SqlLedger
    from liftlock.adapters.letters import Writer

EVERY_KIND = frozenset(NoticeKind)
AFTER_THE_FACT = EVERY_KIND - ANNOUNCEMENTS
"""What is told without being asked: whether and when customers hear of a plan at all is for `notify` to say."""
_PROMISES = ANNOUNCEMENTS | {NoticeKind.REMINDER}
"""What promises customers an upgrade: only of a release that is there."""
_NAME_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Told:
    """What became of letters in this run, and of those that are owed and were not sent in it.

    `ambiguous` may or may not have arrived, `refused` are dead letters: both wait for a person's word. `too_late` are
    the customers that cannot be told of the plan any more, `gave_way_to` the ids of plans that hosts of it go by.
    """

    delivered: tuple[Delivered, ...] = ()
    already_sent: int = 0
    ambiguous: tuple[Dispatch, ...] = ()
    refused: tuple[Dispatch, ...] = ()
    too_late: tuple[str, ...] = ()
    gave_way_to: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every letter that is owed by now has been sent, and nobody is told too late."""
        waiting = (*self.ambiguous, *self.refused, *self.too_late)
        return not waiting and all(letter.state is NoticeState.SENT for letter in self.delivered)

    def __add__(self, other: Told) -> Told:
        return Told(
            self.delivered + other.delivered,
            self.already_sent + other.already_sent,
            self.ambiguous + other.ambiguous,
            self.refused + other.refused,
            self.too_late + other.too_late,
            self.gave_way_to + other.gave_way_to,
        )


def notify(
    workspace: Workspace,
    plan: Plan,
    *,
    settle: Mapping[str, str] | None = None,
    reason: str = "",
    kinds: Collection[NoticeKind] = EVERY_KIND,
) -> Told:
    """Send every letter that is owed by now and not on record as sent, then a digest of them to the release managers.

    `settle` says of letters, by message id, that they were `sent` or to `resend` them. Raises InputError when
    something that is needed is not there (an artifact of a release that a letter promises, too), before any letter is
    sent; LockedError when somebody else is sending.
    """
    with sending(workspace, plan), workspace.ledger() as ledger:
        ensure_recorded(ledger, plan, workspace)
        case = open_case(workspace, plan, ledger)
        if settle:
            ledger.append_all(plan.id, _settlements(case, settle, reason), workspace.clock.now())
            case = open_case(workspace, plan, ledger)
        now, remind_before = workspace.clock.now(), workspace.settings.notices.remind_before
        debts = [debt for debt in owed(case, now, remind_before) if debt.kind in kinds]
        told = _send(workspace, case, debts, ledger)
        if NoticeKind.ANNOUNCED in kinds:
            later = dict.fromkeys(heir.id for heir in case.heirs.values())
            told += Told(too_late=tuple(too_late(case, now)), gave_way_to=tuple(later))
        case = open_case(workspace, plan, ledger)
        return told + _send(workspace, case, digests(case), ledger)


def close_the_loop(workspace: Workspace, plan: Plan) -> Told | str:
    """Tell people what a rollout, a rollback or an abort means to them; never raises, but says in words why not.

    Of a plan that stands in for another customers are told as well: the dates that they know no longer hold. Not
    while approvals are missing, as it may change once more. Nobody is told where there is no way to send a letter.
    """
    try:
        if workspace.settings.smtp is None and not workspace.settings.channels:
            return Told()
        if not plan.replaces:
            return notify(workspace, plan, kinds=AFTER_THE_FACT)
        with workspace.ledger() as ledger:
            before, approved = plan_on_record(ledger, plan.replaces), approvals(ledger.entries(plan.id))
        agreed = len(approved) >= plan.approvals
        told = notify(workspace, plan, kinds=AFTER_THE_FACT | {NoticeKind.RESCHEDULED} if agreed else AFTER_THE_FACT)
        return notify(workspace, before, kinds=AFTER_THE_FACT) + told if before else told
    except LiftlockError as error:
        return f"people were not told: {error}; run: liftlock notify {plan.id[:8]}"


def consent(workspace: Workspace, plan: Plan, customer: str, by: str) -> bool:
    """Record that somebody at the customer agreed to the plan; False when that was on record.

    Raises InputError for a customer that the plan lacks or a name that is none, RefusedError when it was not told
    yet, or the plan is over.
    """
    by = by.strip()
    if not by or not by.isprintable() or len(by) > _NAME_LENGTH:
        raise InputError("--by takes the name of the person who agreed, one line of text")
    if customer not in (names := {host.customer for host in plan.hosts}):
        raise InputError(f"plan {plan.id[:8]} has no hosts of customer {customer!r}; it has {', '.join(sorted(names))}")
    with workspace.ledger() as ledger:
        ensure_recorded(ledger, plan, workspace)
        case = open_case(workspace, plan, ledger)
        refuse_over(plan, case.entries)
        told = case.told
        if customer in told.consented:
            return False
        if customer not in told.since:
            raise RefusedError(
                f"{customer} was not told of plan {plan.id[:8]} yet, so it cannot have agreed to it;"
                f" first: liftlock notify {plan.id[:8]}"
            )
        ledger.append(plan.id, Consented(customer=customer, by=by), workspace.clock.now())
        return True


def with_news(workspace: Workspace, plan: Plan, ledger: SqlLedger, *facts: Fact) -> list[Fact]:
    """The facts of a decision, and the outbox rows of what customers are to be told of it, to be written together.

    That is what calls dates off where the plan ends, and `rescheduled` where it stands in for another. The decision
    alone where that cannot be told now: what is owed is worked out again when letters are sent.
    """
    last, now = sum(1 for _ in ledger.entries(plan.id)), workspace.clock.now()
    about_to_be = [Entry(last + n, now, plan.id, fact, "", "") for n, fact in enumerate(facts, start=1)]
    try:
        case = open_case(workspace, plan, ledger, *about_to_be)
        debts = owed(case, now, workspace.settings.notices.remind_before)
        theirs = [debt for debt in debts if debt.off or debt.kind is NoticeKind.RESCHEDULED]
        return [*facts, *_rows(case, addressed(case, theirs, _domain(workspace)))]
    except LiftlockError:
        return list(facts)


@contextmanager
def sending(workspace: Workspace, plan: Plan) -> Iterator[None]:
    """Keep others from sending letters of this plan; its rollout may go on meanwhile. Raises LockedError."""
    from liftlock.adapters.lease import leased

    key = hashlib.sha256(f"letters {plan.id}".encode()).hexdigest()
    holder = f"{operator()} (pid {os.getpid()})"
    try:
        with leased(workspace.settings.ledger, key, holder, workspace.clock.now()):
            yield
    except LockedError as error:
        who = str(error).partition(" by ")[2]
        raise LockedError(f"letters of plan {plan.id[:8]} are being sent by {who or 'somebody else'}") from None


def _send(workspace: Workspace, case: Case, debts: Sequence[Debt], ledger: SqlLedger) -> Told:
    found = addressed(case, debts, _domain(workspace))
    if doubtful := _decided_by_policy(workspace, case, found):
        ledger.append_all(case.plan.id, doubtful, workspace.clock.now())
        case = open_case(workspace, case.plan, ledger)
    piles = sort_out(found, case.letters)
    to_send = {message: found[message] for message in piles.to_send}
    if any(debt.kind in _PROMISES for debt, _ in to_send.values()):
        check_artifacts(workspace, case.plan)
    mailer = _mailer(workspace, [contact for _, contact in to_send.values()]) if to_send else None
    letters = written(workspace, case, to_send)
    if new := _rows(case, to_send):
        ledger.append_all(case.plan.id, new, workspace.clock.now())
    delivered = []
    begun = _begun(workspace, case, letters, {message: debt for message, (debt, _) in to_send.items()}, ledger)
    for delivery in mailer.send(begun) if mailer else ():
        debt, contact = found[delivery.message_id]
        fact = Delivered(
            message_id=delivery.message_id,
            customer=debt.customer,
            kind=debt.kind,
            recipient=contact.recipient,
            state=delivery.state,
            detail=delivery.detail,
        )
        ledger.append(case.plan.id, fact, workspace.clock.now())
        delivered.append(fact)
    return Told(
        tuple(delivered),
        len(piles.sent),
        tuple(case.letters[identity(message)] for message in piles.ambiguous),
        tuple(case.letters[identity(message)] for message in piles.refused),
    )


def _begun(
    workspace: Workspace, case: Case, letters: Iterable[Letter], debts: Mapping[str, Debt], ledger: SqlLedger
) -> Iterator[Letter]:
    """The letters one by one, each recorded as being sent before its conversation begins, with what it tells."""
    as_of = case.entries[-1].seq
    for letter in letters:
        calls_off = letter.customer if debts[letter.message_id].off else ""
        fact = Sending(message_id=letter.message_id, as_of=as_of, calls_off=calls_off)
        ledger.append(case.plan.id, fact, workspace.clock.now())
        yield letter


def written(workspace: Workspace, case: Case, found: Mapping[str, tuple[Debt, Contact]]) -> list[Letter]:
    """The letters to these recipients, ready to send."""
    from liftlock.adapters.letters import WITH_MANUAL

    if not found:
        return []
    wanted = {debt.customer for debt, _ in found.values() if debt.kind in WITH_MANUAL}
    desk = writer(workspace, case, manuals_of(workspace, case.plan, wanted))
    return [desk.letter(message, debt, contact) for message, (debt, contact) in found.items()]


def writer(workspace: Workspace, case: Case, manuals: Mapping[str, Sequence[Attachment]]) -> Writer:
    """Who writes letters about the case, with the workspace's templates."""
    from liftlock.adapters.letters import Writer
    from liftlock.adapters.rendering import environment
    from liftlock.app.reviewing import feedback_key

    return Writer(
        case=case,
        fleet=workspace.fleet(case.plan.fleet),
        catalogues=workspace.catalogues(case.plan),
        vendor=workspace.settings.vendor,
        sender=_sender(workspace),
        templates=environment(workspace.root),
        manuals=manuals,
        feedback_key=feedback_key(workspace),
    )


def manuals_of(workspace: Workspace, plan: Plan, wanted: Collection[str]) -> dict[str, tuple[Attachment]]:
    """The manuals of these customers, as they go with letters."""
    from liftlock.app.manuals import made_manuals

    if not wanted:
        return {}
    return {customer: (pdf,) for customer, (pdf, _) in made_manuals(workspace, plan, wanted)}


def _rows(case: Case, found: Mapping[str, tuple[Debt, Contact]]) -> list[Queued]:
    return [
        Queued(
            message_id=message,
            customer=debt.customer,
            kind=debt.kind,
            recipient=contact.recipient,
            events=_events(case, debt),
        )
        for message, (debt, contact) in found.items()
        if identity(message) not in case.letters
    ]


def _events(case: Case, debt: Debt) -> str:
    """The plan whose events the letter's invites go on with, where it is another."""
    events = case.events(debt.customer) if debt.kind in ANNOUNCEMENTS else case.plan.id
    return "" if events == case.plan.id else events


def _settlements(case: Case, settle: Mapping[str, str], reason: str) -> list[Settled]:
    if not reason:
        raise InputError("--settle needs --reason: it is recorded")
    return [_settled(find(named, case.letters), decided, reason, operator()) for named, decided in settle.items()]


def _decided_by_policy(workspace: Workspace, case: Case, found: Iterable[str]) -> list[Settled]:
    """What the settings say about the letters that may or may not have arrived; nothing where a person is to say."""
    policy = workspace.settings.notices.ambiguous
    if policy is Ambiguous.ASK:
        return []
    doubtful = [case.letters[identity(message)] for message in sort_out(found, case.letters).ambiguous]
    decided = "sent" if policy is Ambiguous.ASSUME_SENT else "resend"
    return [_settled(letter, decided, f"notices.ambiguous: {policy}", "policy") for letter in doubtful]


def read_settlements(text: str) -> dict[str, str]:
    """What `--settle` says: `ID=sent,ID=resend`. Raises InputError for anything else."""
    settled = {}
    for part in (part.strip() for part in text.split(",") if part.strip()):
        message, _, decided = part.rpartition("=")
        if not message or decided not in {"sent", "resend"}:
            raise InputError(f"--settle takes MESSAGE_ID=sent or MESSAGE_ID=resend, not {part!r}")
        settled[message] = decided
    return settled


def _settled(letter: Dispatch, decided: str, reason: str, by: str) -> Settled:
    state = NoticeState.SENT if decided == "sent" else NoticeState.FAILED
    return Settled(message_id=letter.message_id, state=state, reason=reason, by=by)


def _mailer(workspace: Workspace, recipients: Sequence[Contact]) -> Mailer:
    from liftlock.adapters.channels.post import open_mailer

    return open_mailer(workspace.settings, os.environ, recipients)


def _sender(workspace: Workspace) -> str:
    settings = workspace.settings
    return settings.smtp.sender if settings.smtp else settings.vendor.email or "liftlock@localhost.invalid"


def _domain(workspace: Workspace) -> str:
    from liftlock.adapters.addresses import sender_address

    return sender_address(_sender(workspace)).domain
