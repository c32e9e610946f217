"""A channel at work: letters go to its service one by one, with patience, and its secrets stay here."""

from __future__ import annotations

import re
import ssl
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from liftlock.adapters.channels.base import Request, Ruling, Service, Webhook
from liftlock.adapters.channels.exchange import NoAnswerError, NotHandedOverError, exchange
from liftlock.adapters.patience import Patience
from liftlock.model import NoticeState
from liftlock.notice import Delivery, Letter

_CONNECTS = 3
"""So often in a row may no connection come about before letters stop trying."""
_LONG = 16
"""Parts of an address that are at least so long are keys; shorter ones are words such as `send`."""


class Room:
    """One run's way to a channel."""

    def __init__(
        self,
        service: Service,
        webhook: Webhook,
        *,
        trust: ssl.SSLContext,
        timeout: timedelta,
        patience: Patience,
        proxy: str = "",
    ) -> None:
        self._service = service
        self._webhook = webhook
        self._trust = trust
        self._timeout = timeout
        self._patience = patience
        self._proxy = proxy
        self._in_vain = 0

    def deliver(self, letter: Letter) -> Delivery:
        """Send one letter, again where the service is busy or was not reached, and say what became of it."""
        ruling = self._patience.try_until_settled(
            lambda: self._attempt(letter), busy=lambda ruling: ruling.busy, wanted_pause=lambda ruling: ruling.pause
        )
        return Delivery(letter.message_id, ruling.state, ruling.words)

    def close(self) -> None:
        """Nothing to do: each letter has a connection of its own."""

    def _attempt(self, letter: Letter) -> Ruling:
        if self._in_vain >= _CONNECTS:
            return Ruling(NoticeState.FAILED, f"not tried: the service was not reached {_CONNECTS} times in a row")
        request = self._service.request(letter, self._webhook, datetime.now(UTC))
        try:
            answer = exchange(request, self._trust, self._timeout, self._proxy)
        except NotHandedOverError as error:
            self._in_vain += 1
            return Ruling(NoticeState.FAILED, str(error), busy=error.again and self._in_vain < _CONNECTS)
        except NoAnswerError as error:
            self._in_vain = 0
            return Ruling(NoticeState.AMBIGUOUS, str(error))
        self._in_vain = 0
        ruling = self._service.judge(answer)
        return Ruling(ruling.state, self._without_secrets(ruling.words, request), ruling.busy, ruling.pause)

    def _without_secrets(self, words: str, request: Request) -> str:
        """What a service says may repeat the address it was asked at."""
        known = {request.url, self._webhook.url, self._webhook.secret}
        for url in (urlsplit(request.url), urlsplit(self._webhook.url)):
            parts = {url.path, url.query, *re.split(r"[/&=]", f"{url.path}&{url.query}")}
            known |= {part for part in parts if len(part) >= _LONG}
        for secret in sorted(known - {""}, key=len, reverse=True):
            words = words.replace(secret, "…")
        return words
