"""The documentation as its test reads it: pages, their fenced blocks, the commands in them, their tables and links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, zip_longest
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Command:
    """A line after a `$ `, and what the page says that it prints; `code` is what a following `$ echo $?` shows."""

    line: str
    output: tuple[str, ...]
    code: int = 0

    @property
    def answers(self) -> str:
        """What a person types at its prompts."""
        typed = [line.partition("[y/N] ")[2] for line in self.output]
        return "".join(f"{answer}\n" for answer in typed if answer)


@dataclass(frozen=True)
class Block:
    """A fenced block: its info string (`console`, `yaml`, `sh on-each-host`), its text and the heading it is under."""

    info: str
    text: str
    heading: str

    @property
    def kind(self) -> str:
        """The first word of the info string."""
        return self.info.partition(" ")[0]

    @property
    def not_run(self) -> str | None:
        """Why a console block is not run; None when it is."""
        found = re.fullmatch(r"console no-run: (.+)", self.info)
        return found[1] if found else None

    @property
    def file(self) -> str:
        """The file that the first line names (`# liftlock.yaml`), else nothing."""
        found = re.match(r"# (\S+\.yaml)\b", self.text)
        return found[1] if found else ""

    @property
    def commands(self) -> list[Command]:
        """The commands of a console block, in order."""
        found: list[Command] = []
        for line in self.text.replace("\\\n", "").splitlines():
            if line.startswith("$ "):
                found.append(Command(" ".join(line[2:].split()), ()))
            elif found:
                found[-1] = Command(found[-1].line, (*found[-1].output, line))
        return list(_with_codes(found))


def _with_codes(commands: list[Command]) -> Iterator[Command]:
    for command, following in zip_longest(commands, commands[1:]):
        if command.line == "echo $?":
            continue
        if following is not None and following.line == "echo $?":
            yield Command(command.line, command.output, int(following.output[0]))
        else:
            yield command


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path

    @property
    def name(self) -> str:
        """Its path within the project."""
        return self.path.relative_to(ROOT).as_posix()

    @cached_property
    def text(self) -> str:
        """Its source."""
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def _tokens(self) -> list[Token]:
        return MarkdownIt("commonmark").enable("table").parse(self.text)

    @cached_property
    def blocks(self) -> list[Block]:
        """Its fenced blocks, in order."""
        found, heading = [], ""
        for token, following in zip_longest(self._tokens, self._tokens[1:]):
            if token.type == "heading_open" and following is not None:
                heading = following.content
            elif token.type == "fence":
                found.append(Block(token.info.strip(), token.content, heading))
        return found

    @cached_property
    def headings(self) -> list[str]:
        """The text of its headings, in order."""
        return [following.content for token, following in pairwise(self._tokens) if token.type == "heading_open"]

    @property
    def anchors(self) -> set[str]:
        """What `#...` may name here, as GitHub makes it from headings."""
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in self.headings}

    @cached_property
    def links(self) -> list[str]:
        """Where its links and pictures point."""
        inside = [child for token in self._tokens for child in token.children or []]
        wanted = {"link_open": "href", "image": "src"}
        return [str(token.attrGet(wanted[token.type])) for token in inside if token.type in wanted]

    @cached_property
    def code(self) -> list[str]:
        """Its `inline code`."""
        inside = [child for token in self._tokens for child in token.children or []]
        return [token.content for token in inside if token.type == "code_inline"]

    def section(self, heading: str) -> str:
        """The source below this heading, without fenced blocks, up to the next one of the same level or above."""
        lines = re.sub(r"^```.*?^```$", "", self.text, flags=re.DOTALL | re.MULTILINE).splitlines()
        start = next(n for n, line in enumerate(lines) if re.fullmatch(rf"#+ {re.escape(heading)}", line))
        level = len(lines[start]) - len(lines[start].lstrip("#"))
        rest = lines[start + 1 :]
        end = next((n for n, line in enumerate(rest) if re.match(rf"#{{1,{level}}} ", line)), len(rest))
        return "\n".join(rest[:end])

    def rows(self, heading: str) -> list[list[str]]:
        """The rows of the tables below a heading, without their head rows."""
        lines = [line for line in self.section(heading).splitlines() if line.startswith("|")]
        heads = {n for n, line in enumerate(lines) if re.fullmatch(r"[|\s:-]+", line)}
        kept = [line for n, line in enumerate(lines) if n not in heads and n + 1 not in heads]
        return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in kept]


PAGES = [Page(path) for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))]
RECORDS = [Page(path) for path in sorted((ROOT / "docs" / "adr").glob("*.md"))]


def page(name: str) -> Page:
    """The page of that path within the project."""
    return Page(ROOT / name)
