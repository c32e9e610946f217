"""The dead man's switch on a host: what is not confirmed in time goes back by itself, and nothing else does."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters.host_box import NEW, OLD, SHELLS, Box, archive, running_box

LATER = "1.7.0"


@pytest.fixture(params=SHELLS)
def box(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Box]:
    with running_box(request.param, tmp_path) as box:
        yield box
        (box.base / ".liftlock" / "unconfirmed").unlink(missing_ok=True)
        until(lambda: not watchers(box))


def watchers(box: Box) -> list[int]:
    """The processes that wait for this host's confirmation."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[-2:] == [b"auto", b""] and str(box.base).encode() in words[-3]:
            found.append(int(process.name))
    return found


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def marker(box: Box) -> Path:
    return box.base / ".liftlock" / "unconfirmed"


def test_a_switch_that_nobody_confirms_is_undone_by_the_host_alone(box: Box):
    answers = box.run("upgrade", LL_CONFIRM_WITHIN="2")
    assert (answers.values["result"], answers.values["version"]) == ("switched", NEW)
    (watcher,) = watchers(box)
    assert os.getsid(watcher) == watcher
    opened = [str(fd.resolve()) for fd in Path(f"/proc/{watcher}/fd").iterdir()]
    assert not any("pipe" in path or ".liftlock" in path for path in opened)
    assert box.run("probe").values["unconfirmed"] == "1"
    until(lambda: not watchers(box))
    assert box.current == f"releases/{OLD}"
    assert OLD in box.answering().decode()
    assert box.journal[-2:] == ["3f2a 1 auto begin 1.6.0 1.5.0", "3f2a 1 auto rolled_back"]
    values = box.run("probe").values
    assert (values["unconfirmed"], values["journal"]) == ("0", "3f2a 1 auto rolled_back")
    assert not marker(box).exists()


def test_a_confirmed_host_stays_and_its_watcher_ends(box: Box):
    box.run("upgrade", LL_CONFIRM_WITHIN="60")
    assert marker(box).read_text().startswith(f"3f2a 1 {NEW} {OLD} ")
    values = box.run("confirm").values
    assert (values["unconfirmed"], values["running"], values["healthy"]) == ("0", NEW, "1")
    assert values["journal"] == "3f2a 1 confirm done"
    until(lambda: not watchers(box))
    assert box.current == f"releases/{NEW}"
    lines = box.journal
    assert box.run("confirm").values["unconfirmed"] == "0"
    assert box.journal == lines


def test_only_the_same_plan_and_a_healthy_release_confirm(box: Box):
    box.run("upgrade", LL_CONFIRM_WITHIN="60", LL_ATTEMPT="3")
    assert box.run("confirm", LL_PLAN="other", LL_ATTEMPT="3").values["unconfirmed"] == "1"
    assert box.run("confirm", LL_ATTEMPT="2").values["unconfirmed"] == "1"
    os.kill(box.pid, signal.SIGKILL)
    until(lambda: box.answering() is None)
    values = box.run("confirm", LL_ATTEMPT="3").values
    assert (values["unconfirmed"], values["cause"]) == ("1", "health: no answer")
    assert len(watchers(box)) == 1
    assert box.run("roll_back", LL_FROM=NEW, LL_TO=OLD, LL_ATTEMPT="4").values["result"] == "switched"
    assert box.run("probe").values["unconfirmed"] == "0"


def test_the_watcher_of_one_attempt_leaves_the_next_one_alone(box: Box):
    box.run("upgrade", LL_CONFIRM_WITHIN="2")
    box.run("roll_back", LL_FROM=NEW, LL_TO=OLD, LL_ATTEMPT="2")
    box.run("upgrade", LL_CONFIRM_WITHIN="60", LL_ATTEMPT="3")
    time.sleep(3)
    assert len(watchers(box)) == 1
    assert box.current == f"releases/{NEW}"
    assert box.run("confirm", LL_ATTEMPT="3").values["unconfirmed"] == "0"
    assert box.journal[-2:] == ["3f2a 3 upgrade switched", "3f2a 3 confirm done"]


def test_the_next_hop_needs_no_confirmation_of_the_one_before(box: Box):
    box.run("upgrade", LL_CONFIRM_WITHIN="60")
    box.artifact = archive(LATER)
    assert box.run("upgrade", LL_FROM=NEW, LL_TO=LATER, LL_CONFIRM_WITHIN="60").values["result"] == "switched"
    assert marker(box).read_text().startswith(f"3f2a 1 {LATER} {NEW} ")
    until(lambda: len(watchers(box)) == 1)


def test_after_a_reboot_the_marker_tells_and_late_confirmation_or_the_next_switch_settles_it(box: Box):
    box.run("upgrade", LL_CONFIRM_WITHIN="1")
    os.kill(watchers(box)[0], signal.SIGKILL)
    time.sleep(1.2)
    assert box.run("probe").values["unconfirmed"] == "1"
    assert box.run("stage").values["result"] == "staged"
    assert box.run("probe").values["unconfirmed"] == "1"
    assert box.run("upgrade", LL_ATTEMPT="2").values["result"] == "already_current"
    assert box.run("probe").values["unconfirmed"] == "0"


def test_while_the_host_goes_back_a_confirmation_is_told_that_it_is_busy(box: Box):
    slow = (
        'case $LIFTLOCK_VERSION in 1.5*) until [ -e "$LIFTLOCK_BASE/go" ]; do sleep 0.05; done ;; esac; sh restart.sh'
    )
    box.run("upgrade", LL_CONFIRM_WITHIN="1", LL_RESTART=slow)
    until(lambda: box.current == f"releases/{OLD}")
    values = box.run("confirm").values
    assert (values["busy"], values["installed"], values["journal"]) == ("1", OLD, "3f2a 1 auto begin 1.6.0 1.5.0")
    busy = box.run("upgrade", LL_ATTEMPT="2").values
    assert busy["detail"].startswith("auto of plan 3f2a, attempt 1, since 20")
    (box.base / "go").touch()
    until(lambda: box.journal[-1] == "3f2a 1 auto rolled_back")


def test_a_host_that_somebody_moved_by_hand_is_left_as_it_is(box: Box):
    box.run("upgrade", LL_CONFIRM_WITHIN="1")
    shutil.copytree(box.base / "releases" / NEW, box.base / "releases" / "by-hand")
    box.point_current_at("releases/by-hand")
    until(lambda: not watchers(box))
    assert box.current == "releases/by-hand"
    assert box.journal[-1] == "3f2a 1 auto refused"


def test_a_first_install_has_nothing_to_go_back_to_and_waits_for_nobody(box: Box):
    box.stop()
    shutil.rmtree(box.base)
    box.base.mkdir()
    assert box.run("upgrade", LL_FROM="", LL_CONFIRM_WITHIN="60").values["result"] == "switched"
    assert not marker(box).exists()
    assert watchers(box) == []


def test_the_watcher_waits_for_the_lock_and_goes_back_then(box: Box):
    box.run("upgrade", LL_CONFIRM_WITHIN="1")
    with subprocess.Popen(["flock", "-o", box.base / ".liftlock" / "lock", "sleep", "2.5"]):
        time.sleep(2)
        assert box.current == f"releases/{NEW}"
    until(lambda: not watchers(box))
    assert box.current == f"releases/{OLD}"
