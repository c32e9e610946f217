from __future__ import annotations

import base64
import json
import logging
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import certificates, webhook_server
from adapters.webhook_server import SECRET, TOKEN, Mind, Reply, Service, says, serving
from liftlock.adapters.channels import dingtalk, feishu, look, open_mailer, signed, slack, teams, wecom
from liftlock.adapters.channels.base import Request, Webhook
from liftlock.adapters.channels.exchange import NotHandedOverError, exchange
from liftlock.adapters.trusted import trust
from liftlock.errors import InputError
from liftlock.model import Contact, NoticeKind, NoticeState
from liftlock.notice import Attachment, Delivery, Letter
from liftlock.settings import ChannelKind, ChannelSettings, Settings, SmtpSettings, SshSettings

SENT, REFUSED, FAILED, AMBIGUOUS = NoticeState.SENT, NoticeState.REFUSED, NoticeState.FAILED, NoticeState.AMBIGUOUS
NOW = datetime(2026, 11, 16, 8, 30, tzinfo=UTC)
ROOM = Contact("Harbour operations", channel="harbour-room")


@dataclass(frozen=True)
class Kind:
    """A kind of channel: its service, the path of its address, and what it says when it refuses or is busy."""

    kind: ChannelKind
    mind: Mind
    path: str
    refusal: Reply
    busy: Reply
    success: str

    @property
    def secret(self) -> bool:
        return self.kind in (ChannelKind.DINGTALK, ChannelKind.FEISHU, ChannelKind.SIGNED)


KINDS = [
    Kind(
        ChannelKind.WECOM,
        webhook_server.wecom,
        f"/cgi-bin/webhook/send?key={TOKEN}",
        says(errcode=93000, errmsg="invalid webhook url"),
        says(errcode=45009, errmsg="api freq out of limit"),
        "HTTP 200: code 0 ok",
    ),
    Kind(
        ChannelKind.DINGTALK,
        webhook_server.dingtalk,
        f"/robot/send?access_token={TOKEN}",
        says(errcode=310000, errmsg="keywords not in content"),
        says(errcode=130101, errmsg="send too fast, exceed 20 times per minute"),
        "HTTP 200: code 0 ok",
    ),
    Kind(
        ChannelKind.FEISHU,
        webhook_server.feishu,
        f"/open-apis/bot/v2/hook/{TOKEN}",
        says(code=19024, msg="Key Words Not Found"),
        says(code=11232, msg="frequency limited psm"),
        "HTTP 200: code 0 success",
    ),
    Kind(
        ChannelKind.SLACK,
        webhook_server.slack,
        f"/services/T0/B0/{TOKEN}",
        Reply(200, b"channel_is_archived"),
        Reply(429, b"rate_limited", {"Retry-After": "0"}),
        "HTTP 200: ok",
    ),
    Kind(
        ChannelKind.TEAMS,
        webhook_server.teams,
        f"/workflows/1/triggers/manual/paths/invoke?sig={TOKEN}",
        Reply(200, b"Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 403"),
        Reply(200, b"Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429"),
        "HTTP 202",
    ),
    Kind(
        ChannelKind.SIGNED,
        webhook_server.signed,
        f"/liftlock/{TOKEN}",
        Reply(400, b"no such customer"),
        Reply(503, b"starting", {"Retry-After": "Mon, 16 Nov 2026 08:30:00 GMT"}),
        "HTTP 204",
    ),
]
OF_EACH_KIND = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.kind))
WECOM, SLACK = KINDS[0], KINDS[3]


def letter(number: int = 1, recipient: Contact = ROOM, **changes: Any) -> Letter:
    made = Letter(
        message_id=f"<{number}@quayside.example>",
        customer="harbour",
        kind=NoticeKind.ANNOUNCED,
        recipient=recipient,
        subject="Boathouse 1.6.0 on 28 November",
        text="Dear all,\n\nwe upgrade harbour-1.\n",
        html="<p>Dear all</p>",
        language="en",
    )
    return replace(made, **changes)


