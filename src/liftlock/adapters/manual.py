"""Manuals: one document per customer, from the plan and the chapters that people wrote; here as a page.

The parts that follow from the plan come from `templates/manuals/manual.<language>.md.j2`, the rest from the chapters;
both are Markdown, and become one tree (`manual_text`) that the page and the PDF (`manual_pdf`) show.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from liftlock.adapters.manual_chapter import (
    PICTURES,
    Chapter,
    filled,
    in_manual,
    mistakes,
    prefix_of,
    read_chapter,
    shown,
)
from liftlock.adapters.manual_code import COLUMNS, is_command, unfit
from liftlock.adapters.manual_fonts import unprintable
from liftlock.adapters.manual_text import Node, changed, plain, read_markdown, walk, with_anchors
from liftlock.adapters.rendering import for_markdown, for_words, render
from liftlock.errors import InputError, Problem
from liftlock.model import Customer, Plan, Release, Severity
from liftlock.notice import Attachment, Share, contacts
from liftlock.settings import Vendor

if TYPE_CHECKING:
    from jinja2 import Environment

WORDS = ("title", "contents", "page", "plan", "vendor", "passed")
"""What the head of a manual's template says: for the frame of each page, the list of contents, and the chapter of a
release that hosts only pass on their way.
"""


@dataclass(frozen=True, slots=True)
class Manual:
    """One customer's manual: `words` for its frame, and the trees of its cover and of all that follows.

    `created` is when the plan was made, in seconds since 1970.
    """

    name: str
    language: str
    created: int
    words: Mapping[str, str]
    cover: tuple[Node, ...]
    blocks: tuple[Node, ...]

    @property
    def headings(self) -> tuple[Node, ...]:
        """What the list of contents shows."""
        return tuple(block for block in self.blocks if block["kind"] == "heading" and block["level"] <= 3)

    def as_data(self) -> dict[str, Any]:
        """All of it for a template."""
        told = ("language", "created", "words", "cover", "headings", "blocks")
        return {name: getattr(self, name) for name in told}


class Writer:
    """Writes the manuals of one workspace; reads every chapter and template once.

    `chapters` is the folder `manuals/`.
    """

    def __init__(self, chapters: Path, vendor: Vendor, templates: Environment) -> None:
        self._folder, self._vendor = chapters, vendor
        self.templates = templates
        self._markdown, self._words = for_markdown(templates), for_words(templates)
        self._chapters: dict[tuple[str, ...], Chapter] = {}

    def problems(self, parts: Iterable[Share]) -> list[Problem]:
        """Everything that is missing or wrong in what the manuals of these shares are made from, each once."""
        shares = list(parts)
        found = self._mistakes(shares)
        unread = {problem.file for problem in found if not problem.line}
        for part in shares:
            try:
                self.write(part)
            except InputError as error:
                found += [each for each in error.problems if each not in found and each.file not in unread]
        return sorted(found, key=lambda problem: (problem.file, problem.line))

    def write(self, part: Share) -> Manual:
        """The manual for a customer's share of a plan.

        Raises InputError with all that cannot be read, filled in or shown.
        """
        facts, language = facts_of(part, self._vendor), part.customer.language
        words, cover, front, back = self._front(facts, language)
        middle: list[Node] = []
        plan_made = [*_as_text(words), *cover, *front, *back]
        problems = _unsettable(plan_made, _front_name(language), lines=False)
        present = {prefix_of(release.product, release.version) for release in part.releases}
        for release in part.releases:
            try:
                chapter = self._chapter(release.product, release.version, language)
                blocks = filled(chapter, self._words, {**facts, "release": release})
            except InputError as error:
                problems += error.problems
                continue
            problems += _unsettable(blocks, shown(chapter.file))
            middle += _on_the_way(in_manual(chapter, blocks, present), part, release, words["passed"])
        if problems:
            raise InputError(problems)
        return Manual(
            name=_name(part.plan, part.customer),
            language=language,
            created=int(part.plan.created_at.timestamp()),
            words=words,
            cover=cover,
            blocks=(*front, *middle, *back),
        )

    def page(self, manual: Manual) -> bytes:
        """The manual as one self-contained HTML file; pictures travel inside it."""
        data = {
            **manual.as_data(),
            "cover": changed(manual.cover, self._with_picture),
            "blocks": changed(manual.blocks, self._with_picture),
        }
        return render(self.templates, "manuals/manual.html.j2", **data).encode()

    def _mistakes(self, parts: Sequence[Share]) -> list[Problem]:
        """What is missing or wrong in the chapters of these shares; a missing one names a customer who needs it."""
        needed = {
            (release.product, release.version, part.customer.language): part.customer.name
            for part in reversed(parts)
            for release in part.releases
        }
        problems: list[Problem] = []
        for chapter, customer in needed.items():
            try:
                problems += mistakes(self._chapter(*chapter))
            except InputError as error:
                wanted = f"; the manual of {customer} needs it"
                problems += [replace(problem, message=problem.message + wanted) for problem in error.problems]
        return problems

    def _chapter(self, *key: str) -> Chapter:
        """The chapter of a product, version and language, read once."""
        if key not in self._chapters:
            self._chapters[key] = read_chapter(self._folder, *key)
        return self._chapters[key]

    def _front(
        self, facts: Mapping[str, Any], language: str
    ) -> tuple[dict[str, str], tuple[Node, ...], tuple[Node, ...], tuple[Node, ...]]:
        """What follows from the plan: words, cover, and the blocks before and after the chapters."""
        name = _front_name(language)
        start, *rest = f"\n{render(self._markdown, name, **facts).strip()}\n".split("\n---\n", 2)
        if start.strip() or len(rest) != 2:
            raise InputError([Problem(name, "must begin with its words, between two lines of `---`")])
        pairs = [line.partition(": ") for line in rest[0].splitlines() if line.strip()]
        words = {key.strip(): plain(read_markdown(value)) for key, _, value in pairs}
        if lacking := [word for word in WORDS if not words.get(word)]:
            raise InputError([Problem(name, f"its head does not say: {', '.join(lacking)}")])
        blocks = with_anchors(read_markdown(rest[1]), "")
        sections = [place for place, block in enumerate(blocks) if block["kind"] == "heading" and block["level"] == 2]
        chapters = [place for place, block in enumerate(blocks) if block["kind"] == "rule"]
        if not sections or len(chapters) != 1 or chapters[0] < sections[0]:
            raise InputError([Problem(name, "needs sections (`##`), and one line `***` where the chapters go")])
        return words, blocks[: sections[0]], blocks[sections[0] : chapters[0]], blocks[chapters[0] + 1 :]

    def _with_picture(self, node: Node) -> Node:
        if node["kind"] != "image":
            return node
        path = self._folder / node["source"]
        content = base64.b64encode(path.read_bytes()).decode()
        return {**node, "source": f"data:image/{PICTURES[path.suffix.lower()]};base64,{content}"}


def facts_of(part: Share, vendor: Vendor) -> dict[str, Any]:
    """What a manual's template and its chapters may name; chapters also `release`."""
    order = list(Severity)
    fixes = [(release, fix) for release in part.releases for fix in release.fixes]
    return {
        "share": part,
        "plan": part.plan,
        "customer": part.customer,
        "language": part.customer.language,
        "zone": part.customer.timezone,
        "title": ", ".join(part.titles.values()),
        "goal": ", ".join(part.goals),
        "vendor": vendor,
        "fixes": sorted(fixes, key=lambda pair: order.index(pair[1].severity)),
        "contacts": contacts(part.customer),
        "by_record": any(words.endswith("by the record") for words in part.plan.estimates.values()),
    }


