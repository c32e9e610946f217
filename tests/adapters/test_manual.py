from __future__ import annotations

import base64
import re
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest

from adapters.announced_plan import CATALOGUE, CHAPTERS, FLEET, HARBOUR, LAKE, PLAN, VENDOR, manual_of, written
from liftlock.adapters.manual import Writer, attachments
from liftlock.adapters.manual_chapter import SECTIONS
from liftlock.adapters.manual_text import plain
from liftlock.adapters.rendering import environment
from liftlock.errors import InputError
from liftlock.model import Catalogue, Contact, Customer, Fix, Manager, Plan, Severity
from liftlock.notice import share
from liftlock.settings import Desk

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


def manual_from(
    chapters: Path, customer: Customer = LAKE, catalogue: Catalogue = CATALOGUE, plan: Plan = PLAN, **files: Path
) -> bytes:
    writer = Writer(chapters, VENDOR, environment(files.get("templates")))
    return writer.page(writer.write(share(plan, customer, FLEET, catalogue)))


def text_of(customer: Customer = HARBOUR, **changes: object) -> str:
    """The manual's text when the last release is changed so."""
    first, last = CATALOGUE.releases
    catalogue = replace(CATALOGUE, releases=(first, replace(last, **changes)))
    return Outline(manual_from(CHAPTERS, customer, catalogue)).text


def test_the_english_manual_tells_what_the_plan_says() -> None:
    text = Outline(manual_of(HARBOUR)).text
    for fact in (
        "Upgrade manual for Harbour Rowing Club",
        "Sat 28 Nov 2026, 15:00 to 21:00 (UTC+01:00, Europe/Berlin)",
        "Sun 29 Nov 2026, 02:00 to 04:30 (UTC+01:00, Europe/Berlin)",
        "harbour-2",
        "25 minutes",
        "1 minute 30 seconds",
        "within 10 minutes",
        "Ada Lovelace, ada@harbour.example",
        "+49 30 1234567",
        "3f9c2a71, made Mon 16 Nov 2026, 09:30 (UTC+01:00, Europe/Berlin)",
        "Plan 3f9c2a71 of 16 Nov 2026",
        "1.5.0, then 1.6.0",
        "Call us and mention plan 3f9c2a71",
    ):
        assert fact in text
    assert "lake-1" not in text


def test_the_chinese_manual_tells_the_same_in_chinese() -> None:
    text = Outline(manual_of(LAKE)).text
    for fact in (
        "东湖赛艇俱乐部 · 升级手册",
        "2026年11月28日（星期六）22:00 至 2026年11月29日（星期日）04:00（北京时间）",
        "lake-1",
        "15 分钟",
        "10 分钟内确认切换",
        "王芳，wang.fang@lake.example",
        "计划编号 3f9c2a71",
    ):
        assert fact in text
    assert "harbour" not in text


@pytest.mark.parametrize(
    ("customer", "said"),
    [(HARBOUR, "At Harbour Rowing Club, notices of this upgrade go to:"), (LAKE, "本次升级的通知发送给以下联系人：")],
    ids=lambda given: getattr(given, "language", ""),
)
def test_a_manual_says_whom_notices_go_to_each_once_also_before_any_was_sent(customer: Customer, said: str) -> None:
    first = customer.contacts[0]
    again = replace(first, name="Second entry", email=first.email.upper())
    room = Contact("Ops room", channel="ops")
    listed = replace(customer, contacts=(*customer.contacts, first, again, room))
    text = Outline(manual_from(CHAPTERS, listed)).text
    assert text[text.index(said) :].lower().count(first.email) == 1
    assert "Second entry" not in text
    assert "Ops room" in text
    assert "was announced" not in text


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
    assert set(outline.targets) <= {f"#{anchor}" for anchor in outline.anchors}
    assert len(set(outline.anchors)) == len(outline.anchors)
    assert outline.loads == []
    assert not re.search(r"<(script|link|iframe)|@import|url\(", content.decode())


