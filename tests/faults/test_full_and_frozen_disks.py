"""A workspace on a full or read-only disk: made whole or not at all, and its record can still be read."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from e2e.harbour import run
from liftlock.adapters.db import open_ledger
from liftlock.errors import LedgerError
from liftlock.ledger import Approved

NOW = datetime(2026, 11, 21, 22, 4, 10, tzinfo=UTC)
PLAN = "3fa9c1d2" * 8


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace from `init` with one plan on record."""
    root = tmp_path_factory.mktemp("newcomer") / "ws"
    assert run("init", str(root), cwd=root.parent).code == 0
    waived = ("--waive", "notice", "--reason", "a try")
    assert run("plan", "boathouse", "1.5.0", "--no-look", *waived, cwd=root).code == 0
    return root


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(folder: Path) -> Path:
    """Take all the room that is left."""
    subprocess.run(["dd", "if=/dev/zero", f"of={folder}/filler", "bs=4k"], check=False, stderr=subprocess.DEVNULL)
    return folder / "filler"


@pytest.mark.needs("root")
def test_init_on_a_full_disk_leaves_nothing_and_a_second_one_works(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk, "2m"):
        (disk / "notes").write_text("mine")
        filler = fill(disk)
        with filler.open("r+b") as file:
            file.truncate(filler.stat().st_size - 32768)
        ran = run("init", "disk/ws", cwd=tmp_path)
        assert (ran.code, "Traceback" in ran.stderr) == (2, False)
        assert "No space left on device; free some space and run again" in ran.stderr
        assert sorted(path.name for path in disk.iterdir()) == ["filler", "notes"]
        filler.unlink()
        assert run("init", "disk/ws", cwd=tmp_path).code == 0


@pytest.mark.needs("root")
@pytest.mark.parametrize("how", ["read-only", "full"])
def test_a_record_where_nothing_can_be_written_can_still_be_read(planned: Path, tmp_path: Path, how: str) -> None:
    disk, (plan,) = tmp_path / "disk", [path.stem for path in (planned / "plans").iterdir()]
    with small_disk(disk, "4m"):
        subprocess.run(["cp", "-r", f"{planned}/.", disk], check=True)
        if how == "full":
            fill(disk)
        else:
            subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        for words in (["status"], ["report"], ["calendar"], ["incident", plan], ["ledger", "verify"]):
            ran = run(*words, cwd=disk)
            assert (ran.code, ran.stderr) == (0, ""), words
        ran = run("plan", "boathouse", "1.5.0", "--no-look", cwd=disk)
        assert ran.code == 5
        assert ("No space left on device" if how == "full" else "read-only") in ran.stderr


@pytest.mark.needs("root")
def test_a_backup_without_its_wal_is_read_and_one_whose_wal_holds_entries_says_what_to_do(tmp_path: Path) -> None:
    place, whole, torn = tmp_path / "a ledger#1.db", tmp_path / "whole", tmp_path / "torn"
    for folder in (whole, torn):
        folder.mkdir()
    with open_ledger(f"sqlite:///{place}") as ledger:
        ledger.append(PLAN, Approved(by="ana", note=""), NOW)
        for path in tmp_path.glob(f"{place.name}*"):
            if not path.name.endswith("-shm"):
                shutil.copy(path, torn)
    shutil.copy(place, whole)
    for folder in (whole, torn):
        subprocess.run(["mount", "--bind", folder, folder], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
    try:
        with open_ledger(f"sqlite:///{whole / place.name}", create=False) as ledger:
            assert [entry.seq for entry in ledger.entries()] == [1]
            assert ledger.damage() == []
        with pytest.raises(LedgerError, match=r"read-only here, and .*-wal holds entries .*; copy .* to a writable"):
            open_ledger(f"sqlite:///{torn / place.name}", create=False)
    finally:
        for folder in (whole, torn):
            subprocess.run(["umount", "-l", folder], check=True)
    with open_ledger(f"sqlite:///{torn / place.name}", create=False) as ledger:
        assert [entry.seq for entry in ledger.entries()] == [1], "as the remedy says"