@dataclass
class Desk:
    """A vendor's end of one channel."""

    settings: ChannelSettings
    environ: dict[str, str]

    def send(self, *letters: Letter) -> list[Delivery]:
        settings = Settings(ledger="", ssh=SshSettings(Path(), Path()), channels={"harbour-room": self.settings})
        recipients = [one.recipient for one in letters]
        return list(open_mailer(settings, self.environ, recipients, pause=timedelta(milliseconds=1)).send(letters))


@contextmanager
def channel(kind: Kind, *first: Reply, scheme: str = "http", **options: Any) -> Iterator[tuple[Service, Desk]]:
    tls = options.pop("tls", None)
    with serving(kind.mind, *first, tls=tls) as service:
        environ = {"URL": f"{scheme}://127.0.0.1:{service.port}{kind.path}"}
        if kind.secret:
            environ["SECRET"] = SECRET
        settings = ChannelSettings(
            kind.kind,
            "URL",
            "SECRET" if kind.secret else None,
            **{"retry_for": timedelta(seconds=5), "timeout": timedelta(seconds=5), **options},
        )
        yield service, Desk(settings, environ)


def states(deliveries: list[Delivery]) -> list[NoticeState]:
    return [delivery.state for delivery in deliveries]


@OF_EACH_KIND
def test_each_service_takes_a_letter_and_says_so_in_its_own_words(kind: Kind) -> None:
    chinese = letter(
        2, subject="船坞预订 1.6.0 升级通知", text="尊敬的用户：\n\n我们将升级 harbour-1。\n", language="zh-CN"
    )
    with channel(kind) as (service, desk):
        deliveries = desk.send(letter(1), chinese)
    assert deliveries == [Delivery(f"<{number}@quayside.example>", SENT, kind.success) for number in (1, 2)]
    assert "Boathouse 1.6.0 on 28 November" in service.asked[0].body.decode()
    assert "we upgrade harbour-1." in service.asked[0].body.decode()
    assert "我们将升级 harbour-1。" in service.asked[1].body.decode()
    assert {one.headers["Content-Type"] for one in service.asked} == {"application/json; charset=utf-8"}


@OF_EACH_KIND
def test_what_a_service_refuses_with_its_own_code_is_refused_and_stops_nobody(kind: Kind) -> None:
    with channel(kind, kind.refusal) as (service, desk):
        deliveries = desk.send(letter(1), letter(2))
    assert states(deliveries) == [REFUSED, SENT]
    assert len(service.asked) == 2
    assert deliveries[0].detail.startswith(f"HTTP {kind.refusal.status}: ")


@OF_EACH_KIND
def test_a_service_that_is_busy_is_asked_again_but_not_for_ever(kind: Kind) -> None:
    with channel(kind, kind.busy, Reply(429, b"slow down"), kind.busy) as (service, desk):
        assert states(desk.send(letter())) == [SENT]
        assert len(service.asked) == 4
    with channel(kind, *[kind.busy] * 10_000, retry_for=timedelta(milliseconds=50)) as (service, desk):
        assert states(desk.send(letter(1), letter(2))) == [FAILED, FAILED]
        assert 2 < len(service.asked) < 200


@OF_EACH_KIND
def test_a_pause_longer_than_our_patience_is_not_waited_for(kind: Kind) -> None:
    with channel(kind, Reply(429, b"", {"Retry-After": "3600"})) as (service, desk):
        assert states(desk.send(letter(1), letter(2))) == [FAILED, SENT]
    assert len(service.asked) == 2


@OF_EACH_KIND
def test_by_the_http_status_alone_a_letter_failed_was_refused_or_is_in_doubt(kind: Kind) -> None:
    replies = [Reply(500, b"oops"), Reply(502, b"bad gateway"), Reply(504), Reply(404, b"gone"), Reply(413)]
    with channel(kind, *replies) as (service, desk):
        deliveries = desk.send(*(letter(number) for number in range(6)))
    assert states(deliveries) == [FAILED, AMBIGUOUS, AMBIGUOUS, REFUSED, REFUSED, SENT]
    assert deliveries[0].detail == "HTTP 500: oops"
    assert len(service.asked) == 6


