"""One HTTP request and its answer, with the one difference that counts: did the request leave as a whole?

On http.client, which knows that difference, follows no redirects and logs no addresses (docs/adr/0020).
"""

from __future__ import annotations

import http.client
import socket
import ssl
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from threading import Event, Timer
from urllib.parse import SplitResult, unquote, urlsplit

from liftlock import __version__
from liftlock.adapters.channels.base import Answer, Request
from liftlock.adapters.trusted import distrust
from liftlock.wording import printable

_LARGEST_ANSWER = 64 * 1024
_HEADERS = {"Content-Type": "application/json; charset=utf-8", "User-Agent": f"liftlock/{__version__}"}


class NotHandedOverError(Exception):
    """The request did not leave as a whole, so nobody acted on it; `again`: it may leave a little later."""

    def __init__(self, words: str, again: bool) -> None:
        self.again = again
        super().__init__(words)


class NoAnswerError(Exception):
    """The request left, and no answer came: it may have been acted on."""


def exchange(request: Request, trust: ssl.SSLContext, timeout: timedelta, proxy: str = "") -> Answer:
    """POST the request, through `proxy` where there is one, and return what came back within `timeout`.

    Raises NotHandedOverError and NoAnswerError; neither says the address.
    """
    url, seconds = urlsplit(request.url), timeout.total_seconds()
    with closing(_connection(url, trust, seconds, proxy)) as connection, _connected(connection, seconds) as over:
        target = f"{url.path or '/'}?{url.query}" if url.query else url.path or "/"
        try:
            connection.request("POST", target, request.body, {**_HEADERS, **request.headers})
        except (OSError, http.client.HTTPException) as error:
            raise NotHandedOverError(f"the connection broke before the letter: {_why(error)}", again=True) from None
        try:
            return _answer(connection.getresponse(), over)
        except (OSError, http.client.HTTPException) as error:
            raise NoAnswerError(f"no answer within {seconds:g} s: {_why(error)}") from None


def _connection(url: SplitResult, trust: ssl.SSLContext, seconds: float, proxy: str) -> http.client.HTTPConnection:
    host = url.hostname or ""
    if url.scheme == "http":
        return http.client.HTTPConnection(host, url.port, timeout=seconds)
    if not proxy:
        return http.client.HTTPSConnection(host, url.port, timeout=seconds, context=trust)
    way = urlsplit(proxy if "//" in proxy else f"//{proxy}")
    connection = http.client.HTTPSConnection(way.hostname or "", way.port or 3128, timeout=seconds, context=trust)
    credentials = b64encode(unquote(f"{way.username}:{way.password or ''}").encode()).decode() if way.username else ""
    connection.set_tunnel(host, url.port or 443, {"Proxy-Authorization": f"Basic {credentials}"} if credentials else {})
    return connection


@contextmanager
def _connected(connection: http.client.HTTPConnection, seconds: float) -> Iterator[Event]:
    """Connect, and hang up when the time is over, since a socket's timeout is only for each single read."""
    try:
        connection.connect()
    except ssl.SSLError as error:
        raise NotHandedOverError(distrust(error), again=False) from None
    except (OSError, http.client.HTTPException) as error:
        raise NotHandedOverError(f"cannot connect: {_why(error)}", again=True) from None
    over = Event()
    deadline = Timer(seconds, _hang_up, [connection.sock, over])
    deadline.daemon = True
    deadline.start()
    try:
        yield over
    finally:
        deadline.cancel()


def _hang_up(connected: socket.socket, over: Event) -> None:
    over.set()
    try:
        # Of the plain socket: an SSLSocket would drop its state below the thread that is reading.
        socket.socket.shutdown(connected, socket.SHUT_RDWR)
    except OSError:
        return  # it has ended by itself


def _answer(response: http.client.HTTPResponse, over: Event) -> Answer:
    """The answer, its body as far as it came: once there is a status, a broken body is no lost answer."""
    body, whole = b"", False
    try:
        body = response.read(_LARGEST_ANSWER + 1)
        whole = len(body) <= _LARGEST_ANSWER and not response.length and not over.is_set()
    except (OSError, http.client.HTTPException):
        whole = False
    return Answer(response.status, body[:_LARGEST_ANSWER], whole, response.getheader("Retry-After", ""))


def _why(error: Exception) -> str:
    """The error in words; of those of HTTP, which quote what was received, only their kind."""
    if isinstance(error, http.client.HTTPException) and not isinstance(error, OSError):
        return type(error).__name__
    return printable(getattr(error, "strerror", None) or str(error), " ")
