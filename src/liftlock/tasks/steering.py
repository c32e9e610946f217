"""The tasks that steer a rollout from another terminal, and show the incident that a halt opened."""

from __future__ import annotations

from invoke import Context

from liftlock.errors import ExitCode
from liftlock.tasks.declare import JSON, PLAN, declared, print_json

REASON = {"reason": "Why; needed, and recorded."}
BY = {"by": "Who says so; user@host of whoever runs this when not given."}


@declared("plan", **PLAN, **REASON, **BY, **JSON)
def pause(_context: Context, plan: str, reason: str = "", by: str = "", json: bool = False) -> None:
    """
    Suspend a rollout, also one that runs elsewhere: hosts in hand finish, nothing else starts.

    Exit 3 when it is paused already, or has ended. Example: liftlock pause 3fa9c1d2 --reason "a storm"
    """
    from liftlock.adapters.terminal_steering import show_steered
    from liftlock.app import steering
    from liftlock.app.workspace import Workspace

    workspace = Workspace()
    did = steering.pause(workspace, workspace.find_plan(plan), reason, by)
    if json:
        print_json(steering.steered_document(did))
    else:
        show_steered(did)


@declared("plan", **PLAN, **BY, **JSON)
def resume(_context: Context, plan: str, by: str = "", json: bool = False) -> None:
    """
    Let a paused rollout go on; one that waits does so by itself, else run `rollout` again.

    Exit 3 when it is not paused. Example: liftlock resume 3fa9c1d2
    """
    from liftlock.adapters.terminal_steering import show_steered
    from liftlock.app import steering
    from liftlock.app.workspace import Workspace

    workspace = Workspace()
    did = steering.resume(workspace, workspace.find_plan(plan), by)
    if json:
        print_json(steering.steered_document(did))
    else:
        show_steered(did)


@declared(
    "plan",
    notify="Tell customers that it is off (--no-notify leaves it).",
    **PLAN,
    **REASON,
    **BY,
    **JSON,
)
def abort(
    _context: Context, plan: str, reason: str = "", by: str = "", notify: bool = True, json: bool = False
) -> None:
    """
    End a rollout for good, also one that runs elsewhere; `rollback` also brings its hosts back.

    Exit 3 when it has ended before. Example: liftlock abort 3fa9c1d2 --reason "wrong release"
    """
    from liftlock.adapters.terminal_steering import show_steered
    from liftlock.app import steering
    from liftlock.app.workspace import Workspace
    from liftlock.tasks import customers

    workspace = Workspace()
    did = steering.abort(workspace, workspace.find_plan(plan), reason, by)
    if not json:
        show_steered(did)
    notices = customers.tell(workspace, did.plan, notify=notify, as_json=json)
    if json:
        print_json(steering.steered_document(did) | {"notices": notices})


@declared("plan", ack="Take charge of it: recorded, with the time.", **PLAN, **BY, **JSON)
def incident(_context: Context, plan: str, ack: bool = False, by: str = "", json: bool = False) -> ExitCode:
    """
    Show the incidents of a plan with their clocks: 30 min to acknowledge, 2 h to recover.

    Exit 3 with --ack when there is none, or somebody has it. Example: liftlock incident 3fa9c1d2 --ack --by "Ana Li"
    """
    from liftlock.adapters.terminal_steering import show_incidents
    from liftlock.app import steering
    from liftlock.app.workspace import Workspace

    workspace = Workspace()
    found = workspace.find_plan(plan)
    told = steering.acknowledge(workspace, found, by) if ack else steering.read_incidents(workspace, found)
    document = steering.incidents_document(workspace, found, told)
    if json:
        print_json(document)
    else:
        show_incidents(document)
    return ExitCode.DONE
