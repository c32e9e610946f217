from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from liftlock.model import (
    Customer,
    DatedWindow,
    Every,
    Fleet,
    Freeze,
    FreezeRule,
    HostGroup,
    MonthlyWindow,
    RecurringFreeze,
    WeeklyWindow,
    Window,
    WindowRule,
)
from liftlock.window import Rules, first_fit, occurrences, rules_for, why_blocked

DAY = 24 * 60
ALWAYS = WeeklyWindow("always", 0, 7 * DAY)
SATURDAY_NIGHT = WeeklyWindow("sat 22:00-sun 04:00", 5 * DAY + 22 * 60, 6 * DAY + 4 * 60)
NIGHT_OF_CHANGE = WeeklyWindow("sun 01:00-sun 02:30", 6 * DAY + 60, 6 * DAY + 150)
HOUR = timedelta(hours=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def rules(*windows: WindowRule, zone: str = "Europe/Berlin", freezes: tuple[FreezeRule, ...] = ()) -> Rules:
    return Rules(zone, windows, freezes)


def next_window(asked: Rules, needed: timedelta, after: datetime) -> Window | None:
    return first_fit(occurrences(asked, after), needed)


def why(asked: Rules, needed: timedelta, after: str) -> str:
    return why_blocked(asked, needed, "1 hop of 30 min and the way back", utc(after))


def test_a_window_opens_by_the_customers_wall_clock() -> None:
    found = next_window(rules(SATURDAY_NIGHT, zone="Asia/Shanghai"), HOUR, utc("2026-11-23T00:00"))
    assert found == Window(utc("2026-11-28T14:00"), utc("2026-11-28T20:00"))


def test_an_open_window_starts_now_and_is_passed_over_when_too_little_of_it_is_left() -> None:
    now = utc("2026-11-29T02:00")
    assert next_window(rules(SATURDAY_NIGHT), HOUR, now) == Window(now, utc("2026-11-29T03:00"))
    later = Window(utc("2026-12-05T21:00"), utc("2026-12-06T03:00"))
    assert next_window(rules(SATURDAY_NIGHT), 2 * HOUR, now) == later


def test_a_window_that_spans_the_end_of_the_week_is_found_on_both_sides_of_it() -> None:
    over = WeeklyWindow("sun 22:00-mon 04:00", 6 * DAY + 22 * 60, 7 * DAY + 4 * 60)
    monday = utc("2026-11-30T00:00")
    assert next_window(rules(over, zone="UTC"), HOUR, monday) == Window(monday, utc("2026-11-30T04:00"))


def test_windows_that_touch_are_one() -> None:
    early = WeeklyWindow("sun 04:00-sun 06:00", 6 * DAY + 240, 6 * DAY + 360)
    found = next_window(rules(early, SATURDAY_NIGHT), 7 * HOUR, utc("2026-11-23T00:00"))
    assert found == Window(utc("2026-11-28T21:00"), utc("2026-11-29T05:00"))


def test_a_customer_without_limits_is_open_from_now_to_the_horizon_through_both_clock_changes() -> None:
    now = utc("2026-10-24T12:34:56.789012")
    lord_howe = rules(ALWAYS, zone="Australia/Lord_Howe")
    assert next_window(lord_howe, HOUR, now) == Window(now, now + timedelta(days=92))


def test_a_start_in_the_hour_that_is_skipped_counts_as_the_first_instant_after_it() -> None:
    start_skipped = WeeklyWindow("sun 02:30-sun 05:00", 6 * DAY + 150, 6 * DAY + 300)
    found = next_window(rules(start_skipped), HOUR, utc("2027-03-27T12:00"))
    assert found == Window(utc("2027-03-28T01:00"), utc("2027-03-28T03:00"))


def test_an_end_in_the_hour_that_comes_twice_shuts_the_window_twice() -> None:
    found = occurrences(rules(NIGHT_OF_CHANGE), utc("2026-10-24T12:00"), timedelta(days=1))
    assert found == (
        Window(utc("2026-10-24T23:00"), utc("2026-10-25T00:30")),
        Window(utc("2026-10-25T01:00"), utc("2026-10-25T01:30")),
    )


def test_a_freeze_of_the_customer_the_group_or_the_fleet_cuts_into_windows() -> None:
    own = Freeze("stocktaking", utc("2026-11-28T22:00"), utc("2026-11-28T23:00"))
    groups = Freeze("test run", utc("2026-11-29T00:00"), utc("2026-11-29T00:30"))
    fleets = Freeze("year end", utc("2026-11-29T02:00"), utc("2027-01-10T00:00"))
    harbour = Customer("harbour", "Harbour", "en", "Europe/Berlin", (), (SATURDAY_NIGHT,), (own,))
    grouped = replace(harbour, groups={"db": HostGroup("db", freezes=(groups,))})
    fleet = Fleet("river", {"harbour": grouped}, (), (fleets,))
    after, horizon = utc("2026-11-23T00:00"), timedelta(days=30)
    first = Window(utc("2026-11-28T21:00"), utc("2026-11-28T22:00"))
    assert occurrences(rules_for(fleet, "harbour"), after, horizon) == (
        first,
        Window(utc("2026-11-28T23:00"), utc("2026-11-29T02:00")),
    )
    assert occurrences(rules_for(fleet, "harbour", "db"), after, horizon) == (
        first,
        Window(utc("2026-11-28T23:00"), utc("2026-11-29T00:00")),
        Window(utc("2026-11-29T00:30"), utc("2026-11-29T02:00")),
    )


def test_a_groups_windows_stand_in_for_the_customers_and_a_freeze_of_another_product_binds_nobody() -> None:
    others = Freeze("of another product", utc("2026-11-01T00:00"), utc("2027-11-01T00:00"), "lock")
    groups = {"db": HostGroup("db", (ALWAYS,)), "app": HostGroup("app")}
    harbour = Customer("harbour", "Harbour", "en", "UTC", (), (SATURDAY_NIGHT,), (others,), groups=groups)
    fleet = Fleet("river", {"harbour": harbour}, ())
    assert rules_for(fleet, "harbour", "db", "gate") == Rules("UTC", (ALWAYS,), ())
    assert rules_for(fleet, "harbour", "app", "gate") == Rules("UTC", (SATURDAY_NIGHT,), ())
    assert rules_for(fleet, "harbour", None, "lock") == Rules("UTC", (SATURDAY_NIGHT,), (others,))
    assert rules_for(fleet, "harbour").freezes == (others,)


def test_a_freeze_that_ends_as_it_begins_forbids_nothing() -> None:
    nothing = Freeze("nothing", utc("2026-11-28T22:00"), utc("2026-11-28T22:00"))
    found = next_window(rules(SATURDAY_NIGHT, freezes=(nothing,)), HOUR, utc("2026-11-23T00:00"))
    assert found == Window(utc("2026-11-28T21:00"), utc("2026-11-29T03:00"))


@pytest.mark.parametrize(
    ("nth", "weekday", "starts"),
    [
        (1, 5, ["2026-12-05", "2027-01-02", "2027-02-06"]),
        (3, 5, ["2026-11-21", "2026-12-19", "2027-01-16", "2027-02-20"]),
        (5, 4, ["2027-01-29"]),
        (-1, 4, ["2026-11-27", "2026-12-25", "2027-01-29"]),
        (-1, 6, ["2026-11-29", "2026-12-27", "2027-01-31"]),
    ],
    ids=["first saturday", "third saturday", "fifth friday", "last friday", "last sunday"],
)
def test_a_monthly_window_is_on_its_weekday_of_every_month_that_has_one(
    nth: int, weekday: int, starts: list[str]
) -> None:
    night = MonthlyWindow("monthly", nth, weekday, 22 * 60, 6 * HOUR)
    found = occurrences(rules(night, zone="UTC"), utc("2026-11-21T06:00"))
    assert found == tuple(Window(utc(f"{day}T22:00"), utc(f"{day}T22:00") + 6 * HOUR) for day in starts)


def test_a_window_on_one_date_comes_once() -> None:
    once = DatedWindow("2026-12-05 22:00 for 6h", datetime(2026, 12, 5, 22), 6 * HOUR)  # noqa: DTZ001
    expected = Window(utc("2026-12-05T21:00"), utc("2026-12-06T03:00"))
    assert occurrences(rules(once), utc("2026-11-21T00:00")) == (expected,)
    assert occurrences(rules(once), utc("2026-12-06T04:00")) == ()


def test_a_yearly_freeze_comes_back_and_may_span_the_year_end() -> None:
    year_end = RecurringFreeze("year end", "12-20 00:00", "01-05 00:00", "Europe/Berlin")
    daily = rules(ALWAYS, freezes=(year_end,))
    for after, opens in (("2026-12-25T00:00", "2027-01-04T23:00"), ("2031-01-01T00:00", "2031-01-04T23:00")):
        assert occurrences(daily, utc(after))[0].start == utc(opens)
    (before, _after) = occurrences(daily, utc("2027-12-01T00:00"), timedelta(days=60))
    assert before.end == utc("2027-12-19T23:00")


def test_the_29_february_of_a_yearly_freeze_counts_as_the_first_of_march_in_other_years() -> None:
    leap = rules(ALWAYS, zone="UTC", freezes=(RecurringFreeze("leap", "02-29 00:00", "03-02 00:00", "UTC"),))
    assert occurrences(leap, utc("2027-02-27T00:00"), timedelta(days=2))[0].end == utc("2027-03-01T00:00")
    assert occurrences(leap, utc("2028-02-27T00:00"), timedelta(days=2))[0].end == utc("2028-02-29T00:00")


def test_a_monthly_freeze_comes_back_over_the_end_of_each_month() -> None:
    accounts = RecurringFreeze("accounts", "28 00:00", "04 00:00", "UTC", every=Every.MONTH)
    found = occurrences(rules(ALWAYS, zone="UTC", freezes=(accounts,)), utc("2026-12-30T00:00"), timedelta(days=70))
    assert [(f"{one.start:%m-%d}", f"{one.end:%m-%d}") for one in found] == [
        ("01-04", "01-28"),
        ("02-04", "02-28"),
        ("03-04", "03-10"),
    ]
    within = RecurringFreeze("payroll", "10 08:00", "10 20:00", "Europe/Berlin", every=Every.MONTH)
    first, second = occurrences(rules(ALWAYS, freezes=(within,)), utc("2026-12-10T00:00"), timedelta(days=2))
    assert (first.end, second.start) == (utc("2026-12-10T07:00"), utc("2026-12-10T19:00"))


def test_a_day_that_a_month_does_not_have_counts_as_the_first_of_the_next() -> None:
    late = RecurringFreeze("late", "31 00:00", "02 00:00", "UTC", every=Every.MONTH)
    found = occurrences(rules(ALWAYS, zone="UTC", freezes=(late,)), utc("2027-01-20T00:00"), timedelta(days=60))
    assert [(f"{one.start:%m-%d}", f"{one.end:%m-%d}") for one in found] == [
        ("01-20", "01-31"),
        ("02-02", "03-01"),
        ("03-02", "03-21"),
    ]


def test_a_weekly_freeze_comes_back_over_the_weekend_and_over_the_year_end() -> None:
    weekend = RecurringFreeze("weekend", "fri 18:00", "mon 06:00", "Europe/Berlin", every=Every.WEEK)
    found = occurrences(rules(ALWAYS, freezes=(weekend,)), utc("2026-12-26T00:00"), timedelta(days=14))
    assert [(one.start, one.end) for one in found] == [
        (utc("2026-12-28T05:00"), utc("2027-01-01T17:00")),
        (utc("2027-01-04T05:00"), utc("2027-01-08T17:00")),
    ]


# ---- why there is no slot


def test_a_freeze_that_comes_back_again_and_again_is_named_once() -> None:
    weekend = RecurringFreeze("weekend", "fri 18:00", "mon 06:00", "Europe/Berlin", every=Every.WEEK)
    assert why(rules(SATURDAY_NIGHT, freezes=(weekend,)), HOUR, "2026-11-23T00:00") == (
        "no slot before 2027-02-23: freeze weekend to 2027-02-22 (13 times);"
        " without it there is one on 2026-11-28 22:00"
    )


def test_a_freeze_that_takes_every_long_window_is_named_with_what_would_free_it() -> None:
    audit = Freeze("audit", utc("2026-11-01T00:00"), utc("2026-12-01T00:00"))
    year_end = Freeze("year end", utc("2026-12-01T00:00"), utc("2027-03-01T00:00"))
    blocked = rules(SATURDAY_NIGHT, freezes=(year_end, audit))
    assert why(blocked, HOUR, "2026-11-21T00:00") == (
        "no slot before 2027-02-21: freezes audit to 2026-12-01 and year end to 2027-03-01;"
        " without them there is one on 2026-11-21 22:00"
    )


def test_windows_that_are_too_short_are_said_to_be_and_a_freeze_before_them_as_well() -> None:
    short = WeeklyWindow("tue 03:00-tue 04:30", DAY + 180, DAY + 270)
    assert why(rules(short), timedelta(minutes=99, seconds=1), "2026-11-21T00:00") == (
        "no slot before 2027-02-21: needs 100 min (1 hop of 30 min and the way back) in a 90 min window"
    )
    year_end = Freeze("year-end", utc("2026-11-20T00:00"), utc("2026-12-03T12:00"))
    assert why(rules(short, freezes=(year_end,)), timedelta(minutes=100), "2026-11-21T00:00") == (
        "no slot before 2027-02-21: freeze year-end to 2026-12-03,"
        " then needs 100 min (1 hop of 30 min and the way back) in a 90 min window"
    )
    assert "needs 6 h 1 min (" in why(rules(SATURDAY_NIGHT), timedelta(hours=6, minutes=1), "2026-11-21T00:00")


def test_a_horizon_in_which_nothing_opens_is_said_to_be_empty() -> None:
    past = DatedWindow("2026-11-07 22:00 for 6h", datetime(2026, 11, 7, 22), 6 * HOUR)  # noqa: DTZ001
    expected = "no slot before 2027-02-23: no window opens (2026-11-07 22:00 for 6h is over by then: give another date)"
    assert why(rules(past), HOUR, "2026-11-23T00:00") == expected


def test_a_date_beyond_the_horizon_is_said_to_come_later_and_when_to_plan_again() -> None:
    far = DatedWindow("2027-03-01 22:00 for 6h", datetime(2027, 3, 1, 22), 6 * HOUR)  # noqa: DTZ001
    expected = "no window opens (2027-03-01 22:00 for 6h comes later: plan again from 2026-11-30 on)"
    assert why(rules(far), HOUR, "2026-11-23T00:00") == f"no slot before 2027-02-23: {expected}"
    assert next_window(rules(far), HOUR, utc("2026-11-30T00:00")) is not None


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        next_window(rules(ALWAYS), HOUR, datetime(2026, 11, 21))  # noqa: DTZ001
