"""liftlock's whole rollout: engine, ssh transport, ledger on disk, progress. Arguments: the job, where to tell.

What comes before a rollout, the plan and its first entries in the ledger, is made by `prepare` and not measured.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.job import NEW, OLD, Job
from benchmarks.measure import without_start
from liftlock.adapters.artifact import verify_artifact
from liftlock.adapters.db import open_ledger
from liftlock.adapters.live import watching
from liftlock.adapters.ssh import SshTransport, check_host
from liftlock.app.workspace import SystemClock
from liftlock.engine import Engine
from liftlock.ledger import Planned, Waived
from liftlock.model import (
    Artifact,
    Catalogue,
    Customer,
    Fleet,
    GateResult,
    Health,
    Host,
    Observation,
    Policy,
    Product,
    Release,
    ReleaseKind,
    Verdict,
    WeeklyWindow,
)
from liftlock.plan import Target, make_plan
from liftlock.plan_document import from_json, to_document, to_json
from liftlock.progress import Standing
from liftlock.settings import SshSettings

PRODUCT = Product("bench", {"en": "Bench"}, Health(command="cat VERSION", times=1))
RULES_SET_ASIDE = ("notice", "gate", "window")  # nobody is to be told, nothing to be judged


def prepare(job: Job, folder: Path) -> None:
    """Make the plan, and a new ledger that has it, in `folder`."""
    now = datetime.now(UTC)
    always = WeeklyWindow("always", 0, 7 * 24 * 60)
    fleet = Fleet("bench", {"loopback": Customer("loopback", "Loopback", "en", "UTC", (), (always,))}, _hosts(job))
    policy = Policy(waves=("100%",), bake=timedelta(0), gates_after=False, concurrency=job.concurrency)
    seen = {host.name: Observation(host.name, now, reachable=True, installed=OLD) for host in fleet.hosts}
    plan = make_plan(Target(Catalogue(PRODUCT, (_release(job),)), NEW, seen), fleet, policy, {}, now)
    (folder / "plan.json").write_text(to_json(plan), encoding="utf-8")
    (folder / "ledger.db").unlink(missing_ok=True)
    with open_ledger(_url(folder)) as ledger:
        ledger.append(plan.id, Planned(document=to_document(plan)), now)
        for rule in RULES_SET_ASIDE:
            ledger.append(plan.id, Waived(rule=rule, reason="benchmark", by="benchmark"), now)


def main(job: Job, folder: Path) -> None:
    """Carry out the plan in `folder`. Raises when a host did not succeed."""
    plan = from_json((folder / "plan.json").read_text("utf-8"), "plan.json")
    release, hosts, clock = _release(job), _hosts(job), SystemClock()
    verify_artifact(release.artifact)
    for host in hosts:
        check_host(PRODUCT, host)
    ssh = SshSettings(key=Path(job.key), known_hosts=Path(job.known_hosts))
    with open_ledger(_url(folder)) as ledger, watching(plan, quiet=False) as watcher:
        engine = Engine(
            plan=plan,
            releases={PRODUCT.name: {release.version: release}},
            hosts={host.name: host for host in hosts},
            transports={PRODUCT.name: SshTransport(PRODUCT, ssh, clock.now, folder / "logs")},
            store=ledger,
            clock=clock,
            session="bench",
            controller="bench",
            judge=lambda names, _stop: [GateResult(name, Verdict.PASSED) for name in names],
            on_entry=watcher,
        )
        engine.run()
    assert engine.progress.count(Standing.SUCCEEDED) == len(hosts)


def _url(folder: Path) -> str:
    return f"sqlite:///{folder / 'ledger.db'}"


def _release(job: Job) -> Release:
    return Release("bench", NEW, ReleaseKind.PATCH, Artifact(job.artifact, job.sha256, job.length))


def _hosts(job: Job) -> tuple[Host, ...]:
    return tuple(
        Host(host.name, "loopback", job.address, host.port, base=host.base, expected_version=OLD) for host in job.hosts
    )


if __name__ == "__main__":
    with without_start(Path(sys.argv[2])):
        main(Job.read(Path(sys.argv[1])), Path(sys.argv[1]).parent)
