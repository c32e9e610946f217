"""A workspace opened: its files read, its adapters built, each only when a task needs it."""

from __future__ import annotations

import getpass
import os
import re
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from liftlock.adapters import files
from liftlock.errors import HostError, InputError, Problem
from liftlock.ledger import Planned
from liftlock.model import Catalogue, Fleet, Host, Observation, Plan, Product
from liftlock.plan_document import from_json, plan_file_name
from liftlock.settings import Settings

if TYPE_CHECKING:
    from liftlock.adapters.db import SqlLedger
    from liftlock.adapters.lease import Lease
    from liftlock.adapters.ssh import SshTransport


class SystemClock:
    """The machine's time; `sleep` returns early once `interrupt` is set."""

    def __init__(self) -> None:
        self.interrupt = Event()

    def now(self) -> datetime:
        """The current time in UTC."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        """Wait, at most this long."""
        self.interrupt.wait(max(0.0, seconds))


class Workspace:
    """The folder that a task works in. Raises InputError when there is none or its files are wrong.

    A product and a fleet are read once: whoever edits them does not change what is being carried out.
    """

    def __init__(self, start: Path | None = None) -> None:
        self.root = files.find_workspace(start or Path.cwd())
        self.clock = SystemClock()
        self._catalogues: dict[str, Catalogue] = {}
        self._fleets: dict[str | None, Fleet] = {}

    @cached_property
    def settings(self) -> Settings:
        """What `liftlock.yaml` says."""
        return files.load_settings(self.root)

    @property
    def state(self) -> Path:
        """Where the ledger, known hosts and logs live."""
        return self.root / ".liftlock"

    def catalogue(self, product: str) -> Catalogue:
        """The product and its releases."""
        if product not in self._catalogues:
            self._catalogues[product] = files.load_catalogue(self.root, product)
        return self._catalogues[product]

    def catalogues(self, plan: Plan) -> list[Catalogue]:
        """Those of the plan's products, its own first."""
        return [self.catalogue(product) for product in plan.products]

    def fleet(self, name: str | None = None) -> Fleet:
        """The fleet of that inventory (its name in inventories/), or of the only one there is."""
        if name not in self._fleets:
            self._fleets[name] = self.fleet_with_hashes(name)[0]
        return self._fleets[name]

    def fleet_with_hashes(self, name: str | None = None) -> tuple[Fleet, dict[str, str]]:
        """The fleet, and the sha256 of all that it was read from, for `files.input_hashes`."""
        if name and not re.fullmatch(r"[\w-]+", name):
            raise InputError(f"--fleet takes the name of an inventory in inventories/, not {name!r}")
        return files.load_fleet_with_hashes(self.root, name or self._only_fleet())

    def _only_fleet(self) -> str:
        names = sorted(path.stem for path in (self.root / "inventories").glob("*.yaml"))
        if len(names) == 1:
            return names[0]
        raise InputError(f"say which fleet with --fleet: inventories/ has {', '.join(names) or 'none'}")

    def ledger(self, *, create: bool = True, lease: Lease | None = None) -> SqlLedger:
        """The record; the caller closes it. With a lease, no attempt is claimed unless it still holds."""
        from liftlock.adapters.db import open_ledger

        return open_ledger(self.settings.ledger, create=create, lease=lease)

    def transport(self, product: Product, logs: Path | None = None, plan: Plan | None = None) -> SshTransport:
        """The way to this product on hosts; a plan's hosts are not rolled back from versions off its way."""
        from liftlock.adapters.ssh import SshTransport

        theirs = [host for host in plan.hosts if plan.product_of(host) == product.name] if plan else []
        ways = {host.machine: host.way for host in theirs}
        return SshTransport(product, self.settings.ssh, self.clock.now, logs, ways)

    def logs(self, plan: Plan) -> Path:
        """Where the hosts' full output of this plan goes."""
        return self.state / "logs" / plan.id[:8]

    def out(self, plan: Plan) -> Path:
        """Where what is made for people from this plan goes."""
        return self.root / "out" / plan.id[:8]

    def plan_path(self, plan: Plan) -> Path:
        """Where a plan is kept."""
        return self.root / "plans" / plan_file_name(plan)

    def find_plan(self, named: str) -> Plan:
        """The plan in that file, or whose id begins so. Raises InputError when none or several do."""
        path = Path(named)
        if not path.is_file():
            path = self._plan_named(named)
        try:
            return from_json(path.read_text(encoding="utf-8"), str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: cannot be read: {error}") from error

    def _plan_named(self, named: str) -> Path:
        plans = sorted((self.root / "plans").glob("*.json"))
        found = [path for path in plans if named in {path.stem, path.name} or path.stem.rsplit("-", 1)[-1] == named[:8]]
        if named and len(found) == 1:
            return found[0]
        have = ", ".join(path.stem for path in plans) or "none; make one with: liftlock plan PRODUCT VERSION"
        raise InputError(f"no plan {named!r}: plans/ has {have}")

    def check_inputs(self, plan: Plan, known: Mapping[str, str]) -> list[str]:
        """The inputs of the plan whose sha256 is no longer the `known` one, by name."""
        read = {name.split("/")[1] for name in known if name.startswith(f"{files.RELEASES}/")}
        now = files.input_hashes(self.root, sorted(read | {*plan.products}), plan.fleet)
        names = sorted(set(known) | set(now))
        return [name for name in names if known.get(name) != now.get(name)]

    def observe(
        self, product: Product, hosts: Sequence[Host], on_seen: Callable[[Observation], None] = lambda _: None
    ) -> dict[str, Observation]:
        """Look at this product on each host once, several at a time; a host that cannot be reached says why."""
        transport = self.transport(product)

        def look(host: Host) -> Observation:
            try:
                seen = transport.probe(host.of(product.name))
            except HostError as error:
                now = self.clock.now()
                seen = Observation(host.name, now, reachable=False, cause=error.cause, detail=error.detail)
            on_seen(seen)
            return seen

        with ThreadPoolExecutor(self.settings.policy.concurrency) as pool:
            return {seen.host: seen for seen in pool.map(look, hosts)}

    @contextmanager
    def held(self, plan: Plan) -> Iterator[Lease]:
        """Keep other controllers that share the ledger away from the plan. Raises LockedError naming the holder."""
        from liftlock.adapters.lease import leased

        holder = f"{operator()} (pid {os.getpid()})"
        with leased(self.settings.ledger, plan.id, holder, self.clock.now()) as lease:
            yield lease

    def is_held(self, plan: Plan) -> bool:
        """Whether a controller carries the plan out at this moment."""
        from liftlock.adapters.lease import is_leased

        return is_leased(self.settings.ledger, plan.id)


@contextmanager
def collecting(problems: list[Problem]) -> Iterator[None]:
    """Add the mistakes that reading an input finds to `problems`, so that those of several are told at once."""
    try:
        yield
    except InputError as error:
        if not error.problems:
            raise
        problems.extend(error.problems)


def operator() -> str:
    """Who runs this: user and machine, for the record."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def choose(fleet: Fleet, names: Sequence[str]) -> list[Host]:
    """The named hosts of the fleet, or all. Raises InputError for names it does not have."""
    by_name: Mapping[str, Host] = {host.name: host for host in fleet.hosts}
    if unknown := [name for name in names if name not in by_name]:
        raise InputError(f"fleet {fleet.name} has no host {', '.join(unknown)}; it has {', '.join(by_name)}")
    return [by_name[name] for name in names] if names else list(fleet.hosts)


def is_recorded(ledger: SqlLedger, plan: Plan) -> bool:
    """Whether the plan itself already stands in the ledger."""
    return any(isinstance(entry.fact, Planned) for entry in ledger.entries(plan.id))
