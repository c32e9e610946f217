from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from liftlock.errors import InputError
from liftlock.inventory import read_fleet, read_stub
from liftlock.model import (
    Contact,
    DatedWindow,
    Every,
    Freeze,
    Host,
    HostGroup,
    MonthlyWindow,
    RecurringFreeze,
    WeeklyWindow,
)

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
    assert huaxin.contacts[0].recipient == "li.lei@huaxin.example"
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


def test_one_machine_is_not_taken_for_two() -> None:
    third = FLEET + '  - {name: hx-3, customer: huaxin, address: "fe80::1", port: 2222}\n'
    (told,) = problems(third)
    assert "hosts[2].address: address, port and base are those of `hx-2`: one host, twice" in told
    for more in ("base: /srv/y", "products: [quay]"):
        assert len(read_fleet(third.replace("port: 2222}", f"port: 2222, {more}}}"), "demo.yaml").hosts) == 3
    assert len(read_fleet(third.replace("port: 2222}", "port: 2223}"), "demo.yaml").hosts) == 3


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
        ("Asia/Shanghai", "right/Asia/Shanghai", "is not an IANA time zone"),
        ("Asia/Shanghai", "posix/Asia/Shanghai", "is not an IANA time zone"),
        ("Asia/Shanghai", "localtime", "is not an IANA time zone"),
        ("[{name: 李雷, email: li.lei@huaxin.example}]", "[]", "contacts: the number of entries must be at least 1"),
        ("li.lei@huaxin", "li lei@huaxin", "contacts[0].email: `li lei@huaxin.example` must be an e-mail address"),
        ("li.lei@", "li@lei@", "must be an e-mail address"),
        ("li.lei@huaxin.example", '"a@b.example\\nBcc: c@d.example"', "must be an e-mail address"),
        (", email: li.lei@huaxin.example", "", "contacts[0]: needs just one of `email` and `channel`"),
        (", email: li", ", channel: room, email: li", "contacts[0]: needs just one of `email` and `channel`"),
        ("email: li.lei@huaxin.example", "channel: Big Room", "contacts[0].channel: `Big Room` must be 1 to 63"),
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


GROUPED = """\
fleet: demo
customers:
  huaxin:
    title: 华信证券
    language: zh-CN
    timezone: Asia/Shanghai
    contacts: [{name: 李雷, email: li.lei@huaxin.example}]
    windows: ["third saturday 22:00 for 6h", "2026-12-05 22:00 for 90m"]
    at_once: 2
    freezes:
      - {name: year end, every: year, from: "12-20 00:00", until: "01-05 00:00"}
    groups:
      trading:
        windows: ["last sun 01:00 for 2h"]
        freezes:
          - {name: audit, every: year, zone: UTC, product: gate, from: "02-29 00:00", until: "03-02 00:00"}
freezes:
  - {name: move, product: gate, from: "2026-12-24 12:00", until: "2026-12-27 00:00"}
hosts:
  - {name: hx-1, customer: huaxin, address: 10.0.0.1, group: trading}
"""


def test_windows_and_freezes_of_every_kind_are_read_for_customers_and_groups() -> None:
    fleet = read_fleet(GROUPED, "demo.yaml")
    huaxin = fleet.customers["huaxin"]
    night = timedelta(hours=6)
    assert huaxin.windows == (
        MonthlyWindow("third saturday 22:00 for 6h", 3, 5, 22 * 60, night),
        DatedWindow("2026-12-05 22:00 for 90m", datetime(2026, 12, 5, 22), timedelta(minutes=90)),  # noqa: DTZ001
    )
    assert huaxin.freezes == (RecurringFreeze("year end", "12-20 00:00", "01-05 00:00", "Asia/Shanghai"),)
    assert huaxin.at_once == 2
    assert huaxin.groups == {
        "trading": HostGroup(
            "trading",
            (MonthlyWindow("last sun 01:00 for 2h", -1, 6, 60, timedelta(hours=2)),),
            (RecurringFreeze("audit", "02-29 00:00", "03-02 00:00", "UTC", "gate"),),
        )
    }
    assert fleet.hosts[0].group == "trading"
    assert fleet.freezes[0].product == "gate"


