"""What `manual` and `notify` do: customers get a manual and a notice made from the plan."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from liftlock.adapters import files
from liftlock.app.workspace import Workspace
from liftlock.errors import InputError
from liftlock.ledger import Delivered, Queued
from liftlock.model import NoticeState, Plan
from liftlock.notice import Attachment, Letter, customers, dispatches, unsent


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a plan's letters in this run, and which were settled before it."""

    delivered: tuple[Delivered, ...]
    already_sent: int
    ambiguous: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether every letter that the plan owes has been sent."""
        return not self.ambiguous and all(letter.state is NoticeState.SENT for letter in self.delivered)


def write_manuals(workspace: Workspace, plan: Plan, only: str | None = None) -> list[Path]:
    """Write each customer's manual under `out/`; return the files."""
    if only is not None and only not in {host.customer for host in plan.hosts}:
        raise InputError(f"plan {plan.id[:8]} has no hosts of customer {only!r}")
    written = []
    for customer, manual in _manuals(workspace, plan).items():
        if only in (None, customer):
            path = workspace.out(plan) / "manuals" / manual.name
            files.write_atomically(path, manual.content)
            written.append(path)
    return written


def preview(workspace: Workspace, plan: Plan) -> list[Path]:
    """Write every letter as its recipients would read it, without sending or recording anything."""
    written = []
    for letter in _letters(workspace, plan):
        folder = workspace.out(plan) / "notices" / letter.recipient.email
        parts = {"notice.html": letter.html, "notice.txt": f"{letter.subject}\n\n{letter.text}"}
        for name, content in parts.items() | {(part.name, part.content) for part in letter.attachments}:
            files.write_atomically(folder / name, content)
            written.append(folder / name)
    return sorted(written)


def notify(workspace: Workspace, plan: Plan) -> Told:
    """Send every letter that the plan owes and the record does not show as sent."""
    from liftlock.adapters.smtp import SmtpMailer

    if workspace.settings.smtp is None:
        raise InputError("liftlock.yaml names no mail server: add smtp: {host: ..., sender: ...}")
    letters = _letters(workspace, plan)
    mailer = SmtpMailer(workspace.settings.smtp, os.environ.get("LIFTLOCK_SMTP_PASSWORD"))
    with workspace.held(plan), workspace.ledger() as ledger:
        to_send, ambiguous = unsent(letters, dispatches(ledger.entries(plan.id)))

        def queued() -> Iterator[Letter]:
            for letter in to_send:
                fact = Queued(
                    message_id=letter.message_id,
                    customer=letter.customer,
                    kind=letter.kind,
                    recipient=letter.recipient.email,
                )
                ledger.append(plan.id, fact, workspace.clock.now())
                yield letter

        by_id = {letter.message_id: letter for letter in letters}
        delivered = []
        for delivery in mailer.send(queued()):
            letter = by_id[delivery.message_id]
            fact = Delivered(
                message_id=delivery.message_id,
                customer=letter.customer,
                kind=letter.kind,
                recipient=letter.recipient.email,
                state=delivery.state,
                detail=delivery.detail,
            )
            ledger.append(plan.id, fact, workspace.clock.now())
            delivered.append(fact)
    return Told(
        delivered=tuple(delivered),
        already_sent=len(letters) - len(to_send) - len(ambiguous),
        ambiguous=tuple(letter.recipient.email for letter in ambiguous),
    )


def _manuals(workspace: Workspace, plan: Plan) -> dict[str, Attachment]:
    from liftlock.adapters.manual import make_manual, manual_attachment, missing_chapters
    from liftlock.adapters.rendering import environment

    (catalogue, *also), fleet = workspace.catalogues(plan), workspace.fleet(plan.fleet)
    chapters = workspace.root / "manuals"
    if missing := missing_chapters(plan, fleet, chapters):
        raise InputError(missing)
    templates = environment(workspace.root)
    return {
        customer.name: manual_attachment(
            plan,
            customer,
            make_manual(
                plan,
                customer,
                fleet,
                catalogue,
                chapters=chapters,
                vendor=workspace.settings.vendor,
                templates=templates,
                also=also,
            ),
        )
        for customer in customers(plan, fleet)
    }


def _letters(workspace: Workspace, plan: Plan) -> list[Letter]:
    from liftlock.adapters.letters import make_letters
    from liftlock.adapters.rendering import environment

    smtp = workspace.settings.smtp
    catalogue, *also = workspace.catalogues(plan)
    return make_letters(
        plan,
        workspace.fleet(plan.fleet),
        catalogue,
        vendor=workspace.settings.vendor,
        sender=smtp.sender if smtp else workspace.settings.vendor.email or "liftlock@localhost.invalid",
        manuals=_manuals(workspace, plan),
        templates=environment(workspace.root),
        also=also,
    )
