"""Letters over SMTP: one conversation for many, and an honest word on what became of each.

A letter is `sent` when the server answered 2xx to its content, `refused` on 5xx, `failed` on 4xx and
whenever it surely was not handed over, and `ambiguous` when the connection broke after its end was sent: the
server may have taken it. Only what surely was not handed over is tried again, as long as patience lasts.
"""

from __future__ import annotations

import re
import smtplib
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY

from liftlock.adapters.addresses import mail_address, sender_address
from liftlock.adapters.mail_line import Line, NoServiceError
from liftlock.adapters.patience import Patience
from liftlock.adapters.trusted import trust
from liftlock.errors import InputError
from liftlock.model import NoticeState
from liftlock.notice import Attachment, Delivery, Letter
from liftlock.settings import MailSecurity, SmtpSettings
from liftlock.wording import printable

# Seven-bit content needs no extension that a relay on the way may lack.
_POLICY = SMTP_POLICY.clone(cte_type="7bit")
# RFC 5321, 4.2.1; a reply that is none (-1) after the content leaves open what happened.
_STATES = {2: NoticeState.SENT, 4: NoticeState.FAILED, 5: NoticeState.REFUSED}
_LONGEST_SUBJECT = 1_000
_WORDS_KEPT = 500


class SmtpMailer:
    """The Mailer that talks to a real server.

    `pause` is how long the first of the few retries waits at most. Raises InputError when the
    settings cannot work or would send credentials unprotected.
    """

    def __init__(self, settings: SmtpSettings, password: str | None, pause: timedelta = timedelta(seconds=2)) -> None:
        self._settings = settings
        self._password = password
        self._sender = sender_address(settings.sender)
        self._pause = pause
        if settings.username is not None:
            _check_credentials(settings, password)
        self._trust = None if settings.security is MailSecurity.NONE else trust(settings.ca_file, "smtp.ca_file")

    def send(self, letters: Iterable[Letter]) -> Iterator[Delivery]:
        """Send each letter once, in order, and say what became of it before the next one is taken.

        Never raises for a letter: where the server cannot be used, every letter is `failed` with the reason.
        """
        with closing(self.conversation()) as conversation:
            for letter in letters:
                yield conversation.deliver(letter)

    def conversation(self) -> Conversation:
        """One run's way to the server; close it."""
        patience = Patience(self._settings.retry_for, self._pause)
        return Conversation(Line(self._settings, self._password, self._trust, patience.pauses), self._sender, patience)


