from __future__ import annotations

import asyncio
import email
import logging
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import default
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from icalendar import Calendar

from adapters.announced_plan import ADA, SENDER
from adapters.announced_plan import letters as write_letters
from liftlock.adapters.smtp import SmtpMailer
from liftlock.errors import InputError
from liftlock.model import Contact, NoticeState
from liftlock.notice import Delivery, Letter
from liftlock.settings import MailSecurity, SmtpSettings

SENT, REFUSED, FAILED, AMBIGUOUS = NoticeState.SENT, NoticeState.REFUSED, NoticeState.FAILED, NoticeState.AMBIGUOUS
PASSWORD = "correct-horse-battery"


letters = cache(write_letters)


@dataclass
class PostOffice:
    """A mail server's mind: what it took, whom it does not know, and how often it breaks off and when."""

    taken: list[Envelope] = field(default_factory=list)
    peers: set[Any] = field(default_factory=set)
    unknown: tuple[str, ...] = ()
    busy: int = 0
    hang_up_at_mail: int = 0
    hang_up_after_content: int = 0
    answer: str = "250 2.0.0 taken"

    async def handle_MAIL(self, server: Any, session: Session, envelope: Envelope, sender: str, options: Any) -> str:  # noqa: N802
        if self.hang_up_at_mail:
            self.hang_up_at_mail -= 1
            server.transport.close()
        envelope.mail_from = sender
        return "250 OK"

    async def handle_RCPT(self, server: Any, session: Session, envelope: Envelope, address: str, options: Any) -> str:  # noqa: N802
        if address in self.unknown:
            return "550 5.1.1 no such mailbox"
        if self.busy:
            self.busy -= 1
            return "451 4.7.1 come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.taken.append(envelope)
        self.peers.add(session.peer)
        if self.hang_up_after_content:
            self.hang_up_after_content -= 1
            server.transport.close()
        return self.answer

    def messages(self) -> list[EmailMessage]:
        return [email.message_from_bytes(envelope.content, policy=default) for envelope in self.taken]  # type: ignore[arg-type]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def open_office(office: PostOffice, **options: Any) -> Iterator[SmtpSettings]:
    controller = Controller(office, hostname="127.0.0.1", port=free_port(), **options)
    controller.start()
    try:
        yield SmtpSettings(host="127.0.0.1", port=controller.port, sender=SENDER, security=MailSecurity.NONE)
    finally:
        controller.stop()


def letter(number: int = 1, recipient: Contact = ADA) -> Letter:
    return replace(letters()[1], message_id=f"<{number}@quayside.example>", recipient=recipient)


def send(settings: SmtpSettings, *to_send: Letter, password: str | None = None) -> list[Delivery]:
    return list(SmtpMailer(settings, password, pause=timedelta(milliseconds=1)).send(to_send))


def states(deliveries: list[Delivery]) -> list[NoticeState]:
    return [delivery.state for delivery in deliveries]


def test_letters_go_out_over_one_connection_with_the_servers_answer_recorded() -> None:
    office = PostOffice()
    with open_office(office) as settings:
        deliveries = send(settings, *letters())
    assert states(deliveries) == [SENT] * 3
    assert [delivery.message_id for delivery in deliveries] == [one.message_id for one in letters()]
    assert deliveries[0].detail == "250 2.0.0 taken"
    assert len(office.peers) == 1
    assert [envelope.rcpt_tos for envelope in office.taken] == [
        ["wang.fang@lake.example"],
        ["ada@harbour.example"],
        ["grace@harbour.example"],
    ]
    assert {envelope.mail_from for envelope in office.taken} == {"releases@quayside.example"}


def test_a_chinese_letter_arrives_whole() -> None:
    office = PostOffice()
    sent = letters()[0]
    with open_office(office) as settings:
        send(settings, sent)
    (message,) = office.messages()
    assert message["Message-ID"] == sent.message_id
    assert message["Subject"] == sent.subject
    assert message["To"].addresses[0].display_name == "王芳"
    assert message["From"].addresses[0].display_name == "Quayside Software"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Content-Language"] == "zh-CN"
    assert message["Date"].datetime.utcoffset() == timedelta(0)
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert plain.get_content().splitlines() == sent.text.splitlines()
    assert html.get_content().splitlines() == sent.html.splitlines()
    files = {part.get_filename(): part.get_content() for part in message.iter_attachments()}
    assert set(files) == {"invite.ics", "boathouse-1.6.0-lake.zh-CN.html"}
    assert files["boathouse-1.6.0-lake.zh-CN.html"].encode() == sent.attachments[1].content


