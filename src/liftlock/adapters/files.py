"""The workspace on disk: finding it, reading its files, writing new ones whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from liftlock import inventory, manifest, settings
from liftlock.adapters import inventory_sources
from liftlock.document import refusal
from liftlock.errors import InputError, LiftlockError, Problem
from liftlock.model import Catalogue, Fleet, Release
from liftlock.settings import Settings

SETTINGS = "liftlock.yaml"
RELEASES = "releases"
INVENTORIES = "inventories"
PRODUCT = "product.yaml"

T = TypeVar("T")


def find_workspace(start: Path) -> Path:
    """The nearest folder from `start` upwards that has liftlock.yaml, or both releases/ and inventories/; absolute.

    Raises InputError when there is none.
    """
    start = start.absolute()
    for folder in (start, *start.parents):
        if (folder / SETTINGS).is_file() or ((folder / RELEASES).is_dir() and (folder / INVENTORIES).is_dir()):
            return folder
    raise InputError(f"{start} is not in a workspace: make one with `liftlock init DIR`, or change into it")


def list_products(workspace: Path) -> list[str]:
    """The names of the folders of releases/ that hold a product.yaml, sorted."""
    return sorted(path.parent.name for path in (workspace / RELEASES).glob(f"*/{PRODUCT}"))


def load_catalogue(workspace: Path, product: str) -> Catalogue:
    """A product and its releases, oldest first; the artifacts' paths are absolute.

    Raises InputError with the problems of all its manifests together.
    """
    folder = _product_folder(workspace, product)
    problems: list[Problem] = []

    def collected(reader: Callable[[str, str], T], path: Path) -> T | None:
        try:
            return reader(_read_text(path, workspace), _shown(path, workspace))
        except InputError as error:
            problems.extend(error.problems)
            return None

    declared = collected(manifest.read_product, folder / PRODUCT)
    if declared and declared.name != product:
        message = f"`{declared.name}` must be the name of its folder, {product}"
        problems.append(Problem(_shown(folder / PRODUCT, workspace), message, "product"))
    releases = [collected(manifest.read_release, path) for path in _release_manifests(folder)]
    problems += [
        Problem(_shown(path, workspace), "is not read: its name must end in .yaml") for path in folder.glob("*.yml")
    ]
    if not releases:
        problems.append(Problem(_shown(folder, workspace), "has no release manifest (<version>.yaml)"))
    problems += _unknown_needs(workspace, product, [release for release in releases if release])
    if problems or declared is None:
        raise InputError(_placed(problem, workspace) for problem in problems)
    try:
        return manifest.catalogue(declared, [_with_absolute_artifact(one, folder) for one in releases if one])
    except InputError as error:
        raise InputError(_placed(problem, workspace) for problem in error.problems) from None


def _placed(problem: Problem, workspace: Path) -> Problem:
    """A mistake that shows only beside other files, with the place of its field in its own."""
    if problem.line or not problem.path:
        return problem
    text, path = _read_text(workspace / problem.file, workspace), tuple(problem.path.split("."))
    (placed,) = refusal(text, problem.file, [(path, problem.message)]).problems
    return placed


def _unknown_needs(workspace: Path, product: str, releases: Iterable[Release]) -> Iterator[Problem]:
    """The needs of other products that name none."""
    others = [name for name in list_products(workspace) if name != product]
    for release in releases:
        file = f"{RELEASES}/{product}/{release.version}.yaml"
        for name in release.needs:
            if name == product:
                yield Problem(file, f"`{name}` cannot need itself: say `requires`", f"needs.{name}")
            elif name not in others:
                there = f"; {_listing(RELEASES, others)}" if others else ""
                yield Problem(file, f"there is no other product `{name}`{there}", f"needs.{name}")


def load_fleet(workspace: Path, name_or_path: str) -> Fleet:
    """The fleet of inventories/<name>.yaml, or of the file when a path (with a slash or `.yaml`) is given.

    Raises InputError with every problem; a fleet asked for by name must carry that name.
    """
    return load_fleet_with_hashes(workspace, name_or_path)[0]


def load_fleet_with_hashes(workspace: Path, name_or_path: str) -> tuple[Fleet, dict[str, str]]:
    """The fleet, and the sha256 of all that it was read from: the inventory, and what its source holds.

    Files are named by their path within the workspace, what a program printed by its command line. A program
    is run once for both. Raises InputError as `load_fleet` does.
    """
    path = _inventory_path(workspace, name_or_path)
    shown = _shown(path, workspace)
    text = _read_text(path, workspace)
    hashes = {shown: hashlib.sha256(text.encode()).hexdigest()}
    stub = inventory.read_stub(text, shown)
    if stub is None:
        fleet = inventory.read_fleet(text, shown)
    else:
        fetched = inventory_sources.fetch(stub.source, path.parent, workspace)
        fleet, hashes = inventory.fleet_from(stub, fetched.hosts), hashes | fetched.hashes
    if not _is_path(name_or_path) and fleet.name != name_or_path:
        message = f"`{fleet.name}` must be the name of its file, {name_or_path}"
        raise InputError([Problem(shown, message, "fleet")])
    return fleet, hashes


def load_settings(workspace: Path) -> Settings:
    """What liftlock.yaml says, or the defaults when there is none. Raises InputError with every problem."""
    workspace = workspace.absolute()
    path = workspace / SETTINGS
    text = _read_text(path, workspace) if path.exists() else ""
    return settings.read_settings(text, SETTINGS, workspace)


def products_naming(workspace: Path, products: Collection[str]) -> set[str]:
    """The other products whose release manifests name one of these: nobody can need what they do not name."""
    name = re.compile(rf"(?<![a-z0-9-])({'|'.join(map(re.escape, sorted(products)))})(?![a-z0-9-])")
    return {
        other
        for other in list_products(workspace)
        if other not in products
        and any(name.search(_read_text(path, workspace)) for path in _release_manifests(workspace / RELEASES / other))
    }


def input_hashes(
    workspace: Path, products: Iterable[str], fleet: str, of_fleet: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The sha256 of the exact bytes of all that a plan is made from, by name as in `load_fleet_with_hashes`.

    These are, of every product, product.yaml and every release manifest, the inventory with what its source holds
    (`of_fleet`; looked up again when not given), and liftlock.yaml when there is one. Raises InputError when one cannot
    be read.
    """
    folders = [_product_folder(workspace, product) for product in products]
    paths = [path for folder in folders for path in (folder / PRODUCT, *_release_manifests(folder))]
    if (workspace / SETTINGS).exists():
        paths.append(workspace / SETTINGS)
    hashes = {_shown(path, workspace): _sha256(path, workspace) for path in paths}
    hashes.update(_inventory_hashes(workspace, fleet) if of_fleet is None else of_fleet)
    return dict(sorted(hashes.items()))


