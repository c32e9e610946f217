"""The house rules that no linter knows: a core without clock or I/O, small modules, plain names, one glossary."""

from __future__ import annotations

import ast
import builtins
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import liftlock
from liftlock import model

PACKAGE = Path(liftlock.__file__).parent
ROOT = Path(__file__).parents[2]
OUTSIDE_THE_CORE = {"__init__", "__main__", "main", "attempts", "engine"}
CORE = sorted(
    path for path in (*PACKAGE.glob("*.py"), *PACKAGE.glob("model/*.py")) if path.stem not in OUTSIDE_THE_CORE
)
MODULES = sorted(path for path in PACKAGE.rglob("*") if path.suffix in {".py", ".sh"})

BANNED_MODULES = {"os", "socket", "subprocess", "time"}
BANNED_NAMES = {
    "datetime.date.today",
    "datetime.datetime.now",
    "datetime.datetime.today",
    "datetime.datetime.utcnow",
}
BANNED_BUILTINS = {"breakpoint", "input", "open", "print"}
BANNED_METHODS = {"open", "read_bytes", "read_text", "write_bytes", "write_text"}
BANNED_FILE_NAMES = {"common", "helper", "helpers", "misc", "util", "utils"}


def breaches(source: str) -> list[str]:
    """Every line of a module that reads a clock, waits, or does I/O, as `line: name`."""
    tree = ast.parse(source)
    imported = _imported(tree)
    found = {(node.lineno, name) for node in ast.walk(tree) for name in _names(node, imported) if _is_banned(name)}
    return [f"{line}: {name}" for line, name in sorted(found)]


def _imported(tree: ast.Module) -> dict[str, str]:
    """What each imported name stands for, wherever in the module it is imported."""
    meant = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.split(".")[0]
                meant[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                meant[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return meant


def _names(node: ast.AST, imported: dict[str, str]) -> Iterator[str]:
    """The dotted names that a node imports or uses; methods of unknown values as `?.name`."""
    match node:
        case ast.Import(names=names):
            yield from (alias.name for alias in names)
        case ast.ImportFrom(module=str(module), names=names):
            yield from (f"{module}.{alias.name}" for alias in names)
        case ast.Attribute():
            yield _dotted(node, imported)
        case ast.Call(func=ast.Name(id=name)) if name not in imported and hasattr(builtins, name):
            yield f"builtins.{name}"
        case ast.Call(func=ast.Attribute(attr=method)):
            yield f"?.{method}"


def _dotted(node: ast.expr, imported: dict[str, str]) -> str:
    match node:
        case ast.Attribute(value=value, attr=name):
            return f"{_dotted(value, imported)}.{name}"
        case ast.Name(id=name):
            return imported.get(name, f"?{name}")
    return "?"


def _is_banned(name: str) -> bool:
    room, _, last = name.rpartition(".")
    return (
        name.split(".", maxsplit=1)[0] in BANNED_MODULES
        or name in BANNED_NAMES
        or (room == "builtins" and last in BANNED_BUILTINS)
        or (room == "?" and last in BANNED_METHODS)
    )


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from datetime import datetime\nx = datetime.now()", ["2: datetime.datetime.now"]),
        ("from datetime import datetime as d\nx = d.utcnow", ["2: datetime.datetime.utcnow"]),
        ("import datetime as d\nx = d.datetime.now(d.UTC)", ["2: datetime.datetime.now"]),
        ("from datetime import date\ndate.today()", ["2: datetime.date.today"]),
        ("import time", ["1: time"]),
        ("def f():\n    from time import monotonic", ["2: time.monotonic"]),
        ("import os.path", ["1: os.path"]),
        ("from os import environ", ["1: os.environ"]),
        ("from subprocess import run as go", ["1: subprocess.run"]),
        ("import socket as s", ["1: socket"]),
        ("print(1)", ["1: builtins.print"]),
        ("with open('x') as f:\n    pass", ["1: builtins.open"]),
        ("def f(path):\n    return path.read_text()", ["2: ?.read_text"]),
    ],
)
def test_a_breach_is_found_under_any_name(source, found):
    assert set(found) <= set(breaches(source))


@pytest.mark.parametrize(
    "source",
    [
        "from datetime import datetime\nx = datetime.fromisoformat('2026-11-21')",
        "def decide(now):\n    return now.today",
        "timeout = 3\nopened = {'open': 1}",
        "from liftlock.report import print\nprint(1)",
        "def f(self):\n    return self.clock.now()",
    ],
)
def test_what_only_looks_like_a_breach_is_none(source):
    assert breaches(source) == []


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.stem)
def test_the_core_reads_no_clock_and_does_no_io(path):
    assert breaches(path.read_text()) == []


def test_the_core_is_there():
    assert {"fleet", "release", "errors", "ledger", "plan", "progress", "rollout", "outcome"} <= {
        path.stem for path in CORE
    }


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_module_can_be_read_in_one_sitting_and_says_what_it_is(path):
    assert len(path.read_text().splitlines()) <= 400
    assert path.stem not in BANNED_FILE_NAMES
    assert path.parent.name not in BANNED_FILE_NAMES


def test_the_glossary_explains_every_word_of_the_model():
    glossary = ROOT / "docs" / "glossary.md"
    text = glossary.read_text() if glossary.is_file() else ""
    explained = {_plain(term) for entry in _entries(text) for term in re.split(r"[,/;()]|\band\b|\bor\b", entry)}
    classes = [
        name for name, kind in inspect.getmembers(model, inspect.isclass) if kind.__module__.startswith(model.__name__)
    ]
    missing = [name for name in classes if _plain(name) not in explained]
    assert missing == [], f"docs/glossary.md explains none of: {', '.join(missing)}"


def _entries(text: str) -> list[str]:
    """Headings and bold terms."""
    return re.findall(r"^#+\s+(.+)$", text, re.MULTILINE) + re.findall(r"\*\*(.+?)\*\*", text)


def _plain(term: str) -> str:
    """`ReleaseKind`, release kind and Release-Kind are the same word."""
    return re.sub(r"[^a-z0-9]", "", term.casefold())
