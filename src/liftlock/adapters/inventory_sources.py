"""Where the hosts of an inventory come from when it does not list them: other files, or a program that prints them."""

from __future__ import annotations

import hashlib
import os
import shlex
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import IO, Any

from pydantic_core import from_json

from liftlock import ansible, ansible_json, ansible_yaml, wording
from liftlock.ansible import AnsibleInventory, VariableFiles, Variables
from liftlock.errors import InputError, Problem
from liftlock.gathered import Gathered
from liftlock.inventory import Source

PROGRAM_SECONDS = 60.0
"""How long a program may take."""
MOST_BYTES = 256 * 1024 * 1024
"""How much of a file or of what a program prints is read; an inventory of 100 000 hosts has about 50 MB."""
_TOLD = 2000  # letters of what a program wrote to standard error
_SUFFIXES = ("", ".yml", ".yaml", ".json")


@dataclass(frozen=True, slots=True)
class Fetched:
    """The hosts that a source gave, and the sha256 of everything read for them, by the name shown to people."""

    hosts: Gathered
    hashes: dict[str, str]


def fetch(
    source: Source, folder: Path, workspace: Path, *, seconds: float = PROGRAM_SECONDS, most: int = MOST_BYTES
) -> Fetched:
    """What a source holds now; its files are relative to `folder`, and a program runs in the workspace, for at most
    so many `seconds`, and prints at `most` so many bytes.

    Raises InputError, naming file and place, or the program's command line and what it said.
    """
    reader = _Reader(workspace)
    if source.program is not None:
        shown = f"program {shlex.join(source.program)}"
        data = _printed(source.program, shown, workspace, seconds, most)
        reader.hashes[shown] = hashlib.sha256(data).hexdigest()
        return Fetched(_of_json(data, shown), reader.hashes)
    if source.ansible_json is not None:
        path = folder / source.ansible_json
        document = _json(reader.read(path), reader.shown(path))
        return Fetched(ansible.gather(ansible_json.read_json(document, reader.shown(path))), reader.hashes)
    path = folder / (source.ansible or "")
    inventory = ansible_yaml.read_yaml(reader.text(path), reader.shown(path))
    return Fetched(ansible.gather(inventory, _beside(inventory, path.parent, reader)), reader.hashes)


@dataclass
class _Reader:
    """Reads files, and keeps the hash of each."""

    workspace: Path
    hashes: dict[str, str] = field(default_factory=dict)

    def shown(self, path: Path) -> str:
        return Path(os.path.relpath(path, self.workspace)).as_posix()

    def read(self, path: Path) -> bytes:
        try:
            with path.open("rb") as file:
                data = file.read(MOST_BYTES + 1)
        except OSError as error:
            raise InputError([Problem(self.shown(path), f"cannot be read: {error.strerror}")]) from error
        if len(data) > MOST_BYTES:
            raise InputError([Problem(self.shown(path), f"is larger than {MOST_BYTES:,} bytes")])
        self.hashes[self.shown(path)] = hashlib.sha256(data).hexdigest()
        return data

    def text(self, path: Path) -> str:
        try:
            return self.read(path).decode()
        except UnicodeDecodeError as error:
            before = error.object[: error.start]
            line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
            raise InputError([Problem(self.shown(path), "is not UTF-8 text", line=line, column=column)]) from error


def _of_json(data: bytes, shown: str) -> Gathered:
    """What a program printed: an inventory as Ansible's scripts print it, known by its `_meta`, or one in our form."""
    document = _json(data, shown)
    if isinstance(document, dict) and "_meta" in document:
        return ansible.gather(ansible_json.read_json(document, shown))
    return Gathered(document, lambda path: Problem(shown, "", wording.printable(wording.dotted(path))))


def _json(data: bytes, shown: str) -> Any:
    try:
        return from_json(data, allow_inf_nan=False)
    except ValueError as error:
        raise InputError([Problem(shown, f"is not JSON: {wording.printable(str(error))}")]) from None


