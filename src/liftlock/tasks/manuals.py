"""The task that makes manuals."""

from __future__ import annotations

from invoke import Context

from liftlock.errors import InputError
from liftlock.tasks.declare import JSON, PLAN, declared, print_json


@declared(
    "plan",
    **PLAN,
    customer="Only this customer's manual.",
    check="Instead of PLAN: look through the chapters of every release for what is missing or wrong.",
    fleet="With --check: only the languages of this fleet's customers; without it all fleets'.",
    **JSON,
)
def manual(
    _context: Context, plan: str, customer: str = "", check: bool = False, fleet: str = "", json: bool = False
) -> None:
    """
    Write each customer's upgrade manual, as PDF and as a page, from the plan and the authored chapters.

    Example: liftlock manual 3fa9c1d2
    """
    from liftlock.adapters import terminal
    from liftlock.app import manuals
    from liftlock.app.workspace import Workspace

    workspace = Workspace()
    if check:
        looked_at = manuals.check_chapters(workspace, fleet or None)
        if json:
            print_json({"chapters": looked_at})
        else:
            terminal.console().print(f"Chapters: {len(looked_at)} looked through, all well")
        return
    if fleet:
        raise InputError("--fleet goes with --check: a plan has its own fleet")
    found = workspace.find_plan(plan)
    written = manuals.write_manuals(workspace, found, customer or None)
    if json:
        print_json({"plan": found.id, "manuals": [str(path) for path in written]})
    else:
        terminal.show_files("Manuals", written)
