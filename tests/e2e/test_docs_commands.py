"""The documentation holds: its commands run, its examples are read, its links lead somewhere, nothing is left out.

A `console` block is run in the order of its page, on real hosts; one that is not says `console no-run: reason`.
A `yaml` block's first line names the file that it is; when it adds `wrong`, the `text` block below is what is told.
"""

from __future__ import annotations

import inspect
import json
import re
import shlex
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
from invoke.parser import Parser, ParserContext

from e2e.page_fields import KINDS, Kind, told
from e2e.page_reader import Typed, reader, shape_of
from e2e.pages import PAGES, RECORDS, ROOT, Page, page
from liftlock import model
from liftlock.errors import ExitCode
from liftlock.main import understood
from liftlock.tasks import namespace

CONTEXTS: dict[str, ParserContext] = {str(context.name): context for context in namespace.to_contexts()}
TASKS_PAGE = page("docs/tasks.md")
OVERVIEWS = {"path", "diff", "approve", "calendar", "lifecycle"}
"""Tasks that the page on planning shows, the tutorial does not."""
HOST_CARE = {"stage", "unlock"}
STEERING = {"pause", "resume", "abort", "incident"}
"""Tasks that the page on rollouts shows."""
NEEDED_BY_THE_EXAMPLE = {"health.url", "customers.*.groups", "customers.*.contacts[].email"}
"""Fields without which something else in the example of their kind has no meaning."""
OF_EACH_KIND = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.heading)


def flags_of(task: str) -> set[str]:
    """Every long flag that a task knows."""
    return {*CONTEXTS[task].flags, *CONTEXTS[task].inverse_flags}


def as_said(typed: Typed) -> None:
    """Insist that the command ended as its page says, and printed every line that the page shows."""
    assert typed.code == typed.command.code, f"$ {typed.command.line}\n{typed.printed}"
    printed = shape_of(typed.printed)
    for line in typed.command.output:
        shown = shape_of(line.partition("[y/N]")[0])
        assert shown in printed, f"$ {typed.command.line}\nnever printed: {line}\n{typed.printed}"


def test_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    tasks = set()
    with reader(tmp_path) as person:
        for typed in person.follow(page("docs/tutorial.md")):
            as_said(typed)
            tasks.add(typed.command.line.split()[1])
        assert {host.health()["version"] for host in person.hosts.values()} == {"1.4.0"}
    assert tasks == set(CONTEXTS) - {"demo", "consent", "feedback"} - OVERVIEWS - STEERING - HOST_CARE


def test_planning_does_what_its_page_says(tmp_path: Path) -> None:
    tasks = set()
    with reader(tmp_path) as person:
        person.windows_as_written = True
        for typed in person.follow(page("docs/planning.md")):
            as_said(typed)
            tasks.add(typed.command.line.split()[1])
    assert tasks == {"init", "plan"} | OVERVIEWS


def test_the_examples_of_every_task_run_and_their_json_has_the_keys_that_are_named(tmp_path: Path) -> None:
    asked = set()
    with reader(tmp_path) as person:
        for typed in person.follow(TASKS_PAGE):
            as_said(typed)
            if "--json" in typed.command.line:
                task = typed.command.line.split()[1]
                has_the_keys_named(json.loads(typed.stdout), TASKS_PAGE.section(task).split("JSON keys: ")[1])
                asked.add(task)
    assert asked == set(CONTEXTS) - {"demo"}


def has_the_keys_named(document: dict[str, Any], said: str) -> None:
    """Insist on the keys of the first sentence, and on those of every ``x` has ...` and `Each of `x` has ...`."""
    said = re.sub(r"\([^)]*(\([^)]*\))?[^)]*\)", "", " ".join(said.split()))
    assert set(document) == names_in(said.split(".")[0])
    for each, name, keys in re.findall(r"(Each of )?`(\w+)` has ([^.]+)\.", said):
        values = document[name] if each else [document[name]]
        assert all(set(value) == names_in(keys) for value in values), (name, values)


def names_in(text: str) -> set[str]:
    """The `names` in a sentence."""
    return set(re.findall(r"`(\w+)`", text))


@pytest.mark.parametrize("shown", PAGES, ids=lambda one: one.name)
def test_every_command_on_a_page_names_a_task_and_flags_that_exist(shown: Page) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for block in shown.blocks:
        if block.kind != "console":
            continue
        assert block.info == "console" or block.not_run, f"{shown.name}: say why this is not run: {block.info}"
        for command in block.commands:
            program, *words = shlex.split(command.line.partition(" >")[0])
            if program in {"liftlock", "inv"}:
                _, *words = understood([program, *words])
                Parser(contexts=CONTEXTS.values()).parse_argv(words)  # raises when a word is not known
            elif program == "make":
                assert set(words) <= targets
    for code in shown.code:
        found = re.fullmatch(r"(?:liftlock|inv) ([a-z]+)\b(.*)", code)
        if found:
            assert set(re.findall(r"--[a-z-]+", found[2])) <= {*flags_of(found[1]), "--help"}, code


