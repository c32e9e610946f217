"""Staging ahead, pruning what nobody needs, and ending a phase that hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.host_box import NEW, OLD, SHELLS, Box, archive, release_files, running_box


@pytest.fixture(params=SHELLS)
def box(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Box]:
    with running_box(request.param, tmp_path) as box:
        yield box


def releases(box: Box) -> list[str]:
    return sorted(path.name for path in (box.base / "releases").iterdir())


def climb(box: Box, *versions: str) -> None:
    """Upgrade the host to each version in turn, a second apart in the order of their staging."""
    for version in versions:
        box.artifact = archive(version)
        answers = box.run("upgrade", LL_FROM="", LL_TO=version)
        assert answers.values["result"] == "switched", answers.log
        mark = box.base / ".liftlock" / "staged" / version
        for each in mark.parent.iterdir():
            os.utime(each, (each.stat().st_mtime - 10,) * 2)


def prune(box: Box, keep: int, kept: str = "", **changes: str) -> str:
    answers = box.run("prune", LL_KEEP=str(keep), LL_KEPT=kept, **changes)
    assert answers.values["result"] == "done", answers.values
    return answers.values["detail"]


def test_what_lies_on_the_host_is_told_and_staged_without_being_switched(box: Box):
    assert box.run("probe").values["staged"] == ""
    answers = box.run("stage", LL_ATTEMPT="0", LL_HEALTH_URL="")
    assert (answers.values["result"], answers.values["version"]) == ("staged", "")
    assert box.run("probe").values["staged"].split() == [NEW]
    assert box.current == f"releases/{OLD}"
    upgraded = box.run("upgrade")
    assert (upgraded.values["result"], upgraded.wants) == ("switched", None)


def alter(box: Box) -> None:
    """What somebody on the host may do to a release between staging and the switch."""
    (box.base / "releases" / NEW / "server.py").unlink()
    (box.base / "releases" / NEW / "MODE").write_text("broken")
    (box.base / "releases" / NEW / "foreign").touch()


@pytest.mark.parametrize("phase", ["upgrade", "switch"])
def test_a_release_altered_after_it_was_staged_is_whole_again_before_it_is_switched_to(box: Box, phase: str):
    box.run("stage")
    alter(box)
    answers = box.run(phase)
    assert (answers.values["result"], answers.wants) == ("switched", None), answers.log
    release = box.base / "releases" / NEW
    assert {path.name: path.read_text() for path in release.iterdir()} == release_files(NEW)


def test_where_the_artifact_was_altered_too_it_is_asked_for_again(box: Box):
    box.run("stage")
    alter(box)
    (artifact,) = (box.base / ".liftlock" / "incoming").iterdir()
    artifact.write_bytes(b"something else")
    refused = box.run("switch")
    assert (refused.values["result"], refused.values["cause"]) == ("refused", "not staged")
    answers = box.run("upgrade")
    assert (answers.values["result"], answers.wants) == ("switched", len(box.artifact))
    assert not (box.base / "releases" / NEW / "foreign").exists()


def test_staging_again_leaves_the_current_release_alone(box: Box):
    box.run("upgrade")
    (box.base / "releases" / NEW / "made-by-the-product").touch()
    assert box.run("stage", LL_FROM="").values["result"] == "staged"
    assert (box.base / "releases" / NEW / "made-by-the-product").exists()


def test_a_switch_keeps_the_artifacts_of_later_hops_and_no_others(box: Box):
    later = archive("1.7.0")
    box.run("stage")
    first, box.artifact = box.artifact, later
    box.run("stage", LL_TO="1.7.0")
    incoming = box.base / ".liftlock" / "incoming"
    (incoming / ("0" * 64)).touch()
    box.artifact = first
    assert box.run("upgrade").values["result"] == "switched"
    assert [path.read_bytes() for path in incoming.iterdir()] == [later]
    box.artifact = later
    answers = box.run("upgrade", LL_FROM=NEW, LL_TO="1.7.0")
    assert (answers.values["result"], answers.wants) == ("switched", None)
    assert list(incoming.iterdir()) == []


def test_old_releases_go_but_never_one_that_is_needed(box: Box):
    climb(box, "1.6.0", "1.7.0", "1.8.0", "1.9.0", "2.0.0", "2.1.0")
    box.artifact = archive("3.0.0")
    box.run("stage", LL_FROM="", LL_TO="3.0.0")
    (box.base / ".liftlock" / "incoming" / "unrelated").touch()
    assert prune(box, keep=1, kept="1.6.0 9.9.9") == "removed: 1.8.0 1.7.0"
    # By hand, asked for, the newest beside the two, the way back, current, and staged for later.
    assert releases(box) == [OLD, "1.6.0", "1.9.0", "2.0.0", "2.1.0", "3.0.0"]
    assert sorted(path.name for path in (box.base / ".liftlock" / "staged").iterdir()) == releases(box)[1:]
    assert prune(box, keep=1, kept="1.6.0") == "removed: nothing"
    assert prune(box, keep=0) == "removed: 1.9.0 1.6.0"
    assert box.journal[-1] == "3f2a 1 prune done"
    assert box.run("roll_back", LL_FROM="2.1.0", LL_TO="2.0.0").values["result"] == "switched"


def test_a_release_that_waits_for_confirmation_keeps_its_way_back(box: Box):
    climb(box, "1.6.0", "1.7.0")
    (box.base / ".liftlock" / "unconfirmed").write_text("3f2a 1 1.7.0 1.6.0 0\n")
    journal = box.base / ".liftlock" / "journal"
    journal.write_text(journal.read_text().replace("begin 1.6.0 1.7.0", "begin 1.5.0 1.7.0"))
    assert prune(box, keep=0) == "removed: nothing"


def test_pruning_needs_the_lock_a_fresh_fence_and_real_versions(box: Box):
    box.run("stage")
    box.run("unlock", LL_FENCE="9")
    assert box.run("prune", LL_KEEP="0").values["cause"] == "stale fence"
    assert box.run("prune", LL_KEEP="0", LL_FENCE="9", LL_KEPT="../x").values["cause"] == "bad setting"
    assert box.run("prune", LL_KEEP="x", LL_FENCE="9").values["cause"] == "bad setting"


def test_who_stages_or_prunes_does_not_outdate_the_rollout_that_has_the_host(box: Box):
    box.run("stage", LL_FENCE="9", LL_PLAN="beef")
    box.run("prune", LL_FENCE="9", LL_PLAN="beef", LL_KEEP="0")
    assert box.run("upgrade").values["result"] == "switched"


def hold(box: Box, **changes: str) -> subprocess.Popen[bytes]:
    """A switch that hangs in a hook."""
    box.run("stage")
    process = box.start("switch", LL_BEFORE='touch "$LIFTLOCK_BASE/hangs"; sleep 300; true', **changes)
    while not (box.base / "hangs").exists():
        assert process.poll() is None
        time.sleep(0.01)
    return process


def test_unlock_ends_the_phase_that_hangs_and_outdates_its_controller(box: Box):
    with hold(box) as process:
        before = box.pid
        answers = box.run("unlock", LL_FENCE="8")
        process.stdout.read()
    assert (answers.values["result"], answers.values["cause"]) == ("done", "")
    assert answers.values["detail"].startswith("held: switch of plan 3f2a, attempt 1, since 20")
    assert process.returncode == -signal.SIGTERM
    assert box.journal[-1] == "3f2a 1 unlock done"
    assert (box.current, box.pid) == (f"releases/{OLD}", before)
    assert OLD in box.answering().decode()
    assert box.run("upgrade").values["cause"] == "stale fence"
    assert box.run("upgrade", LL_FENCE="8", LL_ATTEMPT="2").values["result"] == "switched"


def test_unlock_kills_what_does_not_listen(box: Box):
    with hold(box) as process:
        os.kill(process.pid, signal.SIGSTOP)
        assert box.run("unlock", LL_FENCE="8").values["result"] == "done"
        process.stdout.read()
    assert process.returncode == -signal.SIGKILL


def test_unlock_of_a_host_that_nobody_holds_says_so(box: Box):
    assert box.run("unlock").values["detail"] == "not held"
    box.run("stage")
    answers = box.run("unlock", LL_FENCE="9")
    assert (answers.values["result"], answers.values["detail"]) == ("done", "not held")
    assert box.run("upgrade").values["cause"] == "stale fence"
    assert box.run("unlock", LL_FENCE="8").values["result"] == "done", "a fast clock must not keep an operator out"
    assert box.run("upgrade").values["cause"] == "stale fence"
    assert box.run("upgrade", LL_FENCE="8").values["result"] == "switched"


def test_unlock_ends_no_process_that_is_not_the_phase(box: Box):
    box.run("stage")
    owner = box.base / ".liftlock" / "owner"
    with subprocess.Popen(["flock", "-o", box.base / ".liftlock" / "lock", "sleep", "300"]) as other:
        try:
            owner.write_text(f"3f2a 1 stage 2026-01-01T00:00:00Z {other.pid} 12345\n")
            while box.run("probe").values["busy"] != "1":
                assert other.poll() is None
            answers = box.run("unlock")
            assert (answers.values["result"], answers.values["cause"]) == ("refused", "not held by a phase of ours")
            assert other.poll() is None
        finally:
            subprocess.run(["pkill", "-P", str(other.pid)], check=False)
            other.kill()


def test_a_product_that_was_started_survives_an_unlock(box: Box):
    box.run("upgrade")
    back = {"LL_FROM": NEW, "LL_TO": OLD, "LL_RESTART": "sh restart.sh; sleep 300; true"}
    with box.start("roll_back", **back) as process:
        while OLD not in (box.answering() or b"").decode():
            assert process.poll() is None
        assert box.run("unlock", LL_FENCE="9").values["result"] == "done"
        process.stdout.read()
    assert OLD in box.answering().decode()
