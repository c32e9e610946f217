"""The tables of fields in docs/files.md, held against the readers of our files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel

from e2e.pages import page
from liftlock import inventory, manifest, settings
from liftlock.errors import InputError

_HOLE = "@@"
_FILES = page("docs/files.md")
_AS_A_CUSTOMERS = ("freezes[]", "customers.*.groups.*.freezes[]")
"""Fields that the page describes once, as a customer's."""


@dataclass(frozen=True)
class Kind:
    """One kind of file: the heading of its section, what reads it, and the shape that the reader checks."""

    heading: str
    read: Callable[[str, str], Any]
    shape: type[BaseModel]

    @property
    def file(self) -> str:
        """The file that the section's example is."""
        return next(block.file for block in _FILES.blocks if block.heading == self.heading and block.file)

    @property
    def example(self) -> str:
        """The section's example."""
        return next(block.text for block in _FILES.blocks if block.heading == self.heading and block.file)

    @property
    def fields(self) -> list[Field]:
        """The rows of the section's table."""
        return [Field(self, *row) for row in _FILES.rows(self.heading) if len(row) == 5]

    @property
    def paths(self) -> list[str]:
        """Every field that the reader knows."""
        return [path for path in _paths(self.shape) if not path.startswith(_AS_A_CUSTOMERS)]


@dataclass(frozen=True)
class Field:
    """One row: a field, and what the page says about it."""

    kind: Kind
    name: str
    type: str
    default: str
    meaning: str
    wrong: str

    @property
    def path(self) -> str:
        """Such as `hosts[].name`."""
        return self.name.strip("`")

    def without(self) -> str:
        """The example without this field."""
        return self._with(None)

    def with_default(self) -> str:
        """The example with the default that the page names."""
        return self._with(self.default.strip("`"))

    def mistake(self) -> tuple[str, str]:
        """The example with the wrong value that the page shows, and what the page says that is told."""
        value, told = self.wrong.split(" → ", 1)
        return self._with(value.strip().removeprefix("`").removesuffix("`")), told

    def _with(self, value: str | None) -> str:
        document = yaml.safe_load(self.kind.example)
        *way, last = re.findall(r"[^.\[\]]+|\[\]", self.path)
        place = document
        for step in way:
            place = place[0] if step == "[]" else place[next(iter(place)) if step == "*" else step]
        if value is None:
            place.pop(last, None)
        else:
            place[last] = _HOLE
        text: str = yaml.safe_dump(document, allow_unicode=True, sort_keys=False)
        return text if value is None else text.replace(f"'{_HOLE}'", value)


KINDS = [
    Kind("product.yaml", manifest.read_product, manifest._Product),
    Kind("Release manifest", manifest.read_release, manifest._Release),
    Kind(
        "Inventory",
        lambda text, file: inventory.read_stub(text, file) or inventory.read_fleet(text, file),
        inventory._Fleet,
    ),
    Kind(
        "liftlock.yaml", lambda text, file: settings.read_settings(text, file, Path("/workspace")), settings._Settings
    ),
]


def told(kind: Kind, text: str, file: str = "") -> str:
    """What the reader says about a text; empty when it accepts it. Its file is the example's, or the one named."""
    try:
        kind.read(text, file or kind.file)
    except InputError as error:
        return str(error)
    return ""


def _paths(shape: type[BaseModel], before: str = "") -> Iterator[str]:
    for name, field in shape.model_fields.items():
        path = f"{before}{field.alias or name}"
        yield path
        yield from _inside(field.annotation, path)


def _inside(annotation: Any, path: str) -> Iterator[str]:
    """The fields below one: of a mapping, of the mappings in a list, of the mappings under names."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from _paths(annotation, f"{path}.")
        return
    mark = {list: "[]", dict: ".*"}.get(get_origin(annotation), "")
    for inner in get_args(annotation):
        yield from _inside(inner, f"{path}{mark}")
