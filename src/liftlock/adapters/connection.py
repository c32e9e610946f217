"""Connections to hosts: strict about host keys, bounded in time, and sharing nothing between threads.

The only module that wraps fabric. Fabric alone accepts any host key, even a changed one, reads the user's
own ssh configuration and waits an hour for a channel; `StrictConnection` does none of that. What is
trusted is one tool-owned known_hosts file, parsed once for all connections.
"""

from __future__ import annotations

import errno
import logging
import os
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import paramiko
from fabric.config import Config
from fabric.connection import Connection
from paramiko.ssh_exception import NoValidConnectionsError
from tenacity import Retrying, retry_if_exception, stop_after_attempt, stop_after_delay, wait_exponential, wait_random

from liftlock.adapters.known_hosts import KnownKey, read_known_hosts
from liftlock.errors import AuthenticationError, HostKeyError, InputError, LinkLostError, UnreachableError
from liftlock.model import Host
from liftlock.settings import SshSettings

PIECE = 128 * 1024  # bytes read or sent at once
_SILENCE_ALLOWED = 30  # seconds after which a link that acknowledges nothing is given up

BROKEN = (paramiko.SSHException, OSError, EOFError)  # what paramiko raises when a connection breaks
_BANNER_LOST = "Error reading SSH protocol banner"

# paramiko logs the tracebacks of connections that fail; they are mapped and raised here instead.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


def load_key(path: Path) -> paramiko.PKey:
    """The private key in `path` (ed25519, ECDSA or RSA), read once while the file does not change.

    Raises InputError when it is missing, encrypted or no key.
    """
    try:
        return _load_key(path, path.stat().st_mtime_ns)
    except FileNotFoundError as error:
        raise InputError(f"the ssh key {path} does not exist") from error
    except (paramiko.PasswordRequiredException, TypeError) as error:
        raise InputError(f"the ssh key {path} is encrypted; liftlock needs a key without a passphrase") from error
    except (paramiko.SSHException, paramiko.pkey.UnknownKeyType, ValueError, OSError) as error:
        raise InputError(f"the ssh key {path} cannot be read: {error}") from error


@lru_cache(maxsize=8)
def _load_key(path: Path, _modified: int) -> paramiko.PKey:
    return paramiko.PKey.from_path(path)


class StrictConnection(Connection):
    """A fabric Connection that trusts only the recorded keys of its one host and never prompts or forwards."""

    client: paramiko.SSHClient
    _target: Host
    _patience: float

    def __init__(self, host: Host, ssh: SshSettings) -> None:
        """Prepare, without touching the network. Raises InputError for a bad key or known_hosts file."""
        recorded = read_known_hosts(ssh.known_hosts).keys(host.address, host.port)
        seconds = ssh.connect_timeout.total_seconds()
        super().__init__(
            host.address,
            user=host.user or ssh.user,
            port=host.port,
            # Connection writes into both of these, so each connection has its own.
            config=Config(ssh_config=paramiko.SSHConfig(), lazy=True),  # type: ignore[no-untyped-call]
            connect_kwargs={
                "pkey": load_key(ssh.key),
                "allow_agent": False,
                "look_for_keys": False,
                "timeout": seconds,
                "banner_timeout": seconds,
                "auth_timeout": seconds,
                "channel_timeout": seconds,
                "transport_factory": partial(_make_transport, recorded=_signature_types(recorded)),
            },
        )
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(_RecordedKeysOnly(host, recorded))
        self._set(client=client, _target=host, _patience=seconds)

    def open(self) -> None:
        """Connect and authenticate, trying again only where nothing was said yet.

        Raises UnreachableError, HostKeyError or AuthenticationError.
        """
        if self.is_connected:
            return
        attempts = Retrying(
            retry=retry_if_exception(_worth_another_try),
            stop=stop_after_attempt(3) | stop_after_delay(self._patience),
            wait=wait_exponential(multiplier=0.1, max=0.5) + wait_random(0, 0.2),
            reraise=True,
        )
        try:
            attempts(self._open_once)
        except BROKEN as error:
            raise mapped(error, self._target) from error

    def _open_once(self) -> None:
        try:
            super().open()  # type: ignore[no-untyped-call]
        except BaseException:
            self.client.close()  # close() of fabric leaves a half-open transport alone
            raise


