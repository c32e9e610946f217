"""Manuals as PDF: the tree of a manual set by typst, from `templates/manuals/manual.typ`."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from liftlock.adapters.manual import Manual
from liftlock.adapters.manual_fonts import families, folders
from liftlock.adapters.manual_text import Node, changed, plain
from liftlock.adapters.rendering import source_of
from liftlock.errors import InputError, Problem

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATE = "manuals/manual.typ"
COLUMNS = 78
"""How many characters of a command fit beside each other, also in a list within a list."""

SHORT = 600
"""A list with no more characters than these stands on one page."""

_WORD = re.compile(r"""(?:\\.|'[^']*'|"(?:\\.|[^"\\])*"|[^\s'"\\])+""")
_LEFT_ALONE = ("#", "<<", "$(", "`")
_BARE = re.compile(r"""[^\s'"\\$`]+""")


class Press:
    """Prints manuals; fonts and template are read once, and what manuals have in common is set once.

    `chapters` is the folder `manuals/`: pictures are taken from there, and typst reads nothing outside of it.
    """

    def __init__(self, chapters: Path, templates: Environment) -> None:
        import typst

        fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=True, font_paths=folders())
        self._compiler = typst.Compiler(root=chapters, font_paths=fonts)
        self._template = source_of(templates, TEMPLATE).encode()

    def pdf(self, manual: Manual) -> bytes:
        """The manual as PDF; the same manual makes the same bytes. Raises InputError when the template is wrong."""
        import typst

        data = json.dumps(manual.as_data() | _for_paper(manual), ensure_ascii=False)
        try:
            made, warnings = self._compiler.compile_with_warnings(
                self._template, format="pdf", sys_inputs={"data": data}, timestamp=manual.created
            )
        except typst.TypstError as error:
            raise _wrong(error) from error
        if warnings:
            raise _wrong(warnings[0])
        if not isinstance(made, bytes):
            raise TypeError("typst made no single PDF")
        return made


def folded(text: str, columns: int = COLUMNS) -> str:
    r"""A shell command whose lines are no longer than that, where it can be: ` \` ends a line that goes on.

    What is copied from paper is still the same command. A quoted word is never cut; a text with comments, commands
    within commands, or quotations and documents over several lines stays as it is.
    """
    lines = text.split("\n")
    if any(mark in text for mark in _LEFT_ALONE) or not all(_are_all(_WORD.findall(line), line) for line in lines):
        return text
    return "\n".join(_fold(line, columns) for line in lines)


def _fold(line: str, columns: int) -> str:
    words = _WORD.findall(line)
    if len(line) <= columns or not words:
        return line
    lines = [line[: len(line) - len(line.lstrip())] + words[0]]
    for word in words[1:]:
        if len(lines[-1]) + len(word) + 3 > columns:
            lines[-1] += " "
            lines.append(f"    {word}")
        else:
            lines[-1] += f" {word}"
    return "\\\n".join(piece for each in lines for piece in _cut(each, columns - 1))


def _are_all(words: Sequence[str], line: str) -> bool:
    try:
        return shlex.split(" ".join(words)) == shlex.split(line)
    except ValueError:  # a quotation goes on in the next line
        return False


def _cut(line: str, columns: int) -> list[str]:
    """A line that is one long bare word in pieces: to the shell they are one word again."""
    if len(line) <= columns or not _BARE.fullmatch(line.strip()):
        return [line]
    return [line[start : start + columns] for start in range(0, len(line), columns)]


def _for_paper(manual: Manual) -> dict[str, Any]:
    """What only paper needs: fonts, commands that fit its width, lists not to part, how wide columns are."""
    return {"fonts": families(manual.language), "blocks": changed(manual.blocks, _fit)}


def _fit(node: Node) -> Node:
    if node["kind"] == "code" and node["block"] and node["language"] in {"sh", "bash", "shell"}:
        return {**node, "text": folded(node["text"])}
    if node["kind"] == "list":
        return {**node, "whole": len(plain(node["body"])) < SHORT}
    if node["kind"] == "table":
        return {**node, "widths": _widths([node["head"], *node["rows"]])}
    return node


def _widths(rows: Iterable[Sequence[Sequence[Node]]]) -> list[int]:
    """How the columns of a table share its width: by their longest text, but room for the longest word of the head.

    Chinese counts double.
    """
    columns = zip(*filter(None, rows), strict=True)
    return [max(8, _longest_word(column[0]) + 4, min(max(map(_breadth, column)), 36)) for column in columns]


def _longest_word(cell: Sequence[Node]) -> int:
    return max(map(len, plain(cell).split()), default=0)


def _breadth(cell: Sequence[Node]) -> int:
    return len(plain(cell).encode("gb18030"))


def _wrong(error: Any) -> InputError:
    found = re.search(r"\.typ:(\d+):(\d+)", error.diagnostic)
    line, column = (int(found[1]), int(found[2])) if found else (0, 0)
    return InputError([Problem(TEMPLATE, error.message, "", line, column)])
