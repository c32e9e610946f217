from __future__ import annotations

import asyncio
import email
import logging
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import default
from functools import cache
from mailbox import Maildir
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session
from icalendar import Calendar, Event

from adapters import certificates
from liftlock.adapters.mail_password import mail_password
from liftlock.adapters.smtp import SmtpMailer
from liftlock.errors import InputError
from liftlock.model import Contact, NoticeKind, NoticeState
from liftlock.notice import Attachment, Delivery, Letter
from liftlock.settings import MailSecurity, SmtpSettings

SENT, REFUSED, FAILED, AMBIGUOUS = NoticeState.SENT, NoticeState.REFUSED, NoticeState.FAILED, NoticeState.AMBIGUOUS
PASSWORD = "correct-horse-battery"
SENDER = "Quayside Software <releases@quayside.example>"
ADA = Contact(name="Ada Lovelace", email="ada@harbour.example")
GRACE = Contact(name="Grace Hopper", email="grace@harbour.example")
WANG = Contact(name="王芳", email="wang.fang@lake.example")


@cache
def letters() -> list[Letter]:
    """One in Chinese with an invite and a manual, two in English."""
    invite = Attachment("invite.ics", "text/calendar; method=REQUEST", _invite())
    manual = Attachment("boathouse-1.6.0-lake.zh-CN.html", "text/html", "<h1>船坞预订升级手册</h1>\n".encode())
    chinese = Letter(
        message_id="<wang@quayside.example>",
        customer="lake",
        kind=NoticeKind.ANNOUNCED,
        recipient=WANG,
        subject="船坞预订 1.6.0 升级通知，2026 年 11 月 29 日，请提前做好准备并留意停机时间",
        text="尊敬的王芳：\n\n我们将升级 lake-1。\n",
        html="<p>尊敬的王芳：</p>\n<p>我们将升级 lake-1。</p>\n",
        attachments=(invite, manual),
        language="zh-CN",
    )
    english = replace(
        chinese,
        message_id="<ada@quayside.example>",
        recipient=ADA,
        subject="Boathouse 1.6.0 on 28 November",
        text="Dear Ada,\n\nwe upgrade harbour-1.\n",
        html="<p>Dear Ada,</p>\n",
        attachments=(invite,),
        language="en",
    )
    return [chinese, english, replace(english, message_id="<grace@quayside.example>", recipient=GRACE)]


def _invite() -> bytes:
    event, calendar = Event(), Calendar()
    event.add("uid", "1@quayside.example")
    event.add("dtstamp", datetime(2026, 11, 16, 8, 30, tzinfo=UTC))
    event.add("dtstart", datetime(2026, 11, 28, 22, tzinfo=ZoneInfo("Asia/Shanghai")))
    event.add("summary", "船坞预订 1.6.0")
    calendar.add("method", "REQUEST")
    calendar.add_component(event)
    calendar.add_missing_timezones()
    return bytes(calendar.to_ical())


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
        yield SmtpSettings(
            host="127.0.0.1",
            port=controller.port,
            sender=SENDER,
            security=MailSecurity.NONE,
            timeout=timedelta(seconds=5),
            retry_for=timedelta(milliseconds=100),
        )
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
    office = PostOffice(busy=10**6)
    with open_office(office) as settings:
        deliveries = send(settings, letter(1), letter(2))
    assert states(deliveries) == [FAILED, FAILED]
    assert deliveries[1].detail == "451 4.7.1 come back later"


def test_a_thousand_letters_share_one_patience() -> None:
    office = PostOffice(busy=10**6)
    with open_office(office) as settings:
        send(settings, *(letter(number) for number in range(1000)))
    asked = 10**6 - office.busy
    assert 1000 < asked < 1500


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
    ca_file: Path
    context: ssl.SSLContext


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    """Of an authority that the system does not know."""
    ours = certificates.authority()
    file = tmp_path / "certificate.pem"
    return Certificate(file, certificates.write(ours, tmp_path / "ca.pem"), certificates.server_context(ours, file))


def clerk(server: Any, session: Session, envelope: Envelope, mechanism: str, credentials: Any) -> AuthResult:
    assert isinstance(credentials, LoginPassword)
    return AuthResult(success=credentials.password == PASSWORD.encode(), handled=False)


