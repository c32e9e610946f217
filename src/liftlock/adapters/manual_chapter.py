"""Chapters: what people wrote about a release (`manuals/<product>/<version>.<language>.md`), and what is wrong."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from posixpath import normpath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from liftlock.adapters.manual_text import Node, anchors, changed, plain, read_markdown, walk, with_anchors
from liftlock.adapters.rendering import fill_in
from liftlock.errors import InputError, Problem

if TYPE_CHECKING:
    from jinja2 import Environment

SECTIONS = {
    "en": (
        *("Summary", "What is new", "Before you start", "What happens", "What you do", "Check it yourself"),
        *("If it goes wrong", "Known issues", "Training"),
    ),
    "zh-CN": (
        *("概述", "新增内容", "升级前的准备", "升级过程", "您需要做什么", "自行检查"),
        *("出现问题时", "已知问题", "培训"),
    ),
}
"""The headings that every chapter has, in this order; others may stand between them."""

PICTURES = {".gif": "gif", ".jpeg": "jpeg", ".jpg": "jpeg", ".png": "png", ".svg": "svg+xml", ".webp": "webp"}
"""The pictures that both a browser and typst show, by their ending, and their media type."""

_OUTWARD = re.compile(r"https?://[^\s/]+\.?[^\s]*|mailto:[^\s@]+@[^\s@]+|tel:\+?[\d ().-]+")
_HAS_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


@dataclass(frozen=True, slots=True)
class Chapter:
    """One chapter as it was written: where it stands, and its tree."""

    product: str
    version: str
    language: str
    file: Path
    blocks: tuple[Node, ...]

    @property
    def prefix(self) -> str:
        """What the names of its headings begin with in a manual."""
        return prefix_of(self.product, self.version)

    def problem(self, line: int, message: str) -> Problem:
        """Something wrong in that line."""
        return Problem(file=shown(self.file), line=line, column=1, message=message)


def chapter_file(chapters: Path, product: str, version: str, language: str) -> Path:
    """Where the chapter about a release stands; `chapters` is the folder `manuals/`."""
    return chapters / product / f"{version}.{language}.md"


def prefix_of(product: str, version: str) -> str:
    """What the names of a chapter's headings begin with in a manual."""
    return f"{product}-{version}-"


def shown(file: Path) -> str:
    """The file as messages name it: `manuals/<product>/<name>`."""
    return "/".join(file.parts[-3:])


def read_chapter(chapters: Path, product: str, version: str, language: str) -> Chapter:
    """The chapter about a release. Raises InputError when there is none, or when it is not UTF-8."""
    file = chapter_file(chapters, product, version, language)
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        line = file.read_bytes()[: error.start].count(b"\n") + 1
        raise InputError([Problem(file=shown(file), line=line, column=1, message="is not UTF-8")]) from error
    except FileNotFoundError:
        raise InputError([Problem(file=shown(file), message="there is no such chapter")]) from None
    return Chapter(product, version, language, file, read_markdown(text))


def mistakes(chapter: Chapter) -> list[Problem]:
    """All that is wrong with a chapter before any plan fills it in: headings, sections, code, links and pictures."""
    found = [*_headings(chapter), *_sections(chapter), *_code(chapter), *_links(chapter), *_pictures(chapter)]
    return sorted(found, key=lambda problem: problem.line)


def filled(chapter: Chapter, words: Environment, facts: Mapping[str, Any]) -> tuple[Node, ...]:
    """The chapter's tree with its `{{ names }}` filled in. Raises InputError with every text that cannot be."""
    problems: list[Problem] = []

    def fill(node: Node) -> Node:
        if not any(mark in node.get("text", "") for mark in ("{{", "{%")):
            return node
        try:
            return {**node, "text": fill_in(words, node["text"], **facts)}
        except ValueError as error:
            problems.append(chapter.problem(node["line"], str(error)))
            return node

    made = changed(chapter.blocks, fill)
    if problems:
        raise InputError(problems)
    return made


def in_manual(chapter: Chapter, blocks: Iterable[Node], present: Collection[str]) -> tuple[Node, ...]:
    """The chapter as a part of a manual: its headings one level down and named, its links within the manual.

    Pictures are named by their path within `manuals/`. `present` are the prefixes of the manual's chapters; a link to
    another chapter leaves just its words.
    """

    def bind(node: Node) -> Node | None:
        if node["kind"] == "image":
            return {**node, "source": normpath(f"{chapter.product}/{unquote(node['source'])}")}
        if node["kind"] != "link" or _HAS_SCHEME.match(node["to"]):
            return node
        product, version, anchor = _aim(chapter, node["to"])
        prefix = prefix_of(product, version)
        return {**node, "to": f"#{prefix}{anchor}"} if prefix in present else None

    return changed(with_anchors(blocks, chapter.prefix, deeper=1), bind)


