"""What the services have in common: a request, an answer, and a ruling on what the answer means for the letter."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from liftlock.model import NoticeState
from liftlock.notice import Letter


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where a room is reached, and what letters to it are signed with. Both are secret, so neither is ever shown."""

    url: str = field(repr=False)
    secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Request:
    """One POST of JSON; `headers` beside those that every request has."""

    url: str = field(repr=False)
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the beginning of the body, whether that is all of it, and the Retry-After header."""

    status: int
    body: bytes = b""
    whole: bool = True
    retry_after: str = ""


@dataclass(frozen=True, slots=True)
class Ruling:
    """What became of a letter, in words. A `busy` service may be tried again, after `pause` seconds at the earliest."""

    state: NoticeState
    words: str
    busy: bool = False
    pause: float = 0.0


class Service(Protocol):
    """One module of this package."""

    def request(self, letter: Letter, webhook: Webhook, now: datetime) -> Request:
        """The request that posts the letter, signed as of `now`, cut to what the service takes."""
        ...

    def judge(self, answer: Answer) -> Ruling:
        """What the answer says of the letter."""
        ...


def as_json(document: Mapping[str, Any]) -> bytes:
    """The document as UTF-8, since sizes are counted in bytes and `\\uXXXX` doubles a Chinese text."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
