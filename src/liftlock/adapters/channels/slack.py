"""Slack incoming webhooks. https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks"""

from __future__ import annotations

from datetime import datetime

from liftlock.adapters.channels.base import Answer, Request, Ruling, Webhook, as_json
from liftlock.adapters.channels.rulings import by_status, refused, sent, unclear
from liftlock.adapters.channels.words import cut, text_of, title_of
from liftlock.notice import Letter

_LONGEST = 40_000  # characters of the text


def request(letter: Letter, webhook: Webhook, now: datetime) -> Request:  # noqa: ARG001
    """The letter as text without markup; `&`, `<` and `>` are its control characters even then."""

    def content(text: str) -> str:
        whole = f"{title_of(letter)}\n\n{text}"
        return whole.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    text = cut(text_of(letter), letter.language, lambda text: len(content(text)) <= _LONGEST)
    return Request(webhook.url, as_json({"text": content(text), "mrkdwn": False, "unfurl_links": False}))


def judge(answer: Answer) -> Ruling:
    """HTTP 200 with `ok`, and nothing else, is sent; other bodies name the mistake."""
    if ruling := by_status(answer):
        return ruling
    if not answer.whole or answer.body.lstrip().startswith(b"<"):
        return unclear(answer)
    return sent(answer) if answer.body.strip() == b"ok" else refused(answer)
