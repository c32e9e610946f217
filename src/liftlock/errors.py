"""Every error liftlock raises on purpose, and the exit code each one stands for.

    LiftlockError
    ├── InputError            2  a file, an argument or a setting is wrong; nothing was touched
    │   └── NoLedgerError     2  there is no record yet
    ├── RefusedError          3  a gate, a window or a notice refuses; nothing was touched
    ├── LockedError           6  another controller holds the claim
    ├── LedgerError           5  the record cannot be read or written
    └── HostError             -  one host; the engine turns it into an outcome, it never ends a task
        ├── UnreachableError     no connection was made: nothing was touched on the host
        ├── HostKeyError         the key is unknown, or is not the recorded one
        ├── AuthenticationError  the host refuses our key
        └── LinkLostError        the connection broke after work began: the outcome is unknown

Adapters map foreign exceptions to these once; nothing else in the house catches a foreign one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """How a task ends, for the shell and for pipelines (docs/exit-codes.md)."""

    DONE = 0
    INPUT_REFUSED = 2
    REFUSED = 3
    STOPPED = 4
    NEEDS_A_PERSON = 5
    LOCKED = 6
    INTERRUPTED = 130
    TERMINATED = 143


class LiftlockError(Exception):
    """Base of all errors that end a task with one clear message instead of a traceback."""

    exit_code: ExitCode = ExitCode.NEEDS_A_PERSON


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in an input: where it stands and what is wrong, 1-based like editors count."""

    file: str
    message: str
    path: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return ": ".join(part for part in (place, self.path, self.message) if part)


class InputError(LiftlockError):
    """One or more inputs are wrong; carries every problem found, not only the first."""

    exit_code = ExitCode.INPUT_REFUSED

    def __init__(self, problems: Iterable[Problem] | str) -> None:
        self.problems: tuple[Problem, ...] = () if isinstance(problems, str) else tuple(problems)
        super().__init__(problems if isinstance(problems, str) else "\n".join(map(str, self.problems)))


class NoLedgerError(InputError):
    """Nothing was recorded yet, so there is nothing to read."""


class RefusedError(LiftlockError):
    """A gate, a window or a notice forbids the work; the message says which and what would free it."""

    exit_code = ExitCode.REFUSED


class LockedError(LiftlockError):
    """Another controller holds this rollout or host; the message says who and since when."""

    exit_code = ExitCode.LOCKED


class LedgerError(LiftlockError):
    """The record cannot be read, written or verified; work stops rather than go on unrecorded."""


class HostError(LiftlockError):
    """Something about one host; `cause` is a short stable phrase that failures are grouped by."""

    def __init__(self, cause: str, detail: str = "") -> None:
        self.cause = cause
        self.detail = detail
        super().__init__(f"{cause}: {detail}" if detail else cause)


class UnreachableError(HostError):
    """No connection could be made, so nothing on the host was touched."""


class HostKeyError(HostError):
    """The host key is not recorded, or differs from the recorded one."""


class AuthenticationError(HostError):
    """The host does not accept the configured key for the configured user."""


class LinkLostError(HostError):
    """The connection broke, or a deadline passed, after work began: what happened is unknown."""
