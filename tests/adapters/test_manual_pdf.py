from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pypdfium2
import pytest

from adapters.announced_plan import CHAPTERS, FLEET, HARBOUR, LAKE, PLAN, pdf_of, written
from liftlock.adapters.manual_code import COLUMNS
from liftlock.adapters.manual_pdf import Press
from liftlock.adapters.manual_text import plain, read_markdown, walk, with_anchors
from liftlock.adapters.rendering import environment
from liftlock.errors import InputError
from liftlock.model import Customer

BOTH = pytest.mark.parametrize("customer", [HARBOUR, LAKE], ids=lambda customer: customer.language)
MARGIN = 22 / 25.4 * 72  # points


def opened(content: bytes) -> Any:
    return pypdfium2.PdfDocument(content)


def words_of(content: bytes) -> list[str]:
    """The text of every page, without its spaces: where lines end is the paper's business."""
    return ["".join(page.get_textpage().get_text_bounded().split()) for page in opened(content)]


def printed(markdown: str) -> bytes:
    """The manual with this text in place of all others."""
    blocks = with_anchors(read_markdown(markdown), "", deeper=1)
    return Press(CHAPTERS, environment()).pdf(replace(written(LAKE), blocks=blocks))


def reaches(content: bytes) -> tuple[float, float]:
    """How far to the left and to the right the characters stand, on all pages."""
    left, right = [], []
    for page in opened(content):
        text = page.get_textpage()
        boxes = [text.get_charbox(place) for place in range(text.count_chars())]
        left.append(min(box[0] for box in boxes))
        right.append(max(box[2] for box in boxes))
    return min(left), max(right)


@BOTH
def test_plan_day_and_number_stand_on_every_page(customer: Customer) -> None:
    pages = words_of(pdf_of(customer.name))
    assert len(pages) >= 5
    for number, page in enumerate(pages, start=1):
        if customer is HARBOUR:
            assert f"Plan3f9c2a71of16Nov2026Page{number}of{len(pages)}" in page
        else:
            assert f"计划编号3f9c2a71，制定于2026年11月16日第{number}页，共{len(pages)}页" in page


@BOTH
def test_the_pdf_holds_every_word_of_the_page_in_the_same_order(customer: Customer) -> None:
    manual, text, place = written(customer), "".join(words_of(pdf_of(customer.name))[2:]), 0
    texts = [node for node in walk(manual.blocks) if node["kind"] in {"heading", "paragraph"}]
    for node in texts:
        words = "".join(plain(node["body"]).split())
        for piece in re.split(r"[^\w]+", words):  # a page may end anywhere, with its number in between
            if len(piece) < 12:
                place = text.index(piece, place)
    assert len(texts) > 30


@BOTH
def test_the_bookmarks_are_the_headings(customer: Customer) -> None:
    manual = written(customer)
    marks = [(mark.level + 2, mark.get_title()) for mark in opened(pdf_of(customer.name)).get_toc()]
    assert marks == [(heading["level"], plain(heading["body"])) for heading in manual.headings]


@BOTH
def test_the_same_plan_makes_the_same_bytes(customer: Customer) -> None:
    again = Press(CHAPTERS, environment())
    again.pdf(written(LAKE if customer is HARBOUR else HARBOUR))
    assert again.pdf(written(customer)) == pdf_of(customer.name)
    told = opened(pdf_of(customer.name)).get_metadata_dict()
    assert told["CreationDate"] == "D:20261116083000Z"
    assert told["Title"] == f"{'船坞预订' if customer is LAKE else 'Boathouse'} 1.6.0 · {customer.title}"


@BOTH
def test_a_manual_is_light_enough_for_a_letter(customer: Customer) -> None:
    assert len(pdf_of(customer.name)) < 400_000


