from __future__ import annotations

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from adapters.announced_plan import CATALOGUE, CHAPTERS, FLEET, HARBOUR, LAKE, PLAN, VENDOR, manual_of
from liftlock.adapters.manual import make_manual, manual_attachment, missing_chapters
from liftlock.adapters.rendering import environment
from liftlock.errors import InputError
from liftlock.model import Customer

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


class Outline(HTMLParser):
    """What a manual points to, what can be pointed at, and its text."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.anchors: list[str] = []
        self.loads: list[str] = []
        self.text = ""
        self.feed(content.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.anchors += [value for value in [given.get("id")] if value]
        self.targets += [value for value in [given.get("href")] if value and value.startswith("#")]
        self.loads += [value for value in [given.get("src")] if value]

    def handle_data(self, data: str) -> None:
        self.text += data


def chapters_with(tmp_path: Path, text: str) -> Path:
    folder = tmp_path / "manuals" / "boathouse"
    folder.mkdir(parents=True)
    (folder / "1.6.0.zh-CN.md").write_text(text, encoding="utf-8")
    return tmp_path / "manuals"


def manual_from(chapters: Path, customer: Customer = LAKE) -> bytes:
    return make_manual(PLAN, customer, FLEET, CATALOGUE, chapters=chapters, vendor=VENDOR, templates=environment())


def test_the_english_manual_tells_what_the_plan_says() -> None:
    text = Outline(manual_of(HARBOUR)).text
    for fact in (
        "Upgrade manual for Harbour Rowing Club",
        "Sat 28 Nov 2026, 15:00 to 21:00 (UTC+01:00, Europe/Berlin)",
        "Sun 29 Nov 2026, 02:00 to 04:30 (UTC+01:00, Europe/Berlin)",
        "harbour-2",
        "25 minutes",
        "1 minute 30 seconds",
        "unless we confirm the switch within 10 minutes",
        "Ada Lovelace, ada@harbour.example",
        "+49 30 1234567",
        "Plan 3f9c2a71 of Mon 16 Nov 2026, 09:30 (UTC+01:00, Europe/Berlin)",
    ):
        assert fact in text
    assert "lake-1" not in text


def test_the_chinese_manual_tells_the_same_in_chinese() -> None:
    text = Outline(manual_of(LAKE)).text
    for fact in (
        "东湖赛艇俱乐部 · 升级手册",
        "2026年11月28日（星期六）22:00 至 2026年11月29日（星期日）04:00（UTC+08:00，Asia/Shanghai）",
        "lake-1",
        "15 分钟",
        "10 分钟内确认切换",
        "王芳，wang.fang@lake.example",
        "计划编号 3f9c2a71",
    ):
        assert fact in text
    assert "harbour" not in text


def test_every_release_on_the_way_has_its_chapter_and_no_other_has() -> None:
    both, last = Outline(manual_of(HARBOUR)).text, Outline(manual_of(LAKE)).text
    assert both.index("adds waiting lists") < both.index("brings a page with reports")
    assert "新增报表页面" in last
    assert "新增候补功能" not in last


@pytest.mark.parametrize("customer", [HARBOUR, LAKE], ids=lambda customer: customer.language)
def test_a_manual_is_one_file_whose_contents_lead_to_every_chapter(customer: Customer) -> None:
    content = manual_of(customer)
    outline = Outline(content)
    assert len(outline.targets) >= 13
    assert set(outline.targets) == {f"#{anchor}" for anchor in outline.anchors}
    assert len(set(outline.anchors)) == len(outline.anchors)
    assert outline.loads == []
    assert not re.search(r"<(script|link|iframe)|@import|url\(", content.decode())


@pytest.mark.parametrize("version", ["1.5.0", "1.6.0"])
def test_both_languages_of_a_chapter_have_the_same_parts(version: str) -> None:
    english, chinese = (
        (CHAPTERS / "boathouse" / f"{version}.{language}.md").read_text(encoding="utf-8")
        for language in ("en", "zh-CN")
    )
    for pattern in (r"(?m)^#+ ", r"(?m)^ *```\w", r"(?m)^ *\d\. ", r"(?m)^- ", r"(?m)^\|"):
        assert len(re.findall(pattern, english)) == len(re.findall(pattern, chinese)), pattern
    assert english.count("\n## ") == 9
    assert not re.search(r"[\u4e00-\u9fff] *[,;:?!()]", chinese), "half-width punctuation beside Chinese"


def test_a_missing_chapter_is_refused_with_the_path_that_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        manual_from(tmp_path, HARBOUR)
    files = [problem.file for problem in caught.value.problems]
    assert files == [str(tmp_path / "boathouse" / f"{version}.en.md") for version in ("1.5.0", "1.6.0")]


def test_all_missing_chapters_of_a_plan_are_named_once(tmp_path: Path) -> None:
    assert missing_chapters(PLAN, FLEET, CHAPTERS) == []
    names = [Path(problem.file).name for problem in missing_chapters(PLAN, FLEET, tmp_path)]
    assert names == ["1.5.0.en.md", "1.6.0.en.md", "1.6.0.zh-CN.md"]


def test_a_chapter_cannot_bring_html_or_scripts_of_its_own(tmp_path: Path) -> None:
    text = "# 1.6.0\n\n<script>alert(1)</script>\n\n[x](javascript:alert)\n\n## A <b>\n"
    content = manual_from(chapters_with(tmp_path, text)).decode()
    assert "<script" not in content
    assert 'href="javascript' not in content
    assert "A &lt;b&gt;" in content


def test_pictures_of_a_chapter_travel_inside_the_manual(tmp_path: Path) -> None:
    chapters = chapters_with(tmp_path, "# 1.6.0\n\n![报表](reports.gif)\n")
    (chapters / "boathouse" / "reports.gif").write_bytes(PIXEL)
    (source,) = Outline(manual_from(chapters)).loads
    assert source == f"data:image/gif;base64,{base64.b64encode(PIXEL).decode()}"


@pytest.mark.parametrize("source", ["absent.png", "https://quayside.example/reports.png", "1.6.0.zh-CN.md"])
def test_a_picture_that_cannot_travel_is_refused_with_its_line(tmp_path: Path, source: str) -> None:
    chapters = chapters_with(tmp_path, f"# 1.6.0\n\ntext\n\n![报表]({source})\n")
    with pytest.raises(InputError, match=r"1\.6\.0\.zh-CN\.md:5:1: the picture"):
        manual_from(chapters)


def test_a_customers_name_cannot_become_html() -> None:
    content = manual_of(replace(HARBOUR, title="<i>Row & Sons</i>")).decode()
    assert "<i>Row" not in content
    assert "&lt;i&gt;Row &amp; Sons&lt;/i&gt;" in content


def test_the_attached_manual_says_for_whom_and_in_which_language_it_is() -> None:
    attachment = manual_attachment(PLAN, LAKE, b"<html>")
    assert attachment.name == "boathouse-1.6.0-lake.zh-CN.html"
    assert attachment.media_type == "text/html; charset=utf-8"