class _RecordedKeysOnly(paramiko.MissingHostKeyPolicy):
    """Lets a host key pass only if it is recorded, and says why another is refused.

    Decides instead of paramiko's own list (left empty, so every key is "missing" there), which keeps one key
    of a type and knows no `@revoked`. paramiko asks before it authenticates.
    """

    def __init__(self, host: Host, recorded: list[KnownKey]) -> None:
        self._name = f"{host.name} ({host.address}:{host.port})"
        self._authority = any(key.marker == "@cert-authority" for key in recorded)
        self._revoked = {key.blob for key in recorded if key.marker == "@revoked"}
        self._trusted = [key for key in recorded if not key.marker and key.blob not in self._revoked]

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:  # noqa: ARG002
        """Return if the key is recorded. Raises HostKeyError: unknown, changed or revoked."""
        offered = KnownKey("", key.get_name(), key.asbytes())
        detail = f"{self._name} offers {offered.key_type} {offered.fingerprint}"
        if offered.blob in self._revoked:
            raise HostKeyError("host key revoked", f"{detail}, which known_hosts marks as revoked")
        if offered in self._trusted:
            return
        if self._trusted:
            recorded = " or ".join(f"{known.key_type} {known.fingerprint}" for known in self._trusted)
            remedy = "if the change is meant, record the new key with `liftlock trust --replace`"
            raise HostKeyError("host key changed", f"{detail}, recorded is {recorded}; {remedy}")
        if self._authority:
            detail += "; known_hosts has only an authority (@cert-authority) for it, which liftlock does not use"
        raise HostKeyError("host key unknown", f"{detail}; compare it and record it with `liftlock trust`")