@OF_EACH_KIND
def test_a_redirect_is_not_followed(kind: Kind) -> None:
    with serving(kind.mind) as elsewhere:
        away = Reply(307, b"", {"Location": f"http://127.0.0.1:{elsewhere.port}{kind.path}"})
        with channel(kind, away) as (service, desk):
            (delivery,) = desk.send(letter())
    assert delivery.state is REFUSED
    assert "redirect" in delivery.detail
    assert (len(service.asked), elsewhere.asked) == (1, [])


@OF_EACH_KIND
@pytest.mark.parametrize("slow", [Reply(200, b"", wait=2), Reply(200, b"x" * 10_000, drip=0.05)], ids=["late", "drip"])
def test_an_answer_that_does_not_come_in_time_leaves_the_letter_in_doubt_and_it_is_not_sent_twice(
    kind: Kind, slow: Reply
) -> None:
    with channel(kind, slow, timeout=timedelta(milliseconds=200)) as (service, desk):
        (delivery,) = desk.send(letter())
    expected = SENT if kind.kind is ChannelKind.SIGNED and slow.drip else AMBIGUOUS  # its status alone says enough
    assert delivery.state is expected
    assert len(service.asked) == 1


@OF_EACH_KIND
def test_a_connection_lost_before_the_answer_leaves_the_letter_in_doubt(kind: Kind) -> None:
    with channel(kind, Reply(hang_up=True)) as (service, desk):
        deliveries = desk.send(letter(1), letter(2))
    assert states(deliveries) == [AMBIGUOUS, SENT]
    assert "no answer" in deliveries[0].detail
    assert len(service.asked) == 2


@OF_EACH_KIND
def test_of_a_huge_answer_only_the_beginning_is_read(kind: Kind) -> None:
    with channel(kind, Reply(200, b"<html>" + b"x" * 50_000_000)) as (_, desk):
        (delivery,) = desk.send(letter())
    assert delivery.state is (SENT if kind.kind is ChannelKind.SIGNED else AMBIGUOUS)
    assert len(delivery.detail) < 400


@pytest.mark.parametrize("body", [b"<html>Please log in</html>", b"[]", b"{", b'{"ok": true}', b"[" * 50_000])
@pytest.mark.parametrize("kind", KINDS[:3], ids=lambda kind: str(kind.kind))
def test_http_200_without_the_services_code_is_in_doubt(kind: Kind, body: bytes) -> None:
    with channel(kind, Reply(200, body)) as (_, desk):
        (delivery,) = desk.send(letter())
    assert delivery.state is AMBIGUOUS
    assert "not an answer of this service" in delivery.detail


@OF_EACH_KIND
def test_a_wrong_secret_is_refused_by_the_services_that_check_it(kind: Kind) -> None:
    with channel(kind) as (_, desk):
        desk.environ["SECRET"] = "another"
        (delivery,) = desk.send(letter())
    assert delivery.state is (REFUSED if kind.secret else SENT)


def test_only_a_certificate_that_is_trusted_for_this_very_host_gets_a_letter(tmp_path: Path) -> None:
    ours, strange = certificates.authority(), certificates.authority()
    ca_file = certificates.write(ours, tmp_path / "ca.pem")
    cases = {
        SENT: certificates.server_context(ours, tmp_path / "right.pem"),
        FAILED: certificates.server_context(strange, tmp_path / "strange.pem"),
        REFUSED: certificates.server_context(ours, tmp_path / "other.pem", "127.0.0.2"),
    }
    for state, tls in cases.items():
        with channel(SLACK, scheme="https", tls=tls, ca_file=ca_file) as (service, desk):
            (delivery,) = desk.send(letter())
        assert (delivery.state, len(service.asked)) == ((SENT, 1) if state is SENT else (FAILED, 0))
        assert state is SENT or "the certificate is not trusted" in delivery.detail
    with channel(SLACK, scheme="https", tls=cases[SENT]) as (
        service,
        desk,
    ):  # the system knows nothing of our authority
        assert states(desk.send(letter())) == [FAILED]
        assert service.asked == []


