"""What `path` does: find a product's path from one version to another, with the rule behind each hop."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from packaging.version import InvalidVersion

from liftlock.app.workspace import Workspace
from liftlock.condition import Facts
from liftlock.errors import InputError
from liftlock.model import Hop
from liftlock.path import Cut, NoPathError, find_path, relevant_facts
from liftlock.version import parsed


@dataclass(frozen=True, slots=True)
class Explained:
    """A path, or why there is none: then `reason` is set, with the `nearest` versions and what `cuts` the way.

    `asked` are the facts that the product's conditions ask for, `facts` those that were given.
    """

    product: str
    from_version: str
    to_version: str
    facts: Mapping[str, str | tuple[str, ...]]
    asked: tuple[str, ...]
    hops: tuple[Hop, ...] = ()
    reason: str = ""
    nearest: tuple[str, ...] = ()
    cuts: tuple[Cut, ...] = ()


def explain_path(workspace: Workspace, product: str, from_version: str, to_version: str, facts: Facts) -> Explained:
    """The path of a host with these facts. Raises InputError when there is no such product or release, or a
    version is none.
    """
    catalogue = workspace.catalogue(product)
    try:
        parsed(from_version)
    except InvalidVersion:
        raise InputError(f"{from_version!r} is not a version such as 1.5.0 or 2.0rc1 (PEP 440)") from None
    asked = relevant_facts(catalogue)
    try:
        hops = find_path(catalogue, from_version, to_version, facts)
    except NoPathError as error:
        return Explained(product, from_version, to_version, facts, asked, (), error.reason, error.nearest, error.cuts)
    return Explained(product, from_version, to_version, facts, asked, hops)


def read_facts(text: str) -> Facts:
    """Facts as they are typed: `features=npm+ldap,edition=enterprise`; a fact of several words joins them with `+`.

    Raises InputError for what is not written so, and for a fact that is given twice.
    """
    facts: dict[str, str | tuple[str, ...]] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = (side.strip() for side in part.partition("="))
        if not equals or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise InputError(f"--facts takes such as features=npm+ldap,edition=enterprise, not {part!r}")
        if name in facts:
            raise InputError(f"--facts gives {name} twice; a fact of several words is written {name}=one+two")
        words = tuple(word.strip() for word in value.split("+"))
        facts[name] = words if len(words) > 1 else words[0]
    return facts
