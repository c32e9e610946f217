"""A link that can break: a TCP proxy on loopback that drops, refuses, goes silent, or carries little at a time."""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import suppress

PIECE = 64 * 1024
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER for a close that resets instead of saying goodbye."""


class Link:
    """The way to one address: connect to `port`. Begins whole; end it with `close`."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.rate: int | None = None
        """Bytes a second each way; None for as fast as it goes."""
        self.cut_after: int | None = None
        """Cut the connection that has carried so many bytes to the host; once."""
        self.black_after: int | None = None
        """Go silent when a connection has carried so many bytes to the host; once."""
        self._flowing = threading.Event()
        self._flowing.set()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self.port = 0
        self.mend()

    def cut(self) -> None:
        """Reset every open connection; new ones are welcome."""
        with self._lock:
            ends = list(self._open)
        for end in ends:
            _reset(end)

    def refuse(self) -> None:
        """Reset every open connection and refuse new ones, as a host that is down does."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.cut()

    def go_black(self) -> None:
        """Carry nothing any more, and say nothing: connections are accepted and stay open."""
        self._flowing.clear()

    def mend(self) -> None:
        """Carry everything again, at full speed, what waited included."""
        self._flowing.set()
        self.rate = self.cut_after = self.black_after = None
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
            self.port = self._listener.getsockname()[1]
            threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def close(self) -> None:
        """End the proxy and its connections."""
        self.refuse()
        self._flowing.set()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._join, args=(near,), daemon=True).start()

    def _join(self, near: socket.socket) -> None:
        self._flowing.wait()
        try:
            far = socket.create_connection(self.target, 5)
        except OSError:
            _reset(near)
            near.close()
            return
        far.settimeout(None)
        for end in (near, far):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._open |= {near, far}
        back = threading.Thread(target=self._carry, args=(far, near, False), daemon=True)
        back.start()
        self._carry(near, far, True)
        back.join()
        with self._lock:
            self._open -= {near, far}
        for end in (near, far):
            end.close()

    def _carry(self, source: socket.socket, sink: socket.socket, to_host: bool) -> None:
        carried = 0
        try:
            while piece := source.recv(PIECE if self.rate is None else 512):
                carried += len(piece)
                if to_host and self.black_after is not None and carried > self.black_after:
                    self.black_after = None
                    self._flowing.clear()
                self._flowing.wait()
                if to_host and self.cut_after is not None and carried > self.cut_after:
                    self.cut_after = None
                    _reset(source)
                    _reset(sink)
                    return
                if self.rate is not None:
                    time.sleep(len(piece) / self.rate)
                sink.sendall(piece)
        except OSError:
            pass
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


def _reset(end: socket.socket) -> None:
    """Break a connection at both its ends, also one that a thread reads from."""
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
