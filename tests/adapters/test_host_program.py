"""The host program switches, verifies and goes back: real shells, real directories, a real product that answers."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.host_box import NEW, NONCE, OLD, SHELLS, Box, archive, release_files, running_box
from liftlock.adapters.program import Answers


@pytest.fixture(params=[*SHELLS, *filter(shutil.which, ["bash"])])
def box(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Box]:
    with running_box(request.param, tmp_path) as box:
        yield box


def test_dash_is_among_the_shells_of_these_tests():
    assert "dash" in SHELLS


def test_an_upgrade_ends_with_the_new_version_current_and_answering(box: Box):
    answers = box.run("upgrade")
    assert answers.values["result"] == "switched", answers.log
    assert answers.values["version"] == NEW
    assert answers.values["cause"] == ""
    assert answers.wants == len(box.artifact)
    assert box.current == f"releases/{NEW}"
    assert f'"version": "{NEW}"' in box.answering().decode()
    assert box.journal == ["3f2a 1 upgrade begin 1.5.0 1.6.0", "3f2a 1 upgrade switched"]
    assert "starting 1.6.0 instead of 1.5.0" in answers.log
    assert sorted(path.name for path in (box.base / "releases").iterdir()) == [OLD, NEW]
    assert (box.base / ".liftlock").stat().st_mode & 0o777 == 0o700
    assert list((box.base / ".liftlock" / "incoming").iterdir()) == []
    unpacked = (box.base / "releases" / NEW / "VERSION").stat()
    assert (unpacked.st_mode & 0o777, unpacked.st_uid) == (0o644, os.getuid())
    assert (box.base / "releases" / NEW).stat().st_mode & 0o777 == 0o755


def test_the_commands_run_in_order_where_they_belong_with_the_products_environment(box: Box):
    tell = 'echo "$(basename "$(pwd -P)") $LIFTLOCK_PREVIOUS-$LIFTLOCK_VERSION $MOTTO" >>"$LIFTLOCK_BASE/told"; '
    commands = {
        "LL_BACKUP": f"{tell}echo backup >>../../told",
        "LL_BEFORE": f"{tell}echo before >>../../told",
        "LL_RESTART": f"{tell}sh restart.sh",
        "LL_AFTER": f"{tell}[ -z \"$(cat)\" ] && ! env | grep '^LL_'",
        "LL_ENV_MOTTO": 'it\'s $HOME; `id` "x"',
    }
    answers = box.run("upgrade", **commands)
    assert answers.values["result"] == "switched", answers.log
    motto = '1.5.0-1.6.0 it\'s $HOME; `id` "x"'
    assert (box.base / "told").read_text().splitlines() == [
        f"{OLD} {motto}", "backup", f"{NEW} {motto}", "before", f"{NEW} {motto}", f"{NEW} {motto}",
    ]  # fmt: skip


def test_what_was_staged_before_is_switched_without_an_upload(box: Box):
    staged = box.run("stage")
    assert (staged.values["result"], staged.wants) == ("staged", len(box.artifact))
    assert box.current == f"releases/{OLD}"
    again = box.run("stage")
    assert (again.values["have"], again.wants) == ("1", None)
    switched = box.run("switch")
    assert (switched.values["result"], switched.wants) == ("switched", None)
    assert box.run("upgrade").values["result"] == "already_current"


def test_an_upload_that_is_there_is_used_and_a_half_made_release_is_replaced(box: Box):
    box.run("stage")
    (box.base / ".liftlock" / "staged" / NEW).unlink()
    (box.base / "releases" / NEW / "server.py").unlink()
    (box.base / "releases" / NEW / "remains").touch()
    (box.base / "releases" / ".unpack.crashed").mkdir()
    answers = box.run("upgrade")
    assert (answers.values["have"], answers.values["result"]) == ("1", "switched")
    assert sorted(path.name for path in (box.base / "releases" / NEW).iterdir()) == sorted(release_files(NEW))
    assert not (box.base / "releases" / ".unpack.crashed").exists()


@pytest.mark.parametrize(("compression", "ending"), [("", "tar"), ("gz", "tgz"), ("xz", "tar.xz")])
def test_archives_are_unpacked_by_their_name(box: Box, compression: str, ending: str):
    box.artifact = archive(NEW, compression=compression)
    assert box.run("stage", LL_ARCHIVE=f"boathouse.{ending}").values["result"] == "staged"
    assert (box.base / "releases" / NEW / "VERSION").read_text() == NEW


@pytest.mark.parametrize(
    ("mode", "cause"),
    [
        ("broken", "health: HTTP 500"),
        ("other", "health: version 9.9.9 answered, expected 1.6.0"),
        ("trickle", "health: no answer"),
    ],
)
def test_a_release_that_is_not_well_is_rolled_back_and_the_old_one_answers(box: Box, mode: str, cause: str):
    box.artifact = archive(NEW, mode)
    answers = box.run("upgrade", LL_HEALTH_DEADLINE="2")
    assert (answers.values["result"], answers.values["cause"]) == ("rolled_back", cause), answers.log
    assert answers.values["version"] == OLD
    assert box.current == f"releases/{OLD}"
    assert OLD in box.answering().decode()
    assert box.journal[-1] == "3f2a 1 upgrade rolled_back"
    assert "starting 1.5.0 instead of 1.6.0" in answers.log


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"LL_BACKUP": "echo no space >&2; exit 2"}, "backup: exit 2"),
        ({"LL_BEFORE": "false"}, "before_switch: exit 1"),
        ({"LL_RESTART": "exit 3"}, "restart: exit 3"),
        ({"LL_RESTART": "sleep 50", "LL_PHASE_TIMEOUT": "1"}, "restart: timed out"),
    ],
)
def test_a_failing_command_is_rolled_back_without_disturbing_the_old_version(
    box: Box, changes: dict[str, str], cause: str
):
    box.run("stage")
    before = box.pid
    answers = box.run("switch", **changes)
    assert (answers.values["result"], answers.values["cause"]) == ("rolled_back", cause), answers.log
    assert (box.current, box.pid, answers.values["version"]) == (f"releases/{OLD}", before, OLD)
    assert OLD in box.answering().decode()
    assert "no space" in answers.log or "BACKUP" not in str(changes)
    assert cause in answers.values["detail"]


def test_a_failing_after_switch_hook_is_rolled_back_with_a_restart(box: Box):
    answers = box.run("upgrade", LL_AFTER="exit 4")
    assert (answers.values["result"], answers.values["cause"]) == ("rolled_back", "after_switch: exit 4")
    assert box.current == f"releases/{OLD}"
    assert OLD in box.answering().decode()


def test_when_the_old_version_does_not_come_back_the_host_needs_a_person(box: Box):
    (box.base / "releases" / OLD / "MODE").write_text("other")
    answers = box.run("upgrade", LL_AFTER="exit 4", LL_HEALTH_DEADLINE="1")
    assert (answers.values["result"], answers.values["cause"]) == ("failed", "after_switch: exit 4")
    assert answers.values["detail"].startswith("the way back: health: version 9.9.9 answered, expected 1.5.0")
    assert answers.values["version"] == "9.9.9"
    assert box.current == f"releases/{OLD}"
    assert box.journal[-1] == "3f2a 1 upgrade failed"


def test_health_can_be_a_command_whose_last_line_is_the_version(box: Box):
    by_command = {"LL_HEALTH_URL": "", "LL_HEALTH_DEADLINE": "1"}
    says = "echo looking; cat VERSION; echo; echo"
    assert box.run("probe", **by_command, LL_HEALTH_COMMAND=says).values["running"] == OLD
    well_when_old = "cat VERSION; ! grep -q 1.6 VERSION || exit 5"
    answers = box.run("upgrade", **by_command, LL_HEALTH_COMMAND=well_when_old)
    assert (answers.values["result"], answers.values["cause"]) == ("rolled_back", "health: exit 5")
    endless = "cat VERSION; ! grep -q 1.6 VERSION || yes"
    answers = box.run("upgrade", **by_command, LL_HEALTH_COMMAND=endless)
    assert (answers.values["result"], answers.values["cause"]) == ("rolled_back", "health: answer too long")
    assert box.run("upgrade", **by_command, LL_HEALTH_COMMAND=says).values["result"] == "switched"


def test_roll_back_makes_the_old_release_current_and_verifies_it(box: Box):
    box.run("upgrade")
    back = {"LL_FROM": NEW, "LL_TO": OLD, "LL_SHA256": "", "LL_LENGTH": "", "LL_ATTEMPT": "2"}
    answers = box.run("roll_back", **back)
    assert (answers.values["result"], answers.values["version"]) == ("switched", OLD)
    assert box.current == f"releases/{OLD}"
    assert OLD in box.answering().decode()
    assert box.journal[-2:] == ["3f2a 2 roll_back begin 1.6.0 1.5.0", "3f2a 2 roll_back switched"]
    before = box.pid
    assert box.run("roll_back", **back).values["result"] == "switched"
    assert box.pid == before


def test_roll_back_refuses_what_is_not_there_and_never_goes_forward_again(box: Box):
    box.run("upgrade")
    gone = box.run("roll_back", LL_FROM=NEW, LL_TO="1.4.0")
    assert (gone.values["result"], gone.values["cause"]) == ("refused", "the release is not on the host")
    assert box.run("roll_back", LL_FROM="1.7.0", LL_TO=OLD).values["cause"] == "another version is installed"
    (box.base / "releases" / OLD / "MODE").write_text("broken")
    answers = box.run("roll_back", LL_FROM=NEW, LL_TO=OLD, LL_HEALTH_DEADLINE="1")
    assert (answers.values["result"], answers.values["cause"]) == ("failed", "health: HTTP 500")
    assert box.current == f"releases/{OLD}"
    assert box.journal[-1] == "3f2a 1 roll_back failed"


def test_roll_back_leaves_a_host_alone_that_runs_what_is_not_on_the_plans_way(box: Box):
    box.run("upgrade")
    before, process = box.contents(), box.pid
    off = box.run("roll_back", LL_FROM="1.4.0 1.5.0 1.5.5", LL_TO="1.4.0").values
    assert (off["result"], off["cause"], off["installed"]) == ("refused", "another version is installed", NEW)
    assert off["version"] == "", "nobody asked what runs"
    assert off["detail"] == f"{NEW} instead of 1.4.0 1.5.0 1.5.5"
    assert (box.contents(), box.pid) == (before, process)
    assert box.run("roll_back", LL_FROM="1.4.0 *", LL_TO=OLD).values["cause"] == "bad setting"
    assert box.run("roll_back", LL_FROM=f"1.4.0 {OLD} {NEW}", LL_TO=OLD).values["result"] == "switched"


@pytest.mark.parametrize("way", ["", f"{OLD} {NEW}"])
def test_roll_back_repairs_a_dangling_current(box: Box, way: str):
    box.point_current_at("releases/gone")
    assert box.run("roll_back", LL_FROM=way, LL_TO=OLD).values["result"] == "switched"
    assert box.current == f"releases/{OLD}"


def test_a_first_install_needs_nothing_but_the_base(box: Box):
    box.stop()
    shutil.rmtree(box.base)
    box.base.mkdir()
    answers = box.run("upgrade", LL_FROM="", LL_BACKUP="false")
    assert (answers.values["result"], answers.values["version"]) == ("switched", NEW), answers.log
    assert box.current == f"releases/{NEW}"


def test_a_first_install_that_fails_leaves_nothing_current(box: Box):
    box.stop()
    shutil.rmtree(box.base)
    box.base.mkdir()
    box.artifact = archive(NEW, "broken")
    answers = box.run("upgrade", LL_FROM="", LL_HEALTH_DEADLINE="2")
    assert (answers.values["result"], answers.values["cause"]) == ("failed", "health: HTTP 500")
    assert not (box.base / "current").is_symlink()
    assert box.run("probe").values["installed"] == ""


def test_the_program_completes_when_the_controller_is_gone(box: Box):
    waits = f'while [ ! -e "{box.base}/gone" ]; do sleep 0.05; done; sh restart.sh'
    process = box.start("upgrade", LL_RESTART=waits)
    answers = Answers(NONCE)
    while answers.wants is None:
        answers.feed(os.read(process.stdout.fileno(), 65536))
    process.stdin.write(box.artifact)
    process.stdin.close()
    while (box.base / "current").readlink().name != NEW:
        time.sleep(0.01)
    process.stdout.close()
    os.kill(process.pid, signal.SIGHUP)
    (box.base / "gone").touch()
    assert process.wait(60) == 0
    assert box.journal[-1] == "3f2a 1 upgrade switched"
    assert NEW in box.answering().decode()


def test_the_started_product_keeps_neither_the_lock_nor_our_signals(box: Box):
    assert box.run("upgrade").values["result"] == "switched"
    subprocess.run(["flock", "-n", box.base / ".liftlock" / "lock", "true"], check=True)
    opened = [str(fd.resolve()) for fd in Path(f"/proc/{box.pid}/fd").iterdir()]
    assert any(path.endswith("/.liftlock/log") for path in opened)
    assert not any(path.endswith("/.liftlock/lock") or "pipe" in path for path in opened)
    status = Path(f"/proc/{box.pid}/status").read_text()
    ignored = int(status.partition("SigIgn:")[2].split()[0], 16)
    assert not ignored & 1 << (signal.SIGHUP - 1)
