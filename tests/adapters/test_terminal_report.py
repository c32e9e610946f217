from __future__ import annotations

import io

from rich.console import Console

from liftlock.adapters.terminal_report import LINES, show_report
from liftlock.model import Outcome
from liftlock.report import Report, make_report
from unit.report_ledger import Book, left_out, make_plan, planned_host, started, switched


def shown(report: Report, width: int = 80, *, color: bool = False) -> str:
    page = io.StringIO()
    console = Console(
        file=page, width=width, force_terminal=color, color_system="truecolor" if color else None, no_color=not color
    )
    show_report(report, console)
    return page.getvalue()


def a_report(customers: int = 1) -> Report:
    hosts = [planned_host(f"host-{n}", customer=f"customer-{n % customers}") for n in range(max(customers, 6))]
    plan = make_plan("a" * 64, hosts)
    book = Book().planned(plan).upgraded(plan, "host-0", "host-1").write(plan, started("host-2"), switched("host-2"))
    book.failed(plan, "host-3", cause="[red]disk full\x1b[2J on /opt")
    book.write(plan, left_out("host-4", Outcome.DEFERRED, "its window ended"))
    return make_report(book.entries)


def test_the_terminal_report_says_everything_in_80_columns_without_colour() -> None:
    text = shown(a_report())
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "\x1b" not in text
    flat = " ".join(text.split())
    assert flat.startswith(
        "2 of 4 upgrades succeeded: 50.0 % (95 % interval 15.0-85.0 %), target 98 %: missed, 1 still"
    )
    for line in (
        "kanal 4.2.0 2/4 50.0 % 15.0-85.0 % 1 1 missed",
        "customer-0 2/4",
        "wave 1 2/4",
        "patch 2/4",
        "2026-Q4 2/4",
        "[red]disk full on /opt 1 1 rolled_back host-3",
        "in the bake 1 1 unknown host-2",
        "its window ended 1 deferred",
        "kanal 4.2.0 (aaaaaaaa) 6 0 1 1 -1",
    ):
        assert line in flat, line


def test_the_terminal_report_in_colour_has_the_same_words() -> None:
    text = shown(a_report(), color=True)
    assert "\x1b[1;31m2 of 4 upgrades succeeded" in text
    assert "\x1b[2J" not in text


def test_long_breakdowns_are_cut_and_say_how_much_is_missing() -> None:
    text = shown(a_report(customers=LINES + 7))
    assert text.count("customer-") == LINES
    assert "and 7 more" in text


def test_a_report_on_nothing_is_one_headline_and_one_line() -> None:
    assert shown(make_report([])).splitlines() == [
        "No upgrade was attempted: target 98 %: no data",
        "0 hosts in 0 plans: 0 planned, 0 of them succeeded; 0 pending, 0 unknown, 0 not ",
        "attempted",
    ]