def test_a_certificate_nobody_vouches_for_is_refused_before_the_password_is_said(certificate: Certificate) -> None:
    office = PostOffice()
    with open_office(office, tls_context=certificate.context, authenticator=clerk) as settings:
        secure = replace(settings, security=MailSecurity.STARTTLS, username="desk")
        deliveries = send(secure, letter(1), letter(2), password=PASSWORD)
    assert states(deliveries) == [FAILED, FAILED]
    assert "the certificate is not trusted" in deliveries[1].detail
    assert office.taken == []


def test_with_a_trusted_certificate_the_mailer_signs_in_and_sends(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.ca_file))
    office = PostOffice()
    with open_office(
        office, tls_context=certificate.context, authenticator=clerk, auth_required=True, require_starttls=True
    ) as settings:
        secure = replace(settings, security=MailSecurity.STARTTLS, username="desk")
        assert states(send(secure, letter(), password=PASSWORD)) == [SENT]


def test_a_wrong_password_fails_every_letter_and_is_never_repeated(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.ca_file))
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
            monkeypatch.setenv("SSL_CERT_FILE", str(certificate.ca_file))
            return strange, await asyncio.to_thread(send, settings, letter())

    strange, trusted = asyncio.run(serve())
    assert "the certificate is not trusted" in strange[0].detail
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


def test_a_private_authority_is_trusted_by_its_file_and_then_the_systems_are_not(
    certificate: Certificate, tmp_path: Path
) -> None:
    strange = certificates.write(certificates.authority(), tmp_path / "strange.pem")
    elsewhere = certificates.authority()
    other_host = certificates.server_context(elsewhere, tmp_path / "other.pem", "127.0.0.2")
    office = PostOffice()
    with open_office(office, tls_context=certificate.context, require_starttls=True) as settings:
        secure = replace(settings, security=MailSecurity.STARTTLS, ca_file=certificate.ca_file)
        assert states(send(secure, letter(1))) == [SENT]
        assert states(send(replace(secure, ca_file=strange), letter(2))) == [FAILED]
        assert states(send(replace(secure, ca_file=None), letter(3))) == [FAILED]
    with open_office(office, tls_context=other_host) as settings:
        ca_file = certificates.write(elsewhere, tmp_path / "elsewhere.pem")
        (delivery,) = send(replace(settings, security=MailSecurity.STARTTLS, ca_file=ca_file), letter(4))
    assert "not valid for '127.0.0.1'" in delivery.detail
    assert len(office.taken) == 1


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_ca_file_that_cannot_be_used_is_told_before_any_letter(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(InputError, match=r"smtp\.ca_file: .*ca\.pem"):
        SmtpMailer(SmtpSettings(host="127.0.0.1", sender=SENDER, ca_file=file), None)


@pytest.mark.parametrize("security", [MailSecurity.STARTTLS, MailSecurity.TLS])
def test_letters_reach_a_server_process_over_tls(
    security: MailSecurity, certificate: Certificate, tmp_path: Path
) -> None:
    port, prefix = free_port(), "tls" if security is MailSecurity.STARTTLS else "smtps"
    command = [sys.executable, "-m", "aiosmtpd", "-n", "-l", f"127.0.0.1:{port}"]
    command += [f"--{prefix}cert", str(certificate.file), f"--{prefix}key", str(certificate.file)]
    command += ["-c", "aiosmtpd.handlers.Mailbox", str(tmp_path / "mail")]
    settings = SmtpSettings("127.0.0.1", SENDER, port, security, ca_file=certificate.ca_file)
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
        try:
            until_it_listens(port)
            deliveries = send(settings, *letters())
        finally:
            server.terminate()
    assert states(deliveries) == [SENT] * 3
    with_box = Maildir(tmp_path / "mail", create=False)
    assert {message["Message-ID"] for message in with_box} == {one.message_id for one in letters()}
    with_box.close()


def until_it_listens(port: int) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            probe.settimeout(0.1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the server never listened")


def test_long_lines_lone_dots_and_emoji_arrive_as_they_were_written() -> None:
    office = PostOffice()
    text = "a" * 5000 + "\n.\n..\n.hidden\nמוסך הסירות 🚣‍♀️ " + "升" * 3000 + "\n"
    name = 'שרה 🚣‍♀️ van der Ößen, "Sally" <ops>'
    with open_office(office) as settings:
        sent = letter(1, Contact(name, "sara@harbour.example"))
        assert states(send(settings, replace(sent, text=text, subject="升级 🚣‍♀️ " + "x" * 900))) == [SENT]
    (message,) = office.messages()
    plain = message.get_body(("plain",))
    assert plain is not None
    assert plain.get_content().splitlines() == text.splitlines()
    assert message["To"].addresses[0].display_name.split() == name.split()  # folding may double a space
    assert message["Subject"] == "升级 🚣‍♀️ " + "x" * 900
    wire = office.taken[0].original_content or b""
    assert wire.isascii()
    assert max(map(len, wire.split(b"\r\n"))) <= 998


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda one: replace(one, recipient=Contact("Ada", "ädä@harbour.example")), "is not a mail address"),
        (lambda one: replace(one, recipient=Contact("Ada", "ada@höfen.example")), "is not a mail address"),
        (lambda one: replace(one, subject="x" * 2_000_000), "the subject has 2000000 characters"),
        (lambda one: replace(one, recipient=Contact("x" * 2_000_000, "ada@harbour.example")), "2000000 characters"),
    ],
    ids=["local part", "domain", "subject", "name"],
)
def test_what_mail_cannot_carry_is_refused_in_words_and_stops_nobody(
    spoil: Callable[[Letter], Letter], why: str
) -> None:
    office = PostOffice()
    with open_office(office) as settings:
        deliveries = send(settings, spoil(letter(1)), letter(2))
    assert states(deliveries) == [REFUSED, SENT]
    assert why in deliveries[0].detail
    assert len(deliveries[0].detail) < 300


