"""Feishu (飞书, Lark) group robots. https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot"""

from __future__ import annotations

import base64
import hmac
from datetime import datetime
from typing import Any

from liftlock.adapters.channels.base import Answer, Request, Ruling, Webhook, as_json
from liftlock.adapters.channels.rulings import by_code
from liftlock.adapters.channels.words import cut, text_of, title_of
from liftlock.notice import Letter

_LONGEST = 20_000  # bytes of the body


def request(letter: Letter, webhook: Webhook, now: datetime) -> Request:
    """The letter as a `post` of `text` tags, in which nothing has a meaning of its own."""
    language = "zh_cn" if letter.language.startswith("zh") else "en_us"
    signature = _signature(webhook.secret, now) if webhook.secret else {}

    def body(text: str) -> bytes:
        lines = [[{"tag": "text", "text": line}] for line in text.split("\n")]
        post: dict[str, Any] = {language: {"title": title_of(letter), "content": lines}}
        return as_json({**signature, "msg_type": "post", "content": {"post": post}})

    text = cut(text_of(letter), letter.language, lambda text: len(body(text)) <= _LONGEST)
    return Request(webhook.url, body(text))


def judge(answer: Answer) -> Ruling:
    """By `code`, in older answers `StatusCode`."""
    return by_code(answer, codes=("code", "StatusCode"), words=("msg", "StatusMessage"), busy=_busy)


def _busy(code: str, words: str) -> bool:
    """11232 is too often; 9499 stands for that and for a wrong request alike, so its words count."""
    return code == "11232" or (code == "9499" and "too many" in words.casefold())


def _signature(secret: str, now: datetime) -> dict[str, str]:
    """The time in seconds, and the HMAC-SHA256 of nothing with time and secret as its key."""
    timestamp = str(int(now.timestamp()))
    digest = hmac.digest(f"{timestamp}\n{secret}".encode(), b"", "sha256")
    return {"timestamp": timestamp, "sign": base64.b64encode(digest).decode()}
