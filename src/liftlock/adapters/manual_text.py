"""Markdown -> the tree of a manual: one structure that both the page and the PDF are made from.

A node is a plain mapping, because it goes to Jinja2 and, as JSON, to typst. Blocks are `heading` (`level`, `id`),
`paragraph`, `list` (`ordered`, `start`), `item`, `table` (`head`, `rows`, `align`), `code` (`language`, `text`),
`quote` and `rule`; inside of them stand `text`, `code`, `strong`, `em`, `link` (`to`), `image` (`source`, `text`) and
`break`. What a node holds is its `body`. Each tells the `line` of the file that it stands in, from 1.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.tree import SyntaxTreeNode

Node = Mapping[str, Any]

_NAMES = {
    "paragraph": "paragraph",
    "list_item": "item",
    "blockquote": "quote",
    "hr": "rule",
    "strong": "strong",
    "em": "em",
    "hardbreak": "break",
}


def read_markdown(text: str) -> tuple[Node, ...]:
    """The blocks of a CommonMark text with tables; raw HTML stays text, and headings carry no `id` yet."""
    from markdown_it.tree import SyntaxTreeNode

    root = SyntaxTreeNode(_parser().parse(text))
    return tuple(_block(child) for child in root.children)


def walk(nodes: Iterable[Node]) -> Iterator[Node]:
    """Every node, in the order of reading, each before what it holds."""
    for node in nodes:
        yield node
        for row in (node.get("head", ()), *node.get("rows", ())):
            for cell in row:
                yield from walk(cell)
        yield from walk(node.get("body", ()))


def plain(nodes: Iterable[Node]) -> str:
    """The words of these nodes without their form."""
    return "".join(node["text"] for node in walk(nodes) if "text" in node)


def changed(nodes: Iterable[Node], change: Callable[[Node], Node | None]) -> tuple[Node, ...]:
    """The same nodes, each replaced by what `change` makes of it, what it holds first; None leaves what it holds."""
    made: list[Node] = []
    for node in nodes:
        parts: dict[str, Any] = {}
        if "body" in node:
            parts["body"] = changed(node["body"], change)
        if "rows" in node:
            parts["head"] = tuple(changed(cell, change) for cell in node["head"])
            parts["rows"] = tuple(tuple(changed(cell, change) for cell in row) for row in node["rows"])
        whole = {**node, **parts} if parts else node
        new = change(whole)
        made.extend(whole["body"] if new is None else [new])
    return tuple(made)


def with_anchors(nodes: Iterable[Node], prefix: str, deeper: int = 0) -> tuple[Node, ...]:
    """The blocks with an `id` for every heading, as `anchors` names it behind `prefix`, and levels `deeper`."""
    blocks = tuple(nodes)
    names = iter(anchors(blocks))
    return changed(
        blocks,
        lambda node: (
            {**node, "id": f"{prefix}{next(names)}", "level": min(node["level"] + deeper, 6)}
            if node["kind"] == "heading"
            else node
        ),
    )


def anchors(nodes: Iterable[Node]) -> list[str]:
    """What links name the headings by, in their order: lower case, words joined with `-`, as code hosts do."""
    found: list[str] = []
    for node in walk(nodes):
        if node["kind"] == "heading":
            name = re.sub(r"[^\w\- ]", "", plain(node["body"]).strip().lower()).replace(" ", "-")
            same = sum(1 for other in found if re.fullmatch(rf"{re.escape(name)}(-\d+)?", other))
            found.append(f"{name}-{same}" if same else name)
    return found


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False}).enable("table")


def _line(node: SyntaxTreeNode) -> int:
    while node.parent is not None and not node.map:
        node = node.parent
    return node.map[0] + 1 if node.map else 1


def _block(node: SyntaxTreeNode) -> Node:
    made: dict[str, Any] = {"kind": _NAMES.get(node.type, node.type), "line": _line(node)}
    match node.type:
        case "heading":
            made |= {"level": int(node.tag[1]), "body": _words(node)}
        case "paragraph":
            made |= {"body": _words(node)}
        case "bullet_list" | "ordered_list":
            made |= {"kind": "list", "ordered": node.type == "ordered_list", "start": int(node.attrs.get("start", 1))}
            made |= {"tight": not _is_loose(node), "body": tuple(_block(child) for child in node.children)}
        case "list_item" | "blockquote":
            made |= {"body": tuple(_block(child) for child in node.children)}
        case "fence" | "code_block":
            words = node.info.split()
            made |= {"kind": "code", "block": True, "language": words[0] if words else ""}
            made |= {"text": node.content.removesuffix("\n"), "fenced": node.type == "fence"}
        case "table":
            made |= _table(node)
    return made


def _is_loose(node: SyntaxTreeNode) -> bool:
    """Whether blank lines stand between the paragraphs of a list; markdown-it hides those of a tight one."""
    return any(child.type == "paragraph" and not child.hidden for item in node.children for child in item.children)


def _table(node: SyntaxTreeNode) -> dict[str, Any]:
    head, *bodies = node.children
    cells = head.children[0].children
    align = tuple(str(cell.attrs.get("style", "text-align:left")).removeprefix("text-align:") for cell in cells)
    named = tuple(_words(cell) for cell in cells)
    rows = tuple(tuple(_words(cell) for cell in row.children) for body in bodies for row in body.children)
    return {"head": named if any(named) else (), "rows": rows, "align": align}


def _words(node: SyntaxTreeNode) -> tuple[Node, ...]:
    """What stands in a block of text; lines are counted from the block's first."""
    line = _line(node)
    return tuple(part for inline in node.children for part in _run(inline.children, [line]))


def _run(nodes: list[SyntaxTreeNode], line: list[int]) -> Iterator[Node]:
    for place, node in enumerate(nodes):
        if node.type == "softbreak":
            line[0] += 1
            if gap := _gap(nodes[place - 1 : place], nodes[place + 1 : place + 2]):
                yield {"kind": "text", "line": line[0], "text": gap}
            continue
        if node.type == "text" and not node.content:
            continue
        made: dict[str, Any] = {"kind": _NAMES.get(node.type, node.type), "line": line[0]}
        match node.type:
            case "text":
                made |= {"text": node.content}
            case "code_inline":
                made |= {"kind": "code", "block": False, "text": node.content}
            case "image":
                made |= {"source": str(node.attrs.get("src", "")), "text": node.content}
            case "link":
                made |= {"to": str(node.attrs.get("href", "")), "body": tuple(_run(node.children, line))}
            case "hardbreak":
                line[0] += 1
            case _:
                made |= {"body": tuple(_run(node.children, line))}
        yield made


def _gap(before: list[SyntaxTreeNode], after: list[SyntaxTreeNode]) -> str:
    """What a line end in the source means: a space, but nothing between two wide (Chinese) characters."""
    last, first = (before[0].content[-1:] if before else ""), (after[0].content[:1] if after else "")
    wide = all(letter and unicodedata.east_asian_width(letter) in "WF" for letter in (last, first))
    return "" if wide else " "
