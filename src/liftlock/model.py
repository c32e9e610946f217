"""The words of liftlock as frozen values (docs/glossary.md explains each one).

Arithmetic only: nothing here reads a file, a clock or a socket. Times are aware datetimes in UTC,
spans are `timedelta`, lengths are bytes, versions are strings that `packaging.version` can order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
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

    Exactly one of `url` (HTTP 200 whose JSON body names the version under `version_key`) and
    `command` (exit status 0, the version as its last output line) is set. Both may name host
    variables as `{{ port }}`.
    """

    url: str | None = None
    command: str | None = None
    version_key: str = "version"
    times: int = 3
    interval: timedelta = timedelta(seconds=1)
    deadline: timedelta = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Product:
    """What is installed and how: shared by all releases of it.

    `restart`, `backup` and the values of `environment` may name host variables as `{{ port }}`;
    the commands run on the host with sh in `<base>/current` (`backup` before the switch).
    """

    name: str
    title: Mapping[str, str]
    health: Health
    method: str = "archive"
    base: str | None = None
    restart: str | None = None
    backup: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Release:
    """A versioned offer of a product.

    `requires` is a PEP 440 specifier over the version observed on the host; `stop` marks a release
    that must be installed on the way to later ones. `expected` is how long one host takes,
    `downtime` how long its users notice it.
    """

    product: str
    version: str
    kind: ReleaseKind
    artifact: Artifact
    requires: str = ""
    stop: bool = False
    backup: bool = False
    expected: timedelta = timedelta(minutes=10)
    downtime: timedelta = timedelta(minutes=1)
    confirm_within: timedelta | None = None
    summary: Mapping[str, str] = field(default_factory=dict)
    before_switch: str | None = None
    after_switch: str | None = None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """A product and all its releases, oldest first."""

    product: Product
    releases: tuple[Release, ...]


@dataclass(frozen=True, slots=True)
class WeeklyWindow:
    """A weekly stretch of local time in which change is allowed, as written (`sat 22:00-sun 04:00`).

    Minutes count from Monday 00:00 in the customer's zone; `end_minute` may pass the week's end.
    """

    text: str
    start_minute: int
    end_minute: int


@dataclass(frozen=True, slots=True)
class Window:
    """One concrete stretch of time in which change is allowed; end exclusive."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Freeze:
    """A stretch of time in which change is forbidden; it wins over every window."""

    name: str
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Contact:
    """A person at a customer who receives notices."""

    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Customer:
    """Whose hosts they are: language (`en`, `zh-CN`), IANA zone, contacts, and when change is allowed."""

    name: str
    title: str
    language: str
    timezone: str
    contacts: tuple[Contact, ...]
    windows: tuple[WeeklyWindow, ...]
    freezes: tuple[Freeze, ...] = ()
    tier: str = "standard"


@dataclass(frozen=True, slots=True)
class Host:
    """One machine of a customer; `expected_version` is only what the inventory believes.

    `base` overrides the product's, `variables` fill the product's commands, `hold` is the reason
    why this host is to be left alone.
    """

    name: str
    customer: str
    address: str
    port: int = 22
    user: str | None = None
    base: str | None = None
    expected_version: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    hold: str | None = None


@dataclass(frozen=True, slots=True)
class Fleet:
    """The hosts and customers of one inventory file, and the freezes that bind them all."""

    name: str
    customers: Mapping[str, Customer]
    hosts: tuple[Host, ...]
    freezes: tuple[Freeze, ...] = ()


@dataclass(frozen=True, slots=True)
class Observation:
    """What one look at a host found; `None` means it could not be told, never "no".

    `installed` is the version `current` points to, `running` the version that answered the health
    check, `healthy` whether it answered as often as asked. `busy` says that a phase is running.
    `journal` is the last line of the host's journal: `<plan> <attempt> <phase> <state>`.
    """

    host: str
    at: datetime
    reachable: bool
    installed: str | None = None
    running: str | None = None
    healthy: bool | None = None
    free_bytes: int | None = None
    free_inodes: int | None = None
    missing_tools: tuple[str, ...] = ()
    busy: bool = False
    journal: str = ""
    cause: str = ""
    detail: str = ""


class HostResult(StrEnum):
    """How the host program ended an upgrade or a rollback, in its own words."""

    SWITCHED = "switched"
    ROLLED_BACK = "rolled_back"
    FAILED = "failed"
    REFUSED = "refused"
    ALREADY_CURRENT = "already_current"


@dataclass(frozen=True, slots=True)
class HostAnswer:
    """The host program's account of one phase: result, version that runs now, why, how long, full output."""

    result: HostResult
    version: str | None
    cause: str = ""
    detail: str = ""
    seconds: float = 0.0
    output: str = ""


