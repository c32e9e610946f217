"""A letter as the text that a room is shown: its title, its plain text, and what is left out."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable

from liftlock.notice import Letter

_LONGEST_TITLE = 200
_CUT = {
    "en": "(Cut here: the whole notice is longer than can be sent to this room.)",
    "zh-CN": "（通知全文超出本渠道长度限制，以下内容已省略。）",
}
_FILES = {
    "en": "Files of this notice that cannot be sent to this room: {names}. Please ask us for them.",
    "zh-CN": "本通知另有附件，无法在此发送：{names}。如有需要，请与我们联系。",
}


def title_of(letter: Letter) -> str:
    """The subject on one line."""
    title = " ".join(letter.subject.split())
    return title if len(title) <= _LONGEST_TITLE else f"{title[: _LONGEST_TITLE - 1]}…"


def text_of(letter: Letter) -> str:
    """The plain text; webhooks carry no files, so it names those that the letter has."""
    lines = [line.rstrip() for line in letter.text.strip().splitlines()]
    if letter.attachments:
        names = ", ".join(attachment.name for attachment in letter.attachments)
        lines += ["", _in(_FILES, letter.language).format(names=names)]
    return "\n".join(lines)


def cut(text: str, language: str, fits: Callable[[str], bool]) -> str:
    """As many whole lines of the text as fit, and a note where some do not; of a first line too long its beginning."""
    if fits(text):
        return text
    note = _in(_CUT, language)
    lines = text.split("\n")
    kept = _most(len(lines), lambda count: fits("\n".join([*lines[:count], "", note])))
    if kept:
        return "\n".join([*lines[:kept], "", note])
    letters = _most(len(lines[0]), lambda count: fits(f"{lines[0][:count]}…\n\n{note}"))
    return f"{lines[0][:letters]}…\n\n{note}"


def _most(limit: int, fits: Callable[[int], bool]) -> int:
    """The largest count up to `limit` that fits, or none."""
    return max(bisect_left(range(limit + 1), True, key=lambda count: not fits(count)) - 1, 0)


def _in(notes: dict[str, str], language: str) -> str:
    return notes.get(language, notes["en"])
