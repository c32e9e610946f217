"""What a newcomer types and meets: mistyped words, a reader that has seen enough, an output that takes nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from e2e.harbour import INV, LIFTLOCK, environment, run


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace from `init` with one plan on record."""
    root = tmp_path_factory.mktemp("newcomer") / "ws"
    assert run("init", str(root), cwd=root.parent).code == 0
    waived = ("--waive", "notice", "--reason", "a try")
    assert run("plan", "boathouse", "1.5.0", "--no-look", *waived, cwd=root).code == 0
    return root


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("paln", "there is no task paln; did you mean plan?"),
        ("paln --help", "there is no task paln; did you mean plan?"),
        ("--help paln", "there is no task paln; did you mean plan?"),
        ("qqq", "there is no task qqq; liftlock --help lists them"),
        ("plan", "plan is missing its product and version: liftlock plan PRODUCT VERSION"),
        ("plan boathouse 1.5.0 --flet x", "plan knows no --flet; did you mean --fleet?"),
        ("plan boathouse 1.5.0 x", "plan has no place for 'x': liftlock plan PRODUCT VERSION [--options]"),
        ("rollout --plan", "--plan needs a value"),
        ("rollout deadbeef --hosts", "rollout knows no --hosts"),
        ("gate deadbeef --hosts", "--hosts needs a value"),
        ("path boathouse banana 1.5.0", "'banana' is not a version"),
        ("path boathouse 1.4.0 banana", "boathouse has no release banana"),
        ("path ship 1.4.0 1.5.0", "there is no such product"),
        ("ledger verify --known zz", "64 hexadecimal digits, not 'zz'"),
        ("calendar --html releases", "releases could not be written: it is a folder"),
        ("report --html releases", "releases could not be written: it is a folder"),
    ],
)
def test_wrong_words_are_refused_in_our_own_words(planned: Path, line: str, said: str) -> None:
    ran = run(*line.split(), cwd=planned)
    assert (ran.code, ran.stdout) == (2, "")
    assert ran.stderr.startswith("liftlock: ")
    assert said in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


@pytest.mark.parametrize("program", [LIFTLOCK, INV], ids=["liftlock", "inv"])
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("plan", "boathouse", "1.5.0", "--no-look", "--hosts", ","), "--hosts needs a value, and ',' is empty"),
        (("plan", "boathouse", "1.5.0", "--no-look", "--customers="), "--customers needs a value, and '' is empty"),
        (("plan", "boathouse", " ", "--no-look"), "VERSION needs a value, and ' ' is empty"),
        (("approve", "PLAN", "--by", ""), "--by needs a value, and '' is empty"),
        (("pause", "PLAN", "--reason", "why", "--by", " "), "--by needs a value, and ' ' is empty"),
        (("lifecycle", "--fleet", "", "--json"), "--fleet needs a value, and '' is empty"),
    ],
)
def test_an_empty_value_is_a_wrong_one_not_one_that_was_not_given(
    planned: Path, words: tuple[str, ...], said: str, program: tuple[str, ...]
) -> None:
    plan = next((planned / "plans").glob("*.json")).name
    before = sorted((planned / "plans").iterdir())
    ran = run(*(str(Path("plans") / plan) if word == "PLAN" else word for word in words), cwd=planned, program=program)
    assert (ran.code, ran.stderr) == (2, f"liftlock: {said}\n")
    assert sorted((planned / "plans").iterdir()) == before


def test_inv_says_a_mistyped_task_in_the_same_words(planned: Path) -> None:
    ran = run("paln", cwd=planned, program=INV)
    assert (ran.code, ran.stderr) == (2, "liftlock: there is no task paln; did you mean plan?\n")


def test_a_reader_that_leaves_early_is_no_defect(planned: Path) -> None:
    for words in (("ledger", "verify"), ("ledger", "verify", "--json"), ("status",)):
        task = subprocess.Popen(
            [*LIFTLOCK, *words], cwd=planned, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
        )
        assert task.stdout
        assert task.stderr
        task.stdout.close()
        said = task.stderr.read()
        task.stderr.close()
        assert (task.wait(), said) == (0, b""), words


def test_an_output_that_takes_nothing_is_one_clear_line_also_for_an_error(planned: Path) -> None:
    settings = planned / "liftlock.yaml"
    right = settings.read_text(encoding="utf-8")
    for text, code, why in ((right, 5, "No space left on device"), ("policy: [", 2, "liftlock.yaml:")):
        settings.write_text(text, encoding="utf-8")
        with Path("/dev/full").open("w") as full:
            ran = subprocess.run(
                [*LIFTLOCK, "ledger", "verify", "--json"],
                cwd=planned, stdout=full, stderr=subprocess.PIPE, text=True, env=environment(), check=False,
            )  # fmt: skip
        settings.write_text(right, encoding="utf-8")
        assert ran.returncode == code, ran.stderr
        assert why in ran.stderr
        assert len(ran.stderr.splitlines()) == 1, ran.stderr


def test_a_mistake_in_a_manifest_is_told_once_where_another_product_reads_it_too(planned: Path) -> None:
    manifest = planned / "releases" / "boathouse" / "1.6.0.yaml"
    right = manifest.read_text(encoding="utf-8")
    manifest.write_text(right + "colour: blue\n", encoding="utf-8")
    ran = run("plan", "boathouse", "1.5.0", "--no-look", cwd=planned)
    manifest.write_text(right, encoding="utf-8")
    assert ran.code == 2
    assert ran.stderr.count("colour") == 1, ran.stderr
