"""The task about the record itself."""

from __future__ import annotations

import re
from pathlib import Path

from invoke import Context

from liftlock.errors import ExitCode, InputError
from liftlock.tasks.declare import JSON, declared, print_json


@declared(
    "action",
    action="verify: check every link of the chain. export: also write the entries to a file.",
    known="A hash that an earlier verify printed; it must still be in the chain.",
    file="Where export writes, one JSON object a line.",
    **JSON,
)
def ledger(_context: Context, action: str, known: str = "", file: str = "", json: bool = False) -> ExitCode:
    """
    Check the whole record, and say how many entries hold and which breaks the chain; or write it out for auditors.

    Exit 0 when all of it holds, 5 when it does not. Example: liftlock ledger verify
    """
    from liftlock.adapters.terminal_record import show_verified
    from liftlock.app.auditing import export, verify
    from liftlock.app.workspace import Workspace

    if action not in {"verify", "export"}:
        raise InputError(f"ledger knows verify and export, not {action!r}")
    if (action == "export") != bool(file):
        raise InputError("--file says where ledger export writes; ledger verify writes nothing")
    if action == "export" and known:
        raise InputError("--known is for ledger verify")
    if known and not re.fullmatch(r"[0-9a-f]{64}", known):
        raise InputError(f"--known takes a hash that ledger verify printed, 64 hexadecimal digits, not {known!r}")
    made = export(Workspace(), Path(file)) if file else verify(Workspace(), known)
    if json:
        print_json(made)
    else:
        show_verified(made)
    return ExitCode.NEEDS_A_PERSON if made.problems else ExitCode.DONE
