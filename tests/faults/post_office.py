"""A mail server in a process of its own, that keeps a line for each letter, and can end the sender on the spot."""

from __future__ import annotations

import asyncio
import email
import os
import random
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP


@dataclass
class PostOffice:
    """Where the server listens, what it took, and whom it ends: at its `after`th letter from now on (0: nobody)."""

    port: int
    log: Path
    victim: Synchronized[int]
    after: Synchronized[int]

    def taken(self) -> Counter[str]:
        """How many copies of each letter it answered 250 for, by message id."""
        return Counter(self.log.read_text(encoding="utf-8").split())


class _Clerk:
    def __init__(self, log: Path, victim: Synchronized[int], after: Synchronized[int]) -> None:
        self._log, self._victim, self._after = log, victim, after

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802  aiosmtpd's name
        message = email.message_from_bytes(envelope.content)
        with self._log.open("a", encoding="utf-8") as log:
            log.write(f"{message['Message-ID']}\n")
        self._after.value -= 1
        if self._after.value == 0:
            with suppress(ProcessLookupError):
                if random.random() < 0.5:  # it dies before it can hear of the 250, or at any moment after
                    os.kill(self._victim.value, signal.SIGKILL)
                else:
                    asyncio.get_running_loop().call_later(
                        random.uniform(0, 0.004), os.kill, self._victim.value, signal.SIGKILL
                    )
        return "250 kept"


def _serve(listener: socket.socket, log: Path, victim: Synchronized[int], after: Synchronized[int]) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, _context: None)  # its clients are killed: that is what it is for
        server = await loop.create_server(lambda: SMTP(_Clerk(log, victim, after)), sock=listener)
        async with server:
            await server.serve_forever()

    asyncio.run(run())


@contextmanager
def post_office(log: Path) -> Iterator[PostOffice]:
    """The server, while the block runs."""
    context = get_context("fork")
    victim, after = context.Value("i", 0), context.Value("i", 0)
    log.touch()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = context.Process(target=_serve, args=(listener, log, victim, after), daemon=True)
        process.start()
        try:
            yield PostOffice(listener.getsockname()[1], log, victim, after)
        finally:
            process.kill()
            process.join()


def wait_for(pid: int, seconds: float) -> int | None:
    """The status of a child that ends in time, None when it does not."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.0005)
    return None
