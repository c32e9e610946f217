"""The record of one plan as a controller keeps it: what it writes, and what others write meanwhile.

Every entry of the plan, its own and others', is folded exactly once, in the order of the ledger. For one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress

from liftlock.errors import LedgerError, LockedError
from liftlock.ledger import Entry, Fact, Opened
from liftlock.model import Plan
from liftlock.ports import Clock, LedgerStore
from liftlock.progress import Progress


class Recorder:
    """Where a rollout stands, kept up with the ledger. `on_entry` is called after every entry that comes anew."""

    def __init__(
        self, plan: Plan, store: LedgerStore, clock: Clock, on_entry: Callable[[Entry, Progress], None]
    ) -> None:
        self._on_entry: Callable[[Entry, Progress], None] = lambda _entry, _progress: None
        self.progress = Progress.of(plan)
        self._plan, self._store, self._clock = plan, store, clock
        self._seen = 0
        self._owner: Entry | None = None
        self._fold(store.entries(plan.id))
        self._on_entry = on_entry

    def append(self, *facts: Fact) -> Entry:
        """Write facts, all or none, and fold them with what others wrote before them; return the last entry.

        Raises LedgerError when they cannot be written, LockedError for an attempt that another controller claims.
        """
        now = self._clock.now()
        if len(facts) == 1:
            entries = [self._store.append(self._plan.id, facts[0], now)]
        else:
            entries = self._store.append_all(self._plan.id, facts, now)
        is_next = entries[0].seq == self._seen + 1
        self._fold(entries if is_next else list(self._store.entries(self._plan.id, after=self._seen)))
        return entries[-1]

    def catch_up(self) -> bool:
        """Fold what others have written; whether there was anything.

        A ledger that cannot be read now is read next time: before anything starts it has to be written.
        """
        with suppress(LedgerError):
            return self._fold(list(self._store.entries(self._plan.id, after=self._seen)))
        return False

    def taken_over(self, session: str) -> LockedError | None:
        """Who took the rollout up since, when it was not this session that took it up last."""
        if self._owner is None or not isinstance(self._owner.fact, Opened) or self._owner.fact.session == session:
            return None
        holder, since = self._owner.fact.controller, self._owner.at
        return LockedError(f"plan {self._plan.id[:8]} was taken over by {holder} at {since:%Y-%m-%d %H:%M:%S} UTC")

    def _fold(self, entries: Iterable[Entry]) -> bool:
        before = self._seen
        for entry in entries:
            self._seen = entry.seq
            self.progress = self.progress.with_entry(entry)
            if isinstance(entry.fact, Opened):
                self._owner = entry
            self._on_entry(entry, self.progress)
        return self._seen > before
