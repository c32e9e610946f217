from __future__ import annotations

from datetime import date, timedelta

import pytest

from liftlock.errors import InputError
from liftlock.manifest import catalogue, read_product, read_release
from liftlock.model import Artifact, BlockedEdge, Channel, Health, Product, Release, ReleaseKind, SupportLine

PRODUCT = """\
product: boathouse
title: {en: Boathouse, zh-CN: 船坞}
method: archive
base: /opt/boathouse
restart: bin/restart
backup: bin/backup
environment: {PORT: "{{ port }}", WORKERS: 4}
health: {url: "http://127.0.0.1:{{ port }}/health", version_key: version, times: 3, interval: 200ms, deadline: 60s}
"""
RELEASE = """\
version: "1.5.0"
kind: upgrade
artifact: {path: artifacts/boathouse-1.5.0.tar, sha256: SHA, length: 10240}
requires: ">=1.4,<2"
stop: false
backup: true
expected: 10m
downtime: 1m
summary: {en: "Waiting lists", zh-CN: "候补"}
before_switch: bin/drain
""".replace("SHA", "Ab" * 32)

LONG = "H" * 2_000_000

PATHS = """\
stop: {when: "npm in facts.features", settled: background-jobs}
blocked:
- {from: ">=1.4,<1.4.3", reason: loses bookings, url: "https://example.com/7", when: facts.edition == enterprise}
- {from: "==1.3.*", reason: never tested}
channel: candidate
released: 2026-10-01
"""


def release(version: str = "1.5.0") -> Release:
    text = RELEASE.replace("1.5.0", version)
    return read_release(text, f"releases/boathouse/{version}.yaml")


def product_problems(text: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        read_product(text, "product.yaml")
    return [str(problem) for problem in caught.value.problems]


def release_problems(text: str, file: str = "1.5.0.yaml") -> list[str]:
    with pytest.raises(InputError) as caught:
        read_release(text, file)
    return [str(problem) for problem in caught.value.problems]


def test_a_product_is_read_whole() -> None:
    assert read_product(PRODUCT, "product.yaml") == Product(
        name="boathouse",
        title={"en": "Boathouse", "zh-CN": "船坞"},
        health=Health(url="http://127.0.0.1:{{ port }}/health", interval=timedelta(milliseconds=200)),
        base="/opt/boathouse",
        restart="bin/restart",
        backup="bin/backup",
        environment={"PORT": "{{ port }}", "WORKERS": "4"},
    )


def test_support_ends_and_roles_of_a_product_are_read() -> None:
    text = PRODUCT + 'support: {"1.10": 2027-03-31, "1.9": 2026-12-31}\nroles: [database, application]\n'
    found = read_product(text, "product.yaml")
    assert found.support == (SupportLine("1.9", date(2026, 12, 31)), SupportLine("1.10", date(2027, 3, 31)))
    assert found.roles == ("database", "application")


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ("support: {1.4: 2027-03-31}", "9:11: a field's name must be text: put it in quotes"),
        ('support: {"1.x": 2027-03-31}', '9:11: support.1.x: `1.x` must be a line of releases such as "1.4"'),
        ('support: {"1.4": soon}', "9:18: support.1.4: `soon` is not a day such as 2026-10-01"),
        ("roles: [database, web, database]", "9:8: roles: `database` stands there twice"),
        ("roles: [The Web]", "9:9: roles[0]: `The Web` must be 1 to 63 lower-case"),
    ],
)
def test_a_mistake_in_support_or_roles_is_named_with_its_place(more: str, wanted: str) -> None:
    (problem,) = product_problems(PRODUCT + more)
    assert wanted in problem


def test_a_release_is_read_whole_and_belongs_to_the_product_of_its_folder() -> None:
    assert release() == Release(
        product="boathouse",
        version="1.5.0",
        kind=ReleaseKind.UPGRADE,
        artifact=Artifact("artifacts/boathouse-1.5.0.tar", "ab" * 32, 10240),
        requires=">=1.4,<2",
        backup=True,
        expected=timedelta(minutes=10),
        downtime=timedelta(minutes=1),
        summary={"en": "Waiting lists", "zh-CN": "候补"},
        before_switch="bin/drain",
    )


def test_what_a_release_says_about_paths_is_read() -> None:
    found = read_release(RELEASE.replace("stop: false\n", PATHS), "releases/boathouse/1.5.0.yaml")
    assert (found.stop, found.stop_when, found.settled_gate) == (True, "npm in facts.features", "background-jobs")
    assert found.blocked == (
        BlockedEdge(">=1.4,<1.4.3", "loses bookings", "https://example.com/7", "facts.edition == enterprise"),
        BlockedEdge("==1.3.*", "never tested"),
    )
    assert (found.channel, found.released) == (
        Channel.CANDIDATE,
        date(2026, 10, 1),
    )
    needing = read_release(f"{RELEASE}needs: {{acme-db: '>=5.2,<6', acme-web: '==3.*'}}\n", "releases/acme/1.5.0.yaml")
    assert needing.needs == {"acme-db": ">=5.2,<6", "acme-web": "==3.*"}


