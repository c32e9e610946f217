"""Text -> a checked value, or every mistake in it with its place. Pure.

The text is YAML as 1.2 readers see it: `true`, `false`, `null`, decimal integers and floats have types and
everything else is text, so `no`, `0755`, `1:30` and `2026-12-20` stay what was written. Anchors and aliases
are read; tags, merge keys, a field written twice and field names that are not text are refused.

PyYAML's C composer gives nodes that already carry their positions; when something is wrong, the same nodes
(not a second parser with its own opinions) say where. Garbage collection rests meanwhile: a large inventory is
hundreds of thousands of small objects and no garbage, and looking for some costs five times the reading.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from liftlock import wording
from liftlock.errors import InputError, Problem

Path = tuple[str | int, ...]
"""Where a value stands in a document: `("hosts", 3, "customer")`; `KEY` at the end means the field's name itself."""

KEY = "[key]"
M = TypeVar("M", bound=BaseModel)

_DEPTH = 50
_TAG = "tag:yaml.org,2002:"
SCALARS: dict[str, Callable[[str], Any]] = {
    f"{_TAG}str": str,
    f"{_TAG}int": int,
    f"{_TAG}float": float,
    f"{_TAG}bool": {"true": True, "false": False}.__getitem__,
    f"{_TAG}null": lambda _: None,
}


class Shape(BaseModel):
    """Base of the shapes of our files: unknown fields are mistakes, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Composes nodes only; knows the few plain types named above, and how deep is too deep.

    With `mistakes` to write to, each item of a list gives way to its value once the next one begins: the nodes of a
    hundred thousand hosts, which say where everything stands, would take ten times the room of what they stand for.
    """

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own registry, replaced by a smaller one
    depth = 0
    mistakes: list[tuple[yaml.Node, str]] | None = None

    def descend_resolver(self, parent: yaml.Node | None, index: object) -> None:
        self.depth += 1
        if self.depth > _DEPTH and parent is not None:
            raise yaml.MarkedYAMLError(problem=f"nested more than {_DEPTH} deep", problem_mark=parent.start_mark)
        if type(index) is int and index and parent is not None and self.mistakes is not None:
            parent.value[index - 1] = value_of(parent.value[index - 1], {}, self.mistakes)

    def ascend_resolver(self) -> None:
        self.depth -= 1