def test_a_letter_larger_than_the_server_takes_is_refused_before_it_travels() -> None:
    office = PostOffice()
    with open_office(office, data_size_limit=2_000) as settings:
        deliveries = send(settings, replace(letter(1), text="升" * 2_000), replace(letter(2), attachments=()))
    assert states(deliveries) == [REFUSED, SENT]
    assert deliveries[0].detail.startswith("552 ")


Talk = list[tuple[bytes, bytes | None]]
GREETING: Talk = [(b"", b"220 here\r\n"), (b"EHLO", b"250 here\r\n")]


@contextmanager
def scripted(*talks: Talk, timeout: float = 5) -> Iterator[SmtpSettings]:
    """A server that says what stands in its script; None is hanging up. Each talk is one connection."""

    def serve() -> None:
        for talk in talks:
            connection = listener.accept()[0]
            with connection, connection.makefile("rb") as lines:
                for awaited, answer in talk:
                    for line in iter(lines.readline, b"") if awaited else ():
                        if line.upper().startswith(awaited):
                            break
                    if answer is None:
                        break
                    connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=serve)
        thread.start()
        yield SmtpSettings(
            host="127.0.0.1",
            port=listener.getsockname()[1],
            sender=SENDER,
            security=MailSecurity.NONE,
            timeout=timedelta(seconds=timeout),
            retry_for=timedelta(seconds=5),
        )
        thread.join()


MAIL: Talk = [(b"MAIL", b"250 ok\r\n"), (b"RCPT", b"250 ok\r\n")]
WHOLE: Talk = [*GREETING, *MAIL, (b"DATA", b"354 go on\r\n"), (b".\r\n", b"250 taken\r\n"), (b"QUIT", b"221 bye\r\n")]


@pytest.mark.parametrize(
    "lost",
    [
        [(b"", None)],
        [*GREETING, (b"MAIL", None)],
        [*GREETING, (b"MAIL", b"250 ok\r\n"), (b"RCPT", None)],
        [*GREETING, *MAIL, (b"DATA", None)],
        [*GREETING, *MAIL, (b"DATA", b"what?\r\n"), (b"RSET", None)],
        [*GREETING, *MAIL, (b"DATA", b"421 going down\r\n"), (b"RSET", None)],
    ],
    ids=["at once", "at MAIL", "at RCPT", "at DATA", "nonsense", "421"],
)
def test_a_connection_lost_before_the_content_is_made_anew_and_the_letter_is_sent_once(lost: Talk) -> None:
    with scripted(lost, WHOLE) as settings:
        assert states(send(settings, letter())) == [SENT]


