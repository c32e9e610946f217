"""Notices: the letters, which of them a plan owes, and when they free a customer's hosts. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from liftlock.model import Contact, NoticeKind, NoticeState


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes with a letter; `media_type` such as `text/calendar; method=REQUEST`."""

    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Letter:
    """One notice to one recipient, ready to send."""

    message_id: str
    customer: str
    kind: NoticeKind
    recipient: Contact
    subject: str
    text: str
    html: str
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class Delivery:
    """What the mail server said to one letter."""

    message_id: str
    state: NoticeState
    detail: str = ""