def test_a_service_that_cannot_be_reached_is_given_up_for_the_rest_of_the_run() -> None:
    with channel(SLACK) as (_, desk):
        pass
    deliveries = desk.send(*(letter(number) for number in range(20)))
    assert states(deliveries) == [FAILED] * 20
    assert "refused" in deliveries[0].detail
    assert "not tried" in deliveries[-1].detail


@OF_EACH_KIND
def test_secrets_are_in_no_detail_no_log_and_no_name(kind: Kind, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with channel(kind) as (service, desk):
        url = desk.environ["URL"]
        echo = Reply(400, f"{url} {kind.path} {TOKEN} {SECRET if kind.secret else ''} cannot be used".encode())
        service.first += [echo, Reply(429, echo.body), Reply(502, echo.body)]
        told = repr(desk.send(letter(1), letter(2))) + caplog.text + repr(Webhook(url, SECRET))
    assert TOKEN not in told
    assert SECRET not in told
    assert "cannot be used" in told


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://hooks.example/abc", "must begin with https://"),
        ("ftp://127.0.0.1/abc", "must begin with https://"),
        ("https://user:pw@hooks.example/abc", "without a user name"),
        ("https:///abc", "must be https://HOST"),
        ("https://hooks.example:port/abc", "is not an address"),
        ("https://[::1/abc", "is not an address"),
        ("https://hooks.example/a b", "holds spaces"),
        ("https://hooks.example/a\r\nHost: x", "holds spaces"),
        ("https://höoks.example/abc", "holds spaces or letters beyond ASCII"),
        ("", "set URL in the environment"),
    ],
)
def test_an_address_that_is_no_secret_way_is_refused_before_any_letter_and_not_repeated(url: str, why: str) -> None:
    desk = Desk(ChannelSettings(ChannelKind.SLACK, "URL"), {"URL": url})
    with pytest.raises(InputError, match=why) as caught:
        desk.send(letter())
    assert "abc" not in str(caught.value)
    with pytest.raises(InputError, match=why):
        look("harbour-room", desk.settings, desk.environ)


def test_everything_that_is_missing_is_told_at_once_before_any_letter(tmp_path: Path) -> None:
    channels = {
        "harbour-room": ChannelSettings(ChannelKind.SIGNED, "URL", "SECRET"),
        "lake": ChannelSettings(ChannelKind.SLACK, "LAKE", ca_file=tmp_path / "none.pem"),
    }
    settings = Settings(ledger="", ssh=SshSettings(Path(), Path()), channels=channels)
    environ = {"URL": "https://hooks.example/a", "LAKE": "https://hooks.example/b"}
    recipients = [
        Contact("Ada", "ada@harbour.example"),
        ROOM,
        Contact("X", channel="harbor-room"),
        Contact("Y", channel="lake"),
    ]
    with pytest.raises(InputError) as caught:
        open_mailer(settings, environ, recipients)
    assert str(caught.value).splitlines() == [
        "liftlock.yaml names no mail server: add smtp: {host: ..., sender: ...}",
        "channel harbour-room: set SECRET in the environment",
        "liftlock.yaml has no channel `harbor-room`; did you mean `harbour-room`?",
        f"channels.lake.ca_file: cannot read {tmp_path / 'none.pem'}: No such file or directory",
    ]
    (tmp_path / "none.pem").write_text("no certificate")
    with pytest.raises(InputError, match="not a PEM file"):
        open_mailer(settings, environ, recipients[3:])


def test_a_letter_whose_way_was_not_opened_is_refused() -> None:
    settings = Settings(ledger="", ssh=SshSettings(Path(), Path()))
    (delivery,) = open_mailer(settings, {}, []).send([letter()])
    assert (delivery.state, delivery.detail) == (REFUSED, "there is no way to channel:harbour-room")


