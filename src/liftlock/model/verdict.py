"""How gates, attempts and notices end."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How a gate ended; `error` means that it could not be measured."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class GateResult:
    """The verdict of the gate suites on one host, why, how many tests it rests on, and which did not pass."""

    host: str
    verdict: Verdict
    reason: str = ""
    tests: int = 0
    seconds: float = 0.0
    not_passed: tuple[str, ...] = ()


class Occasion(StrEnum):
    """When the gate suites look at a host: before anything starts, after its upgrade, after its rollback."""

    BEFORE = "before"
    AFTER = "after"
    BACK = "back"


class Action(StrEnum):
    """What an attempt tries."""

    UPGRADE = "upgrade"
    ROLL_BACK = "roll_back"


class NoticeKind(StrEnum):
    """What a notice tells a customer; `digest` and `incident` go to the vendor's own people."""

    ANNOUNCED = "announced"
    REMINDER = "reminder"
    RESCHEDULED = "rescheduled"
    STARTED = "started"
    COMPLETED = "completed"
    ROLLED_BACK = "rolled_back"
    CANCELLED = "cancelled"
    ACTION_NEEDED = "action_needed"
    DIGEST = "digest"
    INCIDENT = "incident"


class NoticeState(StrEnum):
    """Where a message to one recipient stands; `sending` without an end is `ambiguous`: it may have arrived or not."""

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    REFUSED = "refused"
    AMBIGUOUS = "ambiguous"
    FAILED = "failed"