@pytest.mark.parametrize("shown", [*PAGES, *RECORDS, page("CHANGELOG.md")], ids=lambda one: one.name)
def test_every_link_of_a_page_leads_somewhere(shown: Page) -> None:
    for link in shown.links:
        if re.match(r"https://[\w.-]+/", link):
            continue
        path, _, anchor = link.partition("#")
        target = (shown.path.parent / path).resolve() if path else shown.path
        assert target.exists(), f"{shown.name}: {link}"
        if anchor:
            assert anchor in Page(target).anchors, f"{shown.name}: {link}"


def test_every_task_is_documented_with_every_one_of_its_flags() -> None:
    assert [heading for heading in TASKS_PAGE.headings[1:] if heading in CONTEXTS] == TASKS_PAGE.headings[1:]
    assert set(TASKS_PAGE.headings[1:]) == set(CONTEXTS)
    for task in CONTEXTS:
        documented = set(re.findall(r"`(--[a-z-]+)`", " ".join(row[0] for row in TASKS_PAGE.rows(task))))
        assert documented == flags_of(task), task


def test_every_exit_code_is_documented_with_its_name_and_for_every_task() -> None:
    codes = page("docs/exit-codes.md")
    assert {(row[0], row[1].strip("`")) for row in codes.rows("Exit codes") if row[0].isdigit()} == {
        (str(code.value), code.name) for code in ExitCode
    }
    assert {row[0].strip("`") for row in codes.rows("Which task ends with which")} == set(CONTEXTS)


def test_every_word_of_the_model_is_in_the_glossary() -> None:
    words = set(re.findall(r"\*\*`(\w+)`\*\*", page("docs/glossary.md").text))
    assert words == {name for name, _ in inspect.getmembers(model, inspect.isclass) if is_ours(name)}
    outcomes = {row[0].strip("`") for row in page("docs/glossary.md").rows("Outcomes")}
    assert outcomes == {outcome.value for outcome in model.Outcome}


def is_ours(name: str) -> bool:
    """Whether a class that the model's module shows is its own."""
    return getattr(model, name).__module__.startswith(model.__name__) and not name.startswith("_")


@OF_EACH_KIND
def test_every_field_of_our_files_is_documented_and_no_other(kind: Kind) -> None:
    assert sorted(field.path for field in kind.fields) == sorted(kind.paths)
    assert told(kind, kind.example) == ""


@OF_EACH_KIND
def test_fields_have_the_defaults_that_are_documented(kind: Kind) -> None:
    for field in kind.fields:
        without = told(kind, field.without())
        if field.default == "required":
            assert "is missing" in without, field.path
        elif field.path in NEEDED_BY_THE_EXAMPLE:
            assert without != "", field.path
        elif field.default != "none":
            assert kind.read(field.without(), kind.file) == kind.read(field.with_default(), kind.file), field.path
        else:
            assert without == "", field.path


@OF_EACH_KIND
def test_wrong_values_are_told_as_documented(kind: Kind) -> None:
    for field in kind.fields:
        text, expected = field.mistake()
        name = field.path.rpartition(".")[2].removesuffix("[]")
        lines = told(kind, text).splitlines()
        assert any(name in line and line.endswith(f": {expected}") for line in lines), (field.path, lines)


@pytest.mark.parametrize("shown", PAGES, ids=lambda one: one.name)
def test_every_yaml_example_is_read_by_our_readers_or_refused_as_shown(shown: Page) -> None:
    readers = {"product.yaml": KINDS[0], "inventories": KINDS[2], "liftlock.yaml": KINDS[3]}
    for block, following in zip_longest(shown.blocks, shown.blocks[1:]):
        if block.kind != "yaml" or block.file.startswith("ansible/"):  # what Ansible's are, a plan has shown
            continue
        assert block.file, f"{shown.name}: name the file in the first line of the example"
        kind = next((kind for part, kind in readers.items() if part in block.file), KINDS[1])
        if block.text.splitlines()[0].endswith(", wrong"):
            assert following is not None
            assert told(kind, block.text, block.file) == following.text.rstrip("\n")
        else:
            assert told(kind, block.text, block.file) == ""


def test_decisions_are_numbered_and_short_and_tell_their_downsides() -> None:
    assert [record.path.name[:4] for record in RECORDS] == [f"{number:04d}" for number in range(1, len(RECORDS) + 1)]
    for record in RECORDS:
        assert len(record.text.splitlines()) <= 25, record.name
        assert record.headings[0].startswith(f"{int(record.path.name[:4])}. "), record.name
        assert record.headings[1:] == ["Context", "Decision", "Downsides"], record.name


def test_the_pictures_of_the_readme_are_there_and_light() -> None:
    pictures = [ROOT / link for link in page("README.md").links if link.endswith(".png")]
    assert len(pictures) == 3
    for picture in pictures:
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert picture.stat().st_size < 300_000
