"""The report: the success rate against the target, broken down, and everything that stands beside it. Pure.

Computed from host records, which are computed from the ledger alone (`liftlock.records`):

* success rate = succeeded / attempted; the target is compared in integers, never in rounded percent.
* Unknown hosts (attempted, end not known yet) weigh on the rate at once, but use no failure budget yet.
* 0 attempted is "no data": neither met nor missed.
* Pending hosts and hosts that were not attempted are counted beside the rate, with their reasons.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

from packaging.version import Version

from liftlock.cause import by_cause
from liftlock.ledger import Entry
from liftlock.model import Outcome, Plan
from liftlock.rate import Rate
from liftlock.records import HostRecord, host_records, read_records

__all__ = [
    "Budget",
    "Group",
    "HostRecord",
    "Part",
    "Rate",
    "Report",
    "Selection",
    "TargetState",
    "as_json",
    "beside",
    "headline",
    "host_records",
    "make_report",
    "target_state",
]


TargetState = Literal["met", "missed", "undecided", "no data"]
"""How a target stands; `undecided` when the unknown hosts can still reach it."""


def target_state(rate: Rate, unknown: int, target_percent: int) -> TargetState:
    """How the target stands when `unknown` of the attempted hosts have no known end yet."""
    if not rate.attempted:
        return "no data"
    if rate.meets(target_percent):
        return "met"
    best = Rate(rate.succeeded + unknown, rate.attempted)
    return "undecided" if best.meets(target_percent) else "missed"


@dataclass(frozen=True, slots=True)
class Part:
    """One line of a breakdown: its rate, how many of the attempted are unknown, and the hosts beside the rate."""

    name: str
    rate: Rate
    target: TargetState
    unknown: int
    not_attempted: int
    pending: int


@dataclass(frozen=True, slots=True)
class Group:
    """Hosts that share a cause."""

    cause: str
    records: tuple[HostRecord, ...]

    @property
    def size(self) -> int:
        """How many hosts."""
        return len(self.records)

    @property
    def outcomes(self) -> dict[Outcome, int]:
        """How many hosts ended in which way, most frequent first."""
        return dict(Counter(record.outcome for record in self.records if record.outcome).most_common())


@dataclass(frozen=True, slots=True)
class Budget:
    """A plan's failures: how many its policy allows, how many are used, how many hosts are still unknown."""

    plan: str
    product: str
    version: str
    planned: int
    allowed: int
    used: int
    unknown: int

    @property
    def left(self) -> int:
        """How many more hosts may fail; negative when more failed than allowed."""
        return self.allowed - self.used


@dataclass(frozen=True, slots=True)
class Selection:
    """Which records a report is about; by `HostRecord.at`, `since` inclusive, `until` exclusive, both aware."""

    product: str | None = None
    plan: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def includes(self, record: HostRecord) -> bool:
        """Whether the report is about this record."""
        return (
            self.product in (None, record.product)
            and self.plan in (None, record.plan)
            and (self.since is None or self.since <= record.at)
            and (self.until is None or record.at < self.until)
        )


@dataclass(frozen=True, slots=True)
class Report:
    """The whole account. `planned` counts the hosts the plans meant to upgrade, attempted or not."""

    selection: Selection
    target_percent: int
    overall: Rate
    planned: int
    pending: int
    by_release: tuple[Part, ...]
    by_customer: tuple[Part, ...]
    by_wave: tuple[Part, ...]
    by_kind: tuple[Part, ...]
    by_period: tuple[Part, ...]
    failures: tuple[Group, ...]
    unknown: tuple[Group, ...]
    not_attempted: Mapping[Outcome, tuple[Group, ...]]
    budgets: tuple[Budget, ...]
    records: tuple[HostRecord, ...]

    @property
    def target(self) -> TargetState:
        """How the target stands over all records."""
        return target_state(self.overall, _hosts(self.unknown), self.target_percent)


