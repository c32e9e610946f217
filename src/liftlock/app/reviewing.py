"""What `report --quarter` and `feedback` do: the service review, and customers' answers."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from liftlock.adapters import files
from liftlock.adapters.replies import replies_in
from liftlock.app.workspace import Workspace
from liftlock.errors import InputError, LiftlockError
from liftlock.feedback import Answer, code_of, find, sentence
from liftlock.ledger import Delivered, Rated
from liftlock.model import Release
from liftlock.quarter import Quarter
from liftlock.review import Review, make_review

KEY_LENGTH = 32


@dataclass(frozen=True, slots=True)
class Heard:
    """A customer's answer as it stands in the record; `recorded` is false when it was there already."""

    plan: str
    customer: str
    score: int
    comment: str
    recorded: bool


@dataclass(frozen=True, slots=True)
class Unknown:
    """A reply that was not recorded, and why."""

    file: Path
    why: str


def review_quarter(workspace: Workspace, quarter: str) -> Review:
    """The service review of a quarter such as `2026-Q4`; empty is the one in which we are."""
    now = workspace.clock.now()
    wanted = Quarter.read(quarter) if quarter else Quarter.of(now)
    with workspace.ledger(create=False) as ledger:
        return make_review(
            ledger.entries(), wanted, now, _releases(workspace), workspace.settings.policy.target_percent
        )


def write_review(workspace: Workspace, review: Review, html: str, pdf: str) -> list[Path]:
    """Write the review as a page, as a PDF, or both; return the files."""
    from liftlock.adapters.review_page import review_page, review_pdf

    now, vendor = workspace.clock.now(), workspace.settings.vendor.name
    written: list[Path] = []
    if html:
        files.write_atomically(Path(html), review_page(review, now, vendor))
        written.append(Path(html))
    if pdf:
        files.write_atomically(Path(pdf), review_pdf(review, now, vendor))
        written.append(Path(pdf))
    return written


def record_feedback(workspace: Workspace, answer: Answer) -> Heard:
    """Record a customer's answer. Raises InputError for a code that this workspace did not give out."""
    with workspace.ledger(create=False) as readable:
        told = {
            (entry.plan, entry.fact.customer)
            for entry in readable.entries()
            if isinstance(entry.fact, Delivered) and entry.fact.customer
        }
        plan, customer = find(feedback_key(workspace), answer.code, sorted(told))
        given = [entry.fact for entry in readable.entries(plan) if isinstance(entry.fact, Rated)]
    fact = Rated(customer=customer, score=answer.score, comment=sentence(answer.comment))
    new = fact not in [one for one in given if one.customer == customer][-1:]
    if new:
        with workspace.ledger() as ledger:
            ledger.append(plan, fact, workspace.clock.now())
    return Heard(plan, customer, fact.score, fact.comment, recorded=new)


def record_replies(workspace: Workspace, path: Path) -> tuple[list[Heard], list[Unknown], list[Path]]:
    """Record the answers in saved replies; those with a code that was not given out here stop no other.

    Last come the files that carry no code and score.
    """
    heard, unknown = [], []
    replies, passed_over = replies_in(path)
    for reply in replies:
        try:
            heard.append(record_feedback(workspace, reply.answer))
        except InputError as error:
            unknown.append(Unknown(reply.file, str(error)))
    return heard, unknown, passed_over


def feedback_key(workspace: Workspace) -> bytes:
    """The key that makes codes: made at first use, readable to its owner alone, never in the record."""
    path = workspace.state / "feedback.key"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError), open(path, "x", opener=_privately) as file:
            file.write(secrets.token_hex(KEY_LENGTH))
        return bytes.fromhex(path.read_text(encoding="ascii").strip())
    except OSError as error:
        raise LiftlockError(f"{path}: {error.strerror}") from error
    except ValueError:
        raise LiftlockError(
            f"{path}: is no key: put it back from a backup, or codes in letters sent are lost"
        ) from None


def code_for(workspace: Workspace, plan: str, customer: str) -> str:
    """The code that a letter to this customer about this plan carries."""
    return code_of(feedback_key(workspace), plan, customer)


def _privately(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)


def _releases(workspace: Workspace) -> dict[tuple[str, str], Release]:
    """Every release that the workspace still knows; a product whose files are wrong is left out."""

    def known() -> Iterator[Release]:
        for product in files.list_products(workspace.root):
            with suppress(InputError):
                yield from workspace.catalogue(product).releases

    return {(release.product, release.version): release for release in known()}
