"""The tasks that speak with customers: `notify` and `consent`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from invoke import Context

from liftlock.errors import ExitCode
from liftlock.tasks.declare import JSON, PLAN, declared, print_json


@declared(
    "plan",
    **PLAN,
    preview="Write letters under out/ to look at, those owed now and a sample of every kind, instead of sending any.",
    open="With --preview, on a terminal: open the page that shows them.",
    settle="MESSAGE_ID=sent or =resend: what became of a letter that is in doubt, or refused; needs --reason.",
    reason="Why; needed with --settle, and recorded.",
    **JSON,
)
def notify(
    _context: Context,
    plan: str,
    preview: bool = False,
    open: bool = False,  # noqa: A002  the flag's name
    settle: str = "",
    reason: str = "",
    json: bool = False,
) -> ExitCode:
    """
    Send customers all that they are owed by now about this plan, each thing once, in their language.

    Exit 0 when all is sent, 3 when a letter is not, or it is too late for a customer. Example: liftlock notify 3fa9c1d2
    """
    from liftlock.adapters.terminal_letters import show_told
    from liftlock.app import telling
    from liftlock.app.workspace import Workspace

    workspace = Workspace()
    found = workspace.find_plan(plan)
    if preview:
        _preview(workspace, found, to_open=open, as_json=json)
        return ExitCode.DONE
    told = telling.notify(workspace, found, settle=telling.read_settlements(settle), reason=reason)
    if json:
        print_json({"plan": found.id, **told_document(told)})
    else:
        show_told(told, found)
    return ExitCode.DONE if told.complete else ExitCode.REFUSED


def _preview(workspace: Any, plan: Any, *, to_open: bool, as_json: bool) -> None:
    from liftlock.adapters import terminal
    from liftlock.adapters.terminal_letters import open_page
    from liftlock.app.previews import preview

    made = preview(workspace, plan)
    if as_json:
        print_json({"plan": plan.id, "index": made.index, "files": made.files})
        return
    terminal.console().print(f"Letters, not sent: {made.letters} written; look at them in")
    terminal.console().print(f"  {made.index}", soft_wrap=True)
    if to_open:
        open_page(made.index)


@declared(
    "plan",
    "customer",
    **PLAN,
    customer="Who agreed, as the inventory names it.",
    by="The person who said yes.",
    **JSON,
)
def consent(_context: Context, plan: str, customer: str, by: str = "", json: bool = False) -> None:
    """
    Record that a customer said yes to a plan; those with `consent: explicit` are left alone before that.

    Exit 3 when the customer was not told of the plan yet.
    Example: liftlock consent 3fa9c1d2 northpier --by "Anna Brandt"
    """
    from liftlock.adapters import terminal
    from liftlock.app.telling import consent as agree
    from liftlock.app.workspace import Workspace

    workspace = Workspace()
    found = workspace.find_plan(plan)
    recorded = agree(workspace, found, customer, by)
    if json:
        print_json({"plan": found.id, "customer": customer, "by": by, "recorded": recorded})
    else:
        terminal.console().print(
            f"{customer} agrees to plan {found.id[:8]}: {'recorded' if recorded else 'on record before'}."
        )


def tell(workspace: Any, plan: Any, *, notify: bool, as_json: bool, before: Any = None) -> dict[str, Any]:
    """Tell people what a rollout, a rollback, an abort or a new plan means to them, unless that is to be left.

    What became of it, and of what was told `before`, is said on screen, or is what comes back; it never changes how
    the task ends.
    """
    from liftlock.adapters.terminal_letters import show_loop
    from liftlock.app.telling import Told, close_the_loop

    told = close_the_loop(workspace, plan) if notify else Told()
    if before is not None and not isinstance(told, str):
        told = Told(before.delivered) + told
    if not as_json:
        show_loop(told, plan)
    return told_document(told)


def told_document(told: Any) -> dict[str, Any]:
    """What became of letters, as plain values; `trouble` says why nobody could be told, else it is empty."""
    from liftlock.app.telling import Told

    if isinstance(told, str):
        return {**told_document(Told()), "complete": False, "trouble": told}
    return {"complete": told.complete, **asdict(told), "trouble": ""}
