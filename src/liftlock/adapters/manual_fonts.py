"""The fonts that PDFs are set in, and whether they have a glyph for every character; both come with pip."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_CHINESE = 2
"""The Simplified Chinese face in the collection, whose faces have the same characters in the forms of each region."""

SCRIPTS = (
    *("Symbols", "Arabic", "Hebrew", "Armenian", "Bengali", "Devanagari", "Ethiopic", "Georgian", "Gujarati"),
    *("Gurmukhi", "Kannada", "Khmer", "Lao", "Malayalam", "Myanmar", "Oriya", "Sinhala", "Tamil", "Telugu", "Thai"),
)


def folders() -> list[Path]:
    """Where the fonts lie."""
    import manimgx_fonts
    import manimgx_fonts_cjk

    return [Path(package.__file__).parent for package in (manimgx_fonts, manimgx_fonts_cjk)]


def families(language: str) -> list[str]:
    """The families to set a language in, the first that has a character first: Chinese sets its own punctuation."""
    pair = ["Noto Sans", "Noto Sans CJK SC"]
    if language == "zh-CN":
        pair.reverse()
    return [*pair, *(f"Noto Sans {script}" for script in SCRIPTS), "Noto Emoji"]


def unprintable(text: str) -> Iterator[str]:
    """Every character without a glyph in any of the fonts, each once, as people can look it up: `'ᚠ' (U+16A0 ...)`."""
    for letter in dict.fromkeys(text):
        if letter not in "\n" and not any(ord(letter) in _has(number) for number in range(len(_faces()))):
            name = unicodedata.name(letter, "a character without a name")
            yield f"{letter!r} (U+{ord(letter):04X} {name})"


@cache
def _faces() -> tuple[tuple[Path, int], ...]:
    """Every font file and the face in it, those that most text needs first."""
    latin, chinese = folders()
    common = [(latin / "NotoSans[wght].ttf", -1), (chinese / "NotoSansCJK-VF.otf.ttc", _CHINESE)]
    others = [(latin / f"NotoSans{script}[wght].ttf", -1) for script in SCRIPTS]
    return (*common, *others, (latin / "NotoEmoji[wght].ttf", -1))


@cache
def _has(face: int) -> frozenset[int]:
    """The characters of a face. A face is read only when the ones before it lack something."""
    from fontTools.ttLib import TTFont

    path, number = _faces()[face]
    with TTFont(path, fontNumber=number, lazy=True) as font:
        return frozenset(font.getBestCmap())