class Conversation:
    """One connection for many letters, and the patience they share."""

    def __init__(self, line: Line, sender: Address, patience: Patience) -> None:
        self._line = line
        self._sender = sender
        self._patience = patience

    def deliver(self, letter: Letter) -> Delivery:
        """Send one letter, again where it surely was not handed over, and say what became of it."""
        try:
            content = compose(letter, self._sender).as_bytes()
        except InputError as error:
            return Delivery(letter.message_id, NoticeState.REFUSED, str(error))
        return self._patience.try_until_settled(
            lambda: self._hand_over(letter, content),
            busy=lambda delivery: delivery.state is NoticeState.FAILED and not self._line.out_of_service,
        )

    def close(self) -> None:
        """Say goodbye to the server."""
        self._line.close()

    def _hand_over(self, letter: Letter, content: bytes) -> Delivery:
        """One attempt at one letter."""
        line = self._line
        try:
            code, answer = self._present(line.open(), letter, content)
        except NoServiceError as error:
            return Delivery(letter.message_id, NoticeState.FAILED, str(error))
        except OSError as error:
            line.broke(str(error))
            return Delivery(letter.message_id, NoticeState.FAILED, f"the connection broke before the content: {error}")
        if code == 354:
            try:
                code, answer = _finish(line.open())
            except OSError as error:
                line.broke(str(error))
                return Delivery(letter.message_id, NoticeState.AMBIGUOUS, f"the connection broke after DATA: {error}")
            state = _STATES.get(code // 100, NoticeState.AMBIGUOUS)
        else:
            state = _STATES.get(code // 100, NoticeState.FAILED)
        line.answered()
        if state is not NoticeState.SENT:
            line.reset()
        return Delivery(
            letter.message_id, state, f"{code} {printable(answer.decode('utf-8', 'replace'), ' ')}"[:_WORDS_KEPT]
        )

    def _present(self, smtp: smtplib.SMTP, letter: Letter, content: bytes) -> tuple[int, bytes]:
        """Everything but the end of the letter: 354 when only that is left to say, else the server's refusal.

        Until the end has been said the server must not deliver (RFC 5321, 4.1.1.4), so what breaks here may be retried.
        """
        size = [f"size={len(content)}"] if smtp.has_extn("size") else []
        code, answer = smtp.mail(self._sender.addr_spec, size)
        if code // 100 == 2:
            code, answer = smtp.rcpt(letter.recipient.email)
        if code // 100 == 2:
            code, answer = smtp.docmd("DATA")
            if code == 354:
                smtp.send(re.sub(rb"(?m)^\.", b"..", content))
        return code, answer


def _finish(smtp: smtplib.SMTP) -> tuple[int, bytes]:
    """Say that the letter is whole, and hear what became of it."""
    smtp.send(b".\r\n")
    return smtp.getreply()


def compose(letter: Letter, sender: Address) -> EmailMessage:
    """The letter as a message: text, HTML and first invite as alternatives, then every attachment as a file.

    Mail programs offer to accept the invite that is an alternative; the files make sure that all arrive.
    Raises InputError when a header would carry a line break, an address that is none, or a text without end.
    """
    if len(letter.subject) > _LONGEST_SUBJECT:
        raise InputError(f"the subject has {len(letter.subject)} characters, {_LONGEST_SUBJECT} at most")
    message = EmailMessage(policy=_POLICY)
    try:
        message["Message-ID"] = letter.message_id
        message["Date"] = datetime.now(UTC)
        message["From"] = sender
        message["To"] = mail_address(letter.recipient.name, letter.recipient.email)
        message["Subject"] = letter.subject
        message["Auto-Submitted"] = "auto-generated"
    except ValueError as error:
        raise InputError(f"a header of the letter to {letter.recipient.email!r} is not allowed: {error}") from error
    message.set_content(letter.text)
    message.add_alternative(letter.html, subtype="html")
    invites = [attachment for attachment in letter.attachments if attachment.media_type.startswith("text/calendar")]
    for invite in invites[:1]:
        method = {key: value for key, value in _params(invite).items() if key == "method"}
        message.add_alternative(invite.content.decode(), subtype="calendar", params=method)
    for attachment in letter.attachments:
        _attach(message, attachment)
    if letter.language:
        message["Content-Language"] = letter.language  # last: Content-* headers set earlier move into the first part
    return message


def _attach(message: EmailMessage, attachment: Attachment) -> None:
    main, sub = attachment.media_type.partition(";")[0].split("/")
    charset = {"charset": "utf-8"} if main == "text" else {}
    message.add_attachment(
        attachment.content,
        maintype=main,
        subtype=sub,
        filename=attachment.name,
        params={**charset, **_params(attachment)},
    )


def _params(attachment: Attachment) -> dict[str, str]:
    """What follows the media type: `method` of an invite, say."""
    kind = EmailMessage(policy=_POLICY)
    kind["Content-Type"] = attachment.media_type
    return dict(kind["Content-Type"].params)


def _check_credentials(settings: SmtpSettings, password: str | None) -> None:
    if settings.security is MailSecurity.NONE:
        raise InputError("smtp: credentials are never sent over an unprotected connection: use starttls or tls")
    if not password:
        raise InputError("smtp: a username is set but no password: set LIFTLOCK_SMTP_PASSWORD, or smtp.keyring")
    if not (str(settings.username).isascii() and password.isascii()):
        raise InputError("smtp: username and password must be ASCII: the login commands carry nothing else")
