from __future__ import annotations

from pathlib import Path

import pytest

from adapters.announced_plan import CHAPTERS
from liftlock.adapters.manual_chapter import SECTIONS, mistakes, read_chapter
from liftlock.adapters.manual_text import anchors, plain, read_markdown
from liftlock.errors import InputError

CHAPTER = "# Boathouse 1.6.0\n\n" + "".join(f"## {section}\n\nText.\n\n" for section in SECTIONS["en"])


def told(tmp_path: Path, text: str, name: str = "1.6.0.en.md") -> list[str]:
    """What is wrong with a chapter of that text, each mistake as `line: message`."""
    file = tmp_path / "manuals" / "boathouse" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    version, _, rest = name.removesuffix(".md").rpartition(".")
    found = mistakes(read_chapter(tmp_path / "manuals", "boathouse", version, rest))
    assert all(problem.file == f"manuals/boathouse/{name}" for problem in found)
    return [f"{problem.line}: {problem.message}" for problem in found]


def changed(old: str, new: str) -> str:
    assert CHAPTER.count(old) == 1
    return CHAPTER.replace(old, new)


@pytest.mark.parametrize("version", ["1.4.0", "1.5.0", "1.6.0"])
@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_nothing_is_wrong_with_the_chapters_that_come_with_liftlock(version: str, language: str) -> None:
    assert mistakes(read_chapter(CHAPTERS, "boathouse", version, language)) == []


def test_nothing_is_wrong_with_a_chapter_of_all_sections_and_more_of_its_own(tmp_path: Path) -> None:
    assert told(tmp_path, CHAPTER) == []
    assert told(tmp_path, changed("## What you do", "## Our own\n\n### Below\n\nText.\n\n## What you do")) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (changed("# Boathouse 1.6.0\n", "Boathouse\n"), ["1: must begin with its title: `# Product 1.2.3`"]),
        ("", None),
        (changed("## Training\n\nText.\n\n", ""), ["31: the section `## Training` is missing"]),
        (
            changed("## Summary\n\nText.\n\n", "").replace("## Training", "## Summary\n\nText.\n\n## Training"),
            ["3: the section `## What is new` stands too early"],
        ),
        (changed("## Summary\n\nText.", "## Summary"), ["3: the section `Summary` says nothing"]),
        (changed("## Training\n\nText.", "## Training\n\n"), ["35: the section `Training` says nothing"]),
        (changed("## Training\n\nText.", "## Training\n\n#### Deep\n\nText."), ["37: this heading skips a level"]),
        (changed("## Training\n", "# Other\n\nText.\n\n## Training\n"), ["35: a chapter has one title (`#`)"]),
        (changed("## Training\n\nText.", "## Training\n\n```\nls\n```"), ["37: name the language of this code: ```sh"]),
        (changed("## Training\n\nText.", "## Training\n\n    ls\n"), ["37: indented code: use ```sh instead"]),
        (
            changed("## Training\n\nText.", "## Training\n\n1. a\n\n   - b\n\n     ```\n     ls\n     ```"),
            ["41: name the language"],
        ),
    ],
)
def test_what_is_wrong_with_the_form_is_told_with_its_line(
    tmp_path: Path, text: str, expected: list[str] | None
) -> None:
    found = told(tmp_path, text)
    if expected is None:
        assert len(found) == 1 + len(SECTIONS["en"])
    else:
        assert [line.startswith(start) for line, start in zip(found, expected, strict=False)] == [True], found