def test_mail_and_rooms_go_out_in_order_and_one_that_is_down_stops_nobody() -> None:
    down = SmtpSettings("127.0.0.1", "desk@quayside.example", 1, timeout=timedelta(seconds=1))
    ada = Contact("Ada", "ada@harbour.example")
    order: list[str] = []

    def queue() -> Iterator[Letter]:
        for number, recipient in enumerate((ROOM, ada, ROOM)):
            order.append(f"queued {number}")
            yield letter(number, recipient)

    with serving(webhook_server.slack) as service:
        settings = Settings(
            ledger="",
            ssh=SshSettings(Path(), Path()),
            smtp=down,
            channels={"harbour-room": ChannelSettings(ChannelKind.SLACK, "URL")},
        )
        environ = {"URL": f"http://localhost:{service.port}{SLACK.path}", "https_proxy": "http://127.0.0.1:1"}
        mailer = open_mailer(settings, environ, [ROOM, ada], pause=timedelta(milliseconds=1))
        for delivery in mailer.send(queue()):
            order.append(f"{delivery.state} {delivery.message_id[1]}")
    assert order == ["queued 0", "sent 0", "queued 1", "failed 1", "queued 2", "sent 2"]


NASTY = "</p><@all> [free beer](https://evil.example) **B** `c` <!channel> <font color=x> & ![i](u) <at id=all></at>"


def shown(kind: Kind, one: Letter) -> Any:
    """The JSON document of the letter."""
    with channel(kind) as (service, desk):
        assert states(desk.send(one)) == [SENT]
    return service.asked[0].document


def test_a_name_with_markup_acts_on_no_service() -> None:
    nasty = letter(subject=f"For {NASTY}", text=f"Dear {NASTY}\n# {NASTY}\n> quoted\n")
    for kind in KINDS[:2]:
        document = str(shown(kind, nasty)["markdown"])
        assert not set("<[]`") & set(document.removeprefix("{").replace("['", "").replace("']", ""))
        assert "\\n#" not in document.replace("\\n###", "")
        assert "\\n>" not in document
        assert "**B**" not in document
    text = shown(SLACK, nasty)["text"]
    assert "&lt;!channel&gt;" in text
    assert not {"<", ">"} & set(text)
    assert shown(SLACK, nasty)["mrkdwn"] is False
    post = shown(KINDS[2], nasty)["content"]["post"]["en_us"]
    assert post["content"][0] == [{"tag": "text", "text": f"Dear {NASTY}"}]
    card = shown(KINDS[4], nasty)["attachments"][0]["content"]
    runs = [run for block in card["body"] for run in block["inlines"]]
    assert {run["type"] for run in runs} == {"TextRun"}
    assert next(run["selectAction"]["url"] for run in runs if "selectAction" in run).startswith("https://evil.example")
    assert shown(KINDS[5], nasty)["text"] == f"Dear {NASTY}\n# {NASTY}\n> quoted"


@OF_EACH_KIND
@pytest.mark.parametrize(
    "line", ["x", "升级", "𝕏🚣‍♀️", "&<>", '"\\'], ids=["ascii", "chinese", "emoji", "markup", "quoted"]
)
def test_a_letter_too_long_for_a_service_is_cut_at_a_line_end_with_a_note(kind: Kind, line: str) -> None:
    count = 50_000 if kind.kind is ChannelKind.SIGNED else 3_000
    lines = [f"{number}: {line * 20}" for number in range(count)]
    document = str(shown(kind, letter(text="\n".join(lines), language="en")))
    assert "0: " in document
    assert f"{count - 1}: " not in document
    assert "Cut here: the whole notice is longer" in document
    assert "以下内容已省略" in str(shown(kind, letter(text="\n".join(lines), language="zh-CN")))


@OF_EACH_KIND
@given(text=st.text(max_size=300), subject=st.text(max_size=300), times=st.sampled_from([1, 100, 1000]))
def test_whatever_a_letter_says_its_request_is_within_the_bounds(
    kind: Kind, text: str, subject: str, times: int
) -> None:
    modules: dict[ChannelKind, Any] = {
        ChannelKind.WECOM: wecom,
        ChannelKind.DINGTALK: dingtalk,
        ChannelKind.FEISHU: feishu,
        ChannelKind.SLACK: slack,
        ChannelKind.TEAMS: teams,
        ChannelKind.SIGNED: signed,
    }
    request = modules[kind.kind].request(letter(text=text * times, subject=subject), Webhook("https://x/y?z", "s"), NOW)
    bound = {ChannelKind.SLACK: 200_000, ChannelKind.SIGNED: 1_000_000, ChannelKind.TEAMS: 21_000}.get(
        kind.kind, 20_000
    )
    assert len(request.body) <= bound
    assert request.body.decode("utf-8")


