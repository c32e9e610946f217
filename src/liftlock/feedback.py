"""What customers think of their upgrade: the code that an answer carries, and the answer itself. Pure.

A code is the first 60 bits of HMAC-SHA256 (RFC 2104) over plan and customer, in base32 (RFC 4648): only who holds the
vendor's key can make one, and it tells nobody's name.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import quote

from liftlock.errors import InputError

LOWEST, HIGHEST = 1, 5
SENTENCE = 1000
"""Characters of a comment that are kept."""

_CODE = r"(?<![A-Z0-9-])([A-Z2-7]{4}-[A-Z2-7]{4}-[A-Z2-7]{4})"
_SUBJECT = re.compile(_CODE + r"[^\w-]+([1-5])(?![0-9]|[.,][0-9])", re.IGNORECASE | re.ASCII)
_NOT_THEIRS = re.compile(
    r"^[ \t]*(?:>|-- ?$|_{8,}|-{2,} ?(?:Original|Ursprüngliche|Forwarded|原始邮件|原邮件|转发)"
    r"|(?:From|Von|Sent|发件人|寄件者) ?[:：]|(?:Sent from|Get Outlook|Gesendet von|发自我的)\b"
    r"|(?:On|Am)\b[^\n]*\d[^\n]*(?:\n[^\n]*)?(?:wrote|schrieb[^\n]*):|[^\n]*(?:\n[^\n]*)?写道[:：])",
    re.MULTILINE | re.IGNORECASE,
)
"""Where a mail program begins to quote, and where a signature begins."""
_GREETING = re.compile(
    r"^\W*(?:(?:dear|hello|hi|hey|good (?:morning|day|evening))\b.{0,40}|.{0,20}(?:您好|你好))\W*$", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A customer's word: the code it came with, the score, perhaps a sentence."""

    code: str
    score: int
    comment: str = ""


def code_of(key: bytes, plan: str, customer: str) -> str:
    """The code for this customer's answer about this plan, such as `K7QM-4TZC-2AXB`."""
    digest = hmac.new(key, f"{plan}\n{customer}".encode(), hashlib.sha256).digest()
    text = base64.b32encode(digest).decode()[:12]
    return "-".join((text[:4], text[4:8], text[8:]))


def links(code: str, to: str) -> tuple[str, ...]:
    """For each score, lowest first, a `mailto:` link (RFC 6068) that answers with it in one click."""
    return tuple(
        f"mailto:{quote(to, safe='@')}?subject={quote(f'{code} {score}')}" for score in range(LOWEST, HIGHEST + 1)
    )


def find(key: bytes, code: str, plans_and_customers: Iterable[tuple[str, str]]) -> tuple[str, str]:
    """The plan and customer that a code stands for. Raises InputError when it stands for none of these."""
    given = code.strip().upper()
    for plan, customer in plans_and_customers:
        if hmac.compare_digest(code_of(key, plan, customer).encode(), given.encode()):
            return plan, customer
    raise InputError(f"the code {code!r} was not given out by this workspace: compare it with the customer's letter")


def read_score(text: str) -> int:
    """The score in words of a person. Raises InputError unless it is a whole number from 1 to 5."""
    if re.fullmatch(rf"[{LOWEST}-{HIGHEST}]", text, re.ASCII):
        return int(text)
    raise InputError(f"a score is a whole number from {LOWEST} to {HIGHEST}, not {text!r}")


def read_reply(subject: str, body: str) -> Answer | None:
    """The answer in a reply by mail; None when its subject carries no code and score.

    Its sentence is the first paragraph that the customer wrote, after a greeting: not what a program quotes, nor a
    signature.
    """
    if not (found := _SUBJECT.search(unicodedata.normalize("NFKC", subject))):
        return None
    return Answer(found[1].upper(), int(found[2]), sentence(next(_own_paragraphs(body), "")))


def _own_paragraphs(body: str) -> Iterator[str]:
    lines = "\n".join(line for line in body.splitlines() if not line.lstrip().startswith(">"))
    own = _NOT_THEIRS.split(lines, maxsplit=1)[0]
    for paragraph in re.split(r"\n\s*\n", own):
        if paragraph.strip() and not _GREETING.match(paragraph.strip()):
            yield paragraph


def sentence(text: str) -> str:
    """A comment as one line of printable text, cut where it is too long."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:SENTENCE]
