"""The tasks that prepare hosts and break their locks."""

from __future__ import annotations

from invoke import Context

from liftlock.errors import ExitCode
from liftlock.tasks.declare import FLEET, HOSTS, JSON, PLAN, WHY, declared, names, print_json


@declared("plan", **PLAN, **HOSTS, **JSON)
def stage(_context: Context, plan: str, hosts: str = "", json: bool = False) -> ExitCode:
    """
    Upload and verify the plan's releases on its hosts ahead of time, so that in the window only the switch remains.

    Exit 0 when all hosts have them, 5 when one has not. Example: liftlock stage 3fa9c1d2
    """
    from liftlock.adapters import terminal
    from liftlock.adapters.terminal_hosts import show_host_work
    from liftlock.app.staging import stage as bring
    from liftlock.app.workspace import Workspace

    workspace = Workspace()
    found = workspace.find_plan(plan)
    with terminal.working("staging", quiet=json) as on_host:
        done = bring(workspace, found, names(hosts), lambda one: on_host(one.host))
    if json:
        print_json({"plan": found.id, "hosts": done})
    else:
        show_host_work("staged", done, workspace.logs(found))
    return ExitCode.DONE if all(one.well for one in done) else ExitCode.NEEDS_A_PERSON


@declared(
    "host",
    host="The host whose lock is held by a phase that does not end.",
    product="Whose lock; needed when the host has several products.",
    **FLEET,
    **WHY,
    **JSON,
)
def unlock(
    _context: Context, host: str, reason: str = "", product: str = "", fleet: str = "", json: bool = False
) -> ExitCode:
    """
    End the phase that holds a host's lock, and keep its controller from going on there.

    Example: liftlock unlock np-1 --reason "its hook hangs since noon"
    """
    from liftlock.adapters.terminal_hosts import show_unlocked
    from liftlock.app.staging import unlock as free
    from liftlock.app.workspace import Workspace

    done = free(Workspace(), fleet or None, host, product, reason)
    if json:
        print_json(done)
    else:
        show_unlocked(done)
    return ExitCode.DONE if done.well else ExitCode.NEEDS_A_PERSON
