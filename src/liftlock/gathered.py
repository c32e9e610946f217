"""A document that no single text holds, and where each of its values stands. Pure.

What a program printed and what an Ansible inventory declares are put into the form of our own files, and
checked like them; `locate` leads a mistake back to the file and place that its reader can open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from liftlock import wording
from liftlock.document import KEY, Path
from liftlock.errors import InputError, Problem

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Gathered:
    """A document as plain values. `locate` gives the place of a path in it, as a Problem without a message.

    `unread` are files that could not be read and might have held what is missing.
    """

    value: Any
    locate: Callable[[Path], Problem]
    unread: tuple[Problem, ...] = ()


def accept(gathered: Gathered, shape: type[M]) -> M:
    """The document as a `shape`. Raises InputError with every problem, each at its place."""
    try:
        return shape.model_validate(gathered.value)
    except ValidationError as error:
        details = error.errors(include_url=False)
    raise refusal(gathered, [(detail["loc"], _message(shape, detail)) for detail in details])


def refusal(gathered: Gathered, findings: Iterable[tuple[Path, str]]) -> InputError:
    """The error for findings in a document, each with the place of its path, and what was not read."""
    told = [
        replace(gathered.locate(tuple(part for part in path if part != KEY)), message=wording.printable(message))
        for path, message in dict.fromkeys(findings)  # the same text may stand behind many hosts
    ]
    return InputError([*dict.fromkeys(told), *gathered.unread])


def _message(shape: type[BaseModel], detail: Any) -> str:
    if detail["type"] == "extra_forbidden":
        return wording.unknown_field(shape, detail["loc"])
    given = detail["input"]
    raw = str(given).lower() if isinstance(given, bool) else str(given)
    return wording.of(detail, raw if isinstance(given, int | float) else "")
