"""The host program dies, or runs out of disk, at every named place: the host keeps one whole release, and goes on."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.host_box import NEW, OLD, SHELLS, Box, running_box
from liftlock.adapters.program import command, failpoints

FORWARD = [
    "locked", "fence_written", "received", "unpacked", "staged", "journal_begin", "backed_up", "backup_verified",
    "irreversible", "before_switch", "linked", "switched", "restarted", "verified", "marked", "watched", "journal_end",
]  # fmt: skip
BACK = ["before_rollback", "rolled_back", "restored", "restarted_back", "journal_end"]
ELSEWHERE = ["confirmed", "pruned", "auto_begin", "auto_end"]
DATA = {
    "LL_BACKUP": 'cp "$LIFTLOCK_BASE/data" "$LIFTLOCK_BASE/saved"',
    "LL_VERIFY_BACKUP": "true",
    "LL_RESTORE": 'cp "$LIFTLOCK_BASE/saved" "$LIFTLOCK_BASE/data"',
    "LL_RESTART": 'sh restart.sh; cp VERSION "$LIFTLOCK_BASE/data"',
    "LL_IRREVERSIBLE": "1",
}


@pytest.fixture(params=SHELLS)
def box(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Box]:
    with running_box(request.param, tmp_path) as box:
        (box.base / "data").write_text(OLD)
        yield box
        (box.base / ".liftlock" / "unconfirmed").unlink(missing_ok=True)
        time.sleep(1.1)  # its watcher, if one was left, has seen that now


def die(box: Box, phase: str, **changes: str) -> None:
    """Run a phase that kills itself somewhere."""
    with box.start(phase, **changes) as process:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(box.artifact)
            process.stdin.close()
        process.stdout.read()
    assert process.returncode == -9


def test_every_failpoint_is_struck_by_a_test():
    assert sorted(failpoints()) == sorted({*FORWARD, *BACK, *ELSEWHERE})
    assert len(failpoints()) >= 14


def test_without_a_failpoint_the_text_that_is_sent_has_none():
    settings = {"LL_NONCE": "5f" * 16}
    assert "reached" not in command("upgrade", settings)
    assert "reached linked" in command("upgrade", settings | {"LL_FAILPOINT": "linked:kill"})


@pytest.mark.parametrize("point", FORWARD)
def test_killed_on_the_way_forward_a_host_has_one_whole_release_and_the_next_attempt_ends_well(box: Box, point: str):
    die(box, "upgrade", **DATA, LL_CONFIRM_WITHIN="60", LL_FAILPOINT=f"{point}:kill")
    assert (box.base / "current" / "server.py").exists()
    found = box.run("probe").values
    assert found["installed"] in {OLD, NEW}
    assert found["busy"] == "0"
    back = box.run("roll_back", **DATA, LL_FROM="", LL_TO=OLD, LL_ATTEMPT="2")
    assert back.values["result"] == "switched", back.log
    assert (box.base / "data").read_text() == OLD
    again = box.run("upgrade", **DATA, LL_ATTEMPT="3")
    assert again.values["result"] == "switched", again.values
    assert NEW in box.answering().decode()


@pytest.mark.parametrize("point", BACK)
def test_killed_on_the_way_back_a_host_can_still_be_brought_back(box: Box, point: str):
    die(box, "upgrade", **DATA, LL_AFTER="false", LL_FAILPOINT=f"{point}:kill")
    assert (box.base / "current" / "server.py").exists()
    if point in {"before_rollback", "rolled_back", "restored"}:
        assert box.run("probe").values["installed"] == (NEW if point == "before_rollback" else OLD)
    back = box.run("roll_back", **DATA, LL_FROM="", LL_TO=OLD, LL_ATTEMPT="2")
    assert back.values["result"] == "switched", back.log
    assert (box.base / "data").read_text() == OLD
    assert OLD in box.answering().decode()


def test_killed_while_confirming_or_pruning_a_host_keeps_what_it_needs(box: Box):
    box.run("upgrade", LL_CONFIRM_WITHIN="60")
    die(box, "confirm", LL_FAILPOINT="confirmed:kill")
    assert box.run("confirm").values["unconfirmed"] == "0"
    box.run("upgrade", LL_FROM=NEW, LL_TO="1.7.0", LL_SHA256="0" * 64)
    for version in ("1.2.0", "1.3.0"):
        (box.base / "releases" / version).mkdir()
        (box.base / ".liftlock" / "staged" / version).write_text("0" * 64 + "\n")
        with (box.base / ".liftlock" / "journal").open("a") as journal:
            journal.write(f"p 1 upgrade begin 1.0.0 {version}\n")
    die(box, "prune", LL_KEEP="0", LL_FAILPOINT="pruned:kill")
    assert box.run("prune", LL_KEEP="0").values["result"] == "done"
    assert sorted(path.name for path in (box.base / "releases").iterdir()) == [OLD, NEW]


@pytest.mark.parametrize("point", ["auto_begin", "auto_end"])
def test_killed_while_it_goes_back_by_itself_a_host_is_found_as_it_is(box: Box, point: str):
    box.run("upgrade", LL_CONFIRM_WITHIN="1", LL_FAILPOINT=f"{point}:kill")
    end = {"auto_begin": "auto begin 1.6.0 1.5.0", "auto_end": "auto rolled_back"}[point]
    deadline = time.monotonic() + 20
    while not box.journal[-1].endswith(end) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    values = box.run("probe").values
    expected = (NEW, "1") if point == "auto_begin" else (OLD, "0")
    assert (values["installed"], values["unconfirmed"], values["busy"]) == (*expected, "0")
    assert box.run("roll_back", LL_FROM="", LL_TO=OLD).values["result"] == "switched"


def test_a_phase_that_sleeps_or_is_told_to_end_does_so(box: Box):
    began = time.monotonic()
    assert box.run("stage", LL_FAILPOINT="staged:sleep 1").values["result"] == "staged"
    assert time.monotonic() - began >= 1
    with box.start("switch", LL_FAILPOINT="linked:term") as process:
        process.stdout.read()
    assert process.returncode == -15
    assert box.run("switch").values["result"] == "switched"


@contextlib.contextmanager
def small_disk(box: Box, kilobytes: int = 1000) -> Iterator[list[str]]:
    """Give the host a disk of its own, in namespaces of its own, so that nobody must be root; yields the way in."""
    shown = box.base
    aside = shutil.copytree(shown, shown.with_name("aside"), symlinks=True)
    mount = f'mount -t tmpfs -o size={kilobytes}k none "$1" && echo && exec cat'
    make = ["unshare", "--map-root-user", "--mount", "sh", "-c", mount, "sh", shown]
    with subprocess.Popen(make, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as namespace:
        assert namespace.stdout.readline() == b"\n"
        way_in = [
            shutil.which("nsenter"),
            "--preserve-credentials",
            "--user",
            "--mount",
            "--target",
            str(namespace.pid),
        ]
        box.base, box.shell, box.noisy = Path(f"/proc/{namespace.pid}/root{shown}"), [*way_in, *box.shell], True
        box.stop()
        shutil.copytree(aside, box.base, symlinks=True, dirs_exist_ok=True)
        start = 'cd "$LIFTLOCK_BASE/current" && sh restart.sh'
        environment = {"LIFTLOCK_BASE": str(shown), "PORT": str(box.port), "PYTHON": box.settings["LL_ENV_PYTHON"]}
        subprocess.run(
            [*way_in, "sh", "-c", start], env=os.environ | environment, check=True, stdout=subprocess.DEVNULL
        )
        while box.answering() is None:
            time.sleep(0.01)
        try:
            yield way_in
        finally:
            box.stop()
            namespace.stdin.close()
            box.base = shown


def fill(box: Box) -> None:
    """Leave no block free."""
    with contextlib.suppress(OSError), (box.base / "filler").open("wb", buffering=0) as filler:
        while filler.write(b"x" * 512):
            pass


def ballast() -> bytes:
    """A small archive that needs more room than its length tells."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        member = tarfile.TarInfo("zeros")
        member.size = 4 * 1024 * 1024
        tar.addfile(member, io.BytesIO(bytes(member.size)))
    return packed.getvalue()


