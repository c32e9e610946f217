"""Commands on paper: folded where that leaves them the same command, and named where it would not."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.announced_plan import CATALOGUE, CHAPTERS, FLEET, LAKE, PLAN, VENDOR
from liftlock.adapters.manual import Writer
from liftlock.adapters.manual_code import COLUMNS, folded, unfit
from liftlock.adapters.rendering import environment
from liftlock.notice import share

WORDS = "word " * 30
LONG = (
    "cat <<END\n" + WORDS + "\nEND",
    "true # " + WORDS,
    "# " + WORDS,
    "true;# " + WORDS,
    'echo "$(ls ' + '"a b" ' * 20 + ')"',
    "echo `ls " + WORDS + "`",
    "echo 'a\n" + WORDS + "\nb'",
)


@given(
    st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=30), min_size=1)
)
def test_a_folded_command_is_the_same_command(words: list[str]) -> None:
    command = shlex.join(words)
    lines = folded(command, 40).split("\\\n")
    assert shlex.split("".join(lines)) == words
    bare = [line for line in lines if not re.search(r"['\"#`$]|<<", command)]
    assert all(len(line) < 40 for line in bare)


@pytest.mark.parametrize("text", [*LONG, "short"])
def test_what_cannot_be_folded_safely_stays_as_it_is(text: str) -> None:
    assert folded(text) == text


@pytest.mark.parametrize(
    "text",
    [
        f"# what don't we do?\nprintf '%s\\n' {WORDS}\nprintf '%s\\n' a#b http://a.example/#{'f' * 90}",
        f"printf '%s\\n' \\\n  'a  b' {WORDS}\\\n  {'z' * 90} \\\n  end",
        f"printf '%s\\n' {'中文 ' * 20}{'字' * 50}",
        f'name=$(\n  printf "%s" {WORDS}\n)\nprintf "%s\\n" "$name"',
    ],
)
def test_a_line_is_folded_whatever_stands_in_the_lines_beside_it(text: str) -> None:
    made = folded(text)
    assert list(unfit(text)) == []
    assert made != text
    ran = [subprocess.run(["sh", "-c", each], capture_output=True, check=True).stdout for each in (text, made)]
    assert ran[0] == ran[1]


@pytest.mark.parametrize("text", [*LONG, f"echo '{WORDS}'", f"echo '{'中' * 40}'"])
def test_a_line_that_paper_would_cut_anywhere_is_named(text: str) -> None:
    (line,) = unfit(text)
    assert line.strip() in text


@pytest.mark.parametrize(
    "text",
    [f"echo '{'x' * (COLUMNS - 7)}'", f"# {'x' * (COLUMNS - 2)}", f"echo {WORDS}", "cat <<END\n$(ls) # x\nEND"],
)
def test_a_line_that_fits_or_can_be_folded_is_not_named(text: str) -> None:
    assert list(unfit(text)) == []


def test_a_manual_with_a_command_too_long_for_paper_is_refused_with_file_and_line(tmp_path: Path) -> None:
    shutil.copytree(CHAPTERS, tmp_path / "manuals")
    file = tmp_path / "manuals" / "boathouse" / "1.6.0.zh-CN.md"
    written = file.read_text(encoding="utf-8")
    part = share(PLAN, LAKE, FLEET, CATALOGUE)

    def problems(code: str) -> list[str]:
        file.write_text(f"{written}\n1. a\n\n   ```sh\n   df -h\n   {code}\n   ```\n", encoding="utf-8")
        return [str(problem) for problem in Writer(tmp_path / "manuals", VENDOR, environment()).problems([part])]

    fence = written.count("\n") + 4
    assert problems(f"echo $(ls {'a ' * 100})") == [
        f"manuals/boathouse/1.6.0.zh-CN.md:{fence}:1: this line is too long for paper (78 characters), and folding it"
        f" could change the command: shorten it, or break it with `\\` yourself, in: echo $(ls {'a ' * 24}a"
    ]
    assert problems(f"echo $(ls {'a ' * 20}\\\n   {'a ' * 20})") == []
    assert problems("echo '{{ customer.title }} " + "a" * 57 + "'") == []
    assert len(problems("echo '{{ customer.title }} " + "a" * 58 + "'")) == 1, "names are filled in first"
