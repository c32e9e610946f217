"""What `init` does: a new workspace from the sample that this repository itself is."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from liftlock.adapters import files
from liftlock.errors import InputError

SAMPLE = Path(__file__).resolve().parents[1] / "sample"
"""Links to the repository's own top level, so that what is copied is what is tested."""

CONTENTS = {
    "releases": "releases",
    "inventories": "inventories",
    "templates": "templates",
    "manuals": "manuals",
    "gates": "tests/gates",
    "tasks.py": "tasks.py",
    "liftlock.yaml": "liftlock.yaml",
    "workspace.gitignore": ".gitignore",
}


def create_workspace(folder: Path) -> list[Path]:
    """Copy the sample workspace into `folder`; return the files, relative to it.

    Raises InputError when any of them is already there, or they cannot be written; nothing is left of this run
    then.
    """
    planned: dict[Path, Path] = {}
    for source, where in CONTENTS.items():
        origin, target = SAMPLE / source, Path(where)
        found = [origin] if origin.is_file() else sorted(path for path in origin.rglob("*") if path.is_file())
        for path in found:
            if "__pycache__" not in path.parts:
                planned[target / path.relative_to(origin) if origin.is_dir() else target] = path
    if there := [str(target) for target in planned if (folder / target).exists()]:
        raise InputError(
            f"{folder} already has {', '.join(there[:5])}{' and more' if there[5:] else ''}; nothing was written"
        )
    with _removed_on_failure() as made:
        for target, origin in planned.items():
            _make_folder((folder / target).parent, made)
            made.append(folder / target)
            shutil.copyfile(origin, folder / target)
    return sorted(planned)


@contextmanager
def _removed_on_failure() -> Iterator[list[Path]]:
    """Files and folders that are listed as they are made, and removed again, newest first, when not all could be."""
    made: list[Path] = []
    try:
        yield made
    except BaseException as error:
        for path in reversed(made):
            with suppress(OSError):
                path.rmdir() if path.is_dir() else path.unlink()
        if isinstance(error, OSError):
            where = Path(error.filename2 or error.filename or made[-1])
            raise InputError(str(files.not_written(where, error))) from error
        raise


def _make_folder(folder: Path, made: list[Path]) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent, made)
    folder.mkdir()
    made.append(folder)
