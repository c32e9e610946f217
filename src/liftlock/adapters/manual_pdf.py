"""Manuals as PDF: the tree of a manual set by typst, from `templates/manuals/manual.typ`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from liftlock.adapters.manual import Manual
from liftlock.adapters.manual_code import folded, is_command
from liftlock.adapters.manual_fonts import families, folders
from liftlock.adapters.manual_text import Node, changed, plain
from liftlock.adapters.rendering import source_of
from liftlock.errors import InputError, Problem

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATE = "manuals/manual.typ"

SHORT = 600
"""A list with no more characters than these stands on one page."""


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


def _for_paper(manual: Manual) -> dict[str, Any]:
    """What only paper needs: fonts, commands that fit its width, lists not to part, how wide columns are."""
    return {"fonts": families(manual.language), "blocks": changed(manual.blocks, _fit)}


def _fit(node: Node) -> Node:
    if is_command(node):
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