def _headings(chapter: Chapter) -> Iterator[Problem]:
    headings = [node for node in walk(chapter.blocks) if node["kind"] == "heading"]
    if not headings or headings[0] is not chapter.blocks[0] or headings[0]["level"] != 1:
        yield chapter.problem(1, "must begin with its title: `# Product 1.2.3`")
    level = 1
    for number, heading in enumerate(headings):
        if heading["level"] == 1 and number > 0:
            yield chapter.problem(heading["line"], "a chapter has one title (`#`); sections have `##`")
        elif heading["level"] > level + 1:
            marks = "#" * (level + 1)
            yield chapter.problem(heading["line"], f"this heading skips a level: `{marks}` comes next")
        if not plain(heading["body"]).strip():
            yield chapter.problem(heading["line"], "this heading is empty")
        level = heading["level"]


def _sections(chapter: Chapter) -> Iterator[Problem]:
    tops = [node for node in chapter.blocks if node["kind"] == "heading" and node["level"] <= 2]
    lines = {plain(node["body"]).strip(): node["line"] for node in tops if node["level"] == 2}
    wanted = SECTIONS[chapter.language]
    last = 0
    for name in wanted:
        if name not in lines:
            yield chapter.problem(max(last, 1), f"the section `## {name}` is missing")
        elif lines[name] < last:
            order = ", ".join(wanted)
            yield chapter.problem(lines[name], f"the section `## {name}` stands too early: the order is {order}")
        else:
            last = lines[name]
    for place, block in enumerate(chapter.blocks):
        following = chapter.blocks[place + 1] if place + 1 < len(chapter.blocks) else None
        if block["kind"] == "heading" and block["level"] > 1 and (following is None or _opens(following, block)):
            yield chapter.problem(block["line"], f"the section `{plain(block['body'])}` says nothing")


def _opens(block: Node, section: Node) -> bool:
    return bool(block["kind"] == "heading" and block["level"] <= section["level"])


def _code(chapter: Chapter) -> Iterator[Problem]:
    for node in walk(chapter.blocks):
        if node["kind"] == "code" and node["block"] and not node["language"]:
            said = "name the language of this code: ```sh" if node["fenced"] else "indented code: use ```sh instead"
            yield chapter.problem(node["line"], f"{said} (or ```text)")


def _links(chapter: Chapter) -> Iterator[Problem]:
    for node in walk(chapter.blocks):
        if node["kind"] == "link" and (wrong := _wrong_link(chapter, node["to"])):
            yield chapter.problem(node["line"], wrong)


def _wrong_link(chapter: Chapter, to: str) -> str:
    if _HAS_SCHEME.match(to):
        return "" if _OUTWARD.fullmatch(to) else f"the link `{to}` is no http, https, mailto or tel address"
    product, version, anchor = _aim(chapter, to)
    if not version:
        return f"the link `{unquote(to)}` leads to no chapter: customers have only their manual"
    try:
        aimed = _other(chapter, product, version)
    except InputError:
        return f"the link `{unquote(to)}` leads to a chapter that is not there"
    return "" if anchor in anchors(aimed.blocks) else f"the link `{unquote(to)}` leads to no heading of that chapter"


def _other(chapter: Chapter, product: str, version: str) -> Chapter:
    if (product, version) == (chapter.product, chapter.version):
        return chapter
    return read_chapter(chapter.file.parent.parent, product, version, chapter.language)


def _aim(chapter: Chapter, to: str) -> tuple[str, str, str]:
    """The product and version of the chapter that a relative link means, and the heading there (its title if none)."""
    path, _, anchor = unquote(to).partition("#")
    if not path:
        return chapter.product, chapter.version, anchor
    found = re.fullmatch(r"(?:\.\./([a-z0-9-]+)/)?([0-9A-Za-z._-]+)", path)
    ending = f".{chapter.language}.md"
    if not found or not found[2].endswith(ending):
        return chapter.product, "", anchor
    product, version = found[1] or chapter.product, found[2].removesuffix(ending)
    return product, version, anchor or _title_anchor(chapter, product, version)


def _title_anchor(chapter: Chapter, product: str, version: str) -> str:
    try:
        return (anchors(_other(chapter, product, version).blocks) or [""])[0]
    except InputError:
        return ""


def _pictures(chapter: Chapter) -> Iterator[Problem]:
    home = chapter.file.parent.parent.resolve()
    for node in walk(chapter.blocks):
        if node["kind"] != "image":
            continue
        source = unquote(node["source"])
        path = chapter.file.parent / source
        if _HAS_SCHEME.match(source) or path.suffix.lower() not in PICTURES or not path.is_file():
            kinds = ", ".join(sorted(ending[1:] for ending in PICTURES))
            message = f"the picture `{source}` is not a file ({kinds}) beside the chapter"
            yield chapter.problem(node["line"], message)
        elif not path.resolve().is_relative_to(home):
            yield chapter.problem(node["line"], f"the picture `{source}` stands outside of manuals/")
        elif not node["text"].strip():
            yield chapter.problem(node["line"], f"the picture `{source}` needs words for those who cannot see it")
