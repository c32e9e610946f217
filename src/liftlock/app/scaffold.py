"""What `init` does: a new workspace from the sample that this repository itself is."""

from __future__ import annotations

import shutil
from pathlib import Path

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

    Raises InputError, with nothing written, when any of them is already there.
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
    try:
        for target, origin in planned.items():
            (folder / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(origin, folder / target)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror}") from error
    return sorted(planned)
