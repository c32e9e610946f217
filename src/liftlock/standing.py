"""Where one planned host stands in a rollout, and what was seen of it last."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from liftlock.model import Action, Outcome


class Standing(StrEnum):
    """Where one planned host stands. Hosts without any entry have no standing yet."""

    FREE = "free"  # tried or left out before; may be tried again
    IN_HAND = "in_hand"  # an attempt of this session is open
    LOST = "lost"  # what happened is unknown; somebody must look
    SWITCHED = "switched"  # on the wanted version, not yet proven through the bake
    AILING = "ailing"  # had switched, was found unhealthy, must go back
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # attempted and did not succeed; the outcome says how
    BROUGHT_BACK = "brought_back"  # was fine, went back because the rollout halted or an operator said so
    LEFT_OUT = "left_out"  # not attempted; the outcome says why


ITSELF = "liftlock"
"""Who pauses a rollout when a person has to judge what no rule can."""
SETTLED = frozenset({Standing.SUCCEEDED, Standing.FAILED, Standing.BROUGHT_BACK, Standing.LEFT_OUT})
_OUT_OF_SERVICE = frozenset({Outcome.FAILED, Outcome.UNREACHABLE, Outcome.UNREACHABLE_BEFORE})


@dataclass(frozen=True, slots=True)
class Sighting:
    """What answered last, when, and at which look."""

    version: str
    at: datetime
    look: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Who suspended the rollout, why, and since when."""

    reason: str
    by: str
    since: datetime

    @property
    def words(self) -> str:
        """As a person reads it."""
        return f"by {self.by} since {self.since:%Y-%m-%d %H:%M} UTC: {self.reason}"


@dataclass(frozen=True, slots=True)
class HostProgress:
    """One host's part: its last attempt, the version it came from, and how it ended.

    `fence` outdates the controllers of earlier attempts: the time of `Started` in milliseconds, not the entry's number
    (a host outlives a ledger, and a new ledger counts from 1 again), and more than the attempt's before, whose
    controller may have had a clock that was fast.
    """

    standing: Standing
    attempt: int = 0
    action: Action = Action.UPGRADE
    origin: str = ""
    outcome: Outcome | None = None
    cause: str = ""
    detail: str = ""  # what the host said beside the cause, such as who is at work there
    lost_links: int = 0
    well: bool = False  # nothing was wrong with it when it was sent back
    recall: str = ""  # why an operator wants it back, while nobody knows yet where it stands
    drilling: bool = False  # it is on the drill's way back
    ways_back: int = 0  # attempts in a row to bring it back
    fence: int = 0
    seen: Sighting | None = None
    on_the_way: str = ""  # the hop it was left on, well: neither where it came from nor where it was to go


def settles(outcome: Outcome, *, well: bool) -> Standing:
    """Where a host stands whose attempt ended so; `well` when it went back although nothing was wrong with it."""
    if outcome is Outcome.SUCCEEDED:
        return Standing.SUCCEEDED
    if outcome is Outcome.UNKNOWN:
        return Standing.LOST
    if outcome is Outcome.ROLLED_BACK and well:
        return Standing.BROUGHT_BACK
    return Standing.FAILED if outcome.attempted else Standing.LEFT_OUT


def is_in_hand(part: HostProgress | None) -> bool:
    """Whether an attempt of this session is open on it."""
    return part is not None and part.standing is Standing.IN_HAND


def is_down(part: HostProgress | None) -> bool:
    """Whether it cannot stand in for another; a host that was well when it was recalled still can."""
    if part is None:
        return False
    if part.standing in {Standing.FAILED, Standing.LEFT_OUT}:
        return part.outcome in _OUT_OF_SERVICE
    return part.standing is Standing.LOST or (part.standing is Standing.AILING and not part.well)


def look_of(part: HostProgress, outcome: Outcome | None) -> str:
    """In words, the look that an end rests on, by where the host stood before; no outcome is a switch."""
    if part.standing is Standing.LOST:
        return "a look after the link was lost"
    if outcome is None:
        return "a fresh connection after the switch"
    if outcome is Outcome.SUCCEEDED:
        return "the end of the bake"
    if part.action is Action.ROLL_BACK:
        return "the host, after the rollback"
    return "the host, at the end of its attempt"