def test_nothing_runs_off_the_page() -> None:
    long = (
        "curl --silent " + " ".join(f"--header 'X-Number: {n}'" for n in range(20)) + f" http://a.example/{'p' * 150}"
    )
    assert len(long) > 300
    content = printed(
        f"```sh\n{long}\n```\n\n- a\n  - b\n\n    ```sh\n    {long}\n    ```\n\n"
        f"```text\n{'x' * 300}\n{'文' * 120}\n```\n\n# {'ж' * 90}\n\n"
        f"Word {'w' * 200} and `{'c' * 150}`, 字{'中' * 200}\n\n| a | b |\n|---|---|\n| {'t' * 90} | {'u' * 100} |\n"
    )
    left, right = reaches(content)
    assert left >= MARGIN - 1
    assert right <= 210 / 25.4 * 72 - MARGIN + 1
    assert "x" * 300 in "".join(words_of(content))


def test_a_command_copied_from_the_pdf_does_the_same(tmp_path: Path) -> None:
    command = (
        "printf '%s\\n' " + " ".join(f"'word {n}' plain{n} \"and $HOME {n}\"" for n in range(12)) + f" {'z' * 200}"
    )
    (page,) = [
        page for page in opened(printed(f"```sh\n{command}\n```")) if "printf" in page.get_textpage().get_text_range()
    ]
    text = page.get_textpage().get_text_range()
    copied = text[text.index("printf") : text.rindex("z") + 1].replace("\r\n", "\n")
    assert "\n" in copied
    ran = [subprocess.run(["sh", "-c", each], capture_output=True, check=True).stdout for each in (command, copied)]
    assert ran[0] == ran[1]


@pytest.mark.parametrize("line", ["x" * COLUMNS, "船" * (COLUMNS // 2)])
def test_a_line_that_is_not_folded_stands_on_one_line_of_paper_also_in_a_list_within_a_list(line: str) -> None:
    page = opened(printed(f"10. a\n\n    10. b\n\n        ```sh\n        {line}\n        ```\n"))[2]
    assert line in page.get_textpage().get_text_range().split("\r\n")


def test_every_form_of_a_chapter_is_set() -> None:
    content = printed(
        "# One\n\n## Two\n\n### Three\n\n*em* **strong** `code` [out](https://a.example) a  \nb\n\n> quote\n\n***\n\n"
        "3. three\n4. four\n\n| left | right |\n|---|--:|\n| 1 | **2** |\n\n| | |\n|---|---|\n| fact | value |\n"
    )
    text = "".join(words_of(content))
    for words in (
        "One",
        "Three",
        "em",
        "strong",
        "code",
        "out",
        "quote",
        "3.three4.four",
        "left",
        "right",
        "fact",
        "value",
    ):
        assert words in text


def test_pictures_of_a_chapter_are_in_the_pdf(tmp_path: Path) -> None:
    (tmp_path / "boathouse").mkdir()
    red = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40"><rect width="40" height="40" fill="red"/></svg>'
    )
    (tmp_path / "boathouse" / "red.svg").write_text(red, encoding="utf-8")
    manual = replace(written(LAKE), blocks=read_markdown("![a square](boathouse/red.svg)"))
    page = opened(Press(tmp_path, environment()).pdf(manual))[2]
    assert bytes(page.render().buffer).count(b"\x00\x00\xff") > 500  # blue, green, red


def test_names_from_right_to_left_and_with_pictures_are_set(tmp_path: Path) -> None:
    customer = replace(LAKE, title="مؤسسة 🚣 <b>Søn</b>")
    fleet = replace(FLEET, customers={**FLEET.customers, "lake": customer})
    assert (
        fleet.customers["lake"].title
        in opened(Press(CHAPTERS, environment()).pdf(written(customer, PLAN))).get_metadata_dict()["Title"]
    )


def test_a_template_that_typst_cannot_set_is_refused_with_its_line(tmp_path: Path) -> None:
    template = tmp_path / "templates" / "manuals" / "manual.typ"
    template.parent.mkdir(parents=True)
    for text, told in (
        ("a\n#nothing", "manuals/manual.typ:2:1: unknown variable: nothing"),
        ('#set text(font: "None such")\na', "manuals/manual.typ:1:16: unknown font family: none such"),
    ):
        template.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=re.escape(told)):
            Press(CHAPTERS, environment(tmp_path)).pdf(written(LAKE))
