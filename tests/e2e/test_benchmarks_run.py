"""Each benchmark at its smallest size: that it measures everything it promises, not how fast anything is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
CONTENDERS = ["OpenSSH alone", "liftlock", "plain Fabric"]
FIGURES = re.compile(r"[\d.]+( x| to [\d.]+)?|refused|trusted")


def rows(report: str) -> dict[str, list[list[str]]]:
    """The figures of every row by its name, once for each table that has it."""
    found: dict[str, list[list[str]]] = {}
    for line in report.splitlines():
        if line.startswith("| "):
            name, *figures = (cell.strip() for cell in line.strip("|").split("|"))
            found.setdefault(name, []).append(figures)
    return found


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tasks", ["python -c pass", 'python -c "import invoke"', "inv -l", "liftlock --list"]),
        (
            "plan",
            ["PyYAML alone, 1000 hosts", "read_fleet, 1000 hosts", "read_fleet, the same with 10 mistakes", "1000"],
        ),
        ("ledger", ["appended", "read and verified"]),
        ("rollout", CONTENDERS),
        ("manuals", ["4"]),
        ("waves", [f"100 hosts, 5 %, {way}" for way in ("fixed waves", "evidence", "Ansible, 2 %", "hawkBit, 98/2")]),
    ],
)
def test_a_benchmark_prints_a_figure_for_everything_it_compares(name: str, expected: list[str]) -> None:
    words = [sys.executable, "-m", "benchmarks", name, "--quick"]
    ended = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    assert re.match(r"\d{4}-\d\d-\d\d .* UTC, \d+ cores .* Python 3\.\d+\.\d+, OpenSSH_", ended.stdout)
    assert f"\n## {name}\n" in ended.stdout
    found = rows(ended.stdout)
    for row in expected:
        assert found[row]
        assert all(FIGURES.fullmatch(figure) for figures in found[row] for figure in figures), found[row]
    assert f"{name}: " in ended.stderr


def test_a_rollout_is_measured_beside_two_others_in_time_cpu_connections_memory_and_trust() -> None:
    words = [sys.executable, "-m", "benchmarks", "rollout", "--quick", "--hosts", "1"]
    report = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=True).stdout
    found = rows(report)
    assert all(f"| 1 hosts, {part} " in report for part in ("in all", "without start", "besides"))
    assert [len(found[name]) for name in CONTENDERS] == [3, 3, 3]  # in all, without start, and what it cost besides
    assert all(found["OpenSSH alone"][table][2] == "1.00 x" for table in (0, 1))
    besides = [found[name][2] for name in CONTENDERS]
    assert [connections for connections, _, _ in besides] == ["2.0", "2.0", "2.0"]
    assert [with_a_false_key for _, _, with_a_false_key in besides] == ["refused", "refused", "trusted"]


def test_a_tool_to_compare_with_is_installed_once_in_a_folder_of_its_own(tmp_path: Path) -> None:
    requirements = tmp_path / "requirements-none.txt"
    requirements.write_text("# no packages\n", encoding="utf-8")
    program = (
        "import sys; from pathlib import Path; from benchmarks import tools; "
        "print(tools.commands(Path(sys.argv[1]), lambda text: print(text)))"
    )
    words = [sys.executable, "-c", program, str(requirements)]
    first, second = (
        subprocess.run(
            words,
            cwd=REPOSITORY,
            env=os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")},
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
        ).stdout.splitlines()
        for _ in range(2)
    )
    assert (len(first), len(second)) == (2, 1)  # the first says that it installs
    assert first[1] == second[0]
    assert Path(second[0]).is_relative_to(tmp_path / "cache")
    assert (Path(second[0]) / "python").exists()


def test_a_tool_that_is_not_known_is_refused_before_anything_is_measured() -> None:
    words = [sys.executable, "-m", "benchmarks", "rollout", "--with", "pssh,puppet"]
    ended = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 2
    assert "there is no puppet: choose from ansible,pyinfra,pssh" in ended.stderr
    assert not ended.stdout
