"""The service review of a quarter: what was promised, what was kept, and how that moves. Pure, from the record.

Every measure keeps its numerator and denominator; where nothing was to be measured there is no data, never 100 %.

* success: upgrades that succeeded, of those attempted, by the quarter of their last word; goal as given, 98 %.
* incidents acknowledged within 30 minutes, and recovered within 2 hours, by the quarter in which they opened. One that
  is still open and still in time is not yet counted.
* notices in time: customers whose first host started no sooner than the promised lead after their notice was sent,
  of all customers with a host started. A waived notice is not in time.
* satisfaction (CSAT): answers of 4 or 5, of all answers on a scale from 1 to 5 (the "top two box" share), goal 90 %;
  of a customer's several answers about one plan the last counts.
* time to patch, and to respond to incidents: `liftlock.review_times`. By severity: that of the gravest defect that a
  release fixes, else its kind.
* cost: minutes in which a controller was at work, and steps that operators took, for each host attempted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from liftlock import ledger
from liftlock.incident import ACKNOWLEDGE_WITHIN, RECOVER_WITHIN, Incident, incidents
from liftlock.ledger import Entry
from liftlock.model import Action, NoticeKind, NoticeState, Outcome, Plan, Release
from liftlock.notice import promised_leads
from liftlock.quarter import Quarter
from liftlock.rate import Rate
from liftlock.records import HostRecord, read_records
from liftlock.review_times import PatchTime, ResponseTime, patch_times, response_times

SATISFIED, SATISFACTION_GOAL = 4, 90
TREND = 4
"""How many quarters a trend shows, the reviewed one last."""

_STEPS = (
    ledger.Planned,
    ledger.Approved,
    ledger.Waived,
    ledger.Opened,
    ledger.Paused,
    ledger.Resumed,
    ledger.Aborted,
    ledger.Acknowledged,
    ledger.Unlocked,
    ledger.Settled,
)
"""Facts that each stand for one thing that an operator did."""
_TOLD = (NoticeKind.ANNOUNCED, NoticeKind.RESCHEDULED)


State = Literal["met", "missed", "no data", ""]
"""How a measure stands to its goal; empty where there is no goal."""


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many in one quarter."""

    quarter: str
    part: int
    whole: int

    @property
    def percent(self) -> float | None:
        """In percent, rounded down to one decimal; None for no data."""
        return Rate(self.part, self.whole).percent


@dataclass(frozen=True, slots=True)
class Measure:
    """One promise: its goal in percent, and its share in each quarter of the trend, the reviewed one last."""

    name: str
    goal_percent: int
    trend: tuple[Share, ...]

    @property
    def now(self) -> Share:
        """The reviewed quarter's."""
        return self.trend[-1]

    @property
    def state(self) -> State:
        """Whether the goal was reached, compared in integers."""
        return _state(self.now.part, self.now.whole, self.goal_percent)


def _state(part: int, whole: int, goal_percent: int) -> State:
    met = Rate(part, whole).meets(goal_percent)
    return "no data" if met is None else "met" if met else "missed"


@dataclass(frozen=True, slots=True)
class Cost:
    """What a quarter's upgrades took: controller minutes and operator steps, over so many hosts attempted."""

    quarter: str
    minutes: float
    steps: int
    hosts: int

    @property
    def minutes_a_host(self) -> float | None:
        """Controller minutes for each host attempted; None for no data."""
        return round(self.minutes / self.hosts, 2) if self.hosts else None

    @property
    def steps_a_host(self) -> float | None:
        """Operator steps for each host attempted; None for no data."""
        return round(self.steps / self.hosts, 2) if self.hosts else None


@dataclass(frozen=True, slots=True)
class Satisfaction:
    """Answers about one release or from one customer in the quarter: so many satisfied, of so many."""

    name: str
    satisfied: int
    answers: int

    @property
    def state(self) -> State:
        """Whether the goal of satisfaction was reached, compared in integers."""
        return _state(self.satisfied, self.answers, SATISFACTION_GOAL)


@dataclass(frozen=True, slots=True)
class Review:
    """The service review of one quarter; `unpublished` counts hosts whose release names no day of publication."""

    quarter: str
    measures: tuple[Measure, ...]
    patch_times: tuple[PatchTime, ...]
    unpublished: int
    response_times: tuple[ResponseTime, ...]
    costs: tuple[Cost, ...]
    satisfaction_by_release: tuple[Satisfaction, ...]
    satisfaction_by_customer: tuple[Satisfaction, ...]
    comments: tuple[tuple[str, str, int, str], ...]
    """Customer, release, score, sentence."""
    incidents: tuple[Incident, ...]


