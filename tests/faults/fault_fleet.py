"""Sshd hosts behind links that can break, a workspace for each try, and controllers to carry its plan out."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from faults import raft
from faults.controllers import Controller, Controllers
from faults.link import Link
from liftlock.adapters.db import SqlLedger, open_ledger
from liftlock.demo.sshd import LoopbackFleet

HOSTS = ("raft-1", "raft-2", "raft-3")
WAIVED = ("--waive", "notice,gate", "--reason", "a test of faults")
LOOKED_FOR = 10
"""Seconds for which a lost host is looked for: the policy's `reconcile_within`."""
CONFIRMED_WITHIN = 6
"""Seconds after which an unconfirmed host goes back by itself; a lost host is looked for that much longer."""
DEADLINE = LOOKED_FOR + CONFIRMED_WITHIN + 5
"""Seconds within which a controller that takes up the work must end: those, and 5 s for the work itself."""
PATIENCE = 60.0

POLICY = {
    "waves": '["1", "100%"]',
    "bake": "100ms",
    "watch_every": "50ms",
    "concurrency": "2",
    "rollback": "all",
    "reconcile_within": f"{LOOKED_FOR}s",
    "notice_lead": "{patch: 0s, security: 0s, upgrade: 0s}",
}


def environment() -> dict[str, str]:
    """A release manager's: nothing of the test run's own leaks in."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "LIFTLOCK", "INVOKE"))}
    return kept | {"COLUMNS": "160"}


@dataclass
class Try:
    """One workspace with a fresh record of one plan, and the controllers that were set to work in it."""

    workspace: Path
    plan: str
    hosts: Mapping[str, Path]
    controllers: Controllers
    links: Mapping[str, Link] = field(default_factory=dict)
    way: tuple[str, ...] = (raft.OLD, raft.NEW)
    """The versions of the plan's path."""
    started: list[Controller] = field(default_factory=list)

    def start(
        self,
        *words: str,
        workspace: Path | None = None,
        controllers: Controllers | None = None,
        largest_file: int | None = None,
        **settings: str,
    ) -> Controller:
        """Begin a task (of its own, the rollout of the plan); `settings` join its environment."""
        here = workspace or self.workspace
        task = list(words) or ["rollout", self.plan, *WAIVED]
        said = here / f"said-{len(self.started)}"
        self.started.append((controllers or self.controllers).start(task, here, said, settings, largest_file))
        return self.started[-1]

    def start_failing(self, point: str, action: str, nth: int = 1, **settings: str) -> Controller:
        """Begin the rollout with a fault at this point."""
        spec = f"{point}#{nth}:{action}"
        return self.start(LIFTLOCK_TEST_FAILPOINTS="1", LIFTLOCK_FAILPOINT=spec, **settings)

    def run(self, *words: str, largest_file: int | None = None, **settings: str) -> Controller:
        """A task to its end."""
        controller = self.start(*words, largest_file=largest_file, **settings)
        assert controller.wait(PATIENCE) is not None, f"{words}: has not ended\n{controller.output}"
        return controller

    def ledger(self) -> SqlLedger:
        """The record, to be read."""
        return open_ledger(f"sqlite:///{self.workspace / '.liftlock' / 'ledger.db'}", create=False)

    def elsewhere(self, name: str = "elsewhere") -> Try:
        """The same plan in another workspace with a record of its own, as it is now: a restored backup, say."""
        other = self.workspace.with_name(f"{self.workspace.name}-{name}")
        shutil.copytree(self.workspace, other)
        return replace(self, workspace=other, started=[])

    def end(self) -> None:
        """Kill the controllers that still run."""
        for controller in self.started:
            if not controller.over.is_set():
                controller.send(9)
                controller.wait(PATIENCE)


