"""While a rollout runs: customers are told that it has started at theirs, and nobody's host waits for a mail server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Thread

from liftlock.app.rolling import Watcher
from liftlock.app.telling import Told, notify
from liftlock.app.workspace import Workspace
from liftlock.errors import LiftlockError
from liftlock.ledger import Entry, Switched
from liftlock.model import NoticeKind, Plan
from liftlock.progress import Progress

_MEANWHILE = frozenset({NoticeKind.STARTED})


class Herald:
    """Watches a rollout for the first host of each customer that switched; `told` is complete when its block ended."""

    def __init__(self, workspace: Workspace, plan: Plan, watcher: Watcher) -> None:
        self._workspace, self._plan, self._watcher = workspace, plan, watcher
        self._begun: set[str] = set()
        self._news: SimpleQueue[bool] = SimpleQueue()
        self.told = Told()

    def watch(self, entry: Entry, progress: Progress) -> None:
        """One more entry of the rollout."""
        if isinstance(entry.fact, Switched):
            customer = progress.lineup.planned[entry.fact.host].customer
            if customer not in self._begun:
                self._begun.add(customer)
                self._news.put(True)
        self._watcher(entry, progress)

    def end(self) -> None:
        """There will be no more news."""
        self._news.put(False)

    def run(self) -> None:
        """Tell news as it comes, until the end. What cannot be told now is owed to whoever sends letters next."""
        while self._news.get():
            try:
                self.told += notify(self._workspace, self._plan, kinds=_MEANWHILE)
            except LiftlockError:
                return


@contextmanager
def heralding(workspace: Workspace, plan: Plan, watcher: Watcher, *, enabled: bool) -> Iterator[Herald]:
    """A herald beside the rollout, in a thread of its own; one that is not `enabled` tells nobody."""
    herald = Herald(workspace, plan, watcher)
    if not enabled or (workspace.settings.smtp is None and not workspace.settings.channels):
        yield herald
        return
    thread = Thread(target=herald.run, name="herald")
    thread.start()
    try:
        yield herald
    finally:
        herald.end()
        thread.join()
