from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from liftlock.model import Customer, Freeze, WeeklyWindow, Window
from liftlock.window import Blocked, next_window, occurrences

DAY = 24 * 60
ALWAYS = WeeklyWindow("always", 0, 7 * DAY)
SATURDAY_NIGHT = WeeklyWindow("sat 22:00-sun 04:00", 5 * DAY + 22 * 60, 6 * DAY + 4 * 60)
NIGHT_OF_CHANGE = WeeklyWindow("sun 01:00-sun 02:30", 6 * DAY + 60, 6 * DAY + 150)
HOUR = timedelta(hours=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def customer(*windows: WeeklyWindow, zone: str = "Europe/Berlin", freezes: tuple[Freeze, ...] = ()) -> Customer:
    return Customer("harbour", "Harbour", "en", zone, (), windows, freezes)


def test_a_window_opens_by_the_customers_wall_clock() -> None:
    found = next_window(customer(SATURDAY_NIGHT, zone="Asia/Shanghai"), (), HOUR, utc("2026-11-23T00:00"))
    assert found == Window(utc("2026-11-28T14:00"), utc("2026-11-28T20:00"))


def test_an_open_window_starts_now_and_is_passed_over_when_too_little_of_it_is_left() -> None:
    now = utc("2026-11-29T02:00")
    assert next_window(customer(SATURDAY_NIGHT), (), HOUR, now) == Window(now, utc("2026-11-29T03:00"))
    later = Window(utc("2026-12-05T21:00"), utc("2026-12-06T03:00"))
    assert next_window(customer(SATURDAY_NIGHT), (), 2 * HOUR, now) == later


def test_a_window_that_spans_the_end_of_the_week_is_found_on_both_sides_of_it() -> None:
    over = WeeklyWindow("sun 22:00-mon 04:00", 6 * DAY + 22 * 60, 7 * DAY + 4 * 60)
    monday = utc("2026-11-30T00:00")
    assert next_window(customer(over, zone="UTC"), (), HOUR, monday) == Window(monday, utc("2026-11-30T04:00"))


def test_windows_that_touch_are_one() -> None:
    early = WeeklyWindow("sun 04:00-sun 06:00", 6 * DAY + 240, 6 * DAY + 360)
    found = next_window(customer(early, SATURDAY_NIGHT), (), 7 * HOUR, utc("2026-11-23T00:00"))
    assert found == Window(utc("2026-11-28T21:00"), utc("2026-11-29T05:00"))


def test_a_customer_without_limits_is_open_from_now_to_the_horizon_through_both_clock_changes() -> None:
    now = utc("2026-10-24T12:34:56.789012")
    lord_howe = customer(ALWAYS, zone="Australia/Lord_Howe")
    assert next_window(lord_howe, (), HOUR, now) == Window(now, now + timedelta(days=92))


def test_a_start_in_the_hour_that_is_skipped_counts_as_the_first_instant_after_it() -> None:
    start_skipped = WeeklyWindow("sun 02:30-sun 05:00", 6 * DAY + 150, 6 * DAY + 300)
    found = next_window(customer(start_skipped), (), HOUR, utc("2027-03-27T12:00"))
    assert found == Window(utc("2027-03-28T01:00"), utc("2027-03-28T03:00"))


def test_an_end_in_the_hour_that_comes_twice_shuts_the_window_twice() -> None:
    found = occurrences(customer(NIGHT_OF_CHANGE), (), utc("2026-10-24T12:00"), timedelta(days=1))
    assert found == (
        Window(utc("2026-10-24T23:00"), utc("2026-10-25T00:30")),
        Window(utc("2026-10-25T01:00"), utc("2026-10-25T01:30")),
    )


def test_a_freeze_of_the_customer_or_the_fleet_cuts_into_windows() -> None:
    own = Freeze("stocktaking", utc("2026-11-28T22:00"), utc("2026-11-28T23:00"))
    fleets = Freeze("year end", utc("2026-11-29T02:00"), utc("2027-01-10T00:00"))
    frozen = customer(SATURDAY_NIGHT, freezes=(own,))
    found = occurrences(frozen, (fleets,), utc("2026-11-23T00:00"), timedelta(days=30))
    assert found == (
        Window(utc("2026-11-28T21:00"), utc("2026-11-28T22:00")),
        Window(utc("2026-11-28T23:00"), utc("2026-11-29T02:00")),
    )


def test_a_freeze_that_ends_as_it_begins_forbids_nothing() -> None:
    nothing = Freeze("nothing", utc("2026-11-28T22:00"), utc("2026-11-28T22:00"))
    found = next_window(customer(SATURDAY_NIGHT), (nothing,), HOUR, utc("2026-11-23T00:00"))
    assert found == Window(utc("2026-11-28T21:00"), utc("2026-11-29T03:00"))


def test_a_freeze_that_takes_every_long_window_is_named() -> None:
    own = Freeze("audit", utc("2026-11-01T00:00"), utc("2026-12-01T00:00"))
    fleets = Freeze("year end", utc("2026-12-01T00:00"), utc("2027-03-01T00:00"))
    blocked = next_window(customer(SATURDAY_NIGHT, freezes=(own,)), (fleets,), HOUR, utc("2026-11-21T00:00"))
    reason = "needs 60 min, and no window before 2027-02-21 is left that long by the freezes 'audit' and 'year end'"
    assert blocked == Blocked(reason)


def test_windows_that_are_too_short_are_said_to_be() -> None:
    short = WeeklyWindow("tue 03:00-tue 03:30", DAY + 180, DAY + 210)
    now = utc("2026-11-21T00:00")
    blocked = next_window(customer(short), (), timedelta(minutes=49, seconds=1), now)
    assert blocked == Blocked("needs 50 min, the longest window before 2027-02-21 has 30 min")
    blocked = next_window(customer(SATURDAY_NIGHT), (), timedelta(hours=6, minutes=1), now)
    assert blocked == Blocked("needs 6 h 1 min, the longest window before 2027-02-21 has 6 h")


def test_a_horizon_in_which_nothing_opens_is_said_to_be_empty() -> None:
    blocked = next_window(customer(SATURDAY_NIGHT), (), HOUR, utc("2026-11-23T00:00"), timedelta(days=2))
    assert blocked == Blocked("needs 60 min, and no window opens before 2026-11-25")


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        next_window(customer(ALWAYS), (), HOUR, datetime(2026, 11, 21))  # noqa: DTZ001
