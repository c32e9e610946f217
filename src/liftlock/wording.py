"""What a reader is told about a value that does not fit: plain words for each kind of mismatch. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel


def of(detail: Mapping[str, Any], raw: str) -> str:
    """The message for one pydantic error; `raw` is the value as it stands in the file, if it is a plain one."""
    kind, given, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "missing":
        return "is missing"
    if kind == "value_error":
        return str(context["error"])
    if given is None:
        return "is empty"
    if kind == "string_type":
        return _not_text(given, raw)
    if kind in ("enum", "literal_error"):
        return f"must be {context['expected'].replace(chr(39), '`')}{_found(given)}"
    if kind == "string_too_long":
        return f"has {len(given)} characters, {context['max_length']} at most: shorten it"
    if kind in _LIMITS:
        words, limit = _LIMITS[kind]
        return f"{words} {context[limit]}"
    expected = _EXPECTED.get(kind)
    return f"expected {expected}{_found(given)}" if expected else f"{detail['msg'][:1].lower()}{detail['msg'][1:]}"


def unknown_field(shape: Any, path: tuple[str | int, ...]) -> str:
    """The message for a field that `shape` does not have at `path`, with the nearest one it has."""
    for part in path[:-1]:
        shape = _inside(shape, part)
    return f"unknown field{did_you_mean(str(path[-1]), _field_names(_bare(shape)))}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean …?` with the nearest known word, else nothing."""
    nearest = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean `{nearest[0]}`?" if nearest else ""


def dotted(path: Iterable[str | int]) -> str:
    """A path as people write it: `hosts[3].customer`; of a name that is too long for one its beginning."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part[:200]}" for part in path).removeprefix(".")


def printable(text: str, mark: str = "\N{REPLACEMENT CHARACTER}") -> str:
    """`text`, which others wrote, on one line and without anything a terminal would act on.

    Escape sequences are gone; `mark` stands for every other control character, line ends too.
    """
    return "".join(letter if letter.isprintable() else mark for letter in _ESCAPE_SEQUENCE.sub("", text))


_ESCAPE_SEQUENCE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # colours and cursor movements
    r"|\x1b[\]PX^_].*?(?:\x07|\x1b\\|$)"  # window titles, links and other strings
    r"|\x1b[ -/]*[0-~]",  # the short ones
    re.DOTALL,
)
_EXPECTED = {
    "int_type": "a whole number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping of `name: value`",
    "model_type": "a mapping of `name: value`",
    "model_attributes_type": "a mapping of `name: value`",
}
_LIMITS = {
    "greater_than": ("must be more than", "gt"),
    "greater_than_equal": ("must be at least", "ge"),
    "less_than": ("must be less than", "lt"),
    "less_than_equal": ("must be at most", "le"),
    "too_short": ("the number of entries must be at least", "min_length"),
}


def _not_text(given: object, raw: str) -> str:
    if isinstance(given, bool):
        return f"must be a quoted string: {raw} was read as a yes-or-no value"
    if isinstance(given, int | float):
        number = "a number" if raw == str(given) else f"the number {given}"
        return f"must be a quoted string: {raw} was read as {number}"
    return f"expected text{_found(given)}"


def _found(given: object) -> str:
    if isinstance(given, bool):
        return f", found {str(given).lower()}"
    if isinstance(given, int | float):
        return f", found the number {given}"
    if isinstance(given, str):
        return f", found the text `{given[:60]}`"
    return ", found a list" if isinstance(given, list) else ", found a mapping"


def _inside(shape: Any, part: str | int) -> Any:
    """The type that stands below `shape` at `part`; None when that cannot be told."""
    shape = _bare(shape)
    if get_origin(shape) in (list, dict):
        return get_args(shape)[-1]
    if isinstance(shape, type) and issubclass(shape, BaseModel):
        return next((f.annotation for name, f in shape.model_fields.items() if part in (f.alias, name)), None)
    return None


def _bare(shape: Any) -> Any:
    """`shape` without Annotated and Optional around it."""
    while get_origin(shape) in (Annotated, Union, UnionType):
        shape = next(inner for inner in get_args(shape) if inner is not type(None))
    return shape


def _field_names(shape: Any) -> list[str]:
    if isinstance(shape, type) and issubclass(shape, BaseModel):
        return [field.alias or name for name, field in shape.model_fields.items()]
    return []
