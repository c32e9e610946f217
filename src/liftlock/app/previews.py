"""What `notify --preview` does: write letters to look at, those that are owed now and a sample of every kind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from liftlock import ledger as record
from liftlock.adapters import files
from liftlock.app.cases import open_case
from liftlock.app.telling import manuals_of, writer, written
from liftlock.app.workspace import Workspace
from liftlock.case import Before, Case
from liftlock.ledger import Entry, Fact, Planned
from liftlock.model import Action, Contact, NoticeKind, NoticeState, Outcome, Plan, PlannedHost, Window
from liftlock.notice import Letter, contacts
from liftlock.outbox import Dispatch, message_id, sort_out
from liftlock.owed import Ask, Debt, What, addressed, owed
from liftlock.plan_document import to_document

_INSIDE = frozenset({NoticeKind.DIGEST, NoticeKind.INCIDENT})
_NOBODY = Contact("Release manager", "release.manager@example.com")


@dataclass(frozen=True, slots=True)
class Preview:
    """The files that were written: a page that shows all, and each letter as page, text and attachments."""

    index: Path
    files: tuple[Path, ...]
    letters: int


def preview(workspace: Workspace, plan: Plan) -> Preview:
    """Write every letter that is owed now and not sent, and samples of every kind; sends and records nothing."""
    folder = workspace.out(plan) / "notices"
    with workspace.ledger() as ledger:
        case = open_case(workspace, plan, ledger)
    if not any(isinstance(entry.fact, Planned) for entry in case.entries):
        case = _with(case)
    now, remind_before = workspace.clock.now(), workspace.settings.notices.remind_before
    found = addressed(case, owed(case, now, remind_before), "preview.invalid")
    to_send = sort_out(found, case.letters).to_send
    letters = written(workspace, case, {message: found[message] for message in to_send})
    shown = [("owed", letter) for letter in letters]
    shown += [("samples", letter) for letter in _samples(workspace, case)]
    pages: list[tuple[str, Letter, Path]] = []
    paths: list[Path] = []
    for group, letter in shown:
        place = folder / group / letter.kind / (letter.recipient.email or letter.recipient.channel)
        parts = {"notice.html": letter.html, "notice.txt": f"{letter.subject}\n\n{letter.text}"}
        for name, content in parts.items() | {(part.name, part.content) for part in letter.attachments}:
            files.write_atomically(place / name, content)
            paths.append(place / name)
        pages.append((group, letter, (place / "notice.html").relative_to(folder)))
    index = folder / "index.html"
    files.write_atomically(index, _index(workspace, plan, pages))
    return Preview(index, (index, *sorted(paths)), len(pages))


def _index(workspace: Workspace, plan: Plan, pages: list[tuple[str, Letter, Path]]) -> str:
    from liftlock.adapters.rendering import environment, render

    entries = [
        {"group": group, "letter": letter, "page": page.as_posix(), "files": [one.name for one in letter.attachments]}
        for group, letter, page in pages
    ]
    return render(environment(workspace.root), "notices/index.html.j2", plan=plan, entries=entries)


def _samples(workspace: Workspace, case: Case) -> Iterator[Letter]:
    """One letter of each kind in each language that the plan's customers speak, as if things had gone so."""
    there = [name for name in reversed(case.hosts) if name in case.customers]
    speakers = {case.customers[name].language: name for name in there}
    manuals = manuals_of(workspace, case.plan, speakers.values())
    for kind in NoticeKind:
        for customer in [""] if kind in _INSIDE else speakers.values():
            imagined = _imagine(case, kind, customer)
            debt = _debt(imagined, kind, customer)
            message = f"<{kind}-{customer}@preview.invalid>"
            yield writer(workspace, imagined, manuals).letter(message, debt, debt.recipients[0])


