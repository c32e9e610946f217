"""What the core asks of the world; every adapter is one of these, and so is every test world."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Protocol

from liftlock.ledger import Entry, Fact
from liftlock.model import GateResult, Host, HostAnswer, Observation, Release, Ticket
from liftlock.notice import Delivery, Letter


class Clock(Protocol):
    """Time, and waiting for it."""

    def now(self) -> datetime:
        """The current time in UTC."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait, at most this long; return early when the operator interrupts."""
        ...


class Transport(Protocol):
    """Hosts, for one product. Each call opens one fresh connection and runs one phase.

    Raises `UnreachableError`, `HostKeyError` or `AuthenticationError` when nothing was touched, and
    `LinkLostError` when what happened is unknown. Safe to call from several threads.
    """

    def probe(self, host: Host) -> Observation:
        """Look: versions installed and running, health, space, tools, journal. Changes nothing."""
        ...

    def upgrade(self, host: Host, from_version: str, release: Release, ticket: Ticket) -> HostAnswer:
        """Stage and switch to `release`; the host goes back by itself unless the version answers healthy.

        Refused by the host, untouched, when neither `from_version` nor the release itself is installed.
        """
        ...

    def confirm(self, host: Host, ticket: Ticket) -> Observation:
        """Look, and when `ticket`'s release answers healthy keep the host from going back by itself."""
        ...

    def roll_back(self, host: Host, version: str, ticket: Ticket) -> HostAnswer:
        """Switch back to `version`, which is still on the host, and verify it.

        Refused by the host, untouched, when what is installed is no version that the plan takes it over.
        """
        ...

    def stage(self, host: Host, release: Release, ticket: Ticket) -> HostAnswer:
        """Upload and verify `release`, so that later only the switch remains. Switches nothing."""
        ...

    def prune(self, host: Host, keep: Collection[str], ticket: Ticket) -> HostAnswer:
        """Remove releases beyond the product's `keep` newest, never the current one nor one named in `keep`."""
        ...

    def unlock(self, host: Host, ticket: Ticket) -> HostAnswer:
        """End the phase that holds the host's lock, and outdate its controller with the ticket's fence."""
        ...


class GateRunner(Protocol):
    """Runs the gate suites that look at hosts."""

    def run(self, hosts: Sequence[Host], on_result: Callable[[GateResult], None]) -> list[GateResult]:
        """Judge every host; `on_result` is called as each verdict falls. Never raises for one host's trouble."""
        ...


class Mailer(Protocol):
    """Sends letters."""

    def send(self, letters: Iterable[Letter]) -> Iterator[Delivery]:
        """Send each letter once and say what became of it; one bad address stops nobody else."""
        ...


class LedgerStore(Protocol):
    """The append-only record."""

    def append_all(self, plan: str, facts: Sequence[Fact], at: datetime) -> list[Entry]:
        """Write several facts durably in one transaction: all of them or none. Raises as `append`."""
        ...

    def append(self, plan: str, fact: Fact, at: datetime) -> Entry:
        """Write one fact durably and return its entry.

        Raises `LockedError` when the fact is a `Started` that another controller already wrote for
        this plan, host and attempt; `LedgerError` when it cannot be written.
        """
        ...

    def entries(self, plan: str | None = None, after: int = 0) -> Iterator[Entry]:
        """The entries in order, of one plan or of all, with `seq` greater than `after`."""
        ...