def test_the_invite_arrives_as_an_alternative_and_as_a_file_and_is_the_same_event() -> None:
    office = PostOffice()
    sent = letters()[0]
    with open_office(office) as settings:
        send(settings, sent)
    calendars = [part for part in office.messages()[0].walk() if part.get_content_type() == "text/calendar"]
    assert [part.get_filename() for part in calendars] == [None, "invite.ics"]
    assert {part.get_param("method") for part in calendars} == {"REQUEST"}
    expected = Calendar.from_ical(sent.attachments[0].content)
    assert [Calendar.from_ical(part.get_content()) for part in calendars] == [expected, expected]


def test_one_bad_address_of_three_stops_nobody() -> None:
    office = PostOffice(unknown=("gone@harbour.example",))
    gone = Contact("Gone", "gone@harbour.example")
    with open_office(office) as settings:
        deliveries = send(settings, letter(1), letter(2, gone), letter(3))
    assert states(deliveries) == [SENT, REFUSED, SENT]
    assert deliveries[1].detail == "550 5.1.1 no such mailbox"
    assert [message["Message-ID"] for message in office.messages()] == ["<1@quayside.example>", "<3@quayside.example>"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda one: replace(one, subject="Hello\r\nBcc: everyone@harbour.example"),
        lambda one: replace(one, recipient=Contact("Ada\nBcc: everyone@harbour.example", "ada@harbour.example")),
        lambda one: replace(one, recipient=Contact("Ada", "ada@harbour.example>\r\nRCPT TO:<everyone@harbour.example")),
        lambda one: replace(one, message_id="<1@x>\r\nBcc: everyone@harbour.example"),
    ],
    ids=["subject", "name", "address", "message id"],
)
def test_a_letter_that_would_smuggle_a_header_in_is_refused_and_stops_nobody(
    spoil: Callable[[Letter], Letter],
) -> None:
    office = PostOffice()
    with open_office(office) as settings:
        deliveries = send(settings, spoil(letter(1)), letter(2))
    assert states(deliveries) == [REFUSED, SENT]
    assert len(office.taken) == 1
    assert b"everyone@" not in (office.taken[0].original_content or b"")


def test_a_busy_server_is_asked_again_but_not_for_ever() -> None:
    office = PostOffice(busy=2)
    with open_office(office) as settings:
        assert states(send(settings, letter())) == [SENT]
    office = PostOffice(busy=3)
    with open_office(office) as settings:
        deliveries = send(settings, letter(1), letter(2))
    assert states(deliveries) == [FAILED, SENT]
    assert deliveries[0].detail == "451 4.7.1 come back later"


@pytest.mark.parametrize(("answer", "state"), [("554 5.7.1 looks like spam", REFUSED), ("452 4.3.1 full", FAILED)])
def test_a_letter_whose_content_is_not_taken_was_not_sent(answer: str, state: NoticeState) -> None:
    with open_office(PostOffice(answer=answer)) as settings:
        (delivery,) = send(settings, letter())
    assert (delivery.state, delivery.detail) == (state, answer)


def test_a_connection_that_dropped_between_letters_is_made_anew() -> None:
    office = PostOffice(hang_up_at_mail=1)
    with open_office(office) as settings:
        assert states(send(settings, letter(1), letter(2))) == [SENT, SENT]
    assert len(office.taken) == 2


def test_a_connection_lost_after_the_content_leaves_the_letter_ambiguous_and_it_is_not_sent_twice() -> None:
    office = PostOffice(hang_up_after_content=1)
    with open_office(office) as settings:
        deliveries = send(settings, letter(1), letter(2))
    assert states(deliveries) == [AMBIGUOUS, SENT]
    assert [message["Message-ID"] for message in office.messages()] == ["<1@quayside.example>", "<2@quayside.example>"]


def test_without_a_server_every_letter_has_failed_with_the_reason() -> None:
    settings = SmtpSettings(host="127.0.0.1", port=free_port(), sender=SENDER, security=MailSecurity.NONE)
    deliveries = send(settings, letter(1), letter(2))
    assert states(deliveries) == [FAILED, FAILED]
    assert all(f"127.0.0.1:{settings.port}" in delivery.detail for delivery in deliveries)
    assert "refused" in deliveries[1].detail


def test_a_server_that_never_speaks_is_given_up_after_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        settings = SmtpSettings("127.0.0.1", SENDER, port, MailSecurity.NONE, timeout=timedelta(milliseconds=50))
        (delivery,) = send(settings, letter())
    assert delivery.state is FAILED
    assert "timed out" in delivery.detail