@dataclass(frozen=True, slots=True)
class Ticket:
    """What names an attempt to a host: plan, attempt number, and the fence that outdates older controllers."""

    plan: str
    attempt: int
    fence: int


class RollbackScope(StrEnum):
    """Which upgraded hosts go back when a rollout halts: none but the failing, its wave, or all."""

    HOST = "host"
    WAVE = "wave"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Policy:
    """How a rollout is to be run; part of the plan.

    `waves` are host counts (`"1"`) or shares of the planned hosts (`"25%"`, rounded up). `bake` is
    how long a wave is watched, `reconcile_within` how long a lost host is looked for.
    `max_failures` replaces the number that `target_percent` allows. `notice_lead` is by release kind.
    """

    target_percent: int = 98
    waves: tuple[str, ...] = ("1", "25%", "100%")
    bake: timedelta = timedelta(minutes=30)
    watch_every: timedelta = timedelta(minutes=1)
    concurrency: int = 10
    rollback: RollbackScope = RollbackScope.HOST
    max_failures: int | None = None
    max_attempts: int = 2
    reconcile_within: timedelta = timedelta(seconds=60)
    notice_lead: Mapping[ReleaseKind, timedelta] = field(
        default_factory=lambda: {
            ReleaseKind.PATCH: timedelta(hours=72),
            ReleaseKind.SECURITY: timedelta(hours=24),
            ReleaseKind.UPGRADE: timedelta(hours=168),
        }
    )


class Outcome(StrEnum):
    """How it ended for a host (design: outcomes and the rate).

    The first five are *attempted* and make the success rate; the others are *not attempted* and are
    shown beside it with their reasons.
    """

    SUCCEEDED = "succeeded"
    ROLLED_BACK = "rolled_back"
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    UNKNOWN = "unknown"
    REFUSED = "refused"
    SKIPPED = "skipped"
    DEFERRED = "deferred"
    ALREADY_CURRENT = "already_current"
    UNREACHABLE_BEFORE = "unreachable_before"

    @property
    def attempted(self) -> bool:
        """Whether it counts in the success rate's denominator."""
        return self in _ATTEMPTED


_ATTEMPTED = frozenset({Outcome.SUCCEEDED, Outcome.ROLLED_BACK, Outcome.FAILED, Outcome.UNREACHABLE, Outcome.UNKNOWN})


@dataclass(frozen=True, slots=True)
class Hop:
    """One step of a host's upgrade path, and the rule that put it there."""

    from_version: str
    to_version: str
    rule: str


@dataclass(frozen=True, slots=True)
class PlannedHost:
    """A host that the plan will upgrade: its path, its wave (from 1), and when it may start."""

    name: str
    customer: str
    wave: int
    observed: str
    hops: tuple[Hop, ...]
    window: Window
    note: str = ""


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A host of the fleet that the plan leaves out, how (a not-attempted outcome) and why."""

    host: str
    customer: str
    outcome: Outcome
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Computed, frozen, content-hashed intent: one release for one fleet.

    `hosts` stand in rollout order (by wave), `inputs` are the sha256 of every file it was made
    from, `id` is the sha256 of the rest in canonical JSON.
    """

    id: str
    product: str
    version: str
    kind: ReleaseKind
    fleet: str
    created_at: datetime
    policy: Policy
    hosts: tuple[PlannedHost, ...]
    exclusions: tuple[Exclusion, ...]
    inputs: Mapping[str, str]

    @property
    def allowed_failures(self) -> int:
        """How many of the planned hosts may fail before the target is out of reach: floor((100 - target) % of N)."""
        if self.policy.max_failures is not None:
            return self.policy.max_failures
        return len(self.hosts) * (100 - self.policy.target_percent) // 100


class Verdict(StrEnum):
    """How a gate ended; `error` means that it could not be measured."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class GateResult:
    """The verdict of the gate suites on one host, why, and how many tests it rests on."""

    host: str
    verdict: Verdict
    reason: str = ""
    tests: int = 0
    seconds: float = 0.0


class Action(StrEnum):
    """What an attempt tries."""

    UPGRADE = "upgrade"
    ROLL_BACK = "roll_back"


class NoticeKind(StrEnum):
    """What a notice tells a customer."""

    ANNOUNCED = "announced"


class NoticeState(StrEnum):
    """Where a message to one recipient stands; `ambiguous` may or may not have arrived."""

    QUEUED = "queued"
    SENT = "sent"
    REFUSED = "refused"
    AMBIGUOUS = "ambiguous"
    FAILED = "failed"
