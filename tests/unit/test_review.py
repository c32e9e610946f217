"""The service review: every measure with its denominator, by quarter, from the record alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from liftlock import ledger
from liftlock.errors import InputError
from liftlock.ledger import Entry, Fact
from liftlock.model import (
    Action,
    Artifact,
    Fix,
    NoticeKind,
    NoticeState,
    Outcome,
    Plan,
    PlannedCustomer,
    Policy,
    Release,
    ReleaseKind,
    Window,
)
from liftlock.plan_document import plan_id, to_document
from liftlock.quarter import Quarter
from liftlock.review import Review, make_review
from world import MemoryLedger, plan_of

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
Q4 = Quarter(2026, 4)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


def planned(hosts: int, at: datetime, version: str = "1.5.0", lead: timedelta = DAY) -> Plan:
    plan = plan_of((hosts,), Policy(max_failures=0), ("1.4.0", version))
    window = Window(at, at + DAY)
    told = PlannedCustomer("acme", at - lead, at, at + DAY)
    plan = replace(
        plan,
        created_at=at - 3 * DAY,
        hosts=tuple(replace(host, window=window) for host in plan.hosts),
        customers=(told,),
    )
    return replace(plan, id=plan_id(plan))


class Story:
    """A ledger told in the order of time."""

    def __init__(self) -> None:
        self.record = MemoryLedger()

    def say(self, plan: Plan, at: datetime, *facts: Fact) -> None:
        for fact in facts:
            self.record.append(plan.id, fact, at)

    def upgraded(self, plan: Plan, at: datetime, outcomes: Sequence[Outcome], told: timedelta | None = 2 * DAY) -> None:
        """One session of ten minutes: every host begins at once and ends so."""
        self.say(plan, plan.created_at, ledger.Planned(document=to_document(plan)))
        if told is not None:
            letter = {
                "message_id": plan.id,
                "customer": "acme",
                "kind": NoticeKind.ANNOUNCED,
                "recipient": "a@b.example",
            }
            self.say(plan, at - told, ledger.Delivered(**letter, state=NoticeState.SENT))
        session = plan.id[:4]
        self.say(plan, at, ledger.Opened(session=session, controller="ci"))
        for host in plan.hosts:
            up = {"action": Action.UPGRADE, "from_version": "1.4.0", "to_version": plan.version}
            self.say(plan, at, ledger.Started(host=host.name, attempt=1, session=session, **up))
        for host, how in zip(plan.hosts, outcomes, strict=True):
            version = plan.version if how is Outcome.SUCCEEDED else "1.4.0"
            self.say(plan, at + 10 * MINUTE, ledger.Ended(host=host.name, attempt=1, outcome=how, version=version))

    def review(self, quarter: Quarter = Q4, now: datetime = NOW, **releases: Release) -> Review:
        known = {("boathouse", version.replace("_", ".")): release for version, release in releases.items()}
        entries: list[Entry] = list(self.record.entries())
        return make_review(entries, quarter, now, known)


def measured(review: Review) -> dict[str, list[tuple[int, int]]]:
    return {one.name: [(share.part, share.whole) for share in one.trend] for one in review.measures}


GOOD, BAD = Outcome.SUCCEEDED, Outcome.ROLLED_BACK


def test_a_quarter_is_read_as_written_and_counted_in_utc() -> None:
    assert Quarter.read("2026-q4") == Q4
    assert Quarter.of(datetime(2026, 12, 31, 23, 30, tzinfo=UTC)) == Q4
    assert str(Quarter(2026, 1).before) == "2025-Q4"
    with pytest.raises(InputError, match="2026-Q4, not 'autumn'"):
        Quarter.read("autumn")


def test_nothing_on_record_is_no_data_and_never_100_percent() -> None:
    review = Story().review()
    assert {one.state for one in review.measures} == {"no data"}
    assert {one.now.percent for one in review.measures} == {None}
    assert review.costs[-1].minutes_a_host is None


def test_success_stands_beside_the_quarters_before() -> None:
    story = Story()
    story.upgraded(planned(4, NOW - 130 * DAY, "1.4.1"), NOW - 130 * DAY, [GOOD] * 4)
    story.upgraded(planned(4, NOW - 9 * DAY), NOW - 9 * DAY, [GOOD, GOOD, GOOD, BAD])
    review = story.review()
    assert measured(review)["success"] == [(0, 0), (0, 0), (4, 4), (3, 4)]
    assert [share.quarter for share in review.measures[0].trend] == ["2026-Q1", "2026-Q2", "2026-Q3", "2026-Q4"]
    assert review.measures[0].state == "missed"
    assert story.review(Quarter(2026, 3)).measures[0].state == "met"


@pytest.mark.parametrize(("told", "kept"), [(2 * DAY, 1), (DAY, 1), (DAY - MINUTE, 0), (None, 0)])
def test_a_notice_is_in_time_when_it_was_sent_the_promised_lead_before_the_first_host(
    told: timedelta | None, kept: int
) -> None:
    story = Story()
    story.upgraded(planned(2, NOW - 9 * DAY), NOW - 9 * DAY, [GOOD, GOOD], told)
    assert measured(story.review())["notices in time"][-1] == (kept, 1)


def test_an_incident_is_measured_against_its_clock_and_an_open_one_only_once_it_is_late() -> None:
    story, at = Story(), NOW - 9 * DAY
    plan = planned(2, at)
    story.upgraded(plan, at, [BAD, GOOD])
    began = at + 10 * MINUTE
    review = story.review(now=began + 20 * MINUTE)
    assert measured(review)["incidents acknowledged within 30 min"][-1] == (0, 0)
    assert measured(story.review())["incidents acknowledged within 30 min"][-1] == (0, 1)
    story.say(plan, began + 25 * MINUTE, ledger.Acknowledged(by="ana"))
    review = story.review()
    assert measured(review)["incidents acknowledged within 30 min"][-1] == (1, 1)
    assert measured(review)["incidents recovered within 2 h"][-1] == (1, 1)
    assert [one.by for one in review.incidents] == ["ana"]


def test_satisfaction_counts_four_and_five_and_a_customers_last_word() -> None:
    story, at = Story(), NOW - 9 * DAY
    plan = planned(1, at)
    story.upgraded(plan, at, [GOOD])
    story.say(plan, at + DAY, ledger.Rated(customer="acme", score=2, comment="slow"))
    story.say(plan, at + DAY, ledger.Rated(customer="huaxin", score=4))
    assert measured(story.review())["satisfaction"][-1] == (1, 2)
    told = story.review()
    assert [(one.name, one.state) for one in told.satisfaction_by_customer] == [("acme", "missed"), ("huaxin", "met")]
    assert [(one.satisfied, one.answers, one.state) for one in told.satisfaction_by_release] == [(1, 2, "missed")]
    story.say(plan, at + 2 * DAY, ledger.Rated(customer="acme", score=5, comment="all well now"))
    review = story.review()
    assert measured(review)["satisfaction"][-1] == (2, 2)
    assert review.comments == (("acme", "boathouse 1.5.0", 5, "all well now"),)
    assert [(one.name, one.satisfied, one.answers) for one in review.satisfaction_by_customer] == [
        ("acme", 1, 1),
        ("huaxin", 1, 1),
    ]


def test_time_to_patch_runs_from_publication_by_kind_and_says_what_it_could_not_tell() -> None:
    story, at = Story(), NOW - 9 * DAY
    story.upgraded(planned(2, at), at, [GOOD, GOOD])
    release = Release(
        "boathouse", "1.5.0", ReleaseKind.SECURITY, Artifact("x", "0" * 64, 1), released=date(2026, 11, 1)
    )
    review = story.review(**{"1_5_0": release})
    assert [(one.severity, one.median_days, one.hosts) for one in review.patch_times] == [("security", 10.5, 2)]
    assert story.review().unpublished == 2


def test_time_to_patch_stands_beside_the_quarters_before_gravest_severity_first() -> None:
    story, before, now = Story(), NOW - 100 * DAY, NOW - 9 * DAY
    story.upgraded(planned(3, before, "1.4.1"), before, [GOOD, GOOD, BAD])
    story.upgraded(planned(2, now), now, [GOOD, GOOD])
    patch = Release("boathouse", "1.4.1", ReleaseKind.PATCH, Artifact("x", "0" * 64, 1), released=date(2026, 8, 1))
    mended = Fix("urgent", "BH-1", {"en": "a hole"})
    urgent = replace(patch, version="1.5.0", released=date(2026, 11, 1), fixes=(mended,))
    review = story.review(**{"1_4_1": patch, "1_5_0": urgent})
    assert [(one.severity, [(days.median_days, days.hosts) for days in one.trend]) for one in review.patch_times] == [
        ("urgent", [(None, 0), (None, 0), (None, 0), (10.5, 2)]),
        ("patch", [(None, 0), (None, 0), (11.5, 2), (None, 0)]),
    ]
    assert (review.patch_times[1].median_days, review.patch_times[1].longest_days) == (None, None)


def test_response_times_are_medians_of_the_incidents_that_had_a_response() -> None:
    story, at = Story(), NOW - 9 * DAY
    for waited in (10, 40, None):
        plan = planned(2, at := at + DAY)
        story.upgraded(plan, at, [BAD, GOOD])
        if waited:
            story.say(plan, at + (10 + waited) * MINUTE, ledger.Acknowledged(by="ana"))
    *earlier, now = story.review().response_times
    assert (now.minutes_to_acknowledge, now.acknowledged, now.incidents) == (25.0, 2, 3)
    assert [(one.minutes_to_acknowledge, one.incidents) for one in earlier] == [(None, 0)] * 3


def test_cost_is_controller_minutes_and_operator_steps_for_each_host_attempted() -> None:
    story, at = Story(), NOW - 9 * DAY
    plan = planned(4, at)
    story.upgraded(plan, at, [GOOD] * 4)
    story.say(plan, at + DAY, ledger.Opened(session="again", controller="ci"), ledger.Finished())
    cost = story.review().costs[-1]
    assert (cost.minutes, cost.steps, cost.hosts) == (10.0, 3, 4)
    assert (cost.minutes_a_host, cost.steps_a_host) == (2.5, 0.75)
