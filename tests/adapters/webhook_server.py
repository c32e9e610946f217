"""Chat services on this machine: each checks what the real one checks, and answers as the real one does."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "T0ken-5f2c9-8a1e-4b77"
SECRET = "SEC-8d1f-secret"


@dataclass(frozen=True)
class Asked:
    """One request as the service got it."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}

    @property
    def document(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """What the service says; `drip` is the pause before each byte of the body, `cut` ends it after so many bytes."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    drip: float = 0.0
    wait: float = 0.0
    hang_up: bool = False


Mind = Callable[[Asked], Reply]


def says(status: int = 200, **document: Any) -> Reply:
    return Reply(status, json.dumps(document).encode(), {"Content-Type": "application/json"})


def wecom(asked: Asked) -> Reply:
    if asked.query.get("key") != TOKEN:
        return says(errcode=93000, errmsg="invalid webhook url")
    if len(asked.document["markdown"]["content"].encode()) > 4096:
        return says(errcode=40058, errmsg="markdown.content exceed max length 4096")
    return says(errcode=0, errmsg="ok")


def dingtalk(asked: Asked) -> Reply:
    if asked.query.get("access_token") != TOKEN:
        return says(errcode=300005, errmsg="token is not exist")
    stamp = asked.query.get("timestamp", "0")
    right = base64.b64encode(hmac.new(SECRET.encode(), f"{stamp}\n{SECRET}".encode(), hashlib.sha256).digest()).decode()
    if abs(time.time() * 1000 - int(stamp)) > 3_600_000 or asked.query.get("sign") != right:
        return says(errcode=310000, errmsg="sign not match")
    if len(asked.body) > 20_000 or not asked.document["markdown"]["title"]:
        return says(errcode=460101, errmsg="message too long")
    return says(errcode=0, errmsg="ok")


def feishu(asked: Asked) -> Reply:
    document = asked.document
    key = f"{document.get('timestamp')}\n{SECRET}".encode()
    right = base64.b64encode(hmac.new(key, b"", hashlib.sha256).digest()).decode()
    if document.get("sign") != right or abs(time.time() - int(document["timestamp"])) > 3600:
        return says(code=19021, msg="sign match fail or timestamp is not within one hour from current time")
    if len(asked.body) > 20_480 or document["msg_type"] != "post":
        return says(code=9499, msg="Bad Request", data={})
    return says(code=0, msg="success", data={}, StatusCode=0, StatusMessage="success")


def slack(asked: Asked) -> Reply:
    if not asked.path.endswith(f"/{TOKEN}"):
        return Reply(404, b"no_service")
    return Reply(200, b"ok") if len(asked.document["text"]) <= 40_000 else Reply(400, b"invalid_payload")


def teams(asked: Asked) -> Reply:
    if asked.query.get("sig") != TOKEN:
        return says(401, error={"code": "DirectApiAuthorizationRequired", "message": "You must use OAuth"})
    (attachment,) = asked.document["attachments"]
    runs = [run for block in attachment["content"]["body"] for run in block["inlines"]]
    if len(asked.body) > 28 * 1024 or not all(run["text"] for run in runs):
        return Reply(413, b"Request Entity Too Large")
    return Reply(202)


def signed(asked: Asked) -> Reply:
    stamp = asked.headers["X-Liftlock-Timestamp"]
    digest = hmac.new(SECRET.encode(), stamp.encode() + b"." + asked.body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(asked.headers["X-Liftlock-Signature"], f"sha256={digest}"):
        return Reply(401, b"bad signature")
    return Reply(204)


@dataclass
class Service:
    """A running service: replies of `first` come before its own mind speaks."""

    mind: Mind
    port: int = 0
    first: list[Reply] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)

    def reply(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        return self.first.pop(0) if self.first else self.mind(asked)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are what some tests are about."""


@contextmanager
def serving(mind: Mind, *first: Reply, tls: ssl.SSLContext | None = None) -> Iterator[Service]:
    """A service with this mind on a port of its own."""
    service = Service(mind, first=list(first))

    class Handler(BaseHTTPRequestHandler):
        timeout = 5

        def setup(self) -> None:
            if tls:
                self.request = tls.wrap_socket(self.request, server_side=True)
            super().setup()

        def finish(self) -> None:
            super().finish()
            self.connection.close()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            reply = service.reply(Asked(self.path, dict(self.headers), body))
            time.sleep(reply.wait)
            if reply.hang_up:
                return
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            if not reply.drip:
                self.wfile.write(reply.body)
                return
            for byte in reply.body:
                time.sleep(reply.drip)
                self.wfile.write(bytes([byte]))

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Quiet."""

    server = _Server(("127.0.0.1", 0), Handler)
    service.port = server.server_address[1]
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
