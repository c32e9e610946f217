"""The plan and the policy it follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from liftlock.model.fleet import Consent, Window
from liftlock.model.release import ReleaseKind


class RollbackScope(StrEnum):
    """Which upgraded hosts go back when a rollout halts: none but the failing, its wave, or all."""

    HOST = "host"
    WAVE = "wave"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class ApprovalRule:
    """Plans that need approval: of these kinds (empty: any) with more than `over_hosts` hosts, `approvers` people."""

    kinds: tuple[ReleaseKind, ...] = ()
    over_hosts: int = 0
    approvers: int = 1


@dataclass(frozen=True, slots=True)
class Policy:
    """How a rollout is to be run; part of the plan.

    `waves` are host counts (`"1"`) or shares of the planned hosts (`"25%"`, rounded up). `bake` is
    how long a wave is watched, `reconcile_within` how long a lost host is looked for.
    `max_failures` replaces the number that `target_percent` allows. `notice_lead` is by release kind,
    `notice_lead_by_tier` overrides it for customers of a tier. `waves` of just `"evidence"` are sized by
    what is known of the failure rate, with at most `risk_percent` chance of overrunning the budget.
    `site_at_once` and `customer_at_once` bound how many hosts of one site or customer are acted on at once.
    With `gates_after` the gate suites look again at every host after its upgrade or rollback, and what they
    found before is what they are compared with. So many hosts may fail of one cause as `max_per_cause` says, and
    a rollout whose hosts are worked on for `progress_within` without one becoming healthy stops. With `drill` the
    first host goes up, back and up again before any other moves.
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
    notice_lead_by_tier: Mapping[str, Mapping[ReleaseKind, timedelta]] = field(default_factory=dict)
    risk_percent: int = 5
    site_at_once: int | None = None
    customer_at_once: int | None = None
    approvals: tuple[ApprovalRule, ...] = ()
    gates_after: bool = True
    progress_within: timedelta = timedelta(hours=1)
    max_per_cause: int | None = None
    drill: bool = False

    def lead(self, kind: ReleaseKind, tier: str) -> timedelta:
        """How long before the work customers of the tier are told of a release of this kind."""
        return self.notice_lead_by_tier.get(tier, {}).get(kind, self.notice_lead[kind])

    @property
    def by_evidence(self) -> bool:
        """Whether the size of each wave follows from what is known of the failure rate."""
        return self.waves == ("evidence",)


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
    """One step of a host's upgrade path, and the rule that put it there.

    `settled_gate` names the gate that must pass on the host before the next hop.
    """

    from_version: str
    to_version: str
    rule: str
    settled_gate: str = ""


@dataclass(frozen=True, slots=True)
class PlannedHost:
    """A host that the plan will upgrade: its path, its wave (from 1), and when it may start.

    `needed` is the time its upgrade and its way back take together, `back` that of the way back alone (nothing: half of
    it, as in older plans): it starts only when `needed` fits before its window ends. `site` and `redundancy` are the
    inventory's, for the bounds on what runs at once; `stand_ins` is how many hosts of its redundancy group are not in
    the plan. `rank` is the place of its product and role in the plan's order: hosts of a higher rank wait for their
    customer's hosts of every lower one. `product` is set for the plan's further products (`Plan.also`): there `name` is
    `<host>/<product>`, as one host may run several.
    """

    name: str
    customer: str
    wave: int
    observed: str
    hops: tuple[Hop, ...]
    window: Window
    note: str = ""
    needed: timedelta = timedelta(0)
    site: str = ""
    redundancy: str = ""
    stand_ins: int = 0
    rank: int = 0
    product: str = ""
    back: timedelta = timedelta(0)

    @property
    def machine(self) -> str:
        """The name of the host in the inventory."""
        return self.name.partition("/")[0]

    @property
    def expected(self) -> timedelta:
        """How long its upgrade is expected to take."""
        return self.needed - self.back if self.back else self.needed / 2

    @property
    def wanted(self) -> str:
        """The version it is to have in the end."""
        return self.hops[-1].to_version

    @property
    def way(self) -> frozenset[str]:
        """The versions that the plan takes it over, the one it comes from among them."""
        return frozenset(
            {self.observed, *(version for hop in self.hops for version in (hop.from_version, hop.to_version))}
        )

    @property
    def latest_start(self) -> datetime:
        """The last moment at which it may start: what it needs must fit before its window ends."""
        return self.window.end - self.needed

    def placed(self, wave: int, window: Window, note: str, rank: int | None = None) -> PlannedHost:
        """The same host elsewhere in the plan: `dataclasses.replace`, written out because a plan has many hosts."""
        return PlannedHost(
            self.name,
            self.customer,
            wave,
            self.observed,
            self.hops,
            window,
            note,
            self.needed,
            self.site,
            self.redundancy,
            self.stand_ins,
            self.rank if rank is None else rank,
            self.product,
            self.back,
        )


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A host of the fleet that the plan leaves out, how (a not-attempted outcome) and why; named as a planned one."""

    host: str
    customer: str
    outcome: Outcome
    reason: str

    @property
    def machine(self) -> str:
        """The name of the host in the inventory."""
        return self.host.partition("/")[0]

    @property
    def product(self) -> str:
        """The product, where it is one of the plan's further products."""
        return self.host.partition("/")[2]


