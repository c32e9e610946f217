"""Microsoft Teams: a workflow that posts to a chat or channel when a webhook request is received.

https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from liftlock.adapters.channels.base import Answer, Request, Ruling, Webhook, as_json
from liftlock.adapters.channels.rulings import by_status, refused, sent, unclear
from liftlock.adapters.channels.words import cut, text_of, title_of
from liftlock.model import NoticeState
from liftlock.notice import Letter

# Bytes of the body: 28 KB are documented, for the message after the service's own re-coding.
_LONGEST = 21_000
_LINK = re.compile(r"(https?://[^\s<>\"]+)")


def request(letter: Letter, webhook: Webhook, now: datetime) -> Request:  # noqa: ARG001
    """The letter as an Adaptive Card of text runs, in which markdown has no meaning; links can be clicked."""

    def body(text: str) -> bytes:
        title = {"type": "TextRun", "text": title_of(letter), "weight": "Bolder", "size": "Medium"}
        lines = [_paragraph([title]), *(_paragraph(list(_runs(line))) for line in text.split("\n"))]
        card = {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "body": lines,
        }
        attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "content": card}
        return as_json({"type": "message", "attachments": [attachment]})

    text = cut(text_of(letter), letter.language, lambda text: len(body(text)) <= _LONGEST)
    return Request(webhook.url, body(text))


def judge(answer: Answer) -> Ruling:
    """HTTP 202 is a workflow's yes. The older connectors answer 200 with `1`, or with the error in words."""
    if ruling := by_status(answer):
        return ruling
    if not answer.whole:
        return unclear(answer)
    if answer.status == 202 or answer.body.strip() in (b"", b"1"):
        return sent(answer)
    told = refused(answer)
    return Ruling(NoticeState.FAILED, told.words, busy=True) if "HTTP error 429" in told.words else told


def _paragraph(runs: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": runs, "spacing": "None"}


def _runs(line: str) -> Iterator[dict[str, Any]]:
    """A line's text and links; an empty line is a space, since a run must have a text."""
    for place, part in enumerate(_LINK.split(line or " ")):
        if place % 2:
            yield {"type": "TextRun", "text": part, "selectAction": {"type": "Action.OpenUrl", "url": part}}
        elif part:
            yield {"type": "TextRun", "text": part}
