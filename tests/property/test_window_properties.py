from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liftlock.model import WeeklyWindow, Window
from liftlock.window import Rules, first_fit, occurrences, why_blocked
from property.drawn_time import CLOCK_CHANGES, DAY, MINUTE, allowed, freezes, is_open, spans, window_rules

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def stretches_minute_by_minute(rules: Rules, after: datetime, horizon: timedelta) -> list[Window]:
    found: list[Window] = []
    for n in range(horizon // MINUTE):
        minute = after + n * MINUTE
        if not is_open(rules, minute):
            continue
        if found and found[-1].end == minute:
            found[-1] = Window(found[-1].start, minute + MINUTE)
        else:
            found.append(Window(minute, minute + MINUTE))
    return found


@relaxed
@given(spans(), st.integers(1, 900), st.data())
def test_windows_are_those_of_the_wall_clock_minute_by_minute(
    span: tuple[str, datetime, timedelta], needed: int, data: st.DataObject
) -> None:
    zone, after, horizon = span
    rules = Rules(zone, data.draw(window_rules(after)), data.draw(freezes(after)))
    expected = stretches_minute_by_minute(rules, after, horizon)
    found = occurrences(rules, after, horizon)
    assert list(found) == expected
    fitting = [stretch for stretch in expected if stretch.end - stretch.start >= needed * MINUTE]
    assert first_fit(found, needed * MINUTE) == (fitting[0] if fitting else None)
    if not fitting:
        assert why_blocked(rules, needed * MINUTE, "work", after, horizon).startswith("no slot before 20")


@relaxed
@given(spans(), st.data())
def test_a_shorter_window_or_one_more_freeze_opens_nothing(
    span: tuple[str, datetime, timedelta], data: st.DataObject
) -> None:
    zone, after, horizon = span
    rules = Rules(zone, data.draw(window_rules(after)), data.draw(freezes(after)))
    shorter = tuple(data.draw(allowed(rule)) for rule in rules.windows)
    tighter = Rules(zone, shorter, (*rules.freezes, *data.draw(freezes(after))))
    before = occurrences(rules, after, horizon)
    for window in occurrences(tighter, after, horizon):
        assert any(wide.start <= window.start and window.end <= wide.end for wide in before)


@relaxed
@given(st.sampled_from(sorted(CLOCK_CHANGES)), st.datetimes(datetime(2025, 1, 1), datetime(2030, 1, 1)))  # noqa: DTZ001
def test_a_customer_who_always_allows_change_is_never_shut(zone: str, at: datetime) -> None:
    after = at.replace(tzinfo=UTC)
    always = Rules(zone, (WeeklyWindow("always", 0, 7 * DAY),))
    assert occurrences(always, after) == (Window(after, after + timedelta(days=92)),)