def test_a_disk_that_fills_up_while_unpacking_is_refused_with_nothing_changed(box: Box):
    box.artifact = ballast()
    with small_disk(box):
        answers = box.run("upgrade")
        assert (answers.values["result"], answers.values["cause"]) == ("refused", "no space left"), answers.values
        assert box.current == f"releases/{OLD}"
        assert OLD in box.answering().decode()
        assert sorted(path.name for path in (box.base / "releases").iterdir()) == [OLD]


def test_a_full_disk_is_refused_before_the_journal_or_anything_else(box: Box):
    with small_disk(box):
        fill(box)
        answers = box.run("stage")
        assert answers.values["cause"] in {"no space left", "not enough space"}
        (box.base / "filler").unlink()
        assert box.run("stage").values["result"] == "staged"
        fill(box)
        answers = box.run("switch")
        assert (answers.values["result"], answers.values["cause"]) == ("refused", "no space left"), answers.values
        assert OLD in box.answering().decode()
        (box.base / "filler").unlink()
        assert box.run("switch").values["result"] == "switched"


def test_a_disk_that_fills_up_during_the_switch_ends_in_one_healthy_release(box: Box):
    fills = 'dd if=/dev/zero of="$LIFTLOCK_BASE/filler" bs=512 2>/dev/null; true'
    with small_disk(box):
        answers = box.run("upgrade", LL_BEFORE=fills, LL_CONFIRM_WITHIN="60")
        assert answers.values["result"] == "rolled_back", answers.values
        assert OLD in box.answering().decode()
        assert box.current == f"releases/{OLD}"
        (box.base / "filler").unlink()
        assert box.run("upgrade", LL_ATTEMPT="2").values["result"] == "switched"


def test_a_disk_that_cannot_be_written_is_refused(box: Box):
    with small_disk(box) as way_in:
        subprocess.run([*way_in, "mount", "-o", "remount,ro", box.settings["LL_BASE"]], check=True)
        answers = box.run("upgrade")
        assert (answers.values["result"], answers.values["cause"]) == ("refused", "base not writable")
        assert box.run("probe").values["running"] == OLD
        subprocess.run([*way_in, "mount", "-o", "remount,rw", box.settings["LL_BASE"]], check=True)
