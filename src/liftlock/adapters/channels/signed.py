"""Any program that takes JSON and checks our signature (docs/channels.md says how)."""

from __future__ import annotations

import hmac
from datetime import datetime

from liftlock.adapters.channels.base import Answer, Request, Ruling, Webhook, as_json
from liftlock.adapters.channels.rulings import by_status, sent
from liftlock.adapters.channels.words import cut, text_of, title_of
from liftlock.notice import Letter

_LONGEST = 1_000_000  # bytes of the body


def request(letter: Letter, webhook: Webhook, now: datetime) -> Request:
    """The letter in plain fields; its `id` is the same each time it is sent, so that a second copy can be dropped."""

    def body(text: str) -> bytes:
        return as_json(
            {
                "id": letter.message_id,
                "kind": letter.kind,
                "customer": letter.customer,
                "language": letter.language,
                "subject": title_of(letter),
                "text": text,
            }
        )

    content = body(cut(text_of(letter), letter.language, lambda text: len(body(text)) <= _LONGEST))
    timestamp = str(int(now.timestamp()))
    signature = hmac.digest(webhook.secret.encode(), timestamp.encode() + b"." + content, "sha256").hex()
    headers = {"X-Liftlock-Timestamp": timestamp, "X-Liftlock-Signature": f"sha256={signature}"}
    return Request(webhook.url, content, headers)


def judge(answer: Answer) -> Ruling:
    """Any 2xx is sent."""
    return by_status(answer) or sent(answer)
