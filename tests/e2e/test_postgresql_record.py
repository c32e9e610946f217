"""The whole job with the record in PostgreSQL: two controllers, one that dies, the server restarted under a rollout."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from e2e.conftest import MakeHarbour
from e2e.harbour import PATIENCE, WAIVED, Harbour, within

if TYPE_CHECKING:
    from adapters.postgres import Postgres

pytest_plugins = ["adapters.postgres"]


@pytest.fixture
def harbour(make_harbour: MakeHarbour, postgres: Postgres) -> Harbour:
    """Two hosts, and a workspace whose record is in PostgreSQL."""
    made = make_harbour("np-1", "hx-1")
    settings = made.workspace / "liftlock.yaml"
    settings.write_text(f'ledger: "{postgres.new_database()}"\n' + settings.read_text("utf-8"), encoding="utf-8")
    made.hold_before_switch()
    return made


def attempts(harbour: Harbour, plan: str) -> dict[str, int]:
    (standing,) = harbour.ask("status", "--plan", plan).told["plans"]
    return {line["host"]: line["attempts"] for line in standing["hosts"]}


def test_a_plan_has_one_controller_and_the_next_one_goes_on_when_it_dies(harbour: Harbour) -> None:
    plan = harbour.plan()
    first = harbour.start("rollout", plan, *WAIVED)
    assert within(lambda: harbour.is_held("np-1"))
    loser = harbour.liftlock("rollout", plan, code=6)
    assert f"(pid {first.pid})" in loser.stderr
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=PATIENCE)
    harbour.let_go()
    assert within(lambda: harbour.journal("np-1").endswith("switched\n"))
    assert harbour.ask("rollout", plan, *WAIVED).outcomes == {"np-1": "succeeded", "hx-1": "succeeded"}
    assert harbour.versions() == harbour.all_on("1.5.0")
    assert attempts(harbour, plan) == {"np-1": 1, "hx-1": 1}
    assert harbour.ask("ledger", "verify").told["problems"] == []
    assert harbour.ask("rollback", plan, "--reason", "a leak").outcomes == {
        "np-1": "rolled_back",
        "hx-1": "rolled_back",
    }
    assert harbour.versions() == harbour.all_on("1.4.0")
    assert harbour.ask("report").told["overall"]["attempted"] == 2
    assert not (harbour.workspace / ".liftlock" / "ledger.db").exists()


def test_a_server_that_restarts_under_a_rollout_stops_it_at_most_and_loses_nothing(
    harbour: Harbour, postgres: Postgres
) -> None:
    plan = harbour.plan()
    rollout = harbour.start("rollout", plan, *WAIVED)
    assert within(lambda: harbour.is_held("np-1"))
    postgres.stop()
    harbour.let_go()
    _, said = rollout.communicate(timeout=PATIENCE)
    postgres.start()
    assert rollout.returncode == 5, said
    assert "Traceback" not in said
    assert not harbour.seen("hx-1").touched, "nothing begins that cannot be recorded"
    again = harbour.ask("rollout", plan, *WAIVED)
    assert again.outcomes == {"np-1": "succeeded", "hx-1": "succeeded"}
    assert attempts(harbour, plan) == {"np-1": 1, "hx-1": 1}
    assert harbour.ask("ledger", "verify").told["problems"] == []
