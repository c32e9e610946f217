"""Versions: how they are read, ordered and matched. Pure. The policy, for all of liftlock, stands here.

Versions are PEP 440, ordered as `packaging` orders them.

- What a *release* may be called: a version in quotes. Refused with its place, because its order or identity is in
  doubt: what PEP 440 cannot parse (`4.2.1.SP1`, `1:2.3-4`), local versions (`4.2.1+hot5`, which also match
  `==4.2.1`), post-releases written with a dash (`4.2.1-1`), and epochs (`1!2.0`, no name for a folder).
- What a *host* may have: anything PEP 440 orders, a local version, a dash or an epoch too, for it is there already. A
  local version is newer than the version it is of (`4.2.1+hot5` after `4.2.1`), an epoch newer than all without one.
  A host whose version cannot be ordered is refused by name, with the version.
- *Pre-releases* (`1.5rc1`, `1.5.dev3`) are never installed by accident: only as the wanted release, or as a stop that
  has no final release. What a host has counts by its order alone: `>=1.4` accepts `1.5rc1`; `<1.5` and `>=1.5` do not.
- *Post-releases* (`1.4.post1`) are versions like any other, newer than what they are of. `>=1.4` accepts `1.4.post1`,
  `>1.4` and `==1.4` do not (PEP 440).
- *Local parts* are ignored by every specifier that does not name one: `==4.2.1` and `<=4.2.1` accept `4.2.1+hot5`.
- A *line* is epoch, major and minor: `1.4` is every 1.4.x.
"""

from __future__ import annotations

from functools import lru_cache

from packaging.specifiers import SpecifierSet
from packaging.version import Version


@lru_cache(maxsize=4096)
def parsed(text: str) -> Version:
    """The version that `text` names. Raises packaging's InvalidVersion (a ValueError) when it cannot be ordered."""
    return Version(text)


@lru_cache(maxsize=65536)
def meets(version: str, specifier: str) -> bool:
    """Whether a version on a host is in a range such as `>=1.4,<2`, by the policy above; every one is in an empty one.

    Raises packaging's InvalidSpecifier or InvalidVersion (both ValueErrors) for what it cannot read.
    """
    return not specifier or _range(specifier).contains(parsed(version), prereleases=True)


@lru_cache(maxsize=4096)
def _range(text: str) -> SpecifierSet:
    return SpecifierSet(text)


def line(version: str) -> tuple[int, int, int]:
    """The line that a version belongs to: epoch, major, minor."""
    found = parsed(version)
    return found.epoch, found.major, found.minor
