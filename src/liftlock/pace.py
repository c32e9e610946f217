"""How long hosts have been worked on since the last one became healthy. Pure.

Only time with a host in hand counts: waiting for windows, bakes and people does not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from liftlock.ledger import Fact, Opened, Switched


@dataclass(frozen=True, slots=True)
class Pace:
    """Work without a newly healthy host: what is `spent`, and since when (UTC) it goes on; None when it rests."""

    spent: timedelta = timedelta(0)
    since: datetime | None = None

    def after(self, fact: Fact, at: datetime, before: int, now: int) -> Pace:
        """The pace after a fact that brought the number of hosts in hand from `before` to `now`."""
        if isinstance(fact, Switched | Opened):
            return Pace(since=at if now else None)
        if now and self.since is None:
            return replace(self, since=at)
        if before and not now and self.since is not None:
            return Pace(self.spent + (at - self.since))
        return self

    def without_success(self, now: datetime) -> timedelta:
        """How long hosts have been worked on, until now, without one becoming healthy."""
        return self.spent + (now - self.since if self.since else timedelta(0))