def coming_back(every: str, start: str, end: str) -> str:
    """GROUPED with this freeze for its group."""
    old = 'every: year, zone: UTC, product: gate, from: "02-29 00:00", until: "03-02 00:00"'
    return GROUPED.replace(old, f'every: {every}, from: "{start}", until: "{end}"')


def test_freezes_of_every_month_and_week_are_read() -> None:
    texts = coming_back("month", "28 00:00", "03 00:00"), coming_back("week", "Fri 18:00", "mon 06:00")
    found = [read_fleet(text, "demo.yaml").customers["huaxin"].groups["trading"].freezes[0] for text in texts]
    assert found == [
        RecurringFreeze("audit", "28 00:00", "03 00:00", "Asia/Shanghai", every=Every.MONTH),
        RecurringFreeze("audit", "fri 18:00", "mon 06:00", "Asia/Shanghai", every=Every.WEEK),
    ]


@pytest.mark.parametrize(
    ("every", "start", "end", "wanted"),
    [
        ("day", "28 00:00", "03 00:00", "every: must be `year`, `month` or `week`, found the text `day`"),
        ("month", "12-20 00:00", "03 00:00", "from: `12-20 00:00` is not a time of every month such as `28 18:00`"),
        ("month", "28 00:00", "32 00:00", "until: `32 00:00` is not a time of every month such as `28 18:00`"),
        ("month", "00 00:00", "03 00:00", "from: `00 00:00` is not a time of every month such as `28 18:00`"),
        ("week", "fri 18:00", "day 06:00", "until: `day 06:00` is not a time of every week such as `fri 18:00`"),
        ("week", "fri 25:00", "mon 06:00", "from: `fri 25:00` is not a time of every week such as `fri 18:00`"),
        ("week", "fri 18:00", "Fri 18:00", "until: must differ from `from`"),
    ],
)
def test_a_mistake_in_a_freeze_of_every_month_or_week_is_named(every: str, start: str, end: str, wanted: str) -> None:
    (found,) = problems(coming_back(every, start, end))
    assert f"customers.huaxin.groups.trading.freezes[0].{wanted}" in found


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("group: trading", "group: tradng", "20:62: hosts[0].group: `huaxin` has no group `tradng`; did you mean"),
        ('"02-29 00:00"', '"2026-02-28 00:00"', "is not a time of every year such as `12-20 00:00`"),
        ('"02-29 00:00"', '"02-30 00:00"', "is not a time of every year such as `12-20 00:00`"),
        ('from: "02-29 00:00"', 'from: "03-02 00:00"', "groups.trading.freezes[0].until: must differ from `from`"),
        ('"2026-12-24 12:00"', '"12-24 12:00"', "is not a local time such as `2026-12-20 00:00`"),
        ("last sun 01:00 for 2h", "sixth sun 01:00 for 2h", "windows[0]: `sixth sun 01:00 for 2h` is not a"),
        ("at_once: 2", "at_once: 0", "customers.huaxin.at_once: must be at least 1"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_group_or_a_yearly_freeze_is_named_with_its_place(old: str, new: str, wanted: str) -> None:
    (found,) = problems(GROUPED.replace(old, new))
    assert wanted in found


FIELDS = (
    "name: hx-3, customer: huaxin, address: 10.0.0.3, facts: {features: [npm, 2], edition: enterprise, cores: 8},"
    " products: [boathouse], role: database, redundancy: pair-a"
)


def test_a_host_may_say_what_it_is_what_it_runs_and_who_stands_in_for_it() -> None:
    host = read_fleet(f"{FLEET}  - {{{FIELDS}}}\n", "demo.yaml").hosts[-1]
    assert host.facts == {"features": ("npm", "2"), "edition": "enterprise", "cores": "8"}
    assert (host.products, host.role, host.redundancy) == (("boathouse",), "database", "pair-a")
    assert hash(host.products), "values stay as they are"


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("edition: enterprise", "edition: true", "hosts[2].facts.edition: must be a text such as enterprise"),
        ("edition: enterprise", "edition: {a: b}", "hosts[2].facts.edition: must be a text such as enterprise"),
        ("[npm, 2]", "[npm, 1.5]", "hosts[2].facts.features: must be a text such as enterprise, or a list of texts"),
        ("[npm, 2]", '[""]', "hosts[2].facts.features: must be a text such as enterprise, or a list of texts"),
        ("features", "my-features", "hosts[2].facts.my-features: `my-features` must be a name of letters, digits and"),
        ("[boathouse]", "boathouse", "hosts[2].products: expected a list, found the text `boathouse`"),
        ("[boathouse]", "[Boat]", "hosts[2].products[0]: `Boat` must be 1 to 63 lower-case letters, digits and dashes"),
        ("database", "a b", "hosts[2].role: `a b` must be 1 to 63 lower-case letters, digits and dashes"),
        ("pair-a", "[pair-a]", "hosts[2].redundancy: expected text, found a list"),
    ],
)
def test_a_mistake_in_what_a_host_says_of_itself_is_named_with_its_place(old: str, new: str, wanted: str) -> None:
    (found,) = problems(f"{FLEET}  - {{{FIELDS.replace(old, new)}}}\n")
    assert found.startswith("demo.yaml:15:")
    assert wanted in found