@pytest.mark.parametrize("version", ["1.4.0", "1.5.0", "1.6.0"])
def test_both_languages_of_a_chapter_have_the_same_parts(version: str) -> None:
    english, chinese = (
        (CHAPTERS / "boathouse" / f"{version}.{language}.md").read_text(encoding="utf-8")
        for language in ("en", "zh-CN")
    )
    for pattern in (r"(?m)^#+ ", r"(?m)^ *```\w", r"(?m)^ *\d\. ", r"(?m)^- ", r"(?m)^\|"):
        assert len(re.findall(pattern, english)) == len(re.findall(pattern, chinese)), pattern
    assert english.count("\n## ") == 9
    words = re.sub(r"\]\([^)]*\)", "]", chinese)
    assert not re.search(r"[\u4e00-\u9fff] *[,;:?!()]", words), "half-width punctuation beside Chinese"


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "Boathouse 1.5.0 is a step on the way: after the upgrade your hosts run Boathouse 1.6.0."),
        ("zh-CN", "“船坞预订 1.5.0”只是升级途中的一个版本，升级完成后，主机运行的是“船坞预订 1.6.0”。"),
    ],
)
def test_the_chapter_of_a_release_on_the_way_says_first_which_version_runs_in_the_end(language: str, said: str) -> None:
    text = Outline(manual_of(replace(HARBOUR, language=language))).text
    assert text.count(said) == 1
    first, last = (text.rindex(f"{SECTIONS[language][0]} · {version}") for version in ("1.5.0", "1.6.0"))
    assert text.index(said) < first < last
    assert said not in Outline(manual_of(replace(LAKE, language=language))).text


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_no_two_headings_of_a_manual_are_called_the_same(language: str) -> None:
    both, last = (written(replace(one, language=language)) for one in (HARBOUR, LAKE))
    for manual in (both, last):
        names = [plain(heading["body"]) for heading in manual.headings]
        assert len(names) > 15
        assert len(set(names)) == len(names)
    named = [f"{name} · {version}" for version in ("1.5.0", "1.6.0") for name in SECTIONS[language]]
    assert [plain(one["body"]) for one in both.headings if " · 1." in plain(one["body"])] == named
    assert [plain(one["body"]) for one in last.headings if plain(one["body"]) in SECTIONS[language]] == [
        *SECTIONS[language]
    ]


def test_all_missing_chapters_are_named_once_with_the_file_that_was_looked_for(tmp_path: Path) -> None:
    parts = [share(PLAN, customer, FLEET, CATALOGUE) for customer in (HARBOUR, LAKE, HARBOUR)]
    needed = {"1.5.0.en": "harbour", "1.6.0.en": "harbour", "1.6.0.zh-CN": "lake"}
    found = Writer(tmp_path / "manuals", VENDOR, environment()).problems(parts)
    assert [str(problem) for problem in found] == [
        f"manuals/boathouse/{name}.md: there is no such chapter; the manual of {customer} needs it"
        for name, customer in needed.items()
    ]
    assert Writer(CHAPTERS, VENDOR, environment()).problems(parts) == []


def test_a_link_to_another_chapter_leads_there_when_the_manual_has_it_and_is_plain_text_otherwise() -> None:
    both, last = manual_of(HARBOUR).decode(), manual_of(LAKE).decode()
    assert '<a href="#boathouse-1.5.0-what-is-new">waiting lists</a>' in both
    assert 'id="boathouse-1.5.0-what-is-new"' in both
    assert "预订和候补功能" in Outline(last.encode()).text
    assert "1.5.0" not in re.sub(r"1\.5\.0 → 1\.6\.0", "", last)


def test_names_that_nobody_gives_are_told_together_with_their_lines(tmp_path: Path) -> None:
    text = "# 1.6.0\n\nfor {{ customer.title }}\nand {{ custmer.title }}\n\n- {{ plan.di }}\n\n`{{ 1 + }}`\n"
    with pytest.raises(InputError) as caught:
        manual_from(chapters_with(tmp_path, text))
    assert [str(problem) for problem in caught.value.problems] == [
        "manuals/boathouse/1.6.0.zh-CN.md:4:1: 'custmer' is undefined",
        "manuals/boathouse/1.6.0.zh-CN.md:6:1: 'liftlock.model.plan.Plan object' has no attribute 'di'",
        "manuals/boathouse/1.6.0.zh-CN.md:8:1: unexpected 'end of print statement'",
    ]


def test_chapters_are_filled_in_and_values_stay_text(tmp_path: Path) -> None:
    text = "# 1.6.0\n\n{{ customer.title }} gets **{{ release.version }}**\n\n```sh\nssh {{ share.machines[0] }}\n```\n"
    awkward = replace(LAKE, title="*Row* <b> [x](y) {{ z }}")
    content = manual_from(chapters_with(tmp_path, text), awkward).decode()
    assert "<p>*Row* &lt;b&gt; [x](y) {{ z }} gets <strong>1.6.0</strong></p>" in content
    assert "<pre><code>ssh lake-1</code></pre>" in content
    assert "<p>*Row* &lt;b&gt; [x](y) {{ z }} · 升级手册</p>" in content


