from __future__ import annotations

import re
from datetime import timedelta
from html.parser import HTMLParser

from adapters.booked_plans import EVIL, NOW, booked
from liftlock.adapters.calendar_page import calendar_page
from liftlock.maintenance import Calendar, make_calendar

VOID = {"meta", "link", "br"}


class Page(HTMLParser):
    """The page as a reader sees it: its texts, its tags, and whether every element is closed."""

    def __init__(self, calendar: Calendar) -> None:
        super().__init__()
        self.html = calendar_page(calendar, NOW, "Maintenance calendar")
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        texts: list[str] = []
        self.handle_data = lambda data: texts.append(data) if self.open[-1:] != ["style"] else None  # type: ignore[method-assign]
        self.feed(self.html)
        self.close()
        self.text = " ".join(" ".join(texts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def classes(self, tag: str) -> list[str]:
        return [str(attrs.get("class") or "") for name, attrs in self.tags if name == tag]


def test_the_page_tells_windows_in_the_customers_own_time_by_week() -> None:
    page = Page(booked())
    assert page.open == []
    for words in (
        "4 weeks from Mon 16 Nov 2026",
        "as of 2026-11-20 09:30 UTC",
        "4 windows",
        "5 hosts of 3 customers in 2 open plans",
        "Sat 21 Nov 22:00–Sun 04:00 CET",
        "Tue 24 Nov 23:00–Wed 05:00 CST",
        "Mon 07 Dec 01:00–Mon 04:00 +11",
        "Week 47, from Monday 16 November 2026",
        "np-1, np-2, np-3",
        "华信水上运动",
        "1 window later than these weeks",
    ):
        assert words in page.text, words
    assert "Week 49" not in page.text


def test_conflicts_and_what_is_lacking_stand_out_and_missed_windows_have_their_own_list() -> None:
    page = Page(booked())
    chips = [name for name in page.classes("li") if name.startswith("chip")]
    assert sorted(chips) == ["chip", "chip", "chip clash", "chip clash tentative"]
    assert "1 conflict" in page.text
    assert page.text.count("conflict: np-1") == 2
    assert "2 approvals missing" in page.text
    assert "notice not sent" in page.text
    missed = page.text.partition("Window over, hosts not done")[2].partition("mast 1.5.0")[0]
    assert "Sat 14 Nov 22:00–Sun 04:00 CET" in missed


def test_every_chip_leads_to_its_line_and_no_place_has_two_names() -> None:
    page = Page(booked(weeks=8))
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    links = [str(attrs["href"]) for tag, attrs in page.tags if tag == "a"]
    assert len(ids) == len(set(ids)) == 6
    assert {link.removeprefix("#") for link in links} < set(ids)
    assert len(links) == 5


def test_the_page_needs_nothing_else_and_escapes_what_it_is_given() -> None:
    page = Page(booked())
    assert EVIL in page.text
    assert not {"script", "iframe", "img", "object", "use"} & {tag for tag, _ in page.tags}
    assert not re.search(r"https?:|url\(|@import", page.html)
    assert "prefers-color-scheme: dark" in page.html


def test_a_calendar_without_windows_says_so() -> None:
    empty = Page(make_calendar([], {}, NOW + timedelta(weeks=40), 2))
    assert "No open plan has a window in these weeks." in empty.text
    assert "0 windows" in empty.text
    assert "no conflicts" in empty.text