def _make_transport(sock: socket.socket, recorded: tuple[str, ...], **options: Any) -> paramiko.Transport:
    """paramiko's transport: recorded key types first, cheap and modern algorithms first, no waiting for ACKs."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for option, value in (("TCP_USER_TIMEOUT", _SILENCE_ALLOWED * 1000), ("TCP_QUICKACK", 1)):
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    transport = paramiko.Transport(sock, **options)
    transport.set_keepalive(_SILENCE_ALLOWED // 2)
    security = transport.get_security_options()
    security.kex = _first(security.kex, ("curve25519-sha256", "curve25519-sha256@libssh.org"))
    security.ciphers = _first(security.ciphers, ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com"))
    security.key_types = _first(security.key_types, recorded)
    return transport


def _signature_types(recorded: list[KnownKey]) -> tuple[str, ...]:
    """What the recorded keys sign with: an `ssh-rsa` key signs with SHA-2."""
    types = [key.key_type for key in recorded if not key.marker]
    return tuple(name for key in types for name in (("rsa-sha2-512", "rsa-sha2-256") if key == "ssh-rsa" else (key,)))


def _first(available: Any, wanted: tuple[str, ...]) -> tuple[str, ...]:
    front = [name for name in dict.fromkeys(wanted) if name in available]
    return (*front, *(name for name in available if name not in front))


def _worth_another_try(error: BaseException) -> bool:
    """Whether the connection failed before anything was said: refused, timed out, or dropped by a busy sshd."""
    if isinstance(error, paramiko.SSHException):
        return _BANNER_LOST in str(error)
    return isinstance(error, TimeoutError) or _errno(error) in (errno.ECONNREFUSED, errno.ECONNRESET)


def _errno(error: BaseException) -> int | None:
    if isinstance(error, NoValidConnectionsError):  # one error for each address of the name
        error = next(iter(error.errors.values()))
    return error.errno if isinstance(error, OSError) else None


_CAUSES = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset",
    errno.EPIPE: "connection reset",
    errno.EHOSTUNREACH: "no route to host",
    errno.ENETUNREACH: "no route to host",
}


def mapped(error: Exception, host: Host) -> UnreachableError | AuthenticationError:
    """The host error for what paramiko or the network raised while connecting: nothing was touched yet."""
    number = _errno(error)
    words = os.strerror(number) if number and isinstance(error, NoValidConnectionsError) else str(error)
    detail = f"{host.address}:{host.port}: {words}"
    if isinstance(error, socket.gaierror):
        return UnreachableError("name not found", detail)
    silent = isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError)  # the banner's is inside
    if silent or str(error) in ("No existing session", "Authentication timeout."):
        return UnreachableError("connection timed out", detail)
    if number in _CAUSES:
        return UnreachableError(_CAUSES[number], detail)
    if isinstance(error, EOFError) or "saw EOF" in str(error):
        return UnreachableError("connection closed by the host", detail)
    if isinstance(error, paramiko.AuthenticationException):
        return AuthenticationError("authentication refused", detail)
    if _BANNER_LOST in str(error):
        return UnreachableError("no ssh banner", detail)
    return UnreachableError("ssh handshake failed", detail)


def open_connection(host: Host, ssh: SshSettings) -> StrictConnection:
    """An open, authenticated connection; use it in `with`, which closes it.

    Raises UnreachableError, HostKeyError or AuthenticationError (nothing was touched), InputError for a
    bad key or known_hosts file.
    """
    connection = StrictConnection(host, ssh)
    connection.open()
    return connection


@contextmanager
def execute(connection: StrictConnection, command: str, until: float) -> Iterator[paramiko.Channel]:
    """Start `command` on the host; yields its channel and closes it. `until` (time.monotonic) bounds the start, too.

    Raises UnreachableError when the host gives no session (nothing ran), LinkLostError for whatever breaks after.
    """
    try:
        channel: paramiko.Channel = connection.create_session()
    except BROKEN as error:
        raise UnreachableError("no ssh session", str(error)) from error
    # exec_command has no timeout of its own: a host that never replies is hung up on.
    alarm = threading.Timer(max(0.0, until - time.monotonic()), connection.client.close)
    alarm.start()
    try:
        channel.exec_command(command)
        alarm.cancel()
        yield channel
    except BROKEN as error:
        cause = "connection lost" if time.monotonic() < until else "deadline passed"
        raise LinkLostError(cause, str(error)) from error
    finally:
        alarm.cancel()
        with suppress(*BROKEN):
            channel.close()


def pieces(channel: paramiko.Channel, until: float) -> Iterator[tuple[bytes, bytes]]:
    """What comes from the host, as (stdout, stderr), until both end; at most to `until` (time.monotonic).

    Raises LinkLostError when the deadline passes. A lost connection ends it too: ask for the exit status.
    """
    waiting = select.poll()
    waiting.register(channel.fileno(), select.POLLIN)
    while (left := until - time.monotonic()) > 0:
        ended = channel.eof_received or channel.closed  # asked first: what came before the end must still be read
        out = channel.recv(PIECE) if channel.recv_ready() else b""
        err = channel.recv_stderr(PIECE) if channel.recv_stderr_ready() else b""
        if out or err:
            yield out, err
        elif ended:
            return
        else:
            waiting.poll(left * 1000)
    raise LinkLostError("deadline passed", "the program on the host gave no end of its answer in time")


def exit_status(channel: paramiko.Channel, until: float) -> int:
    """The program's exit status. Raises LinkLostError when it is not known by `until` (time.monotonic)."""
    if not channel.status_event.wait(max(0.0, until - time.monotonic())):
        raise LinkLostError("deadline passed", "the program on the host did not end in time")
    if channel.exit_status == -1:
        raise LinkLostError("connection lost", "the program on the host ended without an exit status")
    return channel.exit_status


def run(connection: StrictConnection, command: str, timeout: float) -> tuple[int, bytes, bytes]:
    """Run a shell command to its end, at most `timeout` seconds: (exit status, stdout, stderr).

    Raises LinkLostError when the connection breaks or the time is over: the command may run on.
    """
    until = time.monotonic() + timeout
    with execute(connection, command, until) as channel:
        channel.shutdown_write()
        out, err = bytearray(), bytearray()
        for from_out, from_err in pieces(channel, until):
            out += from_out
            err += from_err
        return exit_status(channel, until), bytes(out), bytes(err)