# 18 digits: what every reader holds exactly; longer runs of digits stay text.
for _kind, _pattern, _starts in (
    ("bool", r"true|false", "tf"),
    ("null", r"null|~|", ("n", "~", "")),
    ("int", r"-?(0|[1-9][0-9]{0,17})", "-0123456789"),
    ("float", r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+", "-+.0123456789"),
):
    _Loader.add_implicit_resolver(f"{_TAG}{_kind}", re.compile(rf"^(?:{_pattern})$"), list(_starts))


def read(text: str, file: str, shape: type[M], *, empty_ok: bool = False) -> M:
    """The document as a `shape`; an empty one is refused, or with `empty_ok` read as having no fields.

    Raises InputError with every problem found, in the order they stand in `file`.
    """
    with garbage_collection_resting():
        mistakes: list[tuple[yaml.Node, str]] = []
        root = compose(text, file, mistakes if "*" not in text else None)  # an alias needs the node that it stands for
        if root is None and not empty_ok:
            raise InputError([Problem(file, "is empty", line=1, column=1)])
        value = {} if root is None else value_of(root, {}, mistakes)
        if mistakes:
            raise InputError(_sorted(_at(node, file, (), message) for node, message in mistakes))
        del root
        try:
            return shape.model_validate(value)
        except ValidationError as error:
            details = error.errors(include_url=False)
        root = compose(text, file)
        raise InputError(_sorted(_problem(root, file, shape, detail) for detail in details))


def refusal(text: str, file: str, findings: Iterable[tuple[Path, str]]) -> InputError:
    """The error for findings in a document that `read` has accepted, each with the place of its path.

    A path that does not exist is placed at its nearest parent that does.
    """
    with garbage_collection_resting():
        root = compose(text, file)
    return InputError(_sorted(_at(_find(root, path), file, path, message) for path, message in findings))


@contextmanager
def garbage_collection_resting() -> Iterator[None]:
    """No search for garbage inside, which a big document has none of; objects are still freed when let go."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def compose(text: str, file: str, mistakes: list[tuple[yaml.Node, str]] | None = None) -> yaml.Node | None:
    """The tree of nodes, or None for a document without any. Raises InputError for what is not YAML.

    With `mistakes` to write to, for `value_of`: items of lists are values already.
    """
    control = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if control:
        before = text[: control.start()]
        message = f"the control character U+{ord(control[0]):04X} cannot stand in a YAML file"
        place = (before.count("\n") + 1, len(before) - before.rfind("\n"))
        raise InputError([Problem(file, message, line=place[0], column=place[1])])
    loader = _Loader(text)
    loader.mistakes = mistakes
    try:
        root: yaml.Node | None = loader.get_single_node()
        return root
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line, mark.column) if mark else (0, 0)
        faulty = text.splitlines()[line : line + 1]
        in_indent = faulty and "\t" in faulty[0][: column + 1] and not faulty[0][: column + 1].strip()
        message = "a tab cannot indent YAML: use spaces" if in_indent else f"is not valid YAML: {_syntax(error)}"
        raise InputError([Problem(file, message, line=line + 1, column=column + 1)]) from error
    finally:
        loader.dispose()


def _syntax(error: yaml.MarkedYAMLError) -> str:
    return ", ".join(part for part in (error.context, error.problem) if part)


def value_of(node: Any, known: dict[int, Any], mistakes: list[tuple[yaml.Node, str]]) -> Any:
    """What a node stands for. Aliases share one value (`known`), so nesting them cannot multiply the work."""
    if not isinstance(node, yaml.Node):
        return node  # a value already
    if isinstance(node, yaml.ScalarNode):
        try:
            return SCALARS[node.tag](node.value)
        except (KeyError, ValueError):
            mistakes.append((node, f"the tag {_short(node.tag)} is not read here: leave it out"))
            return None
    if id(node) in known:
        return known[id(node)]
    if node.tag not in (f"{_TAG}map", f"{_TAG}seq"):
        mistakes.append((node, f"the tag {_short(node.tag)} is not read here: leave it out"))
    if isinstance(node, yaml.SequenceNode):
        items: list[Any] = []
        known[id(node)] = items
        items.extend(value_of(item, known, mistakes) for item in node.value)
        return items
    fields: dict[str, Any] = {}
    known[id(node)] = fields
    for key, item in node.value:
        if key.tag != f"{_TAG}str":
            mistakes.append((key, "a field's name must be text: put it in quotes"))
        elif key.value in fields:
            mistakes.append((key, f"`{key.value}` is written twice in the same mapping"))
        else:
            fields[key.value] = value_of(item, known, mistakes)
    return fields


def _short(tag: str) -> str:
    return f"!!{tag.removeprefix(_TAG)}" if tag.startswith(_TAG) else tag


def _problem(root: yaml.Node | None, file: str, shape: type[BaseModel], detail: Any) -> Problem:
    path: Path = detail["loc"]
    kind = detail["type"]
    if kind == "extra_forbidden":
        return _at(_find(root, (*path, KEY)), file, path, wording.unknown_field(shape, path))
    node = _find(root, path)
    raw = node.value if isinstance(node, yaml.ScalarNode) else ""
    return _at(node, file, path, wording.of(detail, raw))


def _find(root: yaml.Node | None, path: Path) -> yaml.Node | None:
    """The node at `path`, or its nearest parent that exists."""
    if path[-1:] == (KEY,):
        parent = _find(root, path[:-2])
        return next((key for key, _ in getattr(parent, "value", ()) if key.value == path[-2]), parent)
    node = root
    for part in path:
        below: yaml.Node | None = None
        if isinstance(node, yaml.MappingNode):
            below = next((item for key, item in node.value if key.value == part), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            below = node.value[part]
        if below is None:
            return node
        node = below
    return node


def _at(node: yaml.Node | None, file: str, path: Path, message: str) -> Problem:
    line, column = (node.start_mark.line, node.start_mark.column) if node else (0, 0)
    where = wording.dotted(part for part in path if part != KEY)
    return Problem(file, wording.printable(message), wording.printable(where), line + 1, column + 1)


def _sorted(problems: Iterable[Problem]) -> list[Problem]:
    return sorted(problems, key=lambda problem: (problem.line, problem.column))
