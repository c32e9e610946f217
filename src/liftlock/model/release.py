"""Products and their releases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum


class ReleaseKind(StrEnum):
    """Why a release exists; notice lead times depend on it."""

    PATCH = "patch"
    SECURITY = "security"
    UPGRADE = "upgrade"


@dataclass(frozen=True, slots=True)
class Artifact:
    """An immutable file; `path` is absolute or relative to the workspace, `length` in bytes."""

    path: str
    sha256: str
    length: int


@dataclass(frozen=True, slots=True)
class Health:
    """How a host proves which version answers, healthy, `times` times in a row.

    Exactly one of `url` (HTTP `status` whose JSON body names the version under `version_key`) and
    `command` (exit status 0, the version as its last output line) is set; `body` is a text that the answer must hold,
    `tcp` a `host:port` that must accept a connection besides. All may name host variables as `{{ port }}`.
    """

    url: str | None = None
    command: str | None = None
    tcp: str | None = None
    status: int = 200
    body: str | None = None
    version_key: str = "version"
    times: int = 3
    interval: timedelta = timedelta(seconds=1)
    deadline: timedelta = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class SupportLine:
    """A release line (`1.4` is every 1.4.x) and the first day on which it is no longer supported."""

    line: str
    ends: date


@dataclass(frozen=True, slots=True)
class Product:
    """What is installed and how: shared by all releases of it.

    `restart`, `backup` and the values of `environment` may name host variables as `{{ port }}`;
    the commands run on the host with sh in `<base>/current` (`backup` before the switch, `verify_backup` right after it
    to restore that backup aside and look at it with the old version, `restore` on the way back from a release that is
    not reversible). `roles` are the roles of its hosts in the order in which they are upgraded (database before
    application). `keep` is how many releases stay on a host besides the current and the one before it.
    """

    name: str
    title: Mapping[str, str]
    health: Health
    method: str = "archive"
    base: str | None = None
    restart: str | None = None
    backup: str | None = None
    verify_backup: str | None = None
    restore: str | None = None
    keep: int = 3
    environment: Mapping[str, str] = field(default_factory=dict)
    support: tuple[SupportLine, ...] = ()
    roles: tuple[str, ...] = ()


class Channel(StrEnum):
    """Who a release is offered to: a candidate is on a path only when it is asked for by name."""

    STABLE = "stable"
    CANDIDATE = "candidate"


@dataclass(frozen=True, slots=True)
class BlockedEdge:
    """A hop that must not be taken: from versions matching `from_versions` (a PEP 440 specifier) to this release.

    `when` is a condition on host facts (`npm in facts.features`); empty blocks every host.
    """

    from_versions: str
    reason: str
    url: str = ""
    when: str = ""


class Severity(StrEnum):
    """How much a defect hurts: urgent is a hole or lost data, major stops work, minor is a nuisance."""

    URGENT = "urgent"
    MAJOR = "major"
    MINOR = "minor"


@dataclass(frozen=True, slots=True)
class Fix:
    """A defect that a release mends: how much it hurt, its number at the vendor, and what it was, by language."""

    severity: Severity
    id: str
    text: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Release:
    """A versioned offer of a product.

    `requires` is a PEP 440 specifier over the version observed on the host; `stop` marks a release
    that must be installed on the way to later ones (with `stop_when`, only on hosts whose facts meet that
    condition); `settled_gate` names the gate that must pass on the host before the hop after it, because
    background work goes on after the switch. `needs` are specifiers over the versions of other products at
    the same customer. `backup` asks for a backup before the switch, `backup_verified` also for its trial restore;
    a release that is not `reversible` changes data so that the old version cannot run on it: the way back restores the
    backup. With `confirm_within` a host switches itself back unless the controller confirms in time.
    `expected` is how long one host takes, `downtime` how long its users notice it. `training` says, by language, what
    training the vendor offers with it.
    """

    product: str
    version: str
    kind: ReleaseKind
    artifact: Artifact
    requires: str = ""
    stop: bool = False
    stop_when: str = ""
    settled_gate: str = ""
    blocked: tuple[BlockedEdge, ...] = ()
    channel: Channel = Channel.STABLE
    needs: Mapping[str, str] = field(default_factory=dict)
    released: date | None = None
    backup: bool = False
    backup_verified: bool = False
    reversible: bool = True
    expected: timedelta = timedelta(minutes=10)
    downtime: timedelta = timedelta(minutes=1)
    confirm_within: timedelta | None = None
    summary: Mapping[str, str] = field(default_factory=dict)
    fixes: tuple[Fix, ...] = ()
    training: Mapping[str, str] = field(default_factory=dict)
    before_switch: str | None = None
    after_switch: str | None = None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """A product and all its releases, oldest first."""

    product: Product
    releases: tuple[Release, ...]