@pytest.mark.parametrize(
    ("written", "stop"),
    [
        ("true", (True, "", "")),
        ("false", (False, "", "")),
        ("{settled: jobs}", (True, "", "jobs")),
        ("{when: a in facts.b}", (True, "a in facts.b", "")),
    ],
)
def test_a_stop_is_plain_or_says_when_and_what_must_settle(written: str, stop: tuple[bool, str, str]) -> None:
    found = read_release(RELEASE.replace("stop: false", f"stop: {written}"), "1.5.0.yaml")
    assert (found.stop, found.stop_when, found.settled_gate) == stop


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("npm in facts.features", "npm in features", "5:14: stop.when: column 1: `npm in features` asks for no fact"),
        ("settled: background", "settled: Background", "5:48: stop.settled: `Background-jobs` must be 1 to 63"),
        ("settled:", "setled:", "5:39: stop.setled: unknown field; did you mean `settled`?"),
        ('from: ">=1.4,<1.4.3"', "from: 1.4 to 1.5", "7:10: blocked[0].from: `1.4 to 1.5` is not a version range"),
        ('from: "==1.3.*", ', "", "8:3: blocked[1].from: is missing"),
        (", reason: never tested", "", "8:3: blocked[1].reason: is missing"),
        ("https://", "ftp://", "7:55: blocked[0].url: must begin with http:// or https://"),
        ("when: facts.edition == ", "when: facts.edition = ", "blocked[0].when: column 15: cannot be read"),
        (
            "channel: candidate",
            "channel: beta",
            "9:10: channel: must be `stable` or `candidate`, found the text `beta`",
        ),
        ("2026-10-01", "2026-02-30", "10:11: released: `2026-02-30` is not a day such as 2026-10-01"),
        ("2026-10-01", "1.10.2026", "10:11: released: `1.10.2026` is not a day such as 2026-10-01"),
        ("released:", "confirm_within: 0s\nreleased:", "10:17: confirm_within: must be longer than zero"),
        ("released:", "reversible: no\nreleased:", "10:13: reversible: expected true or false, found the text `no`"),
    ],
)
def test_a_mistake_in_what_a_release_says_about_paths_is_named_with_its_place(old: str, new: str, wanted: str) -> None:
    (problem,) = release_problems(RELEASE.replace("stop: false\n", PATHS.replace(old, new)))
    assert wanted in problem


@pytest.mark.parametrize(
    ("version", "wanted"),
    [
        ('"4.2.1.SP1"', "`4.2.1.SP1` is not a version that can be ordered"),
        ('"1:2.3-4"', "is not a version that can be ordered"),
        ('"4.2.1+hot5"', "is a local version"),
        ('"4.2.1-1"', "would be read as post-release 4.2.1.post1"),
        ('"1!4.2.1"', "without an epoch"),
        ('" 4.2.1"', "must be of letters, digits"),
        ("4.10", "must be a quoted string: 4.10 was read as the number 4.1"),
        ("5", "must be a quoted string: 5 was read as a number"),
        ("2026-11-21", "is not a version that can be ordered"),
        ('"1.5.1"', "`1.5.1` must be the name of its file: 1.5.1.yaml, not 1.5.0.yaml"),
    ],
)
def test_a_version_whose_order_or_identity_is_in_doubt_is_refused_where_it_stands(version: str, wanted: str) -> None:
    (problem,) = release_problems(RELEASE.replace('"1.5.0"', version))
    assert problem.startswith("1.5.0.yaml:1:10: version: ")
    assert wanted in problem


