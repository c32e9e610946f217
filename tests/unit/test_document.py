from __future__ import annotations

import gc
import subprocess
import sys
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftlock.document import KEY, Shape, read, refusal
from liftlock.errors import InputError, Problem
from liftlock.fields import Count, Flag, Line, Name, Span, Version, span


class Boat(Shape):
    name: Line
    version: Version
    fast: Flag = False
    crew: Count = 1
    rest: Span = timedelta(0)


class Harbour(Shape):
    boats: list[Boat]
    notes: dict[Name, Line] | None = None


def problems(text: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        read(text, "h.yaml", Harbour)
    return [str(problem) for problem in caught.value.problems]


def one_boat(field: str) -> list[str]:
    return problems(f'boats:\n  - name: Nan\n    version: "1.0"\n    {field}\n')


def test_a_document_becomes_its_shape() -> None:
    text = 'boats: [{name: Nan, version: "4.10", fast: true, crew: 3, rest: 1h30m}]\nnotes: {no: 0755, on: 1:30}\n'
    harbour = read(text, "h.yaml", Harbour)
    (boat,) = harbour.boats
    assert (boat.name, boat.version, boat.fast, boat.crew, boat.rest) == ("Nan", "4.10", True, 3, timedelta(minutes=90))
    assert harbour.notes == {"no": "0755", "on": "1:30"}, "YAML 1.1 would read false, 493, true and 90"


def test_all_problems_come_at_once_each_with_its_place() -> None:
    text = """\
boats:
  - name: Nan
    version: 4.10
    crew: many
  - verison: "1.0"
    fast: yes
    rest: 90
notes:
  Bad Name: x
  good: [x]
"""
    assert problems(text) == [
        "h.yaml:3:14: boats[0].version: must be a quoted string: 4.10 was read as the number 4.1",
        "h.yaml:4:11: boats[0].crew: expected a whole number, found the text `many`",
        "h.yaml:5:5: boats[1].name: is missing",
        "h.yaml:5:5: boats[1].version: is missing",
        "h.yaml:5:5: boats[1].verison: unknown field; did you mean `version`?",
        "h.yaml:6:11: boats[1].fast: expected true or false, found the text `yes`",
        "h.yaml:7:11: boats[1].rest: must be a length of time such as 90s, 10m, 2h, 3d or 1h30m",
        "h.yaml:9:3: notes.Bad Name: `Bad Name` must be 1 to 63 lower-case letters, digits and dashes",
        "h.yaml:10:9: notes.good: expected text, found a list",
    ]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "h.yaml:1:1: is empty"),
        ("# nothing\n", "h.yaml:1:1: is empty"),
        ("- a\n", "h.yaml:1:1: expected a mapping of `name: value`, found a list"),
        ("just text", "h.yaml:1:1: expected a mapping of `name: value`, found the text `just text`"),
        ("boats: []\nboats: []\n", "h.yaml:2:1: `boats` is written twice in the same mapping"),
        ("boats:\n\t- x\n", "h.yaml:2:1: a tab cannot indent YAML: use spaces"),
        ("boats: []\nx: \x07\n", "h.yaml:2:4: the control character U+0007 cannot stand in a YAML file"),
        ("boats:\n  - 'open\n", "found unexpected end of stream"),
        ("boats: []\n---\nboats: []\n", "h.yaml:2:1: is not valid YAML: expected a single document"),
        ("boats: !!python/name:os.system\n", "h.yaml:1:8: the tag !!python/name:os.system is not read here"),
        ("boats: !!int many\n", "h.yaml:1:8: the tag !!int is not read here"),
        ("boats: !!omap []\n", "h.yaml:1:8: the tag !!omap is not read here"),
        ("boats: []\n8080: x\n", "h.yaml:2:1: a field's name must be text: put it in quotes"),
        ("boats: []\n? [a]\n: x\n", "h.yaml:2:3: a field's name must be text"),
        ("boats:\n", "boats: is empty"),
        ("boats: &b [*b]\n", "h.yaml:1:8: boats[0]: expected a mapping"),
        ("boats: " + "[" * 100_000, "nested more than 50 deep"),
    ],
)
def test_a_text_that_cannot_be_read_gives_one_problem_with_its_place(text: str, wanted: str) -> None:
    (problem,) = problems(text)
    assert wanted in problem
    assert problem.startswith("h.yaml:")


