"""The tasks that carry a plan out: judge hosts, roll out, roll back, see where it stands."""

from __future__ import annotations

from typing import Any

from invoke import Context

from liftlock.errors import ExitCode
from liftlock.tasks import customers, plans
from liftlock.tasks.declare import HOSTS, JSON, NOTIFY, WHY, declared, names, print_json


@declared("plan", plan="A plan file, or the id that `plan` printed.", **HOSTS, **JSON)
def gate(_context: Context, plan: str, hosts: str = "", json: bool = False) -> ExitCode:
    """
    Run the gate suites (tests/gates, pytest and testinfra) against the planned hosts over SSH.

    Exit 0 when every host passed, 3 when one did not. Example: liftlock gate 3fa9c1d2
    """
    from liftlock.adapters import terminal
    from liftlock.app.rolling import run_gates
    from liftlock.app.workspace import Workspace
    from liftlock.model import Verdict

    workspace = Workspace()
    found = workspace.find_plan(plan)
    with terminal.judging(quiet=json) as on_result:
        results = run_gates(workspace, found, names(hosts), on_result)
    if json:
        print_json({"plan": found.id, "results": results})
    else:
        terminal.show_gates(results, workspace.logs(found))
    passed = all(result.verdict is Verdict.PASSED for result in results)
    return ExitCode.DONE if passed else ExitCode.REFUSED


@declared(
    "plan",
    plan="A plan file, or the id that `plan` printed.",
    waive="Set these rules aside: notice, consent, gate, window, canary; needs --reason.",
    wait="Wait for windows to open, and for whoever paused it, instead of ending with exit 3.",
    replan="When its files changed: plan again, and go on if nothing material did (release, hosts, paths, windows,"
    " waves, policy); else keep the new plan and end with exit 3.",
    reason="Why; needed with --waive, and recorded.",
    **NOTIFY,
    **JSON,
)
def rollout(
    _context: Context,
    plan: str,
    waive: str = "",
    reason: str = "",
    wait: bool = False,
    replan: bool = False,
    notify: bool = True,
    json: bool = False,
) -> ExitCode:
    """
    Carry out a plan in waves; run it again to go on where the record stands.

    Exit 0 target met, 2 wrong input, 3 refused or paused, 4 stopped or target missed, every host on a known-good
    release, 5 a host needs a person, 6 somebody else is at it, 130 interrupted.
    Example: liftlock rollout 3fa9c1d2
    """
    from liftlock.adapters import live, terminal
    from liftlock.app.heralding import heralding
    from liftlock.app.rolling import roll_out
    from liftlock.app.workspace import Workspace

    workspace = Workspace()
    found = workspace.find_plan(plan)
    if replan and not plans.goes_on(workspace, found, notify=notify, as_json=json):
        return ExitCode.REFUSED
    with (
        live.watching(found, quiet=json) as watcher,
        heralding(workspace, found, watcher, enabled=notify) as herald,
    ):
        ending = roll_out(
            workspace,
            found,
            waive=names(waive),
            reason=reason,
            patient=wait,
            watcher=herald.watch,
            on_pause=terminal.say_waiting,
        )
    return _tell_ending(workspace, ending, notify=notify, told=herald.told, as_json=json)


@declared("plan", plan="A plan file, or the id that `plan` printed.", **HOSTS, **WHY, **NOTIFY, **JSON)
def rollback(
    _context: Context, plan: str, hosts: str = "", reason: str = "", notify: bool = True, json: bool = False
) -> ExitCode:
    """
    End a plan and bring its upgraded hosts back to the release they came from, verified.

    Exit 0 when all are back and healthy, 3 when another plan moved a host on, 5 when one needs a person.
    Example: liftlock rollback 3fa9c1d2 --reason "customer asked"
    """
    from liftlock.adapters import live
    from liftlock.app.rolling import roll_back
    from liftlock.app.workspace import Workspace

    workspace = Workspace()
    found = workspace.find_plan(plan)
    with live.watching(found, quiet=json) as watcher:
        ending = roll_back(workspace, found, names(hosts), reason, watcher)
    return _tell_ending(workspace, ending, notify=notify, as_json=json)


def _tell_ending(workspace: Any, ending: Any, *, notify: bool, as_json: bool, told: Any = None) -> ExitCode:
    """Tell how it ended, and customers what it means to them; `told` is what they have been told meanwhile."""
    from liftlock.adapters import terminal
    from liftlock.app.reporting import ending_document

    document = ending_document(ending)
    if not as_json:
        terminal.show_ending(document, ending.plan, workspace.logs(ending.plan))
    code: ExitCode = ending.code
    notify = notify and code < ExitCode.INTERRUPTED
    notices = customers.tell(workspace, ending.plan, notify=notify, as_json=as_json, before=told)
    if as_json:
        print_json(document | {"notices": notices})
    return code


@declared(plan="A plan file, or its id; without it every plan in the record, a line each.", **JSON)
def status(_context: Context, plan: str = "", json: bool = False) -> None:
    """
    Show where plans stand, from the record alone.

    Example: liftlock status --plan 3fa9c1d2
    """
    from liftlock.adapters import terminal
    from liftlock.app.reporting import stand
    from liftlock.app.workspace import Workspace

    standings = stand(Workspace(), plan or None)
    if json:
        print_json({"plans": standings})
    else:
        terminal.show_standings(standings, in_full=bool(plan))