def test_a_character_that_no_font_has_is_refused_with_its_line(tmp_path: Path) -> None:
    text = "# 1.6.0\n\nfine: 船 é → 😀 שלום\n\n- `not ᚠ`\n"
    with pytest.raises(InputError) as caught:
        manual_from(chapters_with(tmp_path, text), replace(LAKE, title="Club \u16a2"))
    assert [str(caught.value.problems[place]) for place in (0, -1)] == [
        "manuals/manual.zh-CN.md.j2: no font has 'ᚢ' (U+16A2 RUNIC LETTER URUZ UR U), in: 船坞预订 1.6.0 · Club ᚢ",
        "manuals/boathouse/1.6.0.zh-CN.md:5:1: no font has 'ᚠ' (U+16A0 RUNIC LETTER FEHU FEOH FE F), in: not ᚠ",
    ]


def test_the_way_back_tells_of_the_point_of_no_return_and_of_the_proven_backup() -> None:
    assert "every host can go back to the version it came from" in text_of()
    one_way = text_of(reversible=False, backup_verified=True)
    assert "the switch to 1.6.0" in one_way
    assert "what your users entered after the switch is lost then" in one_way
    assert "It is restored aside and looked at" in one_way
    assert "切换之后录入的内容将会丢失" in text_of(LAKE, reversible=False)


def test_fixed_defects_stand_by_severity_the_urgent_ones_first() -> None:
    fixes = tuple(
        Fix(severity, f"B-{number}", {"en": f"defect {number}", "zh-CN": f"缺陷{number}"})
        for number, severity in enumerate((Severity.MINOR, Severity.URGENT, Severity.MAJOR))
    )
    english, chinese = text_of(fixes=fixes), text_of(LAKE, fixes=fixes)
    assert english.index("defect 1") < english.index("defect 2") < english.index("defect 0")
    assert chinese.index("缺陷1") < chinese.index("缺陷2") < chinese.index("缺陷0")
    assert "Defects that are fixed" not in text_of()


def test_a_key_customer_finds_its_own_manager() -> None:
    looked_after = replace(HARBOUR, tier="key", manager=Manager("Mary Jackson", "mary@quayside.example", "+49 30 99"))
    text = Outline(manual_of(looked_after)).text
    for fact in ("Mary Jackson", "mary@quayside.example", "+49 30 99", "service level: key"):
        assert fact in text


def test_a_manual_names_the_desk_of_the_customers_tier() -> None:
    key = replace(HARBOUR, tier="key")
    vendor = replace(VENDOR, support={"key": Desk(phone="+49 30 777")})
    writer = Writer(CHAPTERS, vendor, environment())
    text = Outline(writer.page(writer.write(share(PLAN, key, FLEET, CATALOGUE)))).text
    assert "+49 30 777" in text
    assert VENDOR.phone not in text


def test_lengths_are_those_of_the_record_where_the_plan_goes_by_it() -> None:
    hosts = tuple(replace(host, needed=timedelta(minutes=14)) for host in PLAN.hosts)
    measured = replace(PLAN, hosts=hosts, estimates={"1.6.0": "7 min by the record"})
    text = Outline(manual_of(HARBOUR, measured)).text
    assert "7 minutes" in text
    assert "by what other hosts took" in text


def test_a_template_that_lacks_a_part_is_refused_by_name(tmp_path: Path) -> None:
    template = tmp_path / "templates" / "manuals" / "manual.zh-CN.md.j2"
    template.parent.mkdir(parents=True)
    for text, told in (
        ("# x", "must begin with its words, between two lines of `---`"),
        ("---\ntitle: x\n---\n## x\n***\n", "its head does not say: contents, page, plan, vendor, passed"),
        (
            "---\ntitle: x\ncontents: x\npage: x\nplan: x\nvendor: x\npassed: x\n---\n## x\n",
            "needs sections (`##`), and one line `***` where the chapters go",
        ),
    ):
        template.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=re.escape(f"manuals/manual.zh-CN.md.j2: {told}")):
            manual_from(CHAPTERS, templates=tmp_path)


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


def test_a_customers_name_cannot_become_html() -> None:
    content = manual_of(replace(HARBOUR, title="<i>Row & Sons</i>")).decode()
    assert "<i>Row" not in content
    assert "&lt;i&gt;Row &amp; Sons&lt;/i&gt;" in content


def test_the_files_of_a_manual_say_for_whom_and_in_which_language_they_are() -> None:
    pdf, page = attachments(written(LAKE), b"<html>", b"%PDF")
    assert (pdf.name, pdf.media_type) == ("boathouse-1.6.0-lake.zh-CN.pdf", "application/pdf")
    assert (page.name, page.media_type) == ("boathouse-1.6.0-lake.zh-CN.html", "text/html; charset=utf-8")
    assert (pdf.content, page.content) == (b"%PDF", b"<html>")
