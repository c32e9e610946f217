from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftlock.errors import InputError
from liftlock.inventory import read_fleet
from liftlock.model import Contact, Freeze, Host, WeeklyWindow
from liftlock.weekly import WEEK, weekly_windows

FLEET = """\
fleet: demo
customers:
  huaxin:
    title: 华信证券
    language: zh-CN
    timezone: Asia/Shanghai
    contacts: [{name: 李雷, email: li.lei@huaxin.example}]
    windows: ["sat 22:00-sun 04:00"]
    freezes: [{name: year end, from: "2026-12-20 00:00", until: 2027-01-05 00:00}]
freezes:
  - {name: all, from: "2026-12-24 12:00", until: "2026-12-27 00:00"}
hosts:
  - {name: hx-1, customer: huaxin, address: 10.0.0.1, user: deploy, base: /srv/x, variables: {port: 8101}}
  - {name: hx-2, customer: huaxin, address: "fe80::1", port: 2222, expected_version: "1.4.0", hold: hardware}
"""


def problems(text: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        read_fleet(text, "demo.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_a_fleet_is_read_whole() -> None:
    fleet = read_fleet(FLEET, "demo.yaml")
    huaxin = fleet.customers["huaxin"]
    assert (fleet.name, huaxin.name, huaxin.title, huaxin.tier) == ("demo", "huaxin", "华信证券", "standard")
    assert huaxin.contacts == (Contact("李雷", "li.lei@huaxin.example"),)
    assert huaxin.windows == (WeeklyWindow("sat 22:00-sun 04:00", 5 * 1440 + 1320, 6 * 1440 + 240),)
    assert fleet.hosts == (
        Host("hx-1", "huaxin", "10.0.0.1", user="deploy", base="/srv/x", variables={"port": "8101"}),
        Host("hx-2", "huaxin", "fe80::1", port=2222, expected_version="1.4.0", hold="hardware"),
    )


def test_freezes_are_local_to_the_customer_and_utc_for_the_fleet() -> None:
    fleet = read_fleet(FLEET, "demo.yaml")
    local = Freeze("year end", datetime(2026, 12, 19, 16, tzinfo=UTC), datetime(2027, 1, 4, 16, tzinfo=UTC))
    assert fleet.customers["huaxin"].freezes == (local,)
    assert fleet.freezes == (Freeze("all", datetime(2026, 12, 24, 12, tzinfo=UTC), datetime(2026, 12, 27, tzinfo=UTC)),)
    own_zone = read_fleet(FLEET.replace("{name: all,", "{name: all, zone: Europe/Berlin,"), "demo.yaml")
    assert own_zone.freezes[0].start == datetime(2026, 12, 24, 11, tzinfo=UTC)


def test_a_freeze_covers_both_readings_of_a_time_that_the_clock_shows_twice() -> None:
    twice = '{name: all, zone: Europe/Berlin, from: "2026-10-25 02:30", until: "2026-10-25 02:31"}'
    (freeze,) = read_fleet(FLEET.replace(FLEET.splitlines()[10][4:], twice), "demo.yaml").freezes
    assert (freeze.start.hour, freeze.start.minute) == (0, 30), "02:30 in summer time"
    assert (freeze.end.hour, freeze.end.minute) == (1, 31), "02:31 in winter time"


def test_wrong_references_are_named_together_with_their_places() -> None:
    text = FLEET.replace("hx-2, customer: huaxin", "hx-1, customer: huaxim").replace(
        'until: "2026-12-27', 'until: "2026-12-23'
    )
    assert problems(text) == [
        "demo.yaml:11:50: freezes[0].until: must be later than `from`",
        "demo.yaml:14:12: hosts[1].name: `hx-1` is already the name of hosts[0]",
        "demo.yaml:14:28: hosts[1].customer: there is no customer `huaxim`; did you mean `huaxin`?",
    ]


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        (
            "language: zh-CN",
            "language: de",
            "5:15: customers.huaxin.language: must be `en` or `zh-CN`, found the text `de`",
        ),
        ("Asia/Shanghai", "asia/shanghai", "did you mean `Asia/Shanghai`?"),
        ("Asia/Shanghai", "Asia", "6:15: customers.huaxin.timezone: `Asia` is not an IANA time zone"),
        ("Asia/Shanghai", "../../etc/passwd", "is not an IANA time zone"),
        ("[{name: 李雷, email: li.lei@huaxin.example}]", "[]", "contacts: the number of entries must be at least 1"),
        ("li.lei@huaxin", "li lei@huaxin", "contacts[0].email: `li lei@huaxin.example` must be an e-mail address"),
        ("li.lei@", "li@lei@", "must be an e-mail address"),
        ("li.lei@huaxin.example", '"a@b.example\\nBcc: c@d.example"', "must be an e-mail address"),
        ('["sat 22:00-sun 04:00"]', "[]", "windows: the number of entries must be at least 1"),
        ('["sat 22:00-sun 04:00"]', "[sometimes]", "windows[0]: `sometimes` is not a window"),
        ('"2026-12-24 12:00"', "2026-12-24", "is not a local time such as `2026-12-20 00:00`"),
        ('"2026-12-24 12:00"', "2026-12-32 12:00", "is not a local time"),
        ("name: hx-1", "name: -oProxyCommand", "13:12: hosts[0].name: `-oProxyCommand` must be"),
        ("10.0.0.1", "10.0.0.256", "hosts[0].address: `10.0.0.256` is not an IP address"),
        ("10.0.0.1", "-oProxyCommand=x", "hosts[0].address: `-oProxyCommand=x` is neither a host name nor"),
        ("10.0.0.1", "a;reboot", "is neither a host name nor an IP address"),
        ('"fe80::1"', '"fe80::1%eth0"', "is not an IP address"),
        ("port: 2222", "port: 70000", "hosts[1].port: must be at most 65535"),
        ("user: deploy", "user: -l", "must be a user name"),
        ("/srv/x", "/srv/$(x)", "must be an absolute path"),
        ('"1.4.0"', "1.4", "must be a quoted string: 1.4 was read as a number"),
        ("port: 8101", "port: 8101.5", "hosts[0].variables.port: must be a quoted string: 8101.5 was read"),
        ("hold: hardware", "hold: true", "must be a quoted string: true was read as a yes-or-no value"),
        ("  huaxin:", "  Huaxin:", "3:3: customers.Huaxin: `Huaxin` must be 1 to 63 lower-case"),
    ],
)
def test_a_mistake_is_named_with_its_place(old: str, new: str, wanted: str) -> None:
    found = problems(FLEET.replace(old, new))
    assert wanted in found[0]
    assert len(found) == 1


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
    assert weekly_windows(text) == (WeeklyWindow(text, start, end),)


@given(st.integers(0, 1439), st.integers(0, 1440))
def test_a_daily_window_is_seven_of_equal_length_within_a_day(start: int, end: int) -> None:
    windows = weekly_windows(f"daily {start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}")
    assert [window.start_minute for window in windows] == [day * 1440 + start for day in range(7)]
    assert {window.end_minute - window.start_minute for window in windows} == {(end - start - 1) % 1440 + 1}


@pytest.mark.parametrize(
    "text",
    ["", "sat", "sat 22:00", "sat 24:00-sun 04:00", "sat 22:60-23:00", "sat 22:00-24:01", "daily 22:00-sun 04:00",
     "sat 22:00-sat 20:00", "sat 2:00-4:00", "sat 22:00-sun 04:00 UTC", "sat ２２:00-sun 04:00"],
)  # fmt: skip
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a window|is not a time of day|ends before it starts"):
        weekly_windows(text)
