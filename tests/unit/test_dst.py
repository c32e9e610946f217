"""Windows on the nights when clocks are set, zone by zone, and at year ends: what is open, and what the plan says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from liftlock.model import DatedWindow, FreezeRule, RecurringFreeze, Window, WindowRule
from liftlock.wall_clock import freeze_between, in_utc, steady
from liftlock.window import Rules, clock_note, occurrences
from liftlock.window_text import window_rules

DAY = timedelta(days=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def open_in(zone: str, text: str, after: str, days: int = 2) -> list[str]:
    """The stretches within these days in UTC, as `MM-DD HH:MM-HH:MM`."""
    found = occurrences(Rules(zone, window_rules(text)), utc(after), days * DAY)
    return [f"{stretch.start:%m-%d %H:%M}-{stretch.end:%H:%M}" for stretch in found]


SPRING_AND_AUTUMN = [
    # Europe/Berlin: 02:00 becomes 03:00 on 28 March 2027, 03:00 becomes 02:00 on 25 October 2026
    ("Europe/Berlin", "sat 22:00-sun 04:00", "2027-03-27T12:00", ["03-27 21:00-02:00"], "an hour less"),
    ("Europe/Berlin", "sat 22:00-sun 04:00", "2026-10-24T12:00", ["10-24 20:00-03:00"], "an hour more"),
    ("Europe/Berlin", "last saturday 22:00 for 6h", "2027-03-27T12:00", ["03-27 21:00-02:00"], "monthly"),
    ("Europe/Berlin", "2027-03-28 02:30 for 2h", "2027-03-27T12:00", ["03-28 01:00-02:30"], "a start that is skipped"),
    ("Europe/Berlin", "2027-03-28 01:00 for 90m", "2027-03-27T12:00", ["03-28 00:00-01:00"], "an end that is skipped"),
    ("Europe/Berlin", "2027-03-28 02:00 for 1h", "2027-03-27T12:00", [], "nothing but the skipped hour"),
    (
        "Europe/Berlin",
        "sun 01:00-02:30",
        "2026-10-24T12:00",
        ["10-24 23:00-00:30", "10-25 01:00-01:30"],
        "an end that comes twice",
    ),
    (
        "Europe/Berlin",
        "2026-10-25 02:30 for 2h",
        "2026-10-24T12:00",
        ["10-25 00:30-01:00", "10-25 01:30-03:30"],
        "a start that comes twice",
    ),
    # America/New_York: 02:00 becomes 03:00 on 14 March 2027, 02:00 becomes 01:00 on 1 November 2026
    ("America/New_York", "sat 23:00-sun 03:30", "2027-03-13T12:00", ["03-14 04:00-07:30"], "an hour less"),
    ("America/New_York", "first sunday 00:30 for 3h", "2026-11-01T00:00", ["11-01 04:30-08:30"], "an hour more"),
    ("America/New_York", "daily 01:30-02:30", "2027-03-14T00:00", ["03-14 06:30-07:00", "03-15 05:30-06:30"], "daily"),
    # Australia/Lord_Howe: half an hour, 02:00 becomes 02:30 on 4 October 2026, 02:00 becomes 01:30 on 4 April 2027
    ("Australia/Lord_Howe", "sun 01:00-03:00", "2026-10-03T00:00", ["10-03 14:30-16:00"], "half an hour less"),
    ("Australia/Lord_Howe", "sun 01:00-03:00", "2027-04-03T00:00", ["04-03 14:00-16:30"], "half an hour more"),
    ("Australia/Lord_Howe", "sun 02:15-04:00", "2026-10-03T00:00", ["10-03 15:30-17:00"], "a start in the half hour"),
    (
        "Australia/Lord_Howe",
        "2027-04-04 01:00 for 45m",
        "2027-04-03T00:00",
        ["04-03 14:00-14:45", "04-03 15:00-15:15"],
        "an end in the half hour",
    ),
    # Australia/Sydney, southern: forward on 4 October 2026, back on 4 April 2027
    ("Australia/Sydney", "first sunday 00:00 for 6h", "2026-10-03T00:00", ["10-03 14:00-19:00"], "spring in October"),
    ("Australia/Sydney", "first sunday 00:00 for 6h", "2027-04-03T00:00", ["04-03 13:00-20:00"], "autumn in April"),
    # America/Santiago: clocks are set at midnight, so 00:00 itself is skipped on 6 September 2026
    ("America/Santiago", "sun 00:00-02:00", "2026-09-05T12:00", ["09-06 04:00-05:00"], "a midnight that is skipped"),
    ("America/Santiago", "sat 20:00-24:00", "2027-04-03T12:00", ["04-03 23:00-04:00"], "an evening with 23:00 twice"),
    # Africa/Casablanca: an hour back for Ramadan, on 7 February 2027, forward again on 14 March 2027
    ("Africa/Casablanca", "sun 00:00-06:00", "2027-02-06T12:00", ["02-06 23:00-06:00"], "Ramadan begins"),
    ("Africa/Casablanca", "sun 00:00-06:00", "2027-03-13T12:00", ["03-14 00:00-05:00"], "Ramadan is over"),
    # Africa/Cairo: summer time is back since 2023, at midnight from Thursday to Friday
    ("Africa/Cairo", "thu 22:00-fri 04:00", "2022-04-28T12:00", ["04-28 20:00-02:00"], "before the law of 2023"),
    ("Africa/Cairo", "thu 22:00-fri 04:00", "2026-04-23T12:00", ["04-23 20:00-01:00"], "by the law of 2023"),
    # Asia/Shanghai: no change; Asia/Tehran: none any more since 2023
    ("Asia/Shanghai", "sun 01:00-03:00", "2026-10-24T00:00", ["10-24 17:00-19:00"], "no clock is ever set"),
    ("Asia/Tehran", "mon 22:00-tue 04:00", "2022-03-21T00:00", ["03-21 18:30-23:30"], "before the law of 2022"),
    ("Asia/Tehran", "mon 22:00-tue 04:00", "2027-03-22T00:00", ["03-22 18:30-00:30"], "by the law of 2022"),
    # Pacific/Apia: crossed the date line, there was no Friday, 30 December 2011
    ("Pacific/Apia", "fri 01:00-05:00", "2011-12-29T12:00", [], "a day that never was"),
    ("Pacific/Apia", "thu 22:00-sat 02:00", "2011-12-29T12:00", ["12-30 08:00-12:00"], "a window across that day"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("zone", "text", "after", "expected", "what"),
    SPRING_AND_AUTUMN,
    ids=[f"{zone}: {what}" for zone, *_, what in SPRING_AND_AUTUMN],
)
def test_a_window_is_open_while_the_wall_clock_shows_a_time_in_it(
    zone: str, text: str, after: str, expected: list[str], what: str
) -> None:
    assert open_in(zone, text, after) == expected


@pytest.mark.parametrize(("zone", "text", "after"), [row[:3] for row in SPRING_AND_AUTUMN])
def test_no_minute_outside_the_window_by_the_wall_clock_is_open(zone: str, text: str, after: str) -> None:
    (rule, *_) = window_rules(text)
    stretches = occurrences(Rules(zone, window_rules(text)), utc(after), 2 * DAY)
    shown = {
        (utc(after) + minute * timedelta(minutes=1)).astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)
        for minute in range(2 * 1440)
        if any(s.start <= utc(after) + minute * timedelta(minutes=1) < s.end for s in stretches)
    }
    assert all(_given(rule, text, time) for time in shown)


def _given(rule: WindowRule, text: str, time: datetime) -> bool:
    """Whether the customer gave this local time, said for one window without regard to zones."""
    if isinstance(rule, DatedWindow):
        return rule.start <= time < rule.start + rule.length
    if "for" in text:
        return any(_given(DatedWindow("", start, rule.length), "", time) for start in _nights(rule, time))
    minute = time.weekday() * 1440 + time.hour * 60 + time.minute
    spans = [(one.start_minute, one.end_minute) for one in window_rules(text)]
    return any(start <= at < end for start, end in spans for at in (minute, minute + 7 * 1440))


def _nights(rule: WindowRule, near: datetime) -> list[datetime]:
    days = (near.replace(hour=0, minute=0) - back * DAY for back in range(3))
    on = [day for day in days if day.weekday() == rule.weekday and _place(day, rule.nth)]
    return [day + timedelta(minutes=rule.start_minute) for day in on]


def _place(day: datetime, nth: int) -> bool:
    return (day + 7 * DAY).month != day.month if nth < 0 else (day.day - 1) // 7 + 1 == nth


@pytest.mark.parametrize(
    ("zone", "text", "after", "notes"),
    [
        (
            "Europe/Berlin",
            "2027-03-28 02:30 for 2h",
            "2027-03-27T12:00",
            ["its window starts at 02:30, which Europe/Berlin skips on 2027-03-28: 03:00 (01:00 UTC) counts instead"],
        ),
        (
            "Europe/Berlin",
            "sun 01:00-02:30",
            "2026-10-24T12:00",
            [
                "its window ends at 02:30, which Europe/Berlin shows twice on 2026-10-25:"
                " here it is the first time, 00:30 UTC",
                "its window ends at 02:30, which Europe/Berlin shows twice on 2026-10-25:"
                " here it is the second time, 01:30 UTC",
            ],
        ),
        (
            "Australia/Lord_Howe",
            "sun 02:15-04:00",
            "2026-10-03T00:00",
            [
                "its window starts at 02:15, which Australia/Lord_Howe skips on 2026-10-04:"
                " 02:30 (15:30 UTC) counts instead"
            ],
        ),
        (
            "America/Santiago",
            "sun 00:00-02:00",
            "2026-09-05T12:00",
            [
                "its window starts at 00:00, which America/Santiago skips on 2026-09-06:"
                " 01:00 (04:00 UTC) counts instead"
            ],
        ),
        ("Europe/Berlin", "sat 22:00-sun 04:00", "2027-03-27T12:00", [""]),
        ("Asia/Shanghai", "sun 01:00-03:00", "2026-10-24T00:00", [""]),
    ],
)  # fmt: skip
def test_how_a_start_or_end_was_resolved_is_said(zone: str, text: str, after: str, notes: list[str]) -> None:
    rules = Rules(zone, window_rules(text))
    assert [clock_note(rules, window) for window in occurrences(rules, utc(after), 2 * DAY)] == notes


def test_a_bound_that_only_the_planning_made_needs_no_note() -> None:
    rules = Rules("Europe/Berlin", window_rules("always"))
    assert clock_note(rules, Window(utc("2026-10-25T00:30"), utc("2026-10-25T01:30"))) == ""


def local(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("freeze", "window", "after", "note"),
    [
        (
            freeze_between("regatta", local("2026-10-20 00:00"), local("2026-10-25 02:30"), "Europe/Berlin", None),
            "sun 00:00-06:00",
            "2026-10-24T12:00",
            "freeze regatta ends at 02:30, which Europe/Berlin shows twice on 2026-10-25:"
            " here it is the second time, 01:30 UTC",
        ),
        (
            RecurringFreeze("summer", "03-28 02:30", "10-01 00:00", "Europe/Berlin"),
            "sun 00:00-06:00",
            "2027-03-27T12:00",
            "freeze summer starts at 02:30, which Europe/Berlin skips on 2027-03-28: 01:30 (00:30 UTC) counts instead",
        ),
        (
            freeze_between("audit", local("2026-10-20 00:00"), local("2026-10-25 02:30"), "Europe/Berlin", None),
            "sun 08:00-12:00",
            "2026-10-24T12:00",
            "freeze audit ends at 02:30, which Europe/Berlin shows twice on 2026-10-25:"
            " here it is the second time, 01:30 UTC",
        ),
        (
            freeze_between("plain", local("2026-10-20 00:00"), local("2026-10-25 01:30"), "Europe/Berlin", None),
            "sun 00:00-06:00",
            "2026-10-24T12:00",
            "",
        ),
    ],
    ids=["an end shown twice", "a start that is skipped", "by another zone's clock", "nothing to decide"],
)
def test_how_the_end_or_start_of_a_freeze_was_resolved_is_said(
    freeze: FreezeRule, window: str, after: str, note: str
) -> None:
    zone = "Asia/Shanghai" if "08:00" in window else "Europe/Berlin"
    rules = Rules(zone, window_rules(window), (freeze,))
    first, *_ = occurrences(rules, utc(after), 2 * DAY)
    assert clock_note(rules, first) == note


def test_a_window_that_clocks_skip_whole_is_said_at_the_one_that_is_taken_instead() -> None:
    rules = Rules("Europe/Berlin", window_rules("sun 02:15-02:45"))
    first, second = occurrences(rules, utc("2027-03-27T12:00"), 16 * DAY)
    assert first.start == utc("2027-04-04T00:15")
    assert clock_note(rules, first) == (
        "its window 02:15-02:45 on 2027-03-28 never comes: Europe/Berlin skips that time"
    )
    assert clock_note(rules, second) == ""


def test_windows_and_freezes_run_through_a_year_end() -> None:
    night = window_rules("last thursday 22:00 for 6h")
    assert open_in("Europe/Berlin", "last thursday 22:00 for 6h", "2026-12-31T12:00") == ["12-31 21:00-03:00"]
    eve = RecurringFreeze("new year", "12-31 23:00", "01-01 01:00", "Europe/Berlin")
    found = occurrences(Rules("Europe/Berlin", night, (eve,)), utc("2026-12-31T12:00"), 2 * DAY)
    assert found == (
        Window(utc("2026-12-31T21:00"), utc("2026-12-31T22:00")),
        Window(utc("2027-01-01T00:00"), utc("2027-01-01T03:00")),
    )


def test_a_yearly_freeze_covers_both_readings_of_a_time_that_comes_twice() -> None:
    switch = RecurringFreeze("switch", "10-25 02:30", "10-25 02:45", "Europe/Berlin")
    found = occurrences(Rules("Europe/Berlin", window_rules("always"), (switch,)), utc("2026-10-24T12:00"), DAY)
    assert (found[0].end, found[1].start) == (utc("2026-10-25T00:30"), utc("2026-10-25T01:45"))


def test_a_local_time_means_one_moment_but_where_clocks_change() -> None:
    plain = datetime(2026, 11, 21, 12)  # noqa: DTZ001
    assert in_utc(plain, "Asia/Shanghai") == (utc("2026-11-21T04:00"), utc("2026-11-21T04:00"))
    pieces = steady("Pacific/Apia", utc("2011-12-29T00:00"), utc("2012-01-01T00:00"))
    assert [hours for _, hours in pieces] == [timedelta(hours=-10), timedelta(hours=14)]
    assert pieces[1][0].start == utc("2011-12-30T10:00")
