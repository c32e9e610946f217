"""Text -> Product, Release, Catalogue: what a vendor declares in `releases/<product>/`. Pure.

`product.yaml` says what is installed and how, `<version>.yaml` declares one release; docs/files.md shows both.

What may be a version, and how versions are ordered and matched, is the policy of `liftlock.version`; conditions on the
facts of a host are those of `liftlock.condition`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from pathlib import PurePath
from typing import Annotated, Literal, Self

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from pydantic import AfterValidator, BeforeValidator, Field, Strict, model_validator
from pydantic_core import PydanticKnownError

from liftlock.condition import check
from liftlock.document import Shape, read, refusal
from liftlock.errors import InputError, Problem
from liftlock.fields import (
    LONGEST_LINE,
    Base,
    Count,
    Flag,
    Length,
    Line,
    Name,
    Setting,
    Sha256,
    ShortLine,
    ShortTexts,
    Span,
    Texts,
    Variable,
    Version,
    matching,
)
from liftlock.model import (
    Artifact,
    BlockedEdge,
    Catalogue,
    Channel,
    Fix,
    Health,
    Product,
    Release,
    ReleaseKind,
    Severity,
    SupportLine,
)
from liftlock.version import parsed


def _http(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ValueError("must begin with http:// or https://")
    return url


def _specifier(text: str) -> str:
    try:
        if "===" in text:  # compares texts, and takes any: versions are compared by their order
            raise InvalidSpecifier
        SpecifierSet(text)
    except InvalidSpecifier:
        raise ValueError(f"`{text}` is not a version range such as `>=1.4,<2`") from None
    return text


def _relative(path: str) -> str:
    if path.startswith("/"):
        raise ValueError("must be relative to the manifest's folder")
    return path


def _condition(text: str) -> str:
    check(text)
    return text


def _day(value: object) -> date:
    wrong = ValueError(f"`{str(value)[:60]}` is not a day such as 2026-10-01")
    if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d\d-\d\d", value, re.ASCII):
        raise wrong
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise wrong from None


def _each_once(names: list[str]) -> list[str]:
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"`{twice}` stands there twice")
    return names


_version_key = matching(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,62}", "the name of a field: letters, digits and `._-`")
_line_of_releases = matching(r"[0-9]{1,9}(\.[0-9]{1,9}){0,2}", 'a line of releases such as "1.4", for every 1.4.x')

_Condition = Annotated[Line, AfterValidator(_condition)]
_Day = Annotated[date, BeforeValidator(_day)]
_Range = Annotated[str, Field(max_length=LONGEST_LINE), AfterValidator(_specifier)]
_Url = Annotated[Line, AfterValidator(_http)]


_place = matching(
    r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+|\{\{ *\w+ *\}\}):([0-9]{1,5}|\{\{ *\w+ *\}\})",
    "a host and a port, such as 127.0.0.1:5432",
)


class _Health(Shape):
    url: _Url | None = None
    command: Line | None = None
    tcp: Annotated[str, AfterValidator(_place)] | None = None
    status: Annotated[int, Strict(), Field(ge=200, le=299)] = 200
    body: Line | None = None
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
    title: ShortTexts
    health: _Health
    method: Name = "archive"
    base: Base | None = None
    restart: Line | None = None
    backup: Line | None = None
    verify_backup: Line | None = None
    restore: Line | None = None
    keep: Annotated[int, Strict(), Field(ge=0)] = 3
    environment: dict[Variable, Setting] = Field(default_factory=dict)
    support: dict[Annotated[str, AfterValidator(_line_of_releases)], _Day] = Field(default_factory=dict)
    roles: Annotated[list[Name], AfterValidator(_each_once)] = Field(default_factory=list)


class _Artifact(Shape):
    path: Annotated[Line, AfterValidator(_relative)]
    sha256: Sha256
    length: Count


class _Stop(Shape):
    when: _Condition = ""
    settled: Name = ""


def _stop(value: object) -> object:
    """A stop with nothing to add may be written `true`, none `false`."""
    if isinstance(value, bool):
        return _Stop() if value else None
    if isinstance(value, dict):
        return value
    raise PydanticKnownError("bool_type")


class _Blocked(Shape):
    from_versions: Annotated[Line, AfterValidator(_specifier)] = Field(alias="from")
    reason: Line
    url: _Url = ""
    when: _Condition = ""


class _Fix(Shape):
    severity: Severity
    id: ShortLine
    text: Texts


def _backup(value: object) -> object:
    if isinstance(value, bool) or value == "verified":
        return value
    raise ValueError("must be true, false or `verified`")


class _Release(Shape):
    version: Version
    kind: ReleaseKind
    artifact: _Artifact
    summary: Texts
    requires: _Range = ""
    stop: Annotated[_Stop | None, BeforeValidator(_stop)] = None
    blocked: list[_Blocked] = Field(default_factory=list)
    channel: Channel = Channel.STABLE
    released: _Day | None = None
    needs: dict[Name, _Range] = Field(default_factory=dict)
    backup: Annotated[bool | Literal["verified"], BeforeValidator(_backup)] = False
    reversible: Flag = True
    expected: Length = timedelta(minutes=10)
    downtime: Span = timedelta(minutes=1)
    training: Texts | None = None
    confirm_within: Length | None = None
    before_switch: Line | None = None
    after_switch: Line | None = None
    fixes: list[_Fix] = Field(default_factory=list)


def read_product(text: str, file: str) -> Product:
    """The product that `product.yaml` declares. Raises InputError with every problem and its place."""
    shape = read(text, file, _Product)
    given = shape.model_dump(exclude={"product", "health", "support", "roles"})
    return Product(
        name=shape.product,
        health=Health(**shape.health.model_dump()),
        support=tuple(SupportLine(line, shape.support[line]) for line in sorted(shape.support, key=parsed)),
        roles=tuple(shape.roles),
        **given,
    )


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
    given = shape.model_dump(exclude={"artifact", "stop", "blocked", "backup", "fixes", "training"})
    return Release(
        product=place.parent.name,
        artifact=Artifact(**shape.artifact.model_dump()),
        stop=shape.stop is not None,
        stop_when=shape.stop.when if shape.stop else "",
        settled_gate=shape.stop.settled if shape.stop else "",
        backup=shape.backup is not False,
        backup_verified=shape.backup == "verified",
        blocked=tuple(BlockedEdge(**block.model_dump()) for block in shape.blocked),
        fixes=tuple(Fix(**fix.model_dump()) for fix in shape.fixes),
        training=shape.training or {},
        **given,
    )


def catalogue(product: Product, releases: Iterable[Release]) -> Catalogue:
    """The product with its releases, oldest first.

    Raises InputError when two releases are the same version (`1.5` and `1.5.0`), or when a release asks for a
    backup, its trial or its return and the product has no command for it.
    """
    ordered = sorted(releases, key=lambda release: parsed(release.version))
    problems = []
    for older, newer in pairwise(ordered):
        if parsed(older.version) == parsed(newer.version):
            same = f"`{newer.version}` is the same version as `{older.version}`: remove one"
            problems.append(Problem(_file(product, newer), same, "version"))
    for release in ordered:
        problems += [Problem(_file(product, release), words, field) for field, words in _lacking(product, release)]
    if problems:
        raise InputError(problems)
    return Catalogue(product, tuple(replace(release, product=product.name) for release in ordered))


def _lacking(product: Product, release: Release) -> Iterator[tuple[str, str]]:
    """What the release's data needs and nobody provides: field and words."""
    if release.backup and product.backup is None:
        yield "backup", "product.yaml names no backup command"
    if release.backup_verified and product.verify_backup is None:
        yield "backup", "product.yaml names no verify_backup command"
    if not release.reversible and not release.backup:
        yield "reversible", "what is not reversible needs `backup: true` or `backup: verified`"
    if not release.reversible and product.restore is None:
        yield "reversible", "product.yaml names no restore command"


def _file(product: Product, release: Release) -> str:
    return f"releases/{product.name}/{release.version}.yaml"