def _beside(inventory: AnsibleInventory, folder: Path, reader: _Reader) -> VariableFiles:
    """The variables in group_vars/ and host_vars/ beside an inventory, as Ansible finds them."""
    problems: list[Problem] = []
    unread: list[Problem] = []

    def found(place: Path, names: Sequence[str]) -> dict[str, list[Variables]]:
        there = set(os.listdir(place)) if place.is_dir() else set()  # noqa: PTH208 - names are all that is asked
        by_name: dict[str, list[Variables]] = {}
        for name in names:
            first = next((name + suffix for suffix in _SUFFIXES if name + suffix in there), None)
            for path in _files(place / first) if first else ():
                try:
                    variables = ansible_yaml.read_variables(reader.text(path), reader.shown(path))
                except InputError as error:
                    problems.extend(error.problems)
                    continue
                if variables is None:
                    unread.append(Problem(reader.shown(path), "is encrypted with Ansible Vault and was not read"))
                else:
                    by_name.setdefault(name, []).append(variables)
        return by_name

    groups = found(folder / "group_vars", sorted({"all", "ungrouped", *inventory.groups}))
    hosts = found(folder / "host_vars", sorted(inventory.hosts))
    if problems:
        raise InputError(problems)
    return VariableFiles(groups, hosts, tuple(unread))


def _files(path: Path) -> list[Path]:
    """The file, or those of a folder that Ansible would read, in its order."""
    if not path.is_dir():
        return [path]
    found: list[Path] = []
    for inside in sorted(path.iterdir()):
        if inside.name.startswith(".") or inside.name.endswith("~") or inside.suffix not in _SUFFIXES:
            continue
        if inside.is_file() or not inside.suffix:
            found += _files(inside)
    return found


def _printed(command: Sequence[str], shown: str, workspace: Path, seconds: float, most: int) -> bytes:
    """What a program prints, run without a shell, without input, and with PATH, HOME and LANG as its environment."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | {"LANG": "C.UTF-8"}
    try:
        process = subprocess.Popen(
            list(command),
            cwd=workspace,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise InputError([Problem(shown, f"cannot be run: {error.strerror}")]) from error
    assert process.stdout
    assert process.stderr
    output, errors = _Pipe(process.stdout, most), _Pipe(process.stderr, most)
    try:
        status = process.wait(seconds) if output.ended(seconds) else None
    except subprocess.TimeoutExpired:
        status = None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)  # and all that it has started
            process.wait()
        output.close()
        errors.close()
    said = wording.printable(errors.data.decode(errors="replace").strip().replace("\n", " | "))[-_TOLD:]
    if len(output.data) > most:
        raise InputError([Problem(shown, f"printed more than {most:,} bytes")])
    if status is None:
        raise InputError([Problem(shown, f"did not end within {seconds:g} s{_quoted(said)}")])
    if status != 0:
        how = f"ended with status {status}" if status > 0 else f"was ended by signal {-status}"
        raise InputError([Problem(shown, f"{how}{_quoted(said)}")])
    return bytes(output.data)


def _quoted(said: str) -> str:
    return f": {said}" if said else ""


class _Pipe:
    """What comes through a pipe, kept up to a bound and one byte; the rest is read and dropped."""

    def __init__(self, pipe: IO[bytes], most: int) -> None:
        self._pipe, self._most = pipe, most
        self.data = bytearray()
        self._thread = Thread(target=self._read, daemon=True)
        self._thread.start()

    def ended(self, seconds: float) -> bool:
        """Whether its writers have closed it, at the latest after so long."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def close(self) -> None:
        """Let go of it; one that something else still holds open is left to it."""
        if self.ended(1.0):
            self._pipe.close()

    def _read(self) -> None:
        while piece := os.read(self._pipe.fileno(), 65536):
            self.data += piece[: self._most + 1 - len(self.data)]
