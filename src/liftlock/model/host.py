"""What a host says, and what it is asked with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Observation:
    """What one look at a host found; `None` means it could not be told, never "no".

    `installed` is the version `current` points to, `running` the version that answered the health
    check, `healthy` whether it answered as often as asked. `busy` says that a phase is running, `unconfirmed` that the
    host goes back by itself unless this is prevented (`Release.confirm_within`). `staged` are the versions that lie
    there, verified. `journal` is the last line of the host's journal: `<plan> <attempt> <phase> <state>`,
    and after the state `begin` the versions before and after the switch.
    """

    host: str
    at: datetime
    reachable: bool
    installed: str | None = None
    running: str | None = None
    healthy: bool | None = None
    free_bytes: int | None = None
    free_inodes: int | None = None
    missing_tools: tuple[str, ...] = ()
    busy: bool = False
    unconfirmed: bool = False
    staged: tuple[str, ...] = ()
    journal: str = ""
    cause: str = ""
    detail: str = ""


class HostResult(StrEnum):
    """How the host program ended a phase, in its own words; `done` ends those that switch nothing."""

    SWITCHED = "switched"
    STAGED = "staged"
    DONE = "done"
    ROLLED_BACK = "rolled_back"
    FAILED = "failed"
    REFUSED = "refused"
    ALREADY_CURRENT = "already_current"


@dataclass(frozen=True, slots=True)
class HostAnswer:
    """The host program's account of one phase: result, version that answered last, why, how long, full output.

    `version` is None where nothing answered, or nobody asked; `installed` is what the phase found installed.
    """

    result: HostResult
    version: str | None
    cause: str = ""
    detail: str = ""
    seconds: float = 0.0
    output: str = ""
    installed: str | None = None


@dataclass(frozen=True, slots=True)
class Ticket:
    """What names an attempt to a host: plan, attempt number, and the fence that outdates older controllers."""

    plan: str
    attempt: int
    fence: int
