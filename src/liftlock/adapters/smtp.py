"""Letters over SMTP: one conversation for many, and an honest word on what became of each.

A letter is `sent` when the server answered 2xx to its content, `refused` on 5xx, `failed` on 4xx and
whenever it surely was not handed over, and `ambiguous` when the connection broke after DATA: the
server may have taken it. Only what surely was not handed over is tried again.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY

from tenacity import RetryCallState, Retrying, retry_if_exception_type, retry_if_result, stop_after_attempt
from tenacity import wait_random_exponential as jittered

from liftlock.adapters.letters import mail_address, sender_address
from liftlock.errors import InputError
from liftlock.model import NoticeState
from liftlock.notice import Attachment, Delivery, Letter
from liftlock.settings import MailSecurity, SmtpSettings

# Seven-bit content needs no extension that a relay on the way may lack.
_POLICY = SMTP_POLICY.clone(cte_type="7bit")
_ATTEMPTS = 3


class _NoServiceError(Exception):
    """The server cannot be used at all."""


class _NoServiceNowError(_NoServiceError):
    """The server cannot be used, but a little later it may."""


class SmtpMailer:
    """The Mailer that talks to a real server.

    `pause` is how long the first of the few retries waits at most. Raises InputError when the
    settings cannot work or would send credentials unprotected.
    """

    def __init__(self, settings: SmtpSettings, password: str | None, pause: timedelta = timedelta(seconds=2)) -> None:
        self._settings = settings
        self._password = password
        self._sender = sender_address(settings.sender)
        self._wait = jittered(multiplier=pause.total_seconds(), max=8 * pause.total_seconds())
        if settings.username is not None:
            _check_credentials(settings, settings.username, password)

    def send(self, letters: Iterable[Letter]) -> Iterator[Delivery]:
        """Send each letter once, in order, and say what became of it before the next one is taken.

        Never raises for a letter: where the server cannot be used, every letter is `failed` with the reason.
        """
        with closing(_Line(self._settings, self._password, self._wait)) as line:
            for letter in letters:
                yield self._deliver(line, letter)

    def _deliver(self, line: _Line, letter: Letter) -> Delivery:
        try:
            content = compose(letter, self._sender).as_bytes()
        except InputError as error:
            return Delivery(letter.message_id, NoticeState.REFUSED, str(error))
        try_few_times = Retrying(
            stop=stop_after_attempt(_ATTEMPTS),
            wait=self._wait,
            retry=retry_if_result(lambda delivery: delivery.state is NoticeState.FAILED and not line.out_of_service),
            retry_error_callback=_last_result,
        )
        return try_few_times(self._hand_over, line, letter, content)

    def _hand_over(self, line: _Line, letter: Letter, content: bytes) -> Delivery:
        """One attempt at one letter."""
        try:
            smtp = line.open()
        except _NoServiceError as error:
            return Delivery(letter.message_id, NoticeState.FAILED, str(error))
        try:
            code, answer = smtp.mail(self._sender.addr_spec)
            if code // 100 == 2:
                code, answer = smtp.rcpt(letter.recipient.email)
        except OSError as error:
            line.drop()
            return Delivery(letter.message_id, NoticeState.FAILED, f"the connection broke before the content: {error}")
        if code // 100 == 2:
            try:
                code, answer = smtp.data(content)
            except smtplib.SMTPDataError as refusal:
                code, answer = refusal.smtp_code, _as_bytes(refusal.smtp_error)
            except OSError as error:
                line.drop()
                return Delivery(letter.message_id, NoticeState.AMBIGUOUS, f"the connection broke after DATA: {error}")
        if code // 100 != 2:
            line.reset()
        return Delivery(letter.message_id, _state(code), _printable(code, answer))


class _Line:
    """The connection to the server: made when first needed, made anew after it dropped."""

    def __init__(self, settings: SmtpSettings, password: str | None, wait: jittered) -> None:
        self._settings = settings
        self._password = password
        self._wait = wait
        self._smtp: smtplib.SMTP | None = None
        self.out_of_service = ""

    def open(self) -> smtplib.SMTP:
        """The living connection. Raises _NoServiceError, from the first failure on without trying again."""
        if self.out_of_service:
            raise _NoServiceError(self.out_of_service)
        if self._smtp is None:
            try_few_times = Retrying(
                stop=stop_after_attempt(_ATTEMPTS),
                wait=self._wait,
                retry=retry_if_exception_type(_NoServiceNowError),
                reraise=True,
            )
            try:
                self._smtp = try_few_times(self._connect)
            except _NoServiceError as error:
                self.out_of_service = str(error)
                raise
        return self._smtp

    def reset(self) -> None:
        """Forget the letter that was not taken; the next one starts clean."""
        if self._smtp is not None:
            try:
                self._smtp.rset()
            except OSError:
                self.drop()

    def drop(self) -> None:
        """Give up a connection that broke."""
        if self._smtp is not None:
            self._smtp.close()
        self._smtp = None

    def close(self) -> None:
        """Say goodbye, where someone still listens."""
        if self._smtp is not None:
            with suppress(OSError):
                self._smtp.quit()
        self.drop()

    def _connect(self) -> smtplib.SMTP:
        where = f"{self._settings.host}:{self._settings.port}"
        try:
            return self._dial()
        except ssl.SSLCertVerificationError as error:
            raise _NoServiceError(f"{where} shows a certificate that is not trusted: {error.verify_message}") from None
        except ssl.SSLError as error:
            raise _NoServiceError(f"no TLS with {where}: {error.reason}") from None
        except smtplib.SMTPAuthenticationError as error:
            # The server's own words may repeat what it was sent, so they are left out.
            raise _NoServiceError(f"{where} refuses the credentials ({error.smtp_code})") from None
        except smtplib.SMTPNotSupportedError as error:
            raise _NoServiceError(f"{where}: {error}") from None
        except OSError as error:
            raise _NoServiceNowError(f"cannot connect to {where}: {error}") from None

    def _dial(self) -> smtplib.SMTP:
        settings = self._settings
        timeout = settings.timeout.total_seconds()
        smtp: smtplib.SMTP
        if settings.security is MailSecurity.TLS:
            context = ssl.create_default_context()
            smtp = smtplib.SMTP_SSL(settings.host, settings.port, timeout=timeout, context=context)
        else:
            smtp = smtplib.SMTP(settings.host, settings.port, timeout=timeout)
        try:
            if settings.security is MailSecurity.STARTTLS:
                smtp.starttls(context=ssl.create_default_context())
            smtp.ehlo_or_helo_if_needed()
            if settings.username is not None and self._password is not None:
                smtp.login(settings.username, self._password)
        except OSError:
            smtp.close()
            raise
        return smtp


def compose(letter: Letter, sender: Address) -> EmailMessage:
    """The letter as a message: text, HTML and first invite as alternatives, then every attachment as a file.

    Mail programs offer to accept the invite that is an alternative; the files make sure that all arrive.
    Raises InputError when a header would carry a line break or an address that is none.
    """
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
        message.add_alternative(invite.content.decode(), subtype="calendar", params={"method": "REQUEST"})
    for attachment in letter.attachments:
        _attach(message, attachment)
    if letter.language:
        message["Content-Language"] = letter.language  # last: Content-* headers set earlier move into the first part
    return message


def _attach(message: EmailMessage, attachment: Attachment) -> None:
    kind = EmailMessage(policy=_POLICY)
    kind["Content-Type"] = attachment.media_type
    parameters = {"charset": "utf-8", **kind["Content-Type"].params}
    message.add_attachment(
        attachment.content,
        maintype=kind.get_content_maintype(),
        subtype=kind.get_content_subtype(),
        filename=attachment.name,
        params=parameters if kind.get_content_maintype() == "text" else dict(kind["Content-Type"].params),
    )


def _check_credentials(settings: SmtpSettings, username: str, password: str | None) -> None:
    if settings.security is MailSecurity.NONE:
        raise InputError("smtp: credentials are never sent over an unprotected connection: use starttls or tls")
    if not password:
        raise InputError("smtp: a username is set but no password: set LIFTLOCK_SMTP_PASSWORD")
    if not (username.isascii() and password.isascii()):
        raise InputError("smtp: username and password must be ASCII: the login commands carry nothing else")


def _state(code: int) -> NoticeState:
    """RFC 5321, 4.2.1; a reply that is none (-1) after the content leaves open what happened."""
    states = {2: NoticeState.SENT, 4: NoticeState.FAILED, 5: NoticeState.REFUSED}
    return states.get(code // 100, NoticeState.AMBIGUOUS)


def _printable(code: int, answer: bytes) -> str:
    text = answer.decode("utf-8", "replace")
    return f"{code} " + "".join(c if c.isprintable() else " " for c in text)[:500]


def _as_bytes(answer: bytes | str) -> bytes:
    return answer.encode() if isinstance(answer, str) else answer


def _last_result(state: RetryCallState) -> Delivery:
    assert state.outcome is not None
    return state.outcome.result()  # type: ignore[no-any-return]
