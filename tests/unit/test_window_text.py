from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftlock.model import DatedWindow, MonthlyWindow, WeeklyWindow
from liftlock.window_text import WEEK, window_rules


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("sat 22:00-sun 04:00", 5 * 1440 + 1320, 6 * 1440 + 240),
        ("SAT 22:00 - 04:00", 5 * 1440 + 1320, 6 * 1440 + 240),
        ("sun 22:00-mon 04:00", 6 * 1440 + 1320, WEEK + 240),
        ("fri 18:00-mon 06:00", 4 * 1440 + 1080, WEEK + 360),
        ("wed 10:00-wed 24:00", 2 * 1440 + 600, 3 * 1440),
        ("Always", 0, WEEK),
    ],
)
def test_a_weekly_window_counts_minutes_from_monday(text: str, start: int, end: int) -> None:
    assert window_rules(text) == (WeeklyWindow(text, start, end),)


@given(st.integers(0, 1439), st.integers(0, 1440))
def test_a_daily_window_is_seven_of_equal_length_within_a_day(start: int, end: int) -> None:
    windows = window_rules(f"daily {start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}")
    assert [window.start_minute for window in windows] == [day * 1440 + start for day in range(7)]
    assert {window.end_minute - window.start_minute for window in windows} == {(end - start - 1) % 1440 + 1}


@pytest.mark.parametrize(
    "text",
    ["", "sat", "sat 22:00", "sat 24:00-sun 04:00", "sat 22:60-23:00", "sat 22:00-24:01", "daily 22:00-sun 04:00",
     "sat 22:00-sat 20:00", "sat 2:00-4:00", "sat 22:00-sun 04:00 UTC", "sat ２２:00-sun 04:00",
     "third saturn 22:00 for 6h", "sixth sat 22:00 for 6h", "third sat 22:00", "third sat 24:00 for 6h",
     "2026-12-05 for 6h"],
)  # fmt: skip
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a window|is not a time of day|ends before it starts"):
        window_rules(text)


@pytest.mark.parametrize(
    ("text", "nth", "weekday", "minute", "length"),
    [
        ("third saturday 22:00 for 6h", 3, 5, 22 * 60, timedelta(hours=6)),
        ("First Mon 00:00 for 1h30m", 1, 0, 0, timedelta(minutes=90)),
        ("fifth  fri 23:59 for 28d", 5, 4, 1439, timedelta(days=28)),
        ("last friday 23:00 for 5h", -1, 4, 23 * 60, timedelta(hours=5)),
    ],
)
def test_a_monthly_window_is_a_weekday_by_its_place_in_the_month(
    text: str, nth: int, weekday: int, minute: int, length: timedelta
) -> None:
    assert window_rules(text) == (MonthlyWindow(text, nth, weekday, minute, length),)


def test_a_window_on_one_date_is_local() -> None:
    text = "2026-12-05 22:00 for 6h"
    assert window_rules(text) == (DatedWindow(text, datetime(2026, 12, 5, 22), timedelta(hours=6)),)  # noqa: DTZ001


@pytest.mark.parametrize("text", ["third sat 22:00 for 0h", "2026-12-05 22:00 for 29d", "last fri 23:00 for soon"])
def test_a_length_must_be_more_than_nothing_and_at_most_four_weeks(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be longer than zero and at most 28d|must be a length of time"):
        window_rules(text)


def test_a_date_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="is not a local time"):
        window_rules("2026-02-29 22:00 for 6h")
