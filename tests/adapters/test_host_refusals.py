"""The host program looks, refuses and keeps its hands off: nothing that is sent or printed can mislead it."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters.host_box import NEW, NONCE, OLD, SHELLS, Box, all_but, archive, links_to, running_box
from liftlock.adapters import program
from liftlock.adapters.program import Answers, command


@pytest.fixture(params=SHELLS)
def box(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Box]:
    with running_box(request.param, tmp_path) as box:
        yield box


def make_current_a_directory(box: Box) -> None:
    (box.base / "current").unlink()
    (box.base / "current").mkdir()


def point_current_at(target: str) -> Callable[[Box], None]:
    return lambda box: box.point_current_at(target)


def forget_the_base(box: Box) -> None:
    box.settings["LL_BASE"] += "/nowhere"


def know_a_newer_controller(box: Box) -> None:
    box.run("stage")
    assert box.run("unlock", LL_FENCE="8").values["result"] == "done"


def spoil_the_archive(box: Box) -> None:
    box.artifact = box.artifact[:-40] + bytes(40)


def no_change(box: Box) -> None:
    pass


@pytest.mark.parametrize(
    ("prepare", "changes", "cause"),
    [
        (no_change, {"LL_SHA256": "0" * 64}, "sha256 does not match"),
        (no_change, {"LL_FROM": "1.4.0"}, "another version is installed"),
        (no_change, {"LL_LENGTH": "9" * 15}, "not enough space"),
        (no_change, {"LL_ARCHIVE": "boathouse.zip"}, "unknown archive type"),
        (no_change, {"LL_BASE": "relative"}, "bad setting"),
        (no_change, {"LL_HEALTH_URL": ""}, "bad setting"),
        (spoil_the_archive, {}, "unpack failed"),
        (know_a_newer_controller, {}, "stale fence"),
        (forget_the_base, {}, "base missing"),
        (make_current_a_directory, {}, "current is not a link"),
        (point_current_at("releases/1.4.0"), {}, "current is dangling"),
        (point_current_at("/etc"), {}, "current points outside releases"),
        (point_current_at("releases/../../x"), {}, "current points outside releases"),
    ],
)
def test_an_upgrade_that_cannot_be_right_is_refused_with_nothing_changed(box: Box, prepare, changes, cause):
    prepare(box)
    before = box.contents()
    answers = box.run("upgrade", **changes)
    assert (answers.values["result"], answers.values["cause"]) == ("refused", cause), answers.values
    assert {path: text for path, text in box.contents().items() if path != "releases"} == {
        path: text for path, text in before.items() if path != "releases"
    }
    assert OLD in box.answering().decode()
    assert list((box.base / ".liftlock" / "incoming").glob(".part.*")) == []


@pytest.mark.parametrize(
    ("fences", "cause"),
    [
        ("8\n", "stale fence"),
        ("\n8\n\n6\n", "stale fence"),  # the highest counts, whatever came later
        ("8", "stale fence"),
        ("eight\n", "fence unreadable"),
        ("7\n", ""),
        ("\n5\n\n6\n", ""),
        ("\n7\n\n1", ""),  # a line that a crash has cut off
        ("", ""),  # the first line of all that a crash has cut off
    ],
)
def test_the_highest_fence_that_came_here_is_the_fence(box: Box, fences, cause):
    box.run("stage")
    (box.base / ".liftlock" / "fence").write_text(fences)
    answers = box.run("upgrade", LL_FENCE="7")
    assert answers.values["cause"] == cause
    assert answers.values["result"] == ("refused" if cause else "switched")
    if not cause:
        assert box.run("roll_back", LL_FENCE="6").values["cause"] == "stale fence"


def test_an_upload_that_ends_early_leaves_nothing_behind(box: Box):
    before = box.contents()
    answers = box.run("upgrade", upload=box.artifact[:-1])
    assert (answers.values["result"], answers.values["cause"]) == ("refused", "upload incomplete")
    assert answers.values["detail"] == f"{len(box.artifact) - 1} of {len(box.artifact)} bytes"
    assert box.contents() == before
    assert list((box.base / ".liftlock" / "incoming").iterdir()) == []


def test_an_upload_that_never_comes_is_given_up(box: Box):
    with box.start("upgrade", LL_PHASE_TIMEOUT="1") as process:
        answers = Answers(NONCE)
        while data := os.read(process.stdout.fileno(), 65536):
            answers.feed(data)
    assert answers.values["cause"] == "upload incomplete"


def test_a_slow_upload_is_kept_for_the_next_attempt_and_takes_no_time_from_the_restart(box: Box):
    with box.start("upgrade", LL_PHASE_TIMEOUT="6") as process:
        answers = Answers(NONCE)
        while data := os.read(process.stdout.fileno(), 65536):
            answers.feed(data)
            if answers.wants is not None and not process.stdin.closed:
                time.sleep(4)
                process.stdin.write(box.artifact)
                process.stdin.close()
    assert (answers.values["result"], answers.values["cause"]) == ("refused", "staged too late to switch")
    assert box.current == f"releases/{OLD}"
    assert box.run("upgrade").values["have"] == "1"


def test_only_what_was_staged_is_switched_to(box: Box):
    assert box.run("switch").values["cause"] == "not staged"
    box.run("stage")
    assert box.run("switch", LL_SHA256="0" * 64).values["cause"] == "not staged"
    assert box.current == f"releases/{OLD}"


def test_a_host_on_the_wanted_version_that_is_not_well_is_refused_and_not_touched(box: Box):
    os.kill(box.pid, signal.SIGKILL)
    before = box.contents()
    answers = box.run("upgrade", LL_TO=OLD, LL_HEALTH_DEADLINE="1")
    assert (answers.values["result"], answers.values["cause"]) == ("refused", "installed but not healthy")
    assert (answers.values["detail"], answers.values["version"]) == ("health: no answer", "")
    assert box.run("stage", LL_TO=OLD).values["cause"] == "the release is current"
    assert box.contents() == before


def test_while_one_phase_runs_another_is_refused_and_a_probe_says_so(box: Box):
    box.run("stage")
    assert box.run("probe").values["busy"] == "0"
    with subprocess.Popen(["flock", "-o", box.base / ".liftlock" / "lock", "cat"], stdin=subprocess.PIPE) as holder:
        while box.run("probe").values["busy"] != "1":
            assert holder.poll() is None
        answers = box.run("upgrade", LL_FROM="1.4.0")
        holder.stdin.close()
    assert (answers.values["result"], answers.values["cause"]) == ("refused", "busy")
    assert answers.values["detail"].startswith("stage of plan 3f2a, attempt 1, since 20")
    assert box.current == f"releases/{OLD}"


def test_a_probe_tells_what_is_there_and_changes_nothing(box: Box):
    before = box.contents()
    values = box.run("probe").values
    assert (values["installed"], values["running"], values["healthy"]) == (OLD, OLD, "1")
    assert (values["busy"], values["journal"], values["missing_tools"], values["cause"]) == ("0", "", "", "")
    assert int(values["free_bytes"]) > 0
    assert values["free_inodes"].isdecimal() or values["free_inodes"] == ""
    assert box.contents() == before
    assert not (box.base / ".liftlock").exists()


def test_a_probe_names_what_is_wrong(box: Box):
    os.kill(box.pid, signal.SIGKILL)
    values = box.run("probe").values
    assert (values["installed"], values["healthy"], values["running"]) == (OLD, "0", "")
    assert values["cause"] == "health: no answer"
    box.point_current_at("releases/gone")
    assert box.run("probe").values["cause"] == "current is dangling"
    make_current_a_directory(box)
    assert box.run("probe").values["cause"] == "current is not a link"
    forget_the_base(box)
    values = box.run("probe").values
    assert (values["cause"], values["installed"], int(values["free_bytes"]) > 0) == ("base missing", "", True)


def test_a_probe_shows_the_last_phase_and_its_end(box: Box):
    box.run("upgrade", LL_AFTER="false")
    with (box.base / ".liftlock" / "journal").open("a") as journal:
        journal.write("cut off by")
    assert box.run("probe").values["journal"] == "cut off by"
    box.run("upgrade")
    assert box.journal[2:] == ["cut off by", "3f2a 1 upgrade begin 1.5.0 1.6.0", "3f2a 1 upgrade switched"]
    assert box.run("probe").values["journal"] == "3f2a 1 upgrade switched"


def test_a_missing_tool_is_named_before_anything_is_touched(box: Box, tmp_path: Path):
    box.path = links_to(tmp_path / "few", all_but(box.path, "flock", "curl", "wget", "python3"))
    missing = "flock" if "busybox" in box.shell[0] else "flock curl"  # busybox brings its own wget
    assert box.run("probe").values["missing_tools"] == missing
    answers = box.run("upgrade")
    assert (answers.values["cause"], answers.values["detail"]) == ("missing tools", missing)
    assert not (box.base / ".liftlock").exists()


@pytest.mark.parametrize("missing", [["curl"], ["curl", "wget"]])
def test_health_is_asked_with_whatever_the_host_has(box: Box, tmp_path: Path, missing: list[str]):
    box.path = links_to(tmp_path / "few", all_but(box.path, *missing))
    assert box.run("probe").values["running"] == OLD
    box.artifact = archive(NEW, "trickle")
    assert box.run("upgrade", LL_HEALTH_DEADLINE="2").values["cause"] == "health: no answer"
    box.artifact = archive(NEW, "broken")
    assert box.run("upgrade", LL_HEALTH_DEADLINE="4").values["cause"] == "health: HTTP 500"
    box.artifact = archive(NEW)
    assert box.run("upgrade").values["result"] == "switched"


COMMANDS = {"LL_RESTART", "LL_BACKUP", "LL_BEFORE", "LL_AFTER", "LL_HEALTH_COMMAND"}
DATA = {*Box(Path("/opt/boathouse"), [], "").settings, "LL_SHA256", "LL_LENGTH", "LL_VERSION_KEY"}


@pytest.mark.parametrize("setting", sorted((COMMANDS | DATA) - {"LL_NONCE", "LL_ENV_PYTHON"}))
def test_no_setting_is_a_way_into_the_shell(box: Box, setting: str):
    attempts = ["'; touch pwned; '"]
    if setting not in COMMANDS:
        attempts += ['"; touch pwned; "$(touch pwned)`touch pwned`\ntouch pwned\n', "a[$(touch pwned)]"]
    for attempt in attempts:
        box.run("upgrade", **{"LL_HEALTH_DEADLINE": "0", setting: box.settings.get(setting, "") + attempt})
    assert list(box.base.parent.rglob("*pwned*")) == []


def test_what_a_command_prints_is_never_an_answer(box: Box):
    forged = f"LL1 {NONCE} result=switched\nLL1 {NONCE} end=1\n\033]0;x\007" + "z" * 5000
    answers = box.run("upgrade", LL_AFTER=f"printf '%s\\n' {shlex.quote(forged)}; seq 300; exit 1")
    assert answers.values["result"] == "rolled_back"
    assert "\n".join(map(str, range(1, 301))) in answers.log
    assert "z" * 1000 in answers.log
    assert answers.log.count("z") == 5000, "nothing of a long line is lost"
    assert "\033" not in answers.log


def test_where_the_beginning_of_a_very_long_log_is_is_said(box: Box):
    answers = box.run("upgrade", LL_AFTER="seq 100000; exit 1")
    told, first, *_ = answers.log.splitlines()
    size = (box.base / ".liftlock" / "log").stat().st_size
    where = f"{box.base}/.liftlock/log on the host"
    assert told == f"[{size - 262144} bytes before this are in {where}, until its next phase]"
    assert first.isdigit() or first == ""
    assert "100000" in answers.log.splitlines()


def test_the_command_line_is_one_that_login_shells_run(box: Box):
    for login_shell in ("dash", "bash"):
        exec_line = [login_shell, "-c", command("probe", box.settings | {"LL_ENV_MOTTO": "it's"})]
        answers = Answers(NONCE)
        answers.feed(subprocess.run(exec_line, capture_output=True, check=True, stdin=subprocess.DEVNULL).stdout)
        assert (answers.complete, answers.values["running"]) == (True, OLD)


@pytest.mark.parametrize("other", ["health_url", "health_command"])  # a program asks in one of these ways
def test_the_host_program_is_clean_to_shellcheck(other):
    here = Path(program.__file__).parent
    shellcheck = Path(sys.executable).with_name("shellcheck")
    main, parts = here / "host" / "main.sh", [*(here / "methods").glob("*.sh"), *(here / "host").glob("*.sh")]
    # As one text, as it is sent: then what one part uses and no part sets is found.
    sent = (*sorted({*parts} - {main, here / "host" / f"{other}.sh"}), main)
    text = "".join(path.read_text().split("\n", 1)[1] for path in sent)
    whole = [shellcheck, "-s", "sh", "-e", "SC2153", "-"]
    checked = subprocess.run(whole, input=text.encode(), stdout=subprocess.PIPE, check=False)
    assert (checked.returncode, checked.stdout.decode()) == (0, "")
    assert subprocess.run([shellcheck, "-s", "sh", *parts], check=False).returncode == 0