def _on_the_way(blocks: tuple[Node, ...], part: Share, release: Release, passed: str) -> tuple[Node, ...]:
    """The chapter of a release beside others: its sections name it, and one that is only passed says so first."""
    if len(part.releases) == 1:
        return blocks
    name = {"kind": "text", "line": 0, "text": f" · {part.named(release)}"}

    def named(node: Node) -> Node:
        is_section = node["kind"] == "heading" and node["level"] == 3
        return {**node, "body": (*node["body"], name)} if is_section else node

    sections = changed(blocks, named)
    product, goal = part.titles[release.product], part.plan.products[release.product]
    if release.version == goal:
        return sections
    said = passed.replace("{release}", f"{product} {release.version}").replace("{goal}", f"{product} {goal}")
    words = {"kind": "paragraph", "line": 0, "body": ({"kind": "text", "line": 0, "text": said},)}
    return (*sections[:1], {"kind": "quote", "line": 0, "body": (words,)}, *sections[1:])


def attachments(manual: Manual, page: bytes, pdf: bytes) -> tuple[Attachment, Attachment]:
    """The manual's two files; the PDF goes with letters."""
    return (
        Attachment(f"{manual.name}.pdf", "application/pdf", pdf),
        Attachment(f"{manual.name}.html", "text/html; charset=utf-8", page),
    )


def _name(plan: Plan, customer: Customer) -> str:
    return f"{plan.product}-{plan.version}-{customer.name}.{customer.language}"


def _front_name(language: str) -> str:
    return f"manuals/manual.{language}.md.j2"


def _unsettable(nodes: Iterable[Node], file: str, *, lines: bool = True) -> list[Problem]:
    """What paper cannot show: characters that no font has, and commands too long for it; `lines` are the file's."""
    found = [
        (node, message)
        for node in walk(nodes)
        for message in (*_without_glyph(node.get("text", "")), *(_too_long(node["text"]) if is_command(node) else ()))
    ]
    return [Problem(file, message, "", node["line"], 1) if lines else Problem(file, message) for node, message in found]


def _without_glyph(text: str) -> Iterator[str]:
    return (f"no font has {letter}, in: {text[:60]}" for letter in unprintable(text))


def _too_long(commands: str) -> Iterator[str]:
    told = f"is too long for paper ({COLUMNS} characters), and folding it could change the command"
    remedy = "shorten it, or break it with `\\` yourself"
    return (f"this line {told}: {remedy}, in: {line.strip()[:60].rstrip()}" for line in unfit(commands))


def _as_text(words: Mapping[str, str]) -> list[Node]:
    return [{"kind": "text", "line": 0, "text": text} for text in words.values()]
