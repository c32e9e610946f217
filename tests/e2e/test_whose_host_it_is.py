"""Which plan a host belongs to, by the record alone: the last that touched it, until its end is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from liftlock.app.in_hand import refuse_in_hand
from liftlock.app.planning import plan_release
from liftlock.app.scaffold import create_workspace
from liftlock.app.workspace import Workspace
from liftlock.errors import LockedError
from liftlock.ledger import Aborted, Ended, Fact, Started, Switched, Voided
from liftlock.model import Action, Outcome, Plan

BEGUN = Started(host="np-1", attempt=1, action=Action.UPGRADE, from_version="1.4.0", to_version="1.5.0", session="s")
SWITCHED = Switched(host="np-1", attempt=1, version="1.5.0")
LOST = Ended(host="np-1", attempt=1, outcome=Outcome.UNKNOWN, version=None)
WELL = Ended(host="np-1", attempt=1, outcome=Outcome.SUCCEEDED, version="1.5.0")
TAKEN_BACK = Voided(host="np-1", attempt=1, cause="a moment too late")
OVER = Aborted(reason="the wrong week", by="ana")


class Desk:
    """A workspace with one plan for np-1, and others for the same host."""

    def __init__(self, root: Path) -> None:
        create_workspace(root)
        self.workspace = Workspace(root)

    def plan(self) -> Plan:
        return plan_release(self.workspace, "boathouse", "1.5.0", hosts=["np-1"], look=False)[0]

    def record(self, plan: Plan, *facts: Fact) -> None:
        with self.workspace.ledger() as ledger:
            ledger.append_all(plan.id, facts, self.workspace.clock.now())

    def refused(self, plan: Plan) -> str:
        """Why the plan must wait; empty when it need not."""
        with self.workspace.ledger() as ledger:
            try:
                refuse_in_hand(self.workspace, plan, ledger)
            except LockedError as error:
                return str(error)
        return ""


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "workspace")


@pytest.mark.parametrize("facts", [(BEGUN,), (BEGUN, SWITCHED), (BEGUN, LOST)])
def test_a_host_without_an_end_belongs_to_the_plan_that_began(desk: Desk, facts: tuple[Fact, ...]) -> None:
    first, second = desk.plan(), desk.plan()
    desk.record(first, *facts)
    assert desk.refused(second).startswith(f"plan {first.id[:8]} is not through with np-1, since ")
    assert not desk.refused(first), "a plan does not stand in its own way"


@pytest.mark.parametrize("facts", [(), (BEGUN, SWITCHED, WELL), (BEGUN, TAKEN_BACK), (BEGUN, LOST, OVER)])
def test_a_host_is_free_that_was_not_begun_with_has_an_end_or_whose_plan_is_over(
    desk: Desk, facts: tuple[Fact, ...]
) -> None:
    first, second = desk.plan(), desk.plan()
    desk.record(first, *facts)
    assert not desk.refused(second)


def test_a_plan_that_is_over_keeps_its_hosts_while_a_controller_works_on_it(desk: Desk) -> None:
    first, second = desk.plan(), desk.plan()
    desk.record(first, BEGUN, SWITCHED, OVER)
    with desk.workspace.held(first):
        assert first.id[:8] in desk.refused(second)
    assert not desk.refused(second)


def test_what_a_later_plan_has_brought_to_its_end_an_older_one_does_not_hold_any_more(desk: Desk) -> None:
    first, second, third = desk.plan(), desk.plan(), desk.plan()
    desk.record(first, BEGUN)
    desk.record(second, BEGUN, SWITCHED)
    assert second.id[:8] in desk.refused(first), "the last that touched it has it"
    assert not desk.refused(second)
    desk.record(second, WELL)
    assert not desk.refused(third)