def test_each_letter_is_answered_for_before_the_next_one_is_taken() -> None:
    order: list[str] = []

    def queue() -> Iterator[Letter]:
        for number in (1, 2):
            order.append(f"queued {number}")
            yield letter(number)

    with open_office(PostOffice()) as settings:
        for delivery in SmtpMailer(settings, None).send(queue()):
            order.append(f"{delivery.state} {delivery.message_id[1]}")
    assert order == ["queued 1", "sent 1", "queued 2", "sent 2"]


@dataclass(frozen=True)
class Certificate:
    file: Path
    context: ssl.SSLContext


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    """Made by itself: nobody vouches for it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "certificate.pem"
    file.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return Certificate(file, context)


def clerk(server: Any, session: Session, envelope: Envelope, mechanism: str, credentials: Any) -> AuthResult:
    assert isinstance(credentials, LoginPassword)
    return AuthResult(success=credentials.password == PASSWORD.encode(), handled=False)


def test_a_certificate_nobody_vouches_for_is_refused_before_the_password_is_said(certificate: Certificate) -> None:
    office = PostOffice()
    with open_office(office, tls_context=certificate.context, authenticator=clerk) as settings:
        secure = replace(settings, security=MailSecurity.STARTTLS, username="desk")
        deliveries = send(secure, letter(1), letter(2), password=PASSWORD)
    assert states(deliveries) == [FAILED, FAILED]
    assert "certificate that is not trusted" in deliveries[1].detail
    assert office.taken == []


def test_with_a_trusted_certificate_the_mailer_signs_in_and_sends(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))
    office = PostOffice()
    with open_office(
        office, tls_context=certificate.context, authenticator=clerk, auth_required=True, require_starttls=True
    ) as settings:
        secure = replace(settings, security=MailSecurity.STARTTLS, username="desk")
        assert states(send(secure, letter(), password=PASSWORD)) == [SENT]


def test_a_wrong_password_fails_every_letter_and_is_never_repeated(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))
    caplog.set_level(logging.DEBUG)
    with open_office(PostOffice(), tls_context=certificate.context, authenticator=clerk) as settings:
        secure = replace(settings, security=MailSecurity.STARTTLS, username="desk")
        deliveries = send(secure, letter(1), letter(2), password="wrong-horse")
    assert states(deliveries) == [FAILED, FAILED]
    assert "refuses the credentials (535)" in deliveries[0].detail
    assert "wrong-horse" not in repr(deliveries)
    assert not [record for record in caplog.records if record.name.startswith("liftlock") or "horse" in record.message]


def test_a_server_without_starttls_gets_no_letter() -> None:
    office = PostOffice()
    with open_office(office) as settings:
        (delivery,) = send(replace(settings, security=MailSecurity.STARTTLS), letter())
    assert delivery.state is FAILED
    assert "STARTTLS" in delivery.detail
    assert office.taken == []


def test_tls_from_the_first_byte_is_verified_too(certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> None:
    async def serve() -> tuple[list[Delivery], list[Delivery]]:
        async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"554 not today\r\n")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(greet, "127.0.0.1", 0, ssl=certificate.context)
        async with server:
            settings = SmtpSettings("127.0.0.1", SENDER, server.sockets[0].getsockname()[1], MailSecurity.TLS)
            strange = await asyncio.to_thread(send, settings, letter())
            monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))
            return strange, await asyncio.to_thread(send, settings, letter())

    strange, trusted = asyncio.run(serve())
    assert "certificate that is not trusted" in strange[0].detail
    assert "not today" in trusted[0].detail


@pytest.mark.parametrize(
    ("change", "password", "complaint"),
    [
        ({"security": MailSecurity.NONE, "username": "desk"}, PASSWORD, "unprotected"),
        ({"username": "desk"}, None, "LIFTLOCK_SMTP_PASSWORD"),
        ({"username": "desk"}, "pässword", "ASCII"),
        ({"sender": "nobody"}, None, "not a mail address"),
        ({"sender": "Desk <desk@quayside.example>\r\nBcc: x@x.example"}, None, "line break"),
    ],
)
def test_settings_that_are_unsafe_or_cannot_work_are_refused_without_saying_the_password(
    change: dict[str, Any], password: str | None, complaint: str
) -> None:
    settings = replace(SmtpSettings(host="127.0.0.1", sender=SENDER), **change)
    with pytest.raises(InputError, match=complaint) as caught:
        SmtpMailer(settings, password)
    assert password is None or password not in str(caught.value)
