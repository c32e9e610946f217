"""A workspace whose waves follow the evidence: what the record says of the product goes into the next plan."""

from __future__ import annotations

from pathlib import Path

from liftlock import ledger
from liftlock.app.planning import plan_release
from liftlock.app.scaffold import create_workspace
from liftlock.app.workspace import Workspace
from liftlock.ledger import Fact
from liftlock.model import Outcome, Plan
from liftlock.plan_document import from_json


def workspace_by_evidence(folder: Path) -> Workspace:
    create_workspace(folder)
    (folder / "liftlock.yaml").write_text("policy: {waves: evidence, risk: 10%}\n")
    return Workspace(folder)


def record(workspace: Workspace, plan: Plan, *facts: Fact) -> None:
    with workspace.ledger() as store:
        for fact in facts:
            store.append(plan.id, fact, workspace.clock.now())


def test_a_plan_knows_how_the_products_earlier_upgrades_ended(tmp_path: Path) -> None:
    workspace = workspace_by_evidence(tmp_path)
    first, _ = plan_release(workspace, "boathouse", "1.5.0", look=False)
    assert first.prior is not None
    assert first.prior.basis == "no earlier upgrade on record, so next to nothing"
    well, badly = [host.name for host in first.hosts][:2]
    record(workspace, first, ledger.Ended(host=well, attempt=1, outcome=Outcome.SUCCEEDED, version="1.5.0"))
    record(workspace, first, ledger.Ended(host=badly, attempt=1, outcome=Outcome.FAILED, version=None))
    second, path = plan_release(workspace, "boathouse", "1.5.0", look=False)
    assert second.prior is not None
    assert second.prior.basis == "1 of 2 earlier upgrades on record failed, counted as 0.2 hosts"
    assert from_json(path.read_text(), str(path)) == second
    assert (second.policy.by_evidence, second.policy.risk_percent) == (True, 10)
    assert second.hosts[0].wave == 1 < second.hosts[-1].wave
