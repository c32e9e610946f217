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
    """The verdict of the gate suites on one host, why, and how many tests it rests on."""

    host: str
    verdict: Verdict
    reason: str = ""
    tests: int = 0
    seconds: float = 0.0


class Action(StrEnum):
    """What an attempt tries."""

    UPGRADE = "upgrade"
    ROLL_BACK = "roll_back"


class NoticeKind(StrEnum):
    """What a notice tells a customer."""

    ANNOUNCED = "announced"


class NoticeState(StrEnum):
    """Where a message to one recipient stands; `ambiguous` may or may not have arrived."""

    QUEUED = "queued"
    SENT = "sent"
    REFUSED = "refused"
    AMBIGUOUS = "ambiguous"
    FAILED = "failed"
