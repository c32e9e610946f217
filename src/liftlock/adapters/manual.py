"""Manuals: one self-contained HTML file per customer, from the plan and the chapters that people wrote.

Chapters stand in `manuals/<product>/<version>.<language>.md`, one file for every release on a host's way.
"""

from __future__ import annotations

import base64
import mimetypes
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from liftlock.adapters.letters import facts_of
from liftlock.adapters.rendering import render
from liftlock.errors import InputError, Problem
from liftlock.model import Catalogue, Customer, Fleet, Plan
from liftlock.notice import Attachment, customers, share
from liftlock.settings import Vendor

if TYPE_CHECKING:
    from jinja2 import Environment
    from markdown_it.token import Token
    from markupsafe import Markup


@dataclass(frozen=True, slots=True)
class Heading:
    """A line of the table of contents; `level` as in HTML, 2 for a release."""

    anchor: str
    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Chapter:
    """What was written about one release: safe HTML, and its headings."""

    html: Markup
    headings: tuple[Heading, ...]


def make_manual(
    plan: Plan,
    customer: Customer,
    fleet: Fleet,
    catalogue: Catalogue,
    *,
    chapters: Path,
    vendor: Vendor,
    templates: Environment,
    also: Sequence[Catalogue] = (),
) -> bytes:
    """The customer's manual for this plan, in the customer's language, as one HTML file.

    `chapters` is the folder of manuals, `also` are the catalogues of the plan's further products. Raises InputError when a chapter is missing (with the path that
    was looked for), when it shows a picture that cannot be carried, or when a template is wrong.
    """
    part = share(plan, customer, fleet, catalogue, *also)
    files = [_file(chapters, release.product, release.version, customer.language) for release in part.releases]
    if missing := [_missing(file, customer) for file in files if not file.is_file()]:
        raise InputError(missing)
    written = [_chapter(file, f"r{number}") for number, file in enumerate(files, start=1)]
    facts = facts_of(part, catalogue.product, vendor)
    return render(templates, f"manuals/manual.{customer.language}.html.j2", **facts, chapters=written).encode()


def manual_attachment(plan: Plan, customer: Customer, content: bytes) -> Attachment:
    """The manual as it goes with the customer's letters."""
    name = f"{plan.product}-{plan.version}-{customer.name}.{customer.language}.html"
    return Attachment(name=name, media_type="text/html; charset=utf-8", content=content)


def missing_chapters(plan: Plan, fleet: Fleet, chapters: Path) -> list[Problem]:
    """Every chapter that the manuals of this plan need and `chapters` lacks, each once."""
    needed = {
        _file(chapters, plan.product_of(host), hop.to_version, customer.language): customer
        for customer in reversed(customers(plan, fleet))
        for host in plan.hosts
        if host.customer == customer.name
        for hop in host.hops
    }
    return [_missing(file, customer) for file, customer in sorted(needed.items()) if not file.is_file()]


def _file(chapters: Path, product: str, version: str, language: str) -> Path:
    return chapters / product / f"{version}.{language}.md"


def _missing(file: Path, customer: Customer) -> Problem:
    return Problem(file=str(file), message=f"no such chapter; the manual of {customer.name} needs it")


def _chapter(file: Path, prefix: str) -> Chapter:
    """The file as HTML with its headings one level down, so that the manual's own title stays the only first one."""
    from markdown_it import MarkdownIt
    from markupsafe import Markup

    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    try:
        tokens = markdown.parse(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise InputError([Problem(file=str(file), message="is not UTF-8")]) from error
    headings = tuple(_headings(tokens, prefix))
    _carry_pictures(tokens, file)
    html = markdown.renderer.render(tokens, markdown.options, {})
    return Chapter(html=Markup(html), headings=headings)  # noqa: S704 - the renderer escapes; raw HTML is off


def _headings(tokens: list[Token], prefix: str) -> Iterable[Heading]:
    """Move every heading one level down, give it an anchor, and tell about it."""
    for index, token in enumerate(tokens):
        if token.type not in {"heading_open", "heading_close"}:
            continue
        level = min(int(token.tag[1]) + 1, 6)
        token.tag = f"h{level}"
        if token.type == "heading_open":
            anchor = f"{prefix}-{index}"
            token.attrSet("id", anchor)
            words = (child.content for child in tokens[index + 1].children or [])
            yield Heading(anchor=anchor, level=level, text="".join(words))


def _carry_pictures(tokens: list[Token], file: Path) -> None:
    """Put every picture into the manual itself: a file that travels alone cannot point to others."""
    for block in tokens:
        for token in block.children or []:
            if token.type == "image":
                token.attrSet("src", _picture(file, str(token.attrGet("src")), block))


def _picture(file: Path, source: str, block: Token) -> str:
    media_type, _ = mimetypes.guess_type(source)
    path = file.parent / source
    if re.match(r"\w+:", source) or not path.is_file() or not (media_type or "").startswith("image/"):
        line = block.map[0] + 1 if block.map else 0
        message = f"the picture {source!r} is not an image file beside the chapter"
        raise InputError([Problem(file=str(file), line=line, column=1, message=message)])
    return f"data:{media_type};base64,{base64.b64encode(path.read_bytes()).decode()}"
