"""WeCom (企业微信) group robots. https://developer.work.weixin.qq.com/document/path/91770"""

from __future__ import annotations

import re
from datetime import datetime

from liftlock.adapters.channels.base import Answer, Request, Ruling, Webhook, as_json
from liftlock.adapters.channels.rulings import by_code
from liftlock.adapters.channels.words import cut, text_of, title_of
from liftlock.notice import Letter

_LONGEST = 4096  # bytes of the content
_BUSY = {"-1", "45009", "45033"}  # system busy, too often, too many at once


def request(letter: Letter, webhook: Webhook, now: datetime) -> Request:  # noqa: ARG001
    """The letter as markdown under a bold title."""

    def content(text: str) -> str:
        return f"**{plain(title_of(letter))}**\n{plain(text)}"

    text = cut(text_of(letter), letter.language, lambda text: len(content(text).encode("utf-8", "replace")) <= _LONGEST)
    return Request(webhook.url, as_json({"msgtype": "markdown", "markdown": {"content": content(text)}}))


def judge(answer: Answer) -> Ruling:
    """By `errcode`; HTTP is always 200."""
    return by_code(answer, codes=("errcode",), words=("errmsg",), busy=lambda code, _words: code in _BUSY)


def plain(text: str) -> str:
    """The text without anything that this markdown acts on: tags, mentions (`<@all>`), links, bold, code, headings.

    The service knows no way to escape them, so the signs are replaced by their full-width twins.
    """
    return re.sub(r"(?m)^[#>]+", lambda signs: signs[0].translate(_TWINS), text).translate(_ALWAYS)


_TWINS = str.maketrans("#>", "＃＞")
_ALWAYS = str.maketrans("<[]*`", "＜［］＊｀")
