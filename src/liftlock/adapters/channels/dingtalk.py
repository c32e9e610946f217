"""DingTalk (钉钉) group robots. https://open.dingtalk.com/document/robots/custom-robot-access"""

from __future__ import annotations

import base64
import hmac
from datetime import datetime
from urllib.parse import urlencode

from liftlock.adapters.channels.base import Answer, Request, Ruling, Webhook, as_json
from liftlock.adapters.channels.rulings import by_code
from liftlock.adapters.channels.wecom import plain
from liftlock.adapters.channels.words import cut, text_of, title_of
from liftlock.notice import Letter

_LONGEST = 20_000  # bytes of the body
_BUSY = {"-1", "130101", "410100"}  # system busy, too often, held back


def request(letter: Letter, webhook: Webhook, now: datetime) -> Request:
    """The letter as markdown, where a line ends only with two spaces before its end."""
    title = plain(title_of(letter))

    def body(text: str) -> bytes:
        lines = "  \n".join(plain(text).split("\n"))
        return as_json({"msgtype": "markdown", "markdown": {"title": title, "text": f"### {title}\n\n{lines}"}})

    text = cut(text_of(letter), letter.language, lambda text: len(body(text)) <= _LONGEST)
    return Request(_signed(webhook, now), body(text))


def judge(answer: Answer) -> Ruling:
    """By `errcode`; HTTP is always 200."""
    return by_code(answer, codes=("errcode",), words=("errmsg",), busy=lambda code, _words: code in _BUSY)


def _signed(webhook: Webhook, now: datetime) -> str:
    """The address with the time in milliseconds and the HMAC-SHA256 of it and the secret."""
    if not webhook.secret:
        return webhook.url
    timestamp = str(int(now.timestamp() * 1000))
    digest = hmac.digest(webhook.secret.encode(), f"{timestamp}\n{webhook.secret}".encode(), "sha256")
    query = urlencode({"timestamp": timestamp, "sign": base64.b64encode(digest).decode()})
    return f"{webhook.url}{'&' if '?' in webhook.url else '?'}{query}"