def test_files_that_a_room_cannot_carry_are_named() -> None:
    manual = Attachment("boathouse-1.6.0-harbour.en.pdf", "application/pdf", b"%PDF")
    text = shown(SLACK, letter(attachments=(manual,)))["text"]
    assert text.endswith("that cannot be sent to this room: boathouse-1.6.0-harbour.en.pdf. Please ask us for them.")


def test_an_unsigned_dingtalk_and_feishu_request_has_no_signature() -> None:
    bare = Webhook("https://x/y?access_token=z")
    assert dingtalk.request(letter(), bare, NOW).url == bare.url
    assert b"sign" not in feishu.request(letter(), bare, NOW).body


def test_signatures_are_those_that_openssl_computes_by_the_services_formulas() -> None:
    webhook = Webhook("https://x/y?access_token=z", "SEC-8d1f-secret")
    query = dict(parse_qsl(urlsplit(dingtalk.request(letter(), webhook, NOW).url).query))
    assert query == {
        "access_token": "z",
        "timestamp": "1794817800000",
        "sign": "GvYTuX9Nc0ow2hIgltI0eHzvi7NThAzqni0oUuBKu4g=",
    }
    document = json.loads(feishu.request(letter(), webhook, NOW).body)
    assert (document["timestamp"], document["sign"]) == ("1794817800", "Jv3GHm5BTYtt6+My80bWdDOjpDJrJU1FbVcoDBKSIPo=")


@contextmanager
def tunnel(*, credentials: str = "") -> Iterator[tuple[int, list[str]]]:
    """A proxy that connects whoever shows the credentials, and notes where to."""
    notes: list[str] = []

    def serve(asking: socket.socket) -> None:
        with asking, asking.makefile("rb") as lines:
            head = list(iter(lines.readline, b"\r\n"))
            notes.append(head[0].decode().split()[1])
            if credentials and f"Proxy-Authorization: Basic {credentials}\r\n".encode() not in head:
                asking.sendall(b"HTTP/1.1 407 Who are you\r\n\r\n")
                return
            host, _, port = notes[-1].partition(":")
            with socket.create_connection((host, int(port))) as asked:
                asking.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
                ends = {asking: asked, asked: asking}
                while ends:
                    for end in select.select(list(ends), [], [], 5)[0]:
                        if not (data := end.recv(65536)):
                            return
                        ends[end].sendall(data)

    def accept() -> None:
        with suppress(OSError):
            while True:
                Thread(target=serve, args=[listener.accept()[0]], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=accept)
        thread.start()
        try:
            yield listener.getsockname()[1], notes
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_a_proxy_of_the_environment_is_used_and_the_service_behind_it_is_verified(tmp_path: Path) -> None:
    ours = certificates.authority()
    trusted = trust(certificates.write(ours, tmp_path / "ca.pem"), "channels.x.ca_file")
    basic = base64.b64encode(b"me:p@ss").decode()
    with tunnel(credentials=basic) as (port, notes):
        tls = certificates.server_context(ours, tmp_path / "server.pem")
        with serving(webhook_server.slack, tls=tls) as service:
            request = Request(f"https://127.0.0.1:{service.port}{SLACK.path}", b'{"text": "x"}')
            answer = exchange(request, trusted, timedelta(seconds=5), f"http://me:p%40ss@127.0.0.1:{port}")
            assert (answer.status, answer.body) == (200, b"ok")
            assert notes == [f"127.0.0.1:{service.port}"]
            with pytest.raises(NotHandedOverError, match="407 Who are you"):
                exchange(request, trusted, timedelta(seconds=5), f"127.0.0.1:{port}")
