"""Causes: which are one, and what is known to help."""

from __future__ import annotations

import pytest

from liftlock.cause import HostComplaint, Trouble, normalised, suggestion, troubles


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("health: HTTP 500", "np-1"), ("health: HTTP 503", "hx-1")),
        (
            ("health: version 1.4.0 answered, expected 1.5.0", "a"),
            ("health: version 1.3.9-2 answered, expected 1.5.0", "b"),
        ),
        (("np-1 comes first by its role", "np-1"), ("hx-1 comes first by its role", "hx-1")),
        (("alba/boathouse-db: alba is full", "alba/boathouse-db"), ("hx/boathouse-db: hx is full", "hx/boathouse-db")),
        (("not enough space: 17 bytes free", "a"), ("not enough  space: 4096 bytes free", "b")),
    ],
)
def test_causes_that_differ_in_numbers_versions_and_the_hosts_name_are_one(one, other):
    assert normalised(*one) == normalised(*other)


@pytest.mark.parametrize(
    ("one", "other"), [("health: HTTP 500", "health: no answer"), ("np-1 is down", "np-11 is down"), ("busy", "")]
)
def test_other_causes_are_not_one(one, other):
    assert normalised(one, "np-1") != normalised(other, "np-1")


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        ("not enough space", "make room"),
        ("no space left", "make room"),
        ("host key changed", "trust --replace"),
        ("host key unknown", "liftlock trust"),
        ("no ssh banner", "MaxStartups"),
        ("connection closed by the host", "MaxStartups"),
        ("missing tools", "install"),
        ("busy", "wait"),
        ("stale fence", "later controller"),
        ("health: no answer", "started"),
        ("health: not steady", "now and then"),
        ("health: HTTP 500", "log"),
        ("authentication refused", "key"),
        ("base not writable", "rights"),
        ("base not writable", "mounted read-only"),
        ("connection lost", "link"),
        ("a phase still runs there", "liftlock unlock"),
        ("the release is not on the host", "releases/"),
        ("after_switch: exit 3", "printed"),
        ("rollback not verified: gate error: no test ran", "rollback again"),
        ("not confirmed in time: it went back by itself", "cut off"),
    ],
)
def test_for_each_known_cause_there_is_one_suggestion(cause, words):
    assert words in suggestion(cause)


def test_for_a_cause_that_nobody_knows_nothing_is_suggested():
    assert suggestion("the moon is full") == ""


def test_hosts_are_grouped_by_cause_most_first_in_the_most_frequent_wording():
    causes = {"a": "health: HTTP 503", "b": "busy", "c": "health: HTTP 500", "d": "health: HTTP 500", "e": ""}
    found = troubles(HostComplaint(host, "north", cause) for host, cause in causes.items())
    assert [(one.cause, one.hosts) for one in found] == [
        ("health: HTTP 500", ("a", "c", "d")),
        ("busy", ("b",)),
        ("no cause recorded", ("e",)),
    ]
    assert found[-1] == Trouble("no cause recorded", ("e",), "")


def test_one_cause_with_several_customers_is_one_and_names_none_of_them():
    words = "notice: {} has not been sent the notice of plan 3fa9c1d2, owed 2 days before"
    found = troubles(HostComplaint(f"{name}-1", name, words.format(name)) for name in ("north", "huaxin", "weir"))
    assert [(one.cause, len(one.hosts)) for one in found] == [(words.format("its customer"), 3)]
    (of_one,) = troubles(HostComplaint(host, "north", words.format("north")) for host in ("a", "b"))
    assert of_one.cause == words.format("north")
