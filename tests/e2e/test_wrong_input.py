"""Wrong words and wrong files: one clear message on standard error, exit 2, no traceback, nothing touched."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.harbour import INV, LIFTLOCK, TASKS, Harbour, Ran, files_below, run

PLACE = re.compile(r"liftlock: (?P<file>[\w./-]+):(?P<line>\d+):(?P<column>\d+): (?P<path>[\w.\[\]-]+): \S.*")


@pytest.fixture
def untouched(quiet_harbour: Harbour) -> Iterator[Harbour]:
    """The harbour, with one plan on record; its workspace stays as it is, and nobody as much as knocks at its hosts."""
    if not (quiet_harbour.workspace / "plans").exists():
        quiet_harbour.plan()
    before, knocks = files_below(quiet_harbour.workspace), knocks_at(quiet_harbour)
    assert min(knocks) > 0, "these logs do not show who knocks"
    yield quiet_harbour
    assert files_below(quiet_harbour.workspace) == before
    assert knocks_at(quiet_harbour) == knocks


def knocks_at(harbour: Harbour) -> list[int]:
    """How often each host has let somebody in."""
    return [host.sshd.log.read_text().count("Accepted publickey") for host in harbour.hosts.values()]


def refused(ran: Ran) -> str:
    """What standard error says, after the checks that hold for every refusal of input."""
    assert ran.code == 2, ran
    assert "Traceback" not in ran.stdout + ran.stderr
    assert ran.stdout == ""
    assert all(line.startswith("liftlock: ") for line in ran.stderr.splitlines()), ran.stderr
    return ran.stderr


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("plan", "product"),
        ("plan boathouse", "version"),
        ("plan boathouse 1.5.0 --nonsense", "--nonsense"),
        ("plan ship 1.5.0", "no such product; releases/ has: boathouse"),
        ("plan boathouse 9.9.9", "9.9.9"),
        ("plan boathouse 1.5.0 --fleet navy", "no such inventory; inventories/ has: demo"),
        ("plan boathouse 1.5.0 --fleet ../demo", "not '../demo'"),
        ("plan boathouse 1.5.0 --hosts nope", "no host nope"),
        ("plan boathouse 1.5.0 --customers nobody", "no customer nobody"),
        ("gate", "plan"),
        ("gate deadbeef", "no plan 'deadbeef'"),
        ("manual deadbeef", "no plan 'deadbeef'"),
        ("notify deadbeef", "no plan 'deadbeef'"),
        ("rollout", "plan"),
        ("rollout deadbeef", "no plan 'deadbeef'"),
        ("rollout liftlock.yaml", "liftlock.yaml"),
        ("rollout deadbeef --waive", "waive"),
        ("rollback", "plan"),
        ("rollback deadbeef --reason x", "no plan 'deadbeef'"),
        ("status --plan deadbeef", "deadbeef"),
        ("report --plan deadbeef", "deadbeef"),
        ("trust --hosts nope", "no host nope"),
        ("trust --fleet navy", "no such inventory"),
        ("init", "folder"),
        ("init .", "already has"),
        ("demo --folder .", "is not empty"),
        ("nonsense", "nonsense"),
    ],
)
def test_wrong_words_are_one_clear_message(untouched: Harbour, line: str, said: str) -> None:
    message = refused(run(*line.split(), cwd=untouched.workspace))
    assert said in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("line", ["plan ship 1.5.0", "rollout deadbeef", "status --plan deadbeef", "demo --folder ."])
def test_with_json_a_refusal_is_json_alone_as_well(untouched: Harbour, line: str) -> None:
    ran = run(*line.split(), "--json", cwd=untouched.workspace)
    error = ran.told["error"]
    assert ran.code == error["exit_code"] == 2
    assert ran.stderr.removeprefix("liftlock: ").strip() == error["message"]


def test_inv_refuses_the_same_words_the_same_way(untouched: Harbour) -> None:
    for line, said in (
        ("plan", "product"),
        ("nonsense", "nonsense"),
        ("rollout deadbeef", "no plan"),
        ("gate", "plan"),
    ):
        assert said in refused(run(*line.split(), cwd=untouched.workspace, program=INV))


@pytest.mark.parametrize("task", TASKS)
def test_every_task_explains_itself_with_an_example(task: str, tmp_path: Path) -> None:
    for words in ((task, "--help"), (task, "--json", "--help"), ("--help", task)):
        ran = run(*words, cwd=tmp_path)
        assert (ran.code, ran.stderr) == (0, "")
        assert f"Example: liftlock {task}" in re.sub(r"\s+", " ", ran.stdout)
        assert "--json" in ran.stdout


def test_inv_explains_a_task_although_its_arguments_are_missing(quiet_harbour: Harbour) -> None:
    ran = run("rollout", "--help", cwd=quiet_harbour.workspace, program=INV)
    assert ran.code == 0
    assert "Example: liftlock rollout" in re.sub(r"\s+", " ", ran.stdout)


def test_outside_a_workspace_every_task_that_needs_one_says_so(tmp_path: Path) -> None:
    for line in ("plan boathouse 1.5.0", "rollout deadbeef", "status", "report", "trust", "doctor"):
        assert "not in a workspace" in refused(run(*line.split(), cwd=tmp_path))
    assert list(tmp_path.iterdir()) == []


def mistakes(stderr: str) -> dict[str, int]:
    """The field and line of each mistake of a refusal, every one in full form."""
    found = [PLACE.fullmatch(line) for line in stderr.splitlines()]
    assert all(found), stderr
    return {match["path"]: int(match["line"]) for match in found if match}


def line_of(text: str, start: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if line.strip().startswith(start))


def test_every_mistake_in_a_manifest_is_reported_at_once_with_its_place(quiet_harbour: Harbour) -> None:
    place = quiet_harbour.releases / "1.5.0.yaml"
    right = place.read_text(encoding="utf-8")
    wrong = right.replace("kind: upgrade", "kind: upgrad").replace("length: 10240", "length: ten")
    wrong = wrong.replace("downtime: 10s", "downtime: soon") + "colour: blue\n"
    place.write_text(wrong, encoding="utf-8")
    ran = run("plan", "boathouse", "1.5.0", cwd=quiet_harbour.workspace)
    told = run("plan", "boathouse", "1.5.0", "--json", cwd=quiet_harbour.workspace).told["error"]["problems"]
    place.write_text(right, encoding="utf-8")
    found = mistakes(refused(ran))
    assert found == {
        "kind": line_of(wrong, "kind"),
        "artifact.length": line_of(wrong, "length"),
        "downtime": line_of(wrong, "downtime"),
        "colour": line_of(wrong, "colour"),
    }
    assert {problem["file"] for problem in told} == {"releases/boathouse/1.5.0.yaml"}
    assert {problem["path"]: problem["line"] for problem in told} == found


def test_every_mistake_in_an_inventory_is_reported_at_once_with_its_place(quiet_harbour: Harbour) -> None:
    right = quiet_harbour.inventory.read_text(encoding="utf-8")
    wrong = right.replace("timezone: Europe/Berlin", "timezone: Europe/Berln", 1).replace(
        "language: zh-CN", "language: zh", 1
    )
    wrong = re.sub(r"port: \d+, base", "port: 70000, base", wrong, count=1)
    quiet_harbour.inventory.write_text(wrong, encoding="utf-8")
    ran = run("doctor", cwd=quiet_harbour.workspace)
    planned = run("plan", "boathouse", "1.5.0", cwd=quiet_harbour.workspace)
    quiet_harbour.inventory.write_text(right, encoding="utf-8")
    assert mistakes(refused(planned)) == {
        "customers.northpier.timezone": line_of(wrong, "timezone: Europe/Berln"),
        "customers.huaxin.language": line_of(wrong, "language: zh"),
        "hosts[0].port": line_of(wrong, "- {name: np-1"),
    }
    assert ran.code == 3
    assert ran.stdout.count("inventories/demo.yaml:") == 3, "the doctor names them too"


def test_the_mistakes_of_several_files_are_told_together(quiet_harbour: Harbour) -> None:
    files = {quiet_harbour.inventory: "ports", quiet_harbour.releases / "1.5.0.yaml": "kinds"}
    right = {file: file.read_text(encoding="utf-8") for file in files}
    for file, field in files.items():
        file.write_text(f"{right[file]}{field}: 1\n", encoding="utf-8")
    ran = run("plan", "boathouse", "1.5.0", cwd=quiet_harbour.workspace)
    for file, text in right.items():
        file.write_text(text, encoding="utf-8")
    assert all(field in refused(ran) for field in files.values())


@pytest.mark.parametrize("program", [LIFTLOCK, INV])
def test_dry_is_refused_because_no_task_has_a_rehearsal(untouched: Harbour, program: tuple[str, ...]) -> None:
    ran = run("--dry", "plan", "boathouse", "1.5.0", cwd=untouched.workspace, program=program)
    assert "--dry" in refused(ran)


def test_words_that_cannot_be_parsed_are_json_too_when_json_is_asked_for(untouched: Harbour) -> None:
    ran = run("plan", "boathouse", "--bogus", "--json", cwd=untouched.workspace)
    assert (ran.code, ran.told["error"]["exit_code"]) == (2, 2)


def test_a_reader_that_has_seen_enough_of_a_pipe_gets_no_traceback(quiet_harbour: Harbour) -> None:
    piped = ("sh", "-c", '"$0" "$@" | head -c 20', *LIFTLOCK)
    for words in (("--help",), ("plan", "boathouse", "1.5.0", "--json"), ("status",)):
        ran = run(*words, cwd=quiet_harbour.workspace, program=piped)
        assert len(ran.stdout) == 20
        assert "Traceback" not in ran.stderr
        assert "BrokenPipe" not in ran.stderr


def test_a_file_that_is_not_yaml_is_named_with_the_place_where_it_breaks(quiet_harbour: Harbour) -> None:
    right = quiet_harbour.inventory.read_bytes()
    quiet_harbour.inventory.write_bytes(b"fleet: demo\ncustomers: {a: [\n")
    ran = run("plan", "boathouse", "1.5.0", cwd=quiet_harbour.workspace)
    quiet_harbour.inventory.write_bytes(right)
    assert re.match(r"liftlock: inventories/demo.yaml:\d+:\d+: \S", refused(ran))


def test_a_plan_file_that_was_edited_is_refused(quiet_harbour: Harbour) -> None:
    file = Path(quiet_harbour.ask("plan", "boathouse", "1.5.0").told["file"])
    plan = json.loads(file.read_text(encoding="utf-8"))
    plan["hosts"][0]["observed"] = "1.3.0"
    edited = quiet_harbour.workspace / "edited.json"
    edited.write_text(json.dumps(plan), encoding="utf-8")
    message = refused(run("rollout", "edited.json", cwd=quiet_harbour.workspace))
    edited.unlink()
    assert "edited.json" in message
    assert not quiet_harbour.seen("np-1").touched


def test_listing_the_tasks_imports_nothing_heavy(quiet_harbour: Harbour) -> None:
    heavy = {"fabric", "paramiko", "sqlalchemy", "alembic", "pydantic", "rich", "pytest", "jinja2", "icalendar"}
    for words in (("-m", "liftlock", "-l"), (INV[0], "-l")):
        ran = run(*words, cwd=quiet_harbour.workspace, program=(LIFTLOCK[0], "-X", "importtime"))
        imported = {line.rsplit("|", 1)[-1].strip().partition(".")[0] for line in ran.stderr.splitlines()}
        assert ran.code == 0
        assert all(re.search(rf"^  {task} ", ran.stdout, re.MULTILINE) for task in TASKS)
        assert "invoke" in imported
        assert imported & heavy == set()