def _inventory_hashes(workspace: Path, name_or_path: str) -> dict[str, str]:
    """As of `load_fleet_with_hashes`, without reading hosts that the inventory lists itself."""
    path = _inventory_path(workspace, name_or_path)
    text = _read_text(path, workspace)
    hashes = {_shown(path, workspace): hashlib.sha256(text.encode()).hexdigest()}
    stub = inventory.read_stub(text, _shown(path, workspace))
    return hashes | inventory_sources.fetch(stub.source, path.parent, workspace).hashes if stub else hashes


def write_atomically(path: Path, content: bytes | str) -> None:
    """Put `content` (text as UTF-8) under `path`, durably and all at once; readers see the old file or the new one.

    Makes its folder when there is none. Raises LiftlockError when that fails; the old file is then still there.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _replace(path, data)
        _sync_folder(path.parent)
    except OSError as error:
        raise not_written(path, error) from error


def not_written(path: Path, error: OSError) -> LiftlockError:
    """What is said of a file or folder that could not be written: why, and the remedy."""
    if error.errno == errno.EISDIR or path.is_dir():
        return InputError(f"{path} could not be written: it is a folder; name a file in it")
    remedy = _REMEDIES.get(error.errno or 0, "put that right and run again")
    return LiftlockError(f"{path} could not be written: {error.strerror}; {remedy}")


_REMEDIES = {
    errno.ENOSPC: "free some space and run again",
    errno.EDQUOT: "free some of the quota and run again",
    errno.EFBIG: "raise the limit on file lengths (ulimit -f) and run again",
    errno.EEXIST: "its folder is a file: move that away",
    errno.ENOTDIR: "its folder is a file: move that away",
    errno.ENOENT: "its folder takes no files: write elsewhere",
    errno.EACCES: "see who may write in its folder",
    errno.EPERM: "see who may write in its folder",
    errno.EROFS: "its file system is read-only: write elsewhere",
}


def _replace(path: Path, data: bytes) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor has no Path
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _product_folder(workspace: Path, product: str) -> Path:
    folder = workspace / RELEASES / product
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", product) or not folder.is_dir():
        there = _listing(RELEASES, list_products(workspace))
        raise InputError([Problem(f"{RELEASES}/{product}", f"there is no such product; {there}")])
    return folder


def _release_manifests(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.yaml") if path.name != PRODUCT)


def _with_absolute_artifact(release: Release, folder: Path) -> Release:
    path = os.path.normpath(folder.absolute() / release.artifact.path)
    return replace(release, artifact=replace(release.artifact, path=path))


def _is_path(name_or_path: str) -> bool:
    return "/" in name_or_path or name_or_path.endswith(".yaml")


def _inventory_path(workspace: Path, name_or_path: str) -> Path:
    if _is_path(name_or_path):
        return Path(name_or_path).absolute()
    path = workspace / INVENTORIES / f"{name_or_path}.yaml"
    if not path.exists():
        names = sorted(found.stem for found in (workspace / INVENTORIES).glob("*.yaml"))
        there = _listing(INVENTORIES, names)
        raise InputError([Problem(f"{INVENTORIES}/{path.name}", f"there is no such inventory; {there}")])
    return path


def _listing(folder: str, names: list[str]) -> str:
    return f"{folder}/ has: {', '.join(names)}" if names else f"{folder}/ has none"


def _shown(path: Path, workspace: Path) -> str:
    """How a path is written in messages and plans: within the workspace, with forward slashes."""
    return Path(os.path.relpath(path, workspace)).as_posix()


def _sha256(path: Path, workspace: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, workspace, error) from error


def _read_text(path: Path, workspace: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        raise _unreadable(path, workspace, error) from error
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        line, column = before.count(b"\n") + 1, error.start - (before.rfind(b"\n") + 1) + 1
        message = f"is not UTF-8 text (byte 0x{error.object[error.start]:02x}): save it as UTF-8"
        raise InputError([Problem(_shown(path, workspace), message, line=line, column=column)]) from error


def _unreadable(path: Path, workspace: Path, error: OSError) -> InputError:
    return InputError([Problem(_shown(path, workspace), f"cannot be read: {error.strerror}")])
