"""The documentation holds: its commands run, its examples are read, and it leaves nothing out."""

from __future__ import annotations

from pathlib import Path

import pytest
from e2e.page_reader import Typed, reader, shape_of
from e2e.pages import page


def hold(typed: Typed) -> None:
    """The command ended as the page says, and printed every line that the page shows."""
    assert typed.code == typed.command.code, f"$ {typed.command.line}\n{typed.printed}"
    printed = shape_of(typed.printed)
    for line in typed.command.output:
        shown = shape_of(line.partition("[y/N]")[0])
        assert shown in printed, f"$ {typed.command.line}\nnever printed: {line}\n{typed.printed}"


def test_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    with reader(tmp_path) as person:
        typed = []
        for one in person.follow(page("docs/tutorial.md")):
            hold(one)
            typed.append(one.command.line.split()[1])
        assert {host.health()["version"] for host in person.hosts.values()} == {"1.4.0"}
    assert {"init", "trust", "doctor", "plan", "gate", "manual", "notify", "rollout", "rollback"} <= set(typed)