def make_review(
    entries: Iterable[Entry],
    quarter: Quarter,
    now: datetime,
    releases: Mapping[tuple[str, str], Release],
    target_percent: int = 98,
) -> Review:
    """The review over the whole ledger; `releases` by product and version tell of publication and severity.

    Raises LedgerError when the entries speak of a plan or a host that none of them names.
    """
    by_plan: dict[str, list[Entry]] = defaultdict(list)
    everything = list(entries)
    for entry in everything:
        by_plan[entry.plan].append(entry)
    records = read_records(everything)
    plans = records.plans
    shown = quarter.and_before(TREND)
    found = [one for id_, plan in plans.items() for one in incidents(plan, by_plan[id_])]
    answers = [answer for id_ in plans for answer in _answers(plans[id_], by_plan[id_])]
    told = [each for id_, plan in plans.items() for each in _told(plan, by_plan[id_])]
    of_quarter = [answer for answer in answers if answer.quarter == quarter]
    times, unpublished = patch_times(records.hosts, shown, releases)
    return Review(
        quarter=str(quarter),
        measures=(
            _measure("success", target_percent, shown, _successes(records.hosts)),
            _measure("incidents acknowledged within 30 min", 100, shown, _in_time(found, now, "acknowledged")),
            _measure("incidents recovered within 2 h", 100, shown, _in_time(found, now, "recovered")),
            _measure("notices in time", 100, shown, told),
            _measure("satisfaction", SATISFACTION_GOAL, shown, [(one.quarter, one.satisfied) for one in answers]),
        ),
        patch_times=times,
        unpublished=unpublished,
        response_times=response_times(found, shown),
        costs=tuple(_cost(each, plans, by_plan, records.hosts) for each in shown),
        satisfaction_by_release=_satisfaction(of_quarter, "release"),
        satisfaction_by_customer=_satisfaction(of_quarter, "customer"),
        comments=tuple((one.customer, one.release, one.score, one.comment) for one in of_quarter if one.comment),
        incidents=tuple(one for one in found if Quarter.of(one.opened_at) == quarter),
    )


_Kept = tuple[Quarter, bool]
"""When something was due, and whether it was kept."""


@dataclass(frozen=True, slots=True)
class _Answer:
    quarter: Quarter
    customer: str
    release: str
    score: int
    comment: str

    @property
    def satisfied(self) -> bool:
        return self.score >= SATISFIED


def _measure(name: str, goal: int, shown: Sequence[Quarter], kept: Iterable[_Kept]) -> Measure:
    counts: dict[Quarter, list[bool]] = defaultdict(list)
    for quarter, well in kept:
        counts[quarter].append(well)
    return Measure(name, goal, tuple(Share(str(each), sum(counts[each]), len(counts[each])) for each in shown))


def _successes(records: Iterable[HostRecord]) -> list[_Kept]:
    return [(Quarter.of(one.at), one.outcome is Outcome.SUCCEEDED) for one in records if one.attempted]


def _in_time(found: Iterable[Incident], now: datetime, what: Literal["acknowledged", "recovered"]) -> list[_Kept]:
    limit = ACKNOWLEDGE_WITHIN if what == "acknowledged" else RECOVER_WITHIN
    kept = []
    for one in found:
        ended = one.acknowledged_at if what == "acknowledged" else one.recovered_at
        if ended is not None or now - one.opened_at > limit:
            kept.append((Quarter.of(one.opened_at), ended is not None and ended - one.opened_at <= limit))
    return kept


def _told(plan: Plan, entries: Iterable[Entry]) -> list[_Kept]:
    """For each customer with a host started: when, and whether it had been told as early as promised."""
    leads, customers = promised_leads(plan), {host.name: host.customer for host in plan.hosts}
    sent: dict[str, datetime] = {}
    begun: dict[str, datetime] = {}
    for entry in entries:
        match entry.fact:
            case ledger.Delivered(state=NoticeState.SENT, kind=kind, customer=customer) if kind in _TOLD:
                sent.setdefault(customer, entry.at)
            case ledger.Started(action=Action.UPGRADE, host=host) if host in customers:
                begun.setdefault(customers[host], entry.at)
            case _:
                pass
    return [
        (Quarter.of(at), customer in sent and sent[customer] + leads[customer] <= at) for customer, at in begun.items()
    ]


def _answers(plan: Plan, entries: Iterable[Entry]) -> list[_Answer]:
    last: dict[str, _Answer] = {}
    release = f"{plan.product} {plan.version}"
    for entry in entries:
        if isinstance(fact := entry.fact, ledger.Rated):
            last[fact.customer] = _Answer(Quarter.of(entry.at), fact.customer, release, fact.score, fact.comment)
    return list(last.values())


def _satisfaction(answers: Iterable[_Answer], of: Literal["release", "customer"]) -> tuple[Satisfaction, ...]:
    groups: dict[str, list[bool]] = defaultdict(list)
    for answer in answers:
        groups[answer.release if of == "release" else answer.customer].append(answer.satisfied)
    return tuple(Satisfaction(name, sum(groups[name]), len(groups[name])) for name in sorted(groups))


def _cost(
    quarter: Quarter, plans: Iterable[str], by_plan: Mapping[str, Sequence[Entry]], records: Iterable[HostRecord]
) -> Cost:
    minutes, steps = 0.0, 0
    for id_ in plans:
        entries = by_plan[id_]
        steps += sum(isinstance(one.fact, _STEPS) and Quarter.of(one.at) == quarter for one in entries)
        minutes += sum(
            span / timedelta(minutes=1) for began, span in _sessions(entries) if Quarter.of(began) == quarter
        )
    hosts = sum(one.attempted and Quarter.of(one.at) == quarter for one in records)
    return Cost(str(quarter), round(minutes, 1), steps, hosts)


def _sessions(entries: Iterable[Entry]) -> Iterable[tuple[datetime, timedelta]]:
    """When each controller took up the rollout, and how long until the last thing it wrote."""
    began: datetime | None = None
    last: datetime | None = None
    for entry in entries:
        if isinstance(entry.fact, ledger.Opened):
            if began and last:
                yield began, last - began
            began = entry.at
        if began and isinstance(entry.fact, _OF_CONTROLLERS):
            last = entry.at
    if began and last:
        yield began, last - began


_OF_CONTROLLERS = (
    ledger.Opened,
    ledger.Started,
    ledger.Switched,
    ledger.Ended,
    ledger.Voided,
    ledger.Baking,
    ledger.Ailing,
    ledger.Halted,
    ledger.Finished,
    ledger.LeftOut,
    ledger.WaveOpened,
)