def make_report(
    entries: Iterable[Entry],
    target_percent: int = 98,
    *,
    product: str | None = None,
    plan: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Report:
    """The report over the ledger's entries, linear in their number.

    Selects host records as `Selection` says; a budget is always that of its whole plan. Raises
    LedgerError when the entries speak of a plan or a host that no `Planned` entry before them names.
    """
    everything, selection = read_records(entries), Selection(product, plan, since, until)
    records = tuple(filter(selection.includes, everything.hosts))
    parts = partial(_parts, records, target_percent)
    left_out: dict[Outcome, list[HostRecord]] = {outcome: [] for outcome in Outcome if not outcome.attempted}
    for record in records:
        if record.outcome in left_out:
            left_out[record.outcome].append(record)
    return Report(
        selection=selection,
        target_percent=target_percent,
        overall=_rate(records),
        planned=sum(record.wave is not None for record in records),
        pending=sum(record.outcome is None for record in records),
        by_release=parts(lambda r: (r.product, Version(r.version)), lambda r: f"{r.product} {r.version}"),
        by_customer=tuple(sorted(parts(lambda r: r.customer), key=_most_missed_first)),
        by_wave=parts(lambda r: (r.wave is None, r.wave), _wave),
        by_kind=parts(lambda r: r.kind.value),
        by_period=parts(_quarter),
        failures=_by_cause(record for record in records if record.failed),
        unknown=_by_cause(record for record in records if record.unknown),
        not_attempted={outcome: _by_cause(hosts) for outcome, hosts in left_out.items() if hosts},
        budgets=_budgets(everything.plans, everything.hosts, chosen={record.plan for record in records}),
        records=records,
    )


def headline(report: Report) -> str:
    """The report in one sentence."""
    rate, target = report.overall, f"target {report.target_percent} %"
    if (percent := rate.percent) is None or (interval := rate.interval_percent) is None:
        return f"No upgrade was attempted: {target}: no data"
    words = (
        f"{rate.succeeded} of {rate.attempted} upgrades succeeded: {percent:.1f} % "
        f"(95 % interval {interval[0]:.1f}-{interval[1]:.1f} %), {target}: {report.target}"
    )
    unknown = _hosts(report.unknown)
    return f"{words}, {unknown} still unknown" if unknown else words


def beside(report: Report) -> str:
    """What stands beside the rate, in one sentence: by planned hosts, pending, unknown, not attempted."""
    by_planned = Rate(report.overall.succeeded, report.planned).percent
    share = "" if by_planned is None else f" ({by_planned:.1f} %)"
    not_attempted = sum(_hosts(groups) for groups in report.not_attempted.values())
    plans = "1 plan" if len(report.budgets) == 1 else f"{len(report.budgets)} plans"
    return (
        f"{len(report.records)} hosts in {plans}: {report.planned} planned, "
        f"{report.overall.succeeded} of them succeeded{share}; "
        f"{report.pending} pending, {_hosts(report.unknown)} unknown, {not_attempted} not attempted"
    )


def as_json(report: Report) -> dict[str, Any]:
    """The report as plain JSON values; percentages are numbers with one decimal, or null for no data.

    Keys of format 1: `format`, `headline`, `target_percent`, `target` (met, missed, undecided, no data),
    `selection` (product, plan, since, until), `overall` (a rate: succeeded, attempted, percent,
    interval_percent, meets_target), `planned` (succeeded, planned, percent), `pending`, `by_release`,
    `by_customer`, `by_wave`, `by_kind`, `by_period` (each: name, a rate, target, unknown, not_attempted, pending),
    `failures` and `unknown` (each: cause, count, outcomes, hosts), `not_attempted` (each: outcome, cause,
    count, hosts), `budgets` (plan, product, version, planned, allowed, used, unknown, left), `hosts`
    (the fields of HostRecord; outcome null is pending).
    """

    def rate(value: Rate) -> dict[str, Any]:
        return {
            "succeeded": value.succeeded,
            "attempted": value.attempted,
            "percent": value.percent,
            "interval_percent": list(value.interval_percent) if value.interval_percent else None,
            "meets_target": value.meets(report.target_percent),
        }

    def parts(values: Iterable[Part]) -> list[dict[str, Any]]:
        return [
            {
                "name": part.name,
                **rate(part.rate),
                "target": part.target,
                "unknown": part.unknown,
                "not_attempted": part.not_attempted,
                "pending": part.pending,
            }
            for part in values
        ]

    def group(value: Group, **more: Any) -> dict[str, Any]:
        hosts = [{"plan": record.plan, "host": record.host} for record in value.records]
        return {**more, "cause": value.cause, "count": len(hosts), "hosts": hosts}

    selection = report.selection
    return {
        "format": 1,
        "headline": headline(report),
        "target_percent": report.target_percent,
        "target": report.target,
        "selection": {
            "product": selection.product,
            "plan": selection.plan,
            "since": selection.since and selection.since.isoformat(),
            "until": selection.until and selection.until.isoformat(),
        },
        "overall": rate(report.overall),
        "planned": {
            "succeeded": report.overall.succeeded,
            "planned": report.planned,
            "percent": Rate(report.overall.succeeded, report.planned).percent,
        },
        "pending": report.pending,
        "by_release": parts(report.by_release),
        "by_customer": parts(report.by_customer),
        "by_wave": parts(report.by_wave),
        "by_kind": parts(report.by_kind),
        "by_period": parts(report.by_period),
        "failures": [
            group(g, outcomes={str(how): count for how, count in g.outcomes.items()}) for g in report.failures
        ],
        "unknown": [group(g, outcomes={str(how): count for how, count in g.outcomes.items()}) for g in report.unknown],
        "not_attempted": [
            group(g, outcome=outcome.value) for outcome, groups in report.not_attempted.items() for g in groups
        ],
        "budgets": [{**asdict(budget), "left": budget.left} for budget in report.budgets],
        "hosts": [
            {
                **asdict(record),
                "kind": record.kind.value,
                "outcome": record.outcome and record.outcome.value,
                "at": record.at.astimezone(UTC).isoformat(),
            }
            for record in report.records
        ],
    }


def _rate(records: Iterable[HostRecord]) -> Rate:
    counted = Counter(record.outcome for record in records if record.attempted)
    return Rate(counted[Outcome.SUCCEEDED], counted.total())


def _parts(
    records: Iterable[HostRecord],
    target_percent: int,
    key: Callable[[HostRecord], Any],
    name: Callable[[HostRecord], str] | None = None,
) -> tuple[Part, ...]:
    """The records grouped and ordered by `key`, each group called what `name`, or else `key`, says."""
    groups: dict[Any, list[HostRecord]] = defaultdict(list)
    for record in records:
        groups[key(record)].append(record)
    return tuple(_part((name or key)(groups[value][0]), groups[value], target_percent) for value in sorted(groups))


def _part(name: str, records: Sequence[HostRecord], target_percent: int) -> Part:
    rate, unknown = _rate(records), sum(record.unknown for record in records)
    return Part(
        name=name,
        rate=rate,
        target=target_state(rate, unknown, target_percent),
        unknown=unknown,
        not_attempted=sum(record.outcome is not None and not record.attempted for record in records),
        pending=sum(record.outcome is None for record in records),
    )


def _most_missed_first(part: Part) -> tuple[int, str]:
    return part.rate.succeeded - part.rate.attempted, part.name


def _wave(record: HostRecord) -> str:
    return "not in a wave" if record.wave is None else f"wave {record.wave}"


def _quarter(record: HostRecord) -> str:
    at = record.at.astimezone(UTC)
    return f"{at.year}-Q{(at.month + 2) // 3}"


def _by_cause(records: Iterable[HostRecord]) -> tuple[Group, ...]:
    return tuple(Group(cause, members) for cause, members in by_cause(records))


def _hosts(groups: Iterable[Group]) -> int:
    return sum(group.size for group in groups)


def _budgets(plans: Mapping[str, Plan], records: Sequence[HostRecord], chosen: set[str]) -> tuple[Budget, ...]:
    used = Counter(record.plan for record in records if record.failed and not record.brought_back)
    unknown = Counter(record.plan for record in records if record.unknown)
    return tuple(
        Budget(
            plan=id_,
            product=plan.product,
            version=plan.version,
            planned=len(plan.hosts),
            allowed=plan.allowed_failures,
            used=used[id_],
            unknown=unknown[id_],
        )
        for id_, plan in plans.items()
        if id_ in chosen
    )
