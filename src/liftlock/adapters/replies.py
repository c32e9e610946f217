"""Customers' replies, saved as mail (.eml): the answers in them, however a mail program wrote them down."""

from __future__ import annotations

from dataclasses import dataclass
from email import message_from_binary_file, policy
from email.message import EmailMessage
from html.parser import HTMLParser
from pathlib import Path

from liftlock.errors import InputError
from liftlock.feedback import Answer, read_reply

_SILENT = frozenset({"head", "style", "script", "title", "blockquote"})
_QUOTES = frozenset({"divRplyFwdMsg", "appendonsend", "gmail_quote", "moz-cite-prefix", "yahoo_quoted"})
"""What Outlook, Gmail, Thunderbird and Yahoo call the place from which on they quote."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, and the file that it stands in."""

    file: Path
    answer: Answer


def replies_in(path: Path) -> tuple[list[Reply], list[Path]]:
    """The answers in a saved reply (.eml) or in all of a folder's, and the files that were passed over as other mail.

    Raises InputError when a file cannot be read, or when there is no answer at all.
    """
    saved = sorted(path.glob("*.eml")) if path.is_dir() else [path]
    answers = [(file, _answer(file)) for file in saved]
    found = [Reply(file, answer) for file, answer in answers if answer]
    if not found:
        what = f"no answer in {len(saved)} saved replies (.eml)" if path.is_dir() else "no answer in it"
        raise InputError(f"{path}: {what}: its subject carries a code and a score from 1 to 5")
    return found, [file for file, answer in answers if not answer]


def _answer(file: Path) -> Answer | None:
    try:
        with file.open("rb") as source:
            message = message_from_binary_file(source, _class=EmailMessage, policy=policy.default)
        body = message.get_body(("plain", "html"))
        text = str(body.get_content()) if body else ""
        subject = str(message.get("Subject", ""))
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from error
    except (ValueError, LookupError, AttributeError) as error:
        raise InputError(f"{file}: cannot be read as mail: {error}") from error
    is_page = body is not None and body.get_content_type() == "text/html"
    return read_reply(subject, _Page.text_of(text) if is_page else text)


class _Page(HTMLParser):
    """Collects what a reader of the page reads as the writer's own."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[str] = []
        self._silent = 0
        self._quotes = False

    @staticmethod
    def text_of(page: str) -> str:
        parser = _Page()
        parser.feed(page)
        parser.close()
        return "".join(parser._parts)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = {name for key, value in attrs if key in {"id", "class"} for name in (value or "").split()}
        self._quotes = self._quotes or bool(names & _QUOTES)
        self._silent += tag in _SILENT
        if tag in {"br", "div", "tr", "li", "hr"}:
            self._parts.append("\n")
        elif tag == "p":
            self._parts.append("\n\n")

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in _SILENT and self._silent > 0

    def handle_data(self, data: str) -> None:
        if not self._silent and not self._quotes:
            self._parts.append(" ".join(data.split("\n")))