def test_links_must_lead_somewhere(tmp_path: Path) -> None:
    told(tmp_path, CHAPTER, "1.5.0.en.md")
    (tmp_path / "manuals" / "boathouse" / "notes.txt").write_text("x")
    links = {
        "#known-issues": "",
        "1.5.0.en.md": "",
        "1.5.0.en.md#training": "",
        "../boathouse/1.5.0.en.md#training": "",
        "https://boathouse.example/a?b=c#d": "",
        "mailto:support@boathouse.example": "",
        "tel:+493012345": "",
        "#nowhere": "the link `#nowhere` leads to no heading of that chapter",
        "1.5.0.en.md#nowhere": "the link `1.5.0.en.md#nowhere` leads to no heading of that chapter",
        "1.9.0.en.md": "the link `1.9.0.en.md` leads to a chapter that is not there",
        "notes.txt": "the link `notes.txt` leads to no chapter: customers have only their manual",
        "1.5.0.zh-CN.md": "the link `1.5.0.zh-CN.md` leads to no chapter: customers have only their manual",
        "https:///nothing": "the link `https:///nothing` is no http, https, mailto or tel address",
        "ftp://boathouse.example": "the link `ftp://boathouse.example` is no http, https, mailto or tel address",
    }
    text = CHAPTER + "".join(f"\n[words]({link})\n" for link in links)
    first = CHAPTER.count("\n") + 2
    expected = [f"{first + 2 * place}: {wrong}" for place, wrong in enumerate(links.values()) if wrong]
    assert told(tmp_path, text) == expected


def test_a_chinese_chapter_is_held_to_its_own_headings(tmp_path: Path) -> None:
    chinese = "# 船坞预订 1.6.0\n\n" + "".join(
        f"## {section}\n\n见[问题](#已知问题)。\n\n" for section in SECTIONS["zh-CN"]
    )
    assert told(tmp_path, chinese, "1.6.0.zh-CN.md") == []
    assert "the section `## 概述` is missing" in " ".join(told(tmp_path, CHAPTER, "1.6.0.zh-CN.md"))


@pytest.mark.parametrize(
    ("picture", "wrong"),
    [
        ("![a boat](boat.png)", ""),
        ("![](boat.png)", "the picture `boat.png` needs words for those who cannot see it"),
        (
            "![a](absent.png)",
            "the picture `absent.png` is not a file (gif, jpeg, jpg, png, svg, webp) beside the chapter",
        ),
        ("![a](https://a.example/b.png)", "the picture `https://a.example/b.png` is not a file"),
        ("![a](1.6.0.en.md)", "the picture `1.6.0.en.md` is not a file"),
        ("![a](../../secret.png)", "the picture `../../secret.png` stands outside of manuals/"),
    ],
)
def test_pictures_must_be_files_that_can_travel(tmp_path: Path, picture: str, wrong: str) -> None:
    (tmp_path / "manuals" / "boathouse").mkdir(parents=True)
    for name in ("manuals/boathouse/boat.png", "secret.png"):
        (tmp_path / name).write_bytes(b"\x89PNG")
    found = told(tmp_path, f"{CHAPTER}\nText\n{picture}\n")
    line = CHAPTER.count("\n") + 3
    assert [each[: len(f"{line}: {wrong}")] for each in found] == ([f"{line}: {wrong}"] if wrong else [])


def test_a_file_that_is_not_utf8_is_refused_with_its_line(tmp_path: Path) -> None:
    folder = tmp_path / "manuals" / "boathouse"
    folder.mkdir(parents=True)
    (folder / "1.6.0.en.md").write_bytes(b"# x\n\n\xff")
    with pytest.raises(InputError, match=r"manuals/boathouse/1\.6\.0\.en\.md:3:1: is not UTF-8"):
        read_chapter(tmp_path / "manuals", "boathouse", "1.6.0", "en")


def test_anchors_are_those_that_code_hosts_make() -> None:
    blocks = read_markdown("# A b, *c* `d-e`!\n\n## 已知 问题\n\n## Same\n\n## Same\n")
    assert anchors(blocks) == ["a-b-c-d-e", "已知-问题", "same", "same-1"]


def test_lines_of_the_source_join_with_a_space_but_chinese_without() -> None:
    english, chinese = read_markdown("one\ntwo\n\n一\n二\n")
    assert (plain(english["body"]), plain(chinese["body"])) == ("one two", "一二")
