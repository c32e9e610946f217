"""Text -> Product, Release, Catalogue: what a vendor declares in `releases/<product>/`. Pure.

`product.yaml` says what is installed and how, `<version>.yaml` declares one release; docs/files.md shows both.

Version policy: versions are PEP 440 as `packaging` orders them, always quoted. Refused, because their order or
identity is in doubt: what PEP 440 cannot parse (`4.2.1.SP1`, `1:2.3-4`), local versions (`4.2.1+hot5`, which
also matches `==4.2.1`), post-releases written with a dash (`4.2.1-1`), and epochs (`1!2.0`, no name for a folder).
Pre-releases are versions like any other here, but nothing chooses one unless it is named.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import PurePath
from typing import Annotated, Self

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version as ParsedVersion
from pydantic import AfterValidator, Field, model_validator

from liftlock.document import Shape, read, refusal
from liftlock.errors import InputError, Problem
from liftlock.fields import (
    Base,
    Count,
    Flag,
    Length,
    Line,
    Name,
    Setting,
    Sha256,
    Span,
    Texts,
    Variable,
    Version,
    matching,
)
from liftlock.model import Artifact, Catalogue, Health, Product, Release, ReleaseKind


def _http(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ValueError("must begin with http:// or https://")
    return url


def _specifier(text: str) -> str:
    try:
        SpecifierSet(text)
    except InvalidSpecifier:
        raise ValueError(f"`{text}` is not a version range such as `>=1.4,<2`") from None
    return text


def _relative(path: str) -> str:
    if path.startswith("/"):
        raise ValueError("must be relative to the manifest's folder")
    return path


_version_key = matching(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,62}", "the name of a field: letters, digits and `._-`")


class _Health(Shape):
    url: Annotated[Line, AfterValidator(_http)] | None = None
    command: Line | None = None
    version_key: Annotated[str, AfterValidator(_version_key)] = "version"
    times: Count = 3
    interval: Span = timedelta(seconds=1)
    deadline: Length = timedelta(seconds=60)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.url is None) == (self.command is None):
            raise ValueError("needs exactly one of `url` and `command`")
        return self


class _Product(Shape):
    product: Name
    title: Texts
    health: _Health
    method: Name = "archive"
    base: Base | None = None
    restart: Line | None = None
    backup: Line | None = None
    environment: dict[Variable, Setting] = Field(default_factory=dict)


class _Artifact(Shape):
    path: Annotated[Line, AfterValidator(_relative)]
    sha256: Sha256
    length: Count


class _Release(Shape):
    version: Version
    kind: ReleaseKind
    artifact: _Artifact
    summary: Texts
    requires: Annotated[str, AfterValidator(_specifier)] = ""
    stop: Flag = False
    backup: Flag = False
    expected: Length = timedelta(minutes=10)
    downtime: Span = timedelta(minutes=1)
    confirm_within: Length | None = None
    before_switch: Line | None = None
    after_switch: Line | None = None


def read_product(text: str, file: str) -> Product:
    """The product that `product.yaml` declares. Raises InputError with every problem and its place."""
    shape = read(text, file, _Product)
    given = shape.model_dump(exclude={"product", "health"})
    return Product(name=shape.product, health=Health(**shape.health.model_dump()), **given)


def read_release(text: str, file: str) -> Release:
    """The release that a `<version>.yaml` declares; its product is the name of the folder of `file`.

    The artifact's path stays as written, relative to that folder. Raises InputError with every problem and
    its place, also when the version is not the file's name.
    """
    shape = read(text, file, _Release)
    place = PurePath(file)
    if shape.version != place.name.removesuffix(".yaml"):
        wanted = f"`{shape.version}` must be the name of its file: {shape.version}.yaml, not {place.name}"
        raise refusal(text, file, [(("version",), wanted)])
    given = shape.model_dump(exclude={"artifact"})
    return Release(product=place.parent.name, artifact=Artifact(**shape.artifact.model_dump()), **given)


def catalogue(product: Product, releases: Iterable[Release]) -> Catalogue:
    """The product with its releases, oldest first.

    Raises InputError when two releases are the same version (`1.5` and `1.5.0`), or when a release asks for a
    backup that the product has no command for.
    """
    ordered = sorted(releases, key=lambda release: ParsedVersion(release.version))
    problems = []
    for older, newer in pairwise(ordered):
        if ParsedVersion(older.version) == ParsedVersion(newer.version):
            same = f"`{newer.version}` is the same version as `{older.version}`: remove one"
            problems.append(Problem(_file(product, newer), same, "version"))
    for release in ordered:
        if release.backup and product.backup is None:
            problems.append(Problem(_file(product, release), "product.yaml names no backup command", "backup"))
    if problems:
        raise InputError(problems)
    return Catalogue(product, tuple(replace(release, product=product.name) for release in ordered))


def _file(product: Product, release: Release) -> str:
    return f"releases/{product.name}/{release.version}.yaml"
