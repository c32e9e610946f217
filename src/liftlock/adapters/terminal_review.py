"""The service review on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from liftlock.adapters.review_page import incident_words
from liftlock.adapters.terminal import BAD, DIM, GOOD, console, table
from liftlock.review import SATISFACTION_GOAL, Review, Share
from liftlock.review_times import Days

if TYPE_CHECKING:
    from liftlock.app.reviewing import Heard, Unknown

_STYLES = {"met": GOOD, "missed": BAD}


def show_review(review: Review, written: Sequence[Path]) -> None:
    """Each promise with its goal and trend, then time to patch, cost, incidents and answers."""
    screen = console()
    screen.print(f"Service review {review.quarter}", style="bold")
    quarters = [share.quarter for share in review.measures[0].trend]
    rows = table("promise", "goal", *quarters, "")
    for measure in review.measures:
        rows.add_row(
            measure.name,
            f"{measure.goal_percent} %",
            *map(_share, measure.trend),
            Text(measure.state, style=_STYLES.get(measure.state, DIM)),
        )
    screen.print(rows)
    if review.patch_times:
        rows = table("time to patch, median days", *quarters, "longest")
        for time in review.patch_times:
            rows.add_row(time.severity, *map(_days, time.trend), _or_dash(time.longest_days))
        screen.print()
        screen.print(rows)
    if review.unpublished:
        screen.print(f"{review.unpublished} upgraded hosts got a release that names no day of publication", style=DIM)
    rows = table("cost", "minutes", "a host", "steps", "a host", "hosts")
    for cost in review.costs:
        each = (cost.minutes, cost.minutes_a_host, cost.steps, cost.steps_a_host, cost.hosts)
        rows.add_row(cost.quarter, *map(_or_dash, each))
    screen.print()
    screen.print(rows)
    _show_incidents(review)
    for one in (*review.satisfaction_by_release, *review.satisfaction_by_customer):
        words = f"{one.name}: {one.satisfied} of {one.answers} satisfied, goal {SATISFACTION_GOAL} %: {one.state}"
        screen.print(Text(words))
    for customer, release, score, sentence in review.comments:
        screen.print(Text(f"  {score} of 5, {customer} on {release}: {sentence}"), style=DIM)
    for path in written:
        screen.print(Text(f"Written: {path}"), soft_wrap=True)


def show_heard(heard: Sequence[Heard], unknown: Sequence[Unknown], passed_over: Sequence[Path] = ()) -> None:
    """What each customer answered, whether it is new, and which replies carry no code, or one that nobody was given."""
    for one in heard:
        new = "recorded" if one.recorded else "known already"
        said = f": {one.comment}" if one.comment else ""
        console().print(Text(f"{one.customer}, plan {one.plan[:8]}: {one.score} of 5 ({new}){said}"))
    for reply in unknown:
        console().print(Text(f"{reply.file}: not recorded: {reply.why}", style=BAD), soft_wrap=True)
    for file in passed_over:
        console().print(Text(f"{file}: passed over: no code and score in its subject", style=DIM), soft_wrap=True)


def _show_incidents(review: Review) -> None:
    screen = console()
    screen.print()
    if any(time.incidents for time in review.response_times):
        rows = table("median minutes to", "acknowledge", "recover", "incidents")
        for time in review.response_times:
            acknowledged = _of(time.minutes_to_acknowledge, time.acknowledged)
            rows.add_row(time.quarter, acknowledged, _of(time.minutes_to_recover, time.recovered), str(time.incidents))
        screen.print(rows)
        screen.print()
    if not review.incidents:
        screen.print("No incident opened in this quarter.")
        return
    rows = table("incident opened (UTC)", "acknowledged", "recovered", "why")
    for told in map(incident_words, review.incidents):
        rows.add_row(told["opened"], told["acknowledged"], told["recovered"], Text(told["reason"]))
    screen.print(rows)


def _days(days: Days) -> str:
    return _of(days.median_days, days.hosts)


def _of(middle: float | None, count: int) -> str:
    return "-" if middle is None else f"{middle} ({count})"


def _or_dash(value: float | None) -> str:
    return "-" if value is None else str(value)


def _share(share: Share) -> str:
    return "-" if share.percent is None else f"{share.percent:.1f} % ({share.part}/{share.whole})"