@pytest.mark.parametrize(
    ("field", "wanted"),
    [
        ("crew: 0", "must be at least 1"),
        ("crew: true", "expected a whole number, found true"),
        ("crew: 1.5", "expected a whole number, found the number 1.5"),
        ("crew:", "is empty"),
        ("crew: {a: b}", "expected a whole number, found a mapping"),
        ("rest: -1h", "must be a length of time"),
        ("rest: ''", "must be a length of time"),
        ("zzz: 1", "boats[0].zzz: unknown field"),
    ],
)
def test_messages_are_in_plain_words(field: str, wanted: str) -> None:
    (problem,) = one_boat(field)
    assert wanted in problem
    assert "pydantic" not in problem
    assert "Input" not in problem


@pytest.mark.parametrize("value", ["4", "4.10", "1e3", "true"])
def test_an_unquoted_version_is_refused_with_the_remedy(value: str) -> None:
    (problem,) = problems(f"boats: [{{name: Nan, version: {value}}}]")
    assert f"must be a quoted string: {value} was read as" in problem


@pytest.mark.parametrize("text", ['"a\\nb"', '"a\\rb"', '"a\\0b"', '"a\\u2028b"'])
def test_a_line_holds_no_line_breaks(text: str) -> None:
    (problem,) = problems(f'boats: [{{name: {text}, version: "1"}}]')
    assert "must be one line" in problem


def test_what_a_message_quotes_cannot_act_on_a_terminal() -> None:
    (problem,) = problems('boats: []\n"a\\e[2J\\nb": "\\e]0;x"\n')
    assert problem == "h.yaml:2:1: a\N{REPLACEMENT CHARACTER}b: unknown field"
    (problem,) = one_boat('crew: "\\e[2J"')
    assert "\x1b" not in problem


def test_later_findings_are_placed_together() -> None:
    text = 'boats:\n  - {name: Nan, version: "1"}\n  - &a {name: Li, version: "1"}\n  - *a\n'
    findings = [(("boats", 2, "name"), "third"), (("boats", 0, "name", KEY), "first"), (("boats", 9), "no such boat")]
    assert refusal(text, "h.yaml", findings).problems == (
        Problem("h.yaml", "no such boat", "boats[9]", 2, 3),
        Problem("h.yaml", "first", "boats[0].name", 2, 6),
        Problem("h.yaml", "third", "boats[2].name", 3, 15),
    )


def test_aliases_of_aliases_do_not_multiply_the_work() -> None:
    lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 40))]
    assert len(problems("\n".join(lines))) == 41, "every unknown field, and the missing one"


def test_garbage_is_collected_again_after_a_refusal() -> None:
    problems("- a")
    assert gc.isenabled()


def test_documents_are_read_the_same_without_libyaml() -> None:
    program = """
import yaml
del yaml.CSafeLoader
from liftlock.document import Shape, read
class S(Shape):
    a: list[str]
try:
    read("a: [no, 1:30, 4.10]", "f.yaml", S)
except Exception as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "f.yaml:1:15: a[2]: must be a quoted string: 4.10 was read as the number 4.1\n"


@given(st.text(alphabet=st.sampled_from("boats: []{}-\n\t'\"&*!?|>%@,#1.e~<x\x00é船"), max_size=60))
def test_no_text_brings_down_the_reader(text: str) -> None:
    found: tuple[Problem, ...] | None = None
    try:
        read(text, "h.yaml", Harbour)
    except InputError as error:
        found = error.problems
    assert found is None or (found and all(problem.line >= 1 and problem.column >= 1 for problem in found))


@given(st.dictionaries(st.sampled_from(["d", "h", "m", "s", "ms"]), st.integers(0, 99), min_size=1))
def test_a_length_of_time_is_the_sum_of_its_parts(parts: dict[str, int]) -> None:
    units = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds", "ms": "milliseconds"}
    text = "".join(f"{parts[unit]}{unit}" for unit in units if unit in parts)
    wanted = timedelta(**{units[unit]: number for unit, number in parts.items()})
    boats = read(f'boats: [{{name: Nan, version: "1", rest: {text}}}]', "h.yaml", Harbour).boats
    assert boats[0].rest == wanted
    assert span(text) == wanted
