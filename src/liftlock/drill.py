"""The drill (`Policy.drill`): the first host that went up goes back and up again before anyone else moves. Pure.

The way back of a drill is not a failure: its host is free again, and goes up a second time. A host that does not come
back, or not up again, stops the rollout. One that could not go up at first, or cannot be attempted a second time, hands
the drill over to the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from liftlock.ledger import Drilled, Ended, Fact, LeftOut, Switched
from liftlock.model import Outcome
from liftlock.standing import HostProgress


class DrillState(StrEnum):
    """How far the drill is."""

    AWAITED = "awaited"
    UP = "up"
    BACK = "back"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Drill:
    """Which host drills, how far it is, and why it failed."""

    host: str = ""
    state: DrillState = DrillState.AWAITED
    cause: str = ""

    @property
    def is_over(self) -> bool:
        """Whether everybody may move."""
        return self.state is DrillState.DONE

    def after(self, fact: Fact, part: HostProgress | None) -> Drill:
        """The drill after a fact; `part` is where the host that it speaks of stood before."""
        match fact:
            case Switched(host=host) if self.state is DrillState.AWAITED:
                return Drill(host, DrillState.UP)
            case Switched(host=self.host) if self.state in {DrillState.BACK, DrillState.FAILED}:
                return Drill(self.host, DrillState.DONE)
            case Drilled(host=host):
                return Drill(host, DrillState.BACK)
            case LeftOut(host=self.host) if self.state is DrillState.BACK:
                return Drill()
            case Ended(host=self.host) if self.state in {DrillState.UP, DrillState.BACK}:
                return self._ended(fact, part)
        return self

    def _ended(self, fact: Ended, part: HostProgress | None) -> Drill:
        if fact.outcome is Outcome.UNKNOWN:
            return self
        if part is not None and part.drilling:
            return Drill(self.host, DrillState.FAILED, f"did not come back: {fact.cause or fact.outcome}")
        if self.state is DrillState.BACK and fact.outcome.attempted:
            return Drill(self.host, DrillState.FAILED, f"did not come up again: {fact.cause or fact.outcome}")
        return Drill()
