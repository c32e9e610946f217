from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest

from liftlock.adapters.report_page import report_page
from liftlock.model import Exclusion, Outcome
from liftlock.report import Report, make_report
from unit.report_ledger import START, Book, ended, left_out, make_plan, planned_host, started, switched

NOW = datetime(2026, 11, 22, 6, 30, tzinfo=UTC)
VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """The page as a reader sees it: texts, attributes, and whether every element is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()
        self.text = " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.texts.append(data)


def page_of(report: Report) -> Page:
    return Page(report_page(report, NOW, "Upgrade report"))


def a_report() -> Report:
    hosts = [
        planned_host(f"h{n:02}", customer="acme" if n < 30 else "birch", wave=1 if n == 0 else 2) for n in range(60)
    ]
    first = make_plan(
        "a" * 64, hosts, version="4.1.0", exclusions=[Exclusion("x1", "acme", Outcome.SKIPPED, "on hold")]
    )
    second = make_plan("b" * 64, ["h00", "h01"], version="4.2.0", created_at=START + timedelta(days=60))
    book = Book().planned(first).upgraded(first, *(f"h{n:02}" for n in range(55)))
    book.failed(first, "h55", cause="<script>alert(1)</script> & \x1b[31mred\x1b[0m")
    book.write(first, started("h56"), switched("h56"), left_out("h57", Outcome.DEFERRED, "window over"))
    book.now += timedelta(days=60)
    book.planned(second).upgraded(second, "h00").write(
        second, started("h01"), ended("h01", Outcome.FAILED, cause="disk")
    )
    return make_report(book.entries)


def test_the_page_says_the_rate_with_its_counts_and_the_target() -> None:
    page = page_of(a_report())
    assert "target 98 %: missed" in page.text
    assert "94.9 % 56 of 59 upgrades succeeded 95 % interval 86.0–98.3 %" in page.text
    assert "as of 2026-11-22 06:30 UTC" in page.text
    for figure in ("55/57", "1/2", "31/32", "2026-Q4", "2027-Q1", "1 of 1 used", "1 used, none allowed", "1 over"):
        assert figure in page.text, figure
    for reason in ("on hold", "window over", "in the bake", "disk"):
        assert reason in page.text, reason


def test_every_host_of_every_plan_has_a_line() -> None:
    report = a_report()
    rows = re.search(r'<table class="hosts">.*?</table>', report_page(report, NOW, "t"), re.DOTALL)
    assert rows is not None
    assert rows.group().count('<th scope="row">') == len(report.records) == 63


def test_text_from_hosts_is_escaped_and_free_of_control_characters() -> None:
    page = page_of(a_report())
    assert "<script" not in page.html
    assert "<script>alert(1)</script> & red" in page.text
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", page.html)


def test_the_page_asks_the_network_for_nothing() -> None:
    page = page_of(a_report())
    assert not {"script", "iframe", "img", "object", "use"} & {tag for tag, _ in page.tags}
    assert not re.search(r"https?:|url\(|@import", page.html)
    assert [attrs["href"] for _, attrs in page.tags if "href" in attrs] == ["data:,"]


def test_drawings_stay_inside_their_frame_and_have_words() -> None:
    page = page_of(a_report())
    positions = re.findall(r'\b(?:x|x1|x2|width)="(-?[\d.]+)%"', page.html)
    assert len(positions) > 50
    assert all(0 <= float(position) <= 100 for position in positions)
    drawings = [attrs for tag, attrs in page.tags if tag == "svg" and attrs.get("role") == "img"]
    ids = {attrs["id"] for _, attrs in page.tags if attrs.get("id")}
    assert len(drawings) == 2
    assert {name for attrs in drawings for name in str(attrs["aria-labelledby"]).split()} == ids
    assert "kanal 4.1.0: 55 of 57, 96.4 %, interval" in page.text


@pytest.mark.parametrize("succeeded", [0, 1, 3])
def test_a_plan_of_three_hosts_is_drawn_at_any_rate(succeeded: int) -> None:
    plan = make_plan("c" * 64, ["a", "b", "c"])
    book = Book().planned(plan).upgraded(plan, *"abc"[:succeeded]).failed(plan, *"abc"[succeeded:])
    assert f"{succeeded} of 3 upgrades succeeded" in page_of(make_report(book.entries)).text


def test_a_big_budget_is_drawn_as_one_bar_and_a_report_on_nothing_has_no_data() -> None:
    plan = make_plan("d" * 64, [f"h{n}" for n in range(2000)])
    book = Book().planned(plan).failed(plan, "h1", "h2")
    page = page_of(make_report(book.entries))
    assert 'class="used" style="flex-grow: 2"' in page.html
    assert "2 of 40 used 38 left" in page.text
    empty = page_of(make_report([], product="kanal", since=NOW)).text
    assert "no data" in empty
    assert "product kanal, from 2026-11-22 06:30 UTC" in empty
