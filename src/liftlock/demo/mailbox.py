"""A real mail server on loopback that keeps every letter as an .eml file."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller

from liftlock.demo.loopback import free_port


class _Keeper:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802  aiosmtpd's name
        await asyncio.to_thread(self._keep, envelope.rcpt_tos[0], envelope.content)
        return "250 kept"

    def _keep(self, recipient: str, content: bytes) -> None:
        message = message_from_bytes(content, policy=policy.default)
        number = len(list(self.folder.glob("*.eml"))) + 1
        product = "-".join(str(message["Subject"]).split()[:2])
        safe = "".join(
            letter for letter in f"{number:02d}-{recipient}-{product}" if letter.isalnum() or letter in "-.@"
        )
        (self.folder / f"{safe}.eml").write_bytes(content)


@contextmanager
def mailbox(folder: Path) -> Iterator[int]:
    """Receive mail into `folder` while the block runs; yields the port."""
    folder.mkdir(parents=True, exist_ok=True)
    controller = Controller(_Keeper(folder), hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()