class FaultFleet:
    """The hosts, their links, a plan that upgrades them all, and as many tries at it as you like."""

    def __init__(
        self,
        root: Path,
        fleet: LoopbackFleet,
        controllers: Controllers,
        bases: Mapping[str, Path] | None = None,
        confirm_within: int = CONFIRMED_WITHIN,
        place: tuple[str, int] | None = None,
        phase_timeout: str = "20s",
        wanted: str = raft.NEW,
        **policy: str,
    ) -> None:
        """A host for each sshd; or, with `bases`, that many hosts behind the one sshd there is.

        `place` is an address and port to reach them at instead of their links. The plan leads to `wanted`.
        """
        self.way = raft.WAY[: raft.WAY.index(wanted) + 1]
        self.root, self.fleet, self.controllers = root, fleet, controllers
        self.bases = dict(bases or {name: host.base for name, host in fleet.hosts.items()})
        sshds = {name: fleet.hosts.get(name) or next(iter(fleet.hosts.values())) for name in self.bases}
        self.links = {name: Link((sshd.address, sshd.port)) for name, sshd in sshds.items()}
        self._numbers = itertools.count(1)
        for base in self.bases.values():
            raft.lay_down(base)
        self.workspace = root / "workspace"
        raft.offer(self.workspace / "releases", f"{confirm_within}s")
        self._write_settings(policy, phase_timeout)
        self._write_inventory(place)
        self._prepare("trust", "--yes")
        self._prepare("plan", "raft", wanted)
        self.plan = next((self.workspace / "plans").glob("*.json")).stem.rsplit("-", 1)[-1][:8]
        self._prepare("approve", self.plan, "--by", "Ann")

    @contextmanager
    def new_try(self, *ill: str) -> Iterator[Try]:
        """A fresh try: every host on the old release, links whole, nothing recorded but the plan.

        On `ill` hosts the wanted release leaks.
        """
        for link in self.links.values():
            link.mend()
        for name in self.fleet.hosts:
            self.fleet.start_host(name)
        for name, base in self.bases.items():
            raft.lay_down(base)
            if name in ill:
                (base / "ill").write_text(self.way[-1], encoding="utf-8")
        workspace = shutil.copytree(
            self.workspace, self.root / "tries" / str(next(self._numbers)), ignore=shutil.ignore_patterns("said-*")
        )
        made = Try(workspace, self.plan, self.bases, self.controllers, self.links, self.way)
        try:
            yield made
            shutil.rmtree(workspace)
        finally:
            made.end()

    def _write_settings(self, policy: Mapping[str, str], phase_timeout: str) -> None:
        settings = f"ssh: {{key: {self.fleet.client_key}, connect_timeout: 3s, phase_timeout: {phase_timeout}}}\n"
        settings += "policy:\n"
        settings += "".join(f"  {name}: {value}\n" for name, value in {**POLICY, **policy}.items())
        (self.workspace / "liftlock.yaml").write_text(settings, encoding="utf-8")

    def _prepare(self, *words: str) -> None:
        ended = Try(self.workspace, "", self.bases, self.controllers).run(*words)
        assert ended.code == 0, ended.output

    def _write_inventory(self, place: tuple[str, int] | None) -> None:
        now = datetime.now(UTC)
        window = f"{now - timedelta(hours=1):%a %H:00}-{now + timedelta(hours=5):%a %H:00}".lower()
        places = {name: place or ("127.0.0.1", link.port) for name, link in self.links.items()}
        lines = [
            "fleet: rafts",
            "customers:",
            "  shore: {title: Shore, language: en, timezone: UTC, tier: low, windows: ["
            + f'"{window}"], contacts: [{{name: Ann, email: ann@shore.example}}]}}',
            "hosts:",
            *(
                f"  - {{name: {name}, customer: shore, address: {places[name][0]}, port: {places[name][1]}, "
                f'base: {base}, expected_version: "{raft.OLD}"}}'
                for name, base in self.bases.items()
            ),
        ]
        (self.workspace / "inventories").mkdir()
        (self.workspace / "inventories" / "rafts.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def close(self) -> None:
        """End the links; hosts and controllers are ended by whoever made them."""
        for link in self.links.values():
            link.close()


@contextmanager
def fault_fleet(
    root: Path, names: Sequence[str] = HOSTS, confirm_within: int = CONFIRMED_WITHIN, wanted: str = raft.NEW
) -> Iterator[FaultFleet]:
    """A fleet of hosts on the old release, with all it needs; it ends with the block."""
    with ExitStack() as ends:
        controllers = Controllers(environment())
        ends.callback(controllers.close)
        sshds = ends.enter_context(LoopbackFleet(root / "hosts", names))
        made = FaultFleet(root, sshds, controllers, confirm_within=confirm_within, wanted=wanted)
        ends.callback(made.close)
        yield made
