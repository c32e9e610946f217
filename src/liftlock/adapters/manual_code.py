r"""Commands on paper: what is copied from there is still the same command.

A line that is too long for its width is folded: ` \` ends a line that goes on. Where that would change the command, or
nobody can tell, it stays as it is, and `unfit` names it.
"""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Iterator

from liftlock.adapters.manual_text import Node

COLUMNS = 78
"""How many characters of a command fit beside each other, also in a list within a list; a Chinese one counts as two."""

_SHELLS = frozenset({"sh", "bash", "shell"})
_WORD = re.compile(r"""(?:\\.|'[^']*'|"(?:\\.|[^"\\])*"|[^\s'"\\])+""")
_LEFT_ALONE = re.compile(r"(?:^|[\s;&|()<>])#|\$\(|`")
"""What begins a comment, or a command within a command."""
_BARE = re.compile(r"""[^\s'"\\$`]+""")


def is_command(node: Node) -> bool:
    """Whether it is a block of shell commands."""
    return bool(node["kind"] == "code" and node["block"] and node["language"] in _SHELLS)


def folded(text: str, columns: int = COLUMNS) -> str:
    r"""Shell commands whose lines are no longer than that, where they can be.

    A quoted word is never cut. A line with a comment, or a command within a command, stays as it is; so do all lines
    of a text with quotations or documents (`<<`) over several of them.
    """
    lines = text.split("\n")
    if "<<" in text or not all(_is_whole(line) for line in lines):
        return text
    return "\n".join(line if _LEFT_ALONE.search(line) else _fold(line, columns) for line in lines)


def unfit(text: str, columns: int = COLUMNS) -> Iterator[str]:
    """The lines that are still too long when the text is folded: paper would cut them anywhere."""
    return (line for line in folded(text, columns).split("\n") if _breadth(line) > columns)


def _is_whole(line: str) -> bool:
    """Whether every quotation that begins in the line ends there, too; a comment has none."""
    command, _ = _parted(line)
    try:
        return line.lstrip().startswith("#") or shlex.split(" ".join(_WORD.findall(command))) == shlex.split(command)
    except ValueError:
        return False


def _parted(line: str) -> tuple[str, str]:
    r"""What the line says, and the `\` by which its author lets it go on in the next."""
    goes_on = (len(line) - len(line.rstrip("\\"))) % 2
    return (line[:-1], "\\") if goes_on else (line, "")


def _fold(line: str, columns: int) -> str:
    command, mark = _parted(line)
    words = _WORD.findall(command)
    if _breadth(line) <= columns or not words:
        return line
    lines = [command[: len(command) - len(command.lstrip())] + words[0]]
    for word in words[1:]:
        if _breadth(lines[-1]) + _breadth(word) + 3 > columns:
            lines[-1] += " "
            lines.append(f"    {word}")
        else:
            lines[-1] += f" {word}"
    lines[-1] += command[len(command.rstrip()) :] if mark else ""
    return "\\\n".join(piece for each in lines for piece in _cut(each, columns - 1)) + mark


def _cut(line: str, columns: int) -> list[str]:
    """A line that is one long bare word in pieces: to the shell they are one word again."""
    if _breadth(line) <= columns or not _BARE.fullmatch(line.strip()):
        return [line]
    pieces = [""]
    for letter in line:
        if _breadth(pieces[-1] + letter) > columns:
            pieces.append("")
        pieces[-1] += letter
    return pieces


def _breadth(text: str) -> int:
    return len(text) + sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
