"""How an answer is judged: by the code in its body where the service has one, and else by its HTTP status.

The chat services answer HTTP 200 to what they refuse; their code alone says whether a letter was taken.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from liftlock.adapters.channels.base import Answer, Ruling
from liftlock.model import NoticeState
from liftlock.wording import printable

_WORDS_KEPT = 300
_NOT_NOW = (408, 425, 429, 503)


def by_code(
    answer: Answer, *, codes: tuple[str, ...], words: tuple[str, ...], busy: Callable[[str, str], bool]
) -> Ruling:
    """Judge by the first of the fields `codes` that the body has: 0 alone is sent.

    `busy` says of a code and its words whether the service is only busy. An answer without any code is not the
    service's own; with HTTP 200 it leaves open what happened.
    """
    said = _document(answer)
    code = next((str(said[field]) for field in codes if field in said), "")
    if code and (answer.status // 100 in (2, 4)):
        told = next((str(said[field]) for field in words if field in said), "")
        if code == "0" and answer.status // 100 == 2:
            return Ruling(NoticeState.SENT, _said(answer, f"code 0 {told}"))
        if busy(code, told):
            return Ruling(NoticeState.FAILED, _said(answer, f"code {code} {told}"), busy=True, pause=_pause(answer))
        if code != "0":
            return Ruling(NoticeState.REFUSED, _said(answer, f"code {code} {told}"))
    return by_status(answer) or unclear(answer)


def by_status(answer: Answer) -> Ruling | None:
    """Judge by the HTTP status; None for 2xx, which says nothing yet. It may have passed a 502 or 504."""
    words, status = _said(answer, _text(answer)), answer.status
    if status // 100 == 2:
        return None
    if status in _NOT_NOW:
        return Ruling(NoticeState.FAILED, words, busy=True, pause=_pause(answer))
    if status == 500:
        return Ruling(NoticeState.FAILED, words)
    if status // 100 == 3:
        return Ruling(NoticeState.REFUSED, f"HTTP {status}: a redirect, which is not followed: correct the address")
    return Ruling(NoticeState.REFUSED if status // 100 == 4 else NoticeState.AMBIGUOUS, words)


def sent(answer: Answer) -> Ruling:
    """The letter was taken."""
    return Ruling(NoticeState.SENT, _said(answer, _text(answer)))


def refused(answer: Answer) -> Ruling:
    """The letter was not taken, and the body says why."""
    return Ruling(NoticeState.REFUSED, _said(answer, _text(answer)))


def unclear(answer: Answer) -> Ruling:
    """HTTP 2xx, but not in the service's words: a page of a proxy, say. The letter may have been taken."""
    return Ruling(NoticeState.AMBIGUOUS, f"not an answer of this service: {_said(answer, _text(answer))}")


def _document(answer: Answer) -> dict[str, object]:
    try:
        document = json.loads(answer.body) if answer.whole else None
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _text(answer: Answer) -> str:
    return answer.body[:_WORDS_KEPT].decode("utf-8", "replace")


def _said(answer: Answer, words: str) -> str:
    told = " ".join(printable(words, " ").split())[:_WORDS_KEPT]
    return f"HTTP {answer.status}: {told}" if told else f"HTTP {answer.status}"


def _pause(answer: Answer) -> float:
    """The pause that the service asks for, in seconds or until a date (RFC 9110, 10.2.3)."""
    wanted = answer.retry_after.strip()
    if wanted.isascii() and wanted.isdecimal():
        return float(wanted[:9])
    try:
        return max((parsedate_to_datetime(wanted) - datetime.now(UTC)).total_seconds(), 0.0)
    except (ValueError, TypeError):  # no date, or one without a zone
        return 0.0