SEVERAL = """
fleet: demo
customers:
  mill: {title: Mill, language: en, timezone: UTC, contacts: [{name: A, email: a@b.example}], windows: [always]}
hosts:
  - {name: m-1, customer: mill, address: 10.0.0.1, products: [acme, web], %s}
"""


def test_a_host_that_runs_several_products_has_a_folder_and_a_version_for_each() -> None:
    own = (
        'base: /srv/acme, expected_version: "1.5.0", per_product: {db: {base: /srv/db}, web: {expected_version: "3.0"}}'
    )
    (host,) = read_fleet(SEVERAL % own, "demo.yaml").hosts
    assert host.products == ("acme", "web", "db")
    told = {name: (host.of(name).base, host.of(name).expected_version) for name in host.products}
    assert told == {"acme": ("/srv/acme", "1.5.0"), "web": (None, "3.0"), "db": ("/srv/db", None)}


def test_two_products_cannot_share_a_folder_or_a_version() -> None:
    with pytest.raises(InputError) as caught:
        read_fleet(SEVERAL % 'base: /srv/acme, expected_version: "1.5.0"', "demo.yaml")
    assert [str(problem).partition(": ")[2] for problem in caught.value.problems] == [
        f"hosts[0].{name}: would be that of acme and web: say each in `per_product`"
        for name in ("base", "expected_version")
    ]


def test_an_inventory_that_names_a_source_is_a_stub_and_others_are_not() -> None:
    named = FLEET.split("hosts:\n", maxsplit=1)[0]
    stub = read_stub(f"{named}source: {{ansible: hosts.yml}}\n", "demo.yaml")
    assert stub is not None
    assert stub.source.ansible == "hosts.yml"
    assert read_stub(FLEET, "demo.yaml") is None
    assert read_stub(FLEET.replace("hold: hardware", 'variables: {source: x}, labels: {a: "source: b"}'), "d") is None
    with pytest.raises(InputError, match=r"demo\.yaml:12:1: hosts: unknown field"):
        read_stub(f"{FLEET}source: {{ansible: hosts.yml}}\n", "demo.yaml")
    with pytest.raises(InputError, match=r"demo\.yaml:11:50: freezes\[0\]\.until: must be later than `from`"):
        read_stub(f"{named.replace('2026-12-27', '2026-12-23')}source: {{ansible: hosts.yml}}\n", "demo.yaml")


def test_a_contact_may_be_a_room() -> None:
    text = FLEET.replace("{name: 李雷, email: li.lei@huaxin.example}", "{name: 运维群, channel: huaxin-room}")
    (contact,) = read_fleet(text, "inventories/f.yaml").customers["huaxin"].contacts
    assert contact == Contact("运维群", channel="huaxin-room")
    assert contact.recipient == "channel:huaxin-room"