@dataclass(frozen=True, slots=True)
class PlannedCustomer:
    """One customer's part in time: when it must have been told at the latest, and when its hosts begin and end.

    `at_once` is how many of its hosts may be in hand at the same time; None leaves it to the policy. With explicit
    `consent` its hosts are free only when somebody there has agreed.
    """

    name: str
    notify_by: datetime
    begins: datetime
    ends: datetime
    at_once: int | None = None
    consent: Consent = Consent.SILENCE

    @property
    def lead(self) -> timedelta:
        """How long before the work it must have been told."""
        return self.begins - self.notify_by


@dataclass(frozen=True, slots=True)
class Prior:
    """What is known of a product's failure rate before a rollout: a Beta distribution, and what it rests on."""

    alpha: float
    beta: float
    basis: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Computed, frozen, content-hashed intent: one release for one fleet.

    `hosts` stand in rollout order (by wave), `inputs` are the sha256 of every file it was made
    from, `id` is the sha256 of the rest in canonical JSON. `customers` are the customers with planned
    hosts. `through` is when the planned hosts are through, their last bake included, when each takes its expected time
    and none fails; `finish` a moment before which no plan of these waves could bring all hosts through, and None while
    one is left out that does not have the version already. `approvals` is how many people must
    approve, `prior` what was known of the failure rate, `waived` the rules set aside when it was made
    (`notice`), `downgrade` the reason for going to an older version, empty for every other plan.
    `estimates` say by version how long its hop is expected to take, and by what, `ways_back` by product how long the
    way back is, where the record tells.
    `only_customers` and `only_hosts` are the names it was narrowed to when it was asked for; empty is the fleet.
    `shares_of` is what percentages in `policy.waves` are of: the planned hosts, of each product and role for itself.
    `also` are further products that it brings to a version, `replaces` is the id of the plan it stands in for.
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
    customers: tuple[PlannedCustomer, ...] = ()
    finish: datetime | None = None
    approvals: int = 0
    prior: Prior | None = None
    waived: tuple[str, ...] = ()
    downgrade: str = ""
    estimates: Mapping[str, str] = field(default_factory=dict)
    only_customers: tuple[str, ...] = ()
    only_hosts: tuple[str, ...] = ()
    also: Mapping[str, str] = field(default_factory=dict)
    replaces: str = ""
    through: datetime | None = None
    shares_of: Mapping[str, int] = field(default_factory=dict)
    ways_back: Mapping[str, str] = field(default_factory=dict)

    @property
    def products(self) -> dict[str, str]:
        """The products of the plan, its own first, and the version each is brought to."""
        return {self.product: self.version, **self.also}

    @property
    def brings(self) -> str:
        """What it brings, in words: `acme 2.0.0, acme-db 5.2.1`."""
        return ", ".join(f"{product} {version}" for product, version in self.products.items())

    @property
    def command(self) -> str:
        """The command that plans the same once more."""
        also = ",".join(f"{product}={version}" for product, version in self.also.items())
        asked = {"--also": also, "--customers": ",".join(self.only_customers), "--hosts": ",".join(self.only_hosts)}
        more = "".join(f" {flag} {words}" for flag, words in asked.items() if words)
        return f"liftlock plan {self.product} {self.version} --fleet {self.fleet}{more}"

    def product_of(self, host: PlannedHost | Exclusion) -> str:
        """The product that is upgraded there, or would be."""
        return host.product or self.product

    @property
    def allowed_failures(self) -> int:
        """How many of the planned hosts may fail before the target is out of reach: floor((100 - target) % of N)."""
        if self.policy.max_failures is not None:
            return self.policy.max_failures
        return len(self.hosts) * (100 - self.policy.target_percent) // 100