@pytest.mark.parametrize("version", ["1.5.0rc1", "1.5.0.post1", "2026.11.21"])
def test_pre_releases_and_explicit_post_releases_are_versions(version: str) -> None:
    assert release(version).version == version


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        (
            "kind: upgrade",
            "kind: upgrad",
            "2:7: kind: must be `patch`, `security` or `upgrade`, found the text `upgrad`",
        ),
        ("requires:", "requries:", "4:1: requries: unknown field; did you mean `requires`?"),
        (">=1.4,<2", "===1.4", "4:11: requires: `===1.4` is not a version range"),
        (">=1.4,<2", "1.4 or so", "4:11: requires: `1.4 or so` is not a version range"),
        ("path: artifacts", "path: /srv", "3:18: artifact.path: must be relative to the manifest's folder"),
        ("AbAb", "xyzw", "must be a sha256: 64 hexadecimal digits"),
        ("length: 10240", "length: 0", "artifact.length: must be at least 1"),
        ("stop: false", "stop: no", "5:7: stop: expected true or false, found the text `no`"),
        ("expected: 10m", "expected: 0s", "7:11: expected: must be longer than zero"),
        ("{en:", "{de:", "9:10: summary: needs at least `en`"),
        ("bin/drain", '"bin/drain\\nrm -rf /"', "10:16: before_switch: must be one line"),
    ],
)
def test_a_mistake_in_a_release_is_named_with_its_place(old: str, new: str, wanted: str) -> None:
    (problem,) = release_problems(RELEASE.replace(old, new))
    assert wanted in problem


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("product: boathouse", "product: Boat House", "1:10: product: `Boat House` must be 1 to 63 lower-case"),
        ("/opt/boathouse", "/opt/../etc", "4:7: base: must be an absolute path"),
        ("/opt/boathouse", "opt", "4:7: base: must be an absolute path"),
        ("/opt/boathouse", '"/opt/a b"', "4:7: base: must be an absolute path"),
        ("PORT:", "A-B:", "7:15: environment.A-B: `A-B` must be a name of letters"),
        ("http://", "file://", "8:15: health.url: must begin with http:// or https://"),
        ("{url:", "{command: bin/health, url:", "8:9: health: needs exactly one of `url` and `command`"),
        ("version_key: version", "version_key: '-x'", "health.version_key: `-x` must be the name of a field"),
        ("times: 3", "times: 0", "health.times: must be at least 1"),
        ("zh-CN: 船坞", '"x\\r\\nBcc: y": 船坞', "must be a language such as `en` or `zh-CN`"),
    ],
)
def test_a_mistake_in_a_product_is_named_with_its_place(old: str, new: str, wanted: str) -> None:
    (problem,) = product_problems(PRODUCT.replace(old, new))
    assert wanted in problem


def test_a_product_needs_a_health_check() -> None:
    text = "".join(PRODUCT.splitlines(keepends=True)[:-1])
    assert product_problems(text) == ["product.yaml:1:1: health: is missing"]
    assert "needs exactly one" in product_problems(text + "health: {times: 2}\n")[0]


def test_a_catalogue_stands_oldest_first_as_versions_are_ordered() -> None:
    versions = ["1.10.0", "1.9.0", "1.10.0rc1", "1.9.0.post1"]
    ordered = catalogue(read_product(PRODUCT, "product.yaml"), map(release, versions))
    assert [each.version for each in ordered.releases] == ["1.9.0", "1.9.0.post1", "1.10.0rc1", "1.10.0"]


def test_two_spellings_of_one_version_and_a_backup_without_a_command_are_refused_together() -> None:
    product = read_product(PRODUCT.replace("backup: bin/backup\n", ""), "product.yaml")
    with pytest.raises(InputError) as caught:
        catalogue(product, [release("1.5"), release("1.5.0")])
    assert [str(problem) for problem in caught.value.problems] == [
        "releases/boathouse/1.5.0.yaml: version: `1.5.0` is the same version as `1.5`: remove one",
        "releases/boathouse/1.5.yaml: backup: product.yaml names no backup command",
        "releases/boathouse/1.5.0.yaml: backup: product.yaml names no backup command",
    ]


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("Waiting lists", LONG, "9:15: summary.en: has 2000000 characters, 2000 at most: shorten it"),
        ("bin/drain", LONG, "10:16: before_switch: has 2000000 characters, 2000 at most: shorten it"),
        ("before_switch: bin/drain", f"training: {{en: {LONG}}}", "10:16: training.en: has 2000000 characters, 2000"),
        ("before_switch: bin/drain", f"needs: {{db: {LONG}}}", "10:13: needs.db: has 2000000 characters, 2000 at"),
        ('version: "1.5.0"', f'version: "{LONG}"', "1:10: version: has 2000000 characters, 100 at most: shorten it"),
        (
            "before_switch: bin/drain",
            f"fixes: [{{severity: minor, id: {LONG}, text: {{en: x}}}}]",
            "10:31: fixes[0].id: has 2000000 characters, 200 at most: shorten it",
        ),
        (
            "before_switch: bin/drain",
            f"fixes: [{{severity: minor, id: x, text: {{en: {LONG}}}}}]",
            "10:45: fixes[0].text.en: has 2000000 characters, 2000 at most: shorten it",
        ),
    ],
    ids=lambda text: text[:10],
)
def test_a_line_of_two_megabytes_in_a_release_is_refused_with_its_place(old: str, new: str, wanted: str) -> None:
    (found,) = release_problems(RELEASE.replace(old, new))
    assert found.startswith(f"1.5.0.yaml:{wanted}")


def test_a_product_title_of_two_megabytes_is_refused_with_its_place() -> None:
    (found,) = product_problems(PRODUCT.replace("Boathouse", LONG))
    assert found == "product.yaml:2:13: title.en: has 2000000 characters, 200 at most: shorten it"
