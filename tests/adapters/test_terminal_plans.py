from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from adapters.booked_plans import NOW, booked, night, plan
from liftlock.adapters.terminal_plans import (
    show_approvals,
    show_calendar,
    show_changes,
    show_lifecycle,
    show_made_again,
)
from liftlock.app.changing import Agreed, MadeAgain
from liftlock.approval import Approval
from liftlock.difference import difference
from liftlock.lifecycle import Installed, Source, Unknown, review
from liftlock.maintenance import make_calendar
from liftlock.model import Artifact, Catalogue, Health, Product, Release, ReleaseKind, SupportLine

SATURDAY = night("Europe/Berlin", 11, 21, 22, 6)


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("COLUMNS", "80")

    def flat(*, wide: bool = False) -> str:
        text = capsys.readouterr().out
        assert wide or all(len(line.rstrip()) <= 80 for line in text.splitlines()), text
        return " ".join(text.split())

    return flat


def test_the_calendar_fits_80_columns_and_says_conflicts_first(printed) -> None:
    show_calendar(replace(booked(), superseded=("00aa00aa" * 8,)), [Path("out/calendar.html")])
    text = printed(wide=True)
    assert text.startswith(
        "conflict: np-1 (northpier) is in plans 3fa9c1d2 and 8ab01234, Sat 21 Nov 21:00-Sun 03:00 UTC Week 47"
    )
    for words in (
        "Week 47, from Mon 16 Nov 2026",
        "northpier Sat 21 Nov 22:00 3fa9c1d2 3: np-1, np-2, np-3 -Sun 04:00 CET boathouse 1.5.0 conflict: np-1",
        "notice not sent 2 approvals missing",
        "Window over, hosts not done: plan again",
        "1 more later",
        "a later plan stands in for it: 00aa00aa",
        "Written to out/calendar.html",
    ):
        assert words in text, words
    show_calendar(make_calendar([], {}, NOW, 3), [])
    assert printed() == "No open plan has a window in the 3 weeks from this one on."


def test_changes_are_a_line_each(printed) -> None:
    old = plan("a" * 64, "boathouse", [("np-1", "northpier", SATURDAY)])
    new = replace(plan("b" * 64, "boathouse", [("np-2", "northpier", SATURDAY)], approvals=1), inputs={"x.yaml": "1"})
    show_changes(old, new, difference(old, new))
    said = printed(wide=True)
    assert said.startswith("From plan aaaaaaaa to plan bbbbbbbb: np-2: added, 1.4.0 > 1.5.0 in wave 1, Sat 21 Nov 2026")
    assert "np-1: no longer planned: not considered (before: wave 1)" in said
    show_changes(old, old, ())
    assert "nothing but the moment it was made" in printed()

    show_made_again(MadeAgain(old, difference(old, new), new, Path("plans/b.json")))
    said = printed(wide=True)
    assert "No host was touched. Plan bbbbbbbb stands in for aaaaaaaa." in said
    assert "Next: liftlock approve bbbbbbbb --by NAME, liftlock gate bbbbbbbb, liftlock notify bbbbbbbb" in said
    show_made_again(MadeAgain(old, difference(old, replace(old, inputs={"x.yaml": "1"}))))
    assert "after changes to x.yaml: nothing else changed, plan aaaaaaaa goes on" in printed(wide=True)


def test_approvals_say_who_when_and_how_many_are_missing(printed) -> None:
    needing = plan("a" * 64, "boathouse", [("np-1", "northpier", SATURDAY)], approvals=2)
    anna = Approval("Anna Brandt", "after the regatta", NOW)
    show_approvals(Agreed(needing, (anna,), recorded=True))
    assert printed() == "2026-11-20 09:30 UTC Anna Brandt: after the regatta 1 of 2 approvals, 1 missing"
    show_approvals(Agreed(needing, (anna, Approval("Tom", "", NOW)), recorded=False))
    assert printed().startswith("That person had approved it before; once counts.")
    show_approvals(Agreed(replace(needing, approvals=0), (anna,), recorded=True))
    assert "needs no approval" in printed()


def test_the_lifecycle_says_what_ended_what_lacks_a_fix_and_how_that_is_known(printed, monkeypatch) -> None:
    lines = (SupportLine("1.3", date(2026, 11, 1)), SupportLine("1.4", date(2027, 1, 1)))
    product = Product("boathouse", {"en": "Boathouse"}, Health(command="true"), support=lines)
    fix = Release(
        "boathouse", "1.4.2", ReleaseKind.SECURITY, Artifact("x", "0" * 64, 1), released=NOW.date() - timedelta(days=10)
    )
    silent = Catalogue(replace(product, name="mast", support=()), ())
    there = [
        *(Installed("example", "northpier", f"np-{n}", "boathouse", "1.3.0", Source.LEDGER, NOW) for n in range(5)),
        Installed("example", "huaxin", "hx-1", "boathouse", "1.4.2", Source.INVENTORY),
        Installed("example", "huaxin", "hx-2", "boathouse", "1.2.0", Source.LOOK),
        Installed("example", "huaxin", "hx-3", "boathouse", "1.4.SP1", Source.LOOK),
    ]
    made = review(there, [Catalogue(product, (fix,)), silent], NOW.date(), timedelta(days=90))
    show_lifecycle(made, 90)
    assert "northpier" in printed()
    monkeypatch.setenv("COLUMNS", "160")
    show_lifecycle(made, 90)
    text = printed(wide=True)
    for words in (
        "ended 2026-11-01, 19 days ago",
        "ends 2027-01-01, in 42 days",
        "no support line declared",
        "5: np-0, np-1, np-2 and 2 more",
        "boathouse 1.4.2 10 days 6 of 7 huaxin (1), northpier (5)",
        "mast: product.yaml declares no support lines",
        "hx-3: its version '1.4.SP1' cannot be ordered",
        "8 installations: 1 by the inventory's word, 5 as the ledger saw last, 2 seen just now",
    ):
        assert words in text, words
    show_lifecycle(review(there[5:6], [Catalogue(product, ())], NOW.date(), timedelta(days=30)), 30)
    text = printed(wide=True)
    assert (
        "No version is past its support end or within 30 days of it. Every security release is at every host." in text
    )


def test_the_lifecycle_does_not_say_that_all_is_well_where_versions_are_not_known(printed, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    product = Product("boathouse", {"en": "Boathouse"}, Health(command="true"))
    lost = [Unknown("example", "huaxin", f"hx-{n}", "boathouse", "timed out") for n in range(4)]
    well = Installed("example", "northpier", "np-1", "boathouse", "1.4.2", Source.LOOK)
    unnamed = Unknown("example", "huaxin", "hx-9", "", "nobody says")
    show_lifecycle(review([well, *lost, unnamed], [Catalogue(product, ())], NOW.date(), timedelta(days=30)), 30)
    text = printed(wide=True)
    for words in (
        "No known version is past its support end",
        "Every security release is at every host whose version is known.",
        "4 not known, version of boathouse: hx-0, hx-1, hx-2 and 1 more (timed out)",
        "1 not known, product: hx-9 (nobody says)",
        "1 installation: 1 seen just now",
    ):
        assert words in text, words
    for there in ([], lost):
        show_lifecycle(review(there, [Catalogue(product, ())], NOW.date(), timedelta(days=30)), 30)
        text = printed(wide=True)
        assert "No version is known: nothing can be said" in text
        assert "Every" not in text
        assert ("timed out" in text) == bool(there)