def _debt(case: Case, kind: NoticeKind, customer: str) -> Debt:
    if not customer:
        return Debt(kind, "", case.managers or (_NOBODY,), letters=tuple(_deliveries(case)))
    first, *_ = hosts = [host.name for host in case.plan.hosts if host.customer == customer]
    asks = (
        Ask(What.GATE, first, "test_disk_space: 1.2 GB free, 4 GB needed"),
        Ask(What.UNREACHABLE, first),
        Ask(What.CONSENT),
        Ask(What.HELD, first),
    )
    debt = Debt(kind, customer, contacts(case.customers[customer]), asks=asks)
    if kind is NoticeKind.CANCELLED:
        return replace(debt, off=tuple(hosts), off_since=case.plan.created_at)
    return replace(debt, coming=tuple(record.host for record in case.ahead(customer)))


def _deliveries(case: Case) -> Iterator[Dispatch]:
    at = case.plan.created_at
    for number, name in enumerate(case.hosts):
        contact = contacts(case.customers[name])[0]
        state = NoticeState.REFUSED if number == 1 else NoticeState.SENT
        detail = "550 5.1.1 no such mailbox" if number == 1 else ""
        message = message_id(case.plan.id, name, NoticeKind.ANNOUNCED, contact.recipient)
        yield Dispatch(message, name, NoticeKind.ANNOUNCED, contact.recipient, state, at, at, detail)


def _imagine(case: Case, kind: NoticeKind, customer: str) -> Case:
    """The case as it would be when such a letter is owed."""
    hosts = [host for host in case.plan.hosts if customer in {"", host.customer}]
    match kind:
        case NoticeKind.STARTED:
            switched = record.Switched(host=hosts[0].name, attempt=1, version=hosts[0].wanted)
            return _with(case, _started(hosts[0]), switched)
        case NoticeKind.COMPLETED:
            return _with(case, *(fact for host in hosts for fact in _ended(host, Outcome.SUCCEEDED, host.wanted)))
        case NoticeKind.ROLLED_BACK | NoticeKind.INCIDENT:
            back = _ended(hosts[0], Outcome.ROLLED_BACK, hosts[0].observed)
            others = (fact for host in hosts[1:] for fact in _ended(host, Outcome.SUCCEEDED, host.wanted))
            return _with(case, *back, *others, record.Halted(reason="budget: 1 planned host failed, 98 % allows 0"))
        case NoticeKind.CANCELLED:
            return _with(case, record.Aborted(reason="", by=""))
        case NoticeKind.RESCHEDULED:
            earlier = replace(case, plan=_earlier(case.plan))
            known = _with(earlier, *(fact for name in case.hosts for fact in _announced(earlier, name)))
            before = Before(known, frozenset(host.name for host in case.plan.hosts))
            return replace(_with(case), before=(before,))
    return _with(case)


def _with(case: Case, *facts: Fact) -> Case:
    """The plan of the case with these facts alone on its record."""
    plan, at = case.plan, case.plan.created_at
    all_facts: list[Fact] = [Planned(document=to_document(plan)), *facts]
    entries = tuple(Entry(seq, at, plan.id, fact, "", "") for seq, fact in enumerate(all_facts, start=1))
    return replace(case, entries=entries, before=(), heirs={})


def _announced(case: Case, customer: str) -> Iterator[Fact]:
    kind, sent = NoticeKind.ANNOUNCED, NoticeState.SENT
    for contact in contacts(case.customers[customer]):
        message = message_id(case.plan.id, customer, kind, contact.recipient)
        yield record.Delivered(
            message_id=message, customer=customer, kind=kind, recipient=contact.recipient, state=sent
        )


def _started(host: PlannedHost) -> Fact:
    return record.Started(
        host=host.name,
        attempt=1,
        action=Action.UPGRADE,
        from_version=host.observed,
        to_version=host.wanted,
        session="preview",
    )


def _ended(host: PlannedHost, outcome: Outcome, version: str) -> tuple[Fact, Fact]:
    cause = "health: HTTP 500" if outcome is Outcome.ROLLED_BACK else ""
    return _started(host), record.Ended(host=host.name, attempt=1, outcome=outcome, version=version, cause=cause)


def _earlier(plan: Plan) -> Plan:
    """The plan as if a week before."""
    week = timedelta(days=7)
    hosts = (
        replace(host, window=Window(host.window.start - week, host.window.end - week), hops=host.hops)
        for host in plan.hosts
    )
    return replace(plan, id="0" * 64, hosts=tuple(hosts), created_at=plan.created_at - week)
