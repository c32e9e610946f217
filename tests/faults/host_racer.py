"""Claims hosts and goes to them as a controller does; `test_host_races.py` starts eight of these, a process each."""

from __future__ import annotations

import random
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from liftlock.adapters.db import SqlLedger
from liftlock.app.products import machines
from liftlock.app.workspace import Workspace
from liftlock.errors import LockedError
from liftlock.ledger import Entry, Started
from liftlock.model import Action, HostAnswer, HostResult, Ticket
from liftlock.progress import Progress
from liftlock.recorder import Recorder

MOST_TRIES = 100
"""So often the owner of a host comes back while another one's program has it for an instant."""


@dataclass
class Visit:
    """What one controller found out about one host.

    `refused` says who holds the claim, and is empty for its owner. `told` is the host's answer: a cause, or else a
    result. `busy` counts how often the owner was told that somebody is at work there, and came back.
    """

    fence: int
    refused: str = ""
    told: str = ""
    busy: int = 0


@dataclass
class Racer:
    """One controller of a plan: it claims in the record of its workspace, and goes to the plan's hosts."""

    workspace: Workspace
    store: SqlLedger
    named: str
    session: str
    visits: dict[str, Visit] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.plan = self.workspace.find_plan(self.named)
        catalogue = self.workspace.catalogue(self.plan.product)
        self._release = next(one for one in catalogue.releases if one.version == self.plan.version)
        self._hosts = machines(self.workspace, self.plan)
        self._way = self.workspace.transport(catalogue.product, plan=self.plan)
        self._fences: dict[str, list[int]] = defaultdict(list)
        self._outdated: dict[str, list[int]] = defaultdict(list)
        self._recorder = Recorder(self.plan, self.store, self.workspace.clock, self._remember)

    def _remember(self, entry: Entry, progress: Progress) -> None:
        if isinstance(entry.fact, Started):
            fences = self._fences[entry.fact.host]
            if entry.fact.action is Action.ROLL_BACK:
                self._outdated[entry.fact.host] = [*fences]
            fences.append(progress.host(entry.fact.host).fence)

    def race(self, attempt: int) -> dict[str, Visit]:
        """Claim that attempt of every host in any order, then upgrade them all at once, each with its claim's fence.

        Who could not claim a host goes there all the same, with a fence from before, as a controller that was taken
        over and does not know.
        """
        self._recorder.catch_up()
        names = random.sample(sorted(self._hosts), len(self._hosts))
        # Of the last rollback the fence holds until a new owner has come; those before it are refused ever since. Who
        # is late has read that owner's claim, too.
        outdated = {name: random.choice(self._outdated[name] or [0]) for name in names}
        self.visits = {name: self._claim(name, attempt, outdated[name]) for name in names}
        return self.again()

    def again(self) -> dict[str, Visit]:
        """Go to all hosts with the fences of the last claims."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(self._upgrade, self.visits))
        return self.visits

    def bring_back(self, attempt: int) -> None:
        """Claim every host, bring it back to the version it came from, and so outdate every earlier claim."""
        self._recorder.catch_up()
        for name, host in self._hosts.items():
            fence = self._start(name, attempt, Action.ROLL_BACK)
            answer = self._way.roll_back(host, self._origin(name), Ticket(self.plan.id, attempt, fence))
            assert answer.result is HostResult.SWITCHED, answer

    def _claim(self, name: str, attempt: int, outdated: int) -> Visit:
        try:
            return Visit(self._start(name, attempt, Action.UPGRADE))
        except LockedError as refused:
            return Visit(outdated, str(refused))

    def _start(self, name: str, attempt: int, action: Action) -> int:
        there, back = self._origin(name), self.plan.version
        if action is Action.ROLL_BACK:
            there, back = back, there
        started = Started(
            host=name, attempt=attempt, action=action, from_version=there, to_version=back, session=self.session
        )
        self._recorder.append(started)
        return self._recorder.progress.host(name).fence

    def _upgrade(self, name: str) -> None:
        visit = self.visits[name]
        attempt = self._recorder.progress.host(name).attempt
        ticket = Ticket(self.plan.id, attempt, visit.fence)
        for _ in range(MOST_TRIES):
            answer = self._way.upgrade(self._hosts[name], self._origin(name), self._release, ticket)
            if visit.refused or not is_busy(answer):
                break
            visit.busy += 1
        visit.told = answer.cause or answer.result.value

    def _origin(self, name: str) -> str:
        return self._recorder.progress.lineup.planned[name].observed


def is_busy(answer: HostAnswer) -> bool:
    """Whether somebody else was at work on the host."""
    return (answer.result, answer.cause) == (HostResult.REFUSED, "busy")


def main(orders: Connection, folder: Path, plan: str, session: str) -> None:
    """Take orders: an attempt to race for, or 0 to go to the hosts again; answer what came of it, by host."""
    workspace = Workspace(folder)
    with workspace.ledger() as store:
        racer = Racer(workspace, store, plan, session)
        orders.send("ready")
        while True:
            attempt = orders.recv()
            orders.send(racer.race(attempt) if attempt else racer.again())
