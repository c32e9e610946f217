"""What `ledger` does: check the whole record, and write it out for auditors."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from liftlock.adapters import files
from liftlock.app.workspace import Workspace
from liftlock.errors import LedgerError
from liftlock.ledger import GENESIS, Entry, encode, verify_chain


@dataclass(frozen=True, slots=True)
class Verified:
    """How far the record holds: so many `entries`, and the `head`, which is the hash of the last of them.

    `problems` is empty when all of it holds. `file` is what was written, if anything was.
    """

    entries: int
    head: str
    written_at: datetime | None
    problems: tuple[str, ...]
    file: str = ""


def verify(workspace: Workspace, known: str = "", on_entry: Callable[[Entry], None] = lambda _entry: None) -> Verified:
    """Check every link of the chain, and the file of a ledger in SQLite; `on_entry` gets each entry that holds.

    `known` is a head of an earlier day, which must still be in the chain: so is found what was cut off or
    written anew from some entry on. Raises NoLedgerError when there is no record yet.
    """
    holds, head, at, problems, is_known = 0, GENESIS, None, [], known in {"", GENESIS}
    with workspace.ledger(create=False) as ledger:
        try:
            problems += [f"SQLite: {one}" for one in ledger.damage()]
            for entry in ledger.entries():
                if entry.seq != holds + 1:
                    raise LedgerError(f"ledger entry {holds + 1} is missing")
                holds, head, at = holds + verify_chain([entry], head), entry.hash, entry.at
                is_known = is_known or head == known
                on_entry(entry)
        except LedgerError as error:
            problems.append(str(error))
    if not is_known:
        problems.append(f"no entry that holds has the hash {known}: entries were cut off, or written anew")
    return Verified(holds, head, at, tuple(problems))


def export(workspace: Workspace, file: Path) -> Verified:
    """Write the entries that hold to `file`, one JSON object a line. Raises LiftlockError when it cannot be written.

    In each line `hash` is the sha256 of `previous`, `at`, `plan` and `fact`, each followed by a newline; `fact`
    as it stands there.
    """
    lines: list[str] = []
    made = verify(workspace, on_entry=lambda entry: lines.append(_line(entry)))
    files.write_atomically(file, "".join(lines))
    return Verified(made.entries, made.head, made.written_at, made.problems, str(file))


def _line(entry: Entry) -> str:
    parts = {
        "seq": entry.seq,
        "at": entry.at.astimezone(UTC).isoformat(),
        "plan": entry.plan,
        "previous": entry.previous,
        "hash": entry.hash,
    }
    head = ",".join(f"{json.dumps(name)}:{json.dumps(value, ensure_ascii=False)}" for name, value in parts.items())
    return f'{{{head},"fact":{encode(entry.fact)}}}\n'