def test_a_connection_lost_between_the_end_and_its_answer_is_ambiguous_and_the_next_letter_goes_on() -> None:
    lost = [*GREETING, *MAIL, (b"DATA", b"354 go on\r\n"), (b".\r\n", None)]
    with scripted(lost, WHOLE) as settings:
        deliveries = send(settings, letter(1), letter(2))
    assert states(deliveries) == [AMBIGUOUS, SENT]
    assert "broke after DATA" in deliveries[0].detail


def test_a_server_that_falls_silent_after_the_content_leaves_the_letter_ambiguous_after_the_timeout() -> None:
    silent = [*GREETING, *MAIL, (b"DATA", b"354 go on\r\n"), (b".\r\n", b""), (b"never", None)]
    with scripted(silent, timeout=0.2) as settings:
        (delivery,) = send(settings, letter())
    assert delivery.state is AMBIGUOUS
    assert "timed out" in delivery.detail


def test_a_server_that_breaks_off_again_and_again_is_given_up() -> None:
    broken = [*GREETING, (b"MAIL", None)]
    with scripted(*[broken] * 5) as settings:
        deliveries = send(settings, *(letter(number) for number in range(50)))
    assert states(deliveries) == [FAILED] * 50
    assert "broke 5 times in a row" in deliveries[-1].detail


def test_a_login_that_is_refused_for_now_is_tried_again(certificate: Certificate) -> None:
    answers = iter([AuthResult(success=False, handled=False, message="454 4.7.0 later"), AuthResult(success=True)])
    with open_office(
        PostOffice(), tls_context=certificate.context, authenticator=lambda *_: next(answers), auth_required=True
    ) as settings:
        secure = replace(settings, security=MailSecurity.STARTTLS, username="desk", ca_file=certificate.ca_file)
        assert states(send(secure, letter(), password=PASSWORD)) == [SENT]


LOGIN = SmtpSettings(host="mail.example", sender=SENDER, username="desk", keyring="liftlock")


@pytest.fixture
def ring(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], str | Exception]:
    """What the system's keyring holds, behind the library's own two names."""
    held: dict[tuple[str, str], str | Exception] = {}

    class KeyringError(Exception):
        pass

    def get_password(service: str, username: str) -> str | None:
        found = held.get((service, username))
        if isinstance(found, Exception):
            raise KeyringError(str(found))
        return found

    library, errors = ModuleType("keyring"), ModuleType("keyring.errors")
    library.get_password = get_password  # type: ignore[attr-defined]
    errors.KeyringError = KeyringError  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", library)
    monkeypatch.setitem(sys.modules, "keyring.errors", errors)
    return held


def test_the_password_comes_from_the_environment_else_from_the_keyring(
    ring: dict[tuple[str, str], str | Exception],
) -> None:
    ring["liftlock", "desk"] = "of the ring"
    assert mail_password(LOGIN, {"LIFTLOCK_SMTP_PASSWORD": "given"}) == "given"
    assert mail_password(LOGIN, {}) == "of the ring"
    assert mail_password(replace(LOGIN, keyring=None), {}) is None
    assert mail_password(replace(LOGIN, username=None), {"LIFTLOCK_SMTP_PASSWORD": "given"}) is None


def test_a_keyring_that_does_not_help_is_told_with_what_would(
    ring: dict[tuple[str, str], str | Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="run keyring set liftlock desk"):
        mail_password(LOGIN, {})
    ring["liftlock", "desk"] = RuntimeError("locked")
    with pytest.raises(InputError, match="cannot be read: locked"):
        mail_password(LOGIN, {})
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(InputError, match=r"pip install 'liftlock\[keyring\]', or set LIFTLOCK_SMTP_PASSWORD"):
        mail_password(LOGIN, {})
