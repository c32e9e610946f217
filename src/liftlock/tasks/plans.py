"""The tasks about plans: make one, explain paths, compare, approve, and survey them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from invoke import Context

from liftlock.errors import ExitCode
from liftlock.tasks.declare import FLEET, HOSTS, JSON, PLAN, declared, names, print_json


@declared(
    "product",
    "version",
    product="The product, a folder in releases/.",
    version="The release to bring every host to.",
    customers="Only these customers, separated by commas.",
    look="Look at every host first (--no-look takes the inventory's word).",
    also="Further products in the same plan: PRODUCT=VERSION, separated by commas; what is needed goes first.",
    diff="Also show what changed since this plan (a plan file, or its id).",
    waive="Set a rule aside in an emergency: notice, so that nobody must be told ahead; needs --reason.",
    downgrade="Take hosts with a newer version down to this one; needs --reason.",
    reason="Why; needed with --waive and --downgrade, and recorded.",
    **FLEET,
    **HOSTS,
    **JSON,
)
def plan(
    _context: Context,
    product: str,
    version: str,
    also: str = "",
    fleet: str = "",
    customers: str = "",
    hosts: str = "",
    look: bool = True,
    waive: str = "",
    downgrade: bool = False,
    reason: str = "",
    diff: str = "",
    json: bool = False,
) -> None:
    """
    Plan a release: paths, windows, waves, who is left out and why, and the failures that 98 % allows.

    Example: liftlock plan boathouse 1.5.0 --fleet example
    """
    from liftlock.adapters import terminal
    from liftlock.adapters.terminal_plans import show_changes
    from liftlock.app.artifacts import doubtful_artifacts
    from liftlock.app.changing import changes_document, compare
    from liftlock.app.planning import plan_release, read_also
    from liftlock.app.workspace import Workspace
    from liftlock.plan_document import to_document
    from liftlock.timing import blocked_lines
    from liftlock.waves import budget_words, wave_words

    workspace = Workspace()
    old = workspace.find_plan(diff) if diff else None
    with terminal.looking(quiet=json) as on_seen:
        made, path = plan_release(
            workspace,
            product,
            version,
            also=read_also(also),
            fleet_name=fleet or None,
            customers=names(customers),
            hosts=names(hosts),
            look=look,
            waive=names(waive),
            downgrade=downgrade,
            reason=reason,
            on_seen=on_seen,
        )
    changes = compare(workspace, old, made) if old else ()
    warnings = doubtful_artifacts(workspace, made)
    terminal.show_warnings(warnings)
    if json:
        told = {
            "file": str(path),
            "allowed_failures": made.allowed_failures,
            "budget": budget_words(made),
            "waves": wave_words(made),
            "blocked": blocked_lines(made),
            "warnings": warnings,
        }
        since = {"compared_with": old.id, "changes": changes_document(changes)} if old else {}
        print_json(to_document(made) | told | since)
    else:
        terminal.show_plan(made, path, workspace.fleet(made.fleet))
        if old:
            show_changes(old, made, changes)


@declared(
    "product",
    "from_version",
    "to_version",
    product="The product, a folder in releases/.",
    from_version="The version that a host has.",
    to_version="The release that it is to have.",
    facts="Facts of the host that conditions ask for: NAME=WORD, several words joined with +, separated by commas.",
    **JSON,
)
def path(
    _context: Context, product: str, from_version: str, to_version: str, facts: str = "", json: bool = False
) -> ExitCode:
    """
    Explain the upgrade path between two versions hop by hop, with the rule behind each.

    Exit 3 when there is none, with the nearest versions that can be reached and what cuts the way.
    Example: liftlock path boathouse 1.3.0 1.5.0 --facts features=npm+ldap,edition=enterprise
    """
    from liftlock.adapters.terminal_path import show_path
    from liftlock.app.paths import explain_path, read_facts
    from liftlock.app.workspace import Workspace

    explained = explain_path(Workspace(), product, from_version, to_version, read_facts(facts))
    if json:
        print_json(explained)
    else:
        show_path(explained)
    return ExitCode.REFUSED if explained.reason else ExitCode.DONE


@declared("old", "new", old="A plan file, or the id that `plan` printed.", new="The later plan, likewise.", **JSON)
def diff(_context: Context, old: str, new: str, json: bool = False) -> None:
    """
    Show what changed between two plans: hosts, waves, windows, paths, budget, policy, inputs.

    Example: liftlock diff 3fa9c1d2 8ab01234
    """
    from liftlock.adapters.terminal_plans import show_changes
    from liftlock.app.changing import changes_document, compare
    from liftlock.app.workspace import Workspace

    workspace = Workspace()
    before, after = workspace.find_plan(old), workspace.find_plan(new)
    changes = compare(workspace, before, after)
    if json:
        print_json({"old": before.id, "new": after.id, "changes": changes_document(changes)})
    else:
        show_changes(before, after, changes)


@declared(
    "plan",
    by="Who approves; user@host of whoever runs this when not given.",
    note="What to remember with it.",
    **PLAN,
    **JSON,
)
def approve(_context: Context, plan: str, by: str = "", note: str = "", json: bool = False) -> None:
    """
    Record that a person agrees to this very plan; a rollout refuses (exit 3) until enough people did.

    Example: liftlock approve 3fa9c1d2 --by "Anna Brandt" --note "after the regatta"
    """
    from liftlock.adapters.terminal_plans import show_approvals
    from liftlock.app.changing import approve as agree
    from liftlock.app.workspace import Workspace

    workspace = Workspace()
    agreed = agree(workspace, workspace.find_plan(plan), by, note)
    if json:
        told = {"plan": agreed.plan.id, "needed": agreed.plan.approvals, "missing": agreed.missing}
        print_json(told | {"recorded": agreed.recorded, "given": agreed.given})
    else:
        show_approvals(agreed)


@declared(
    weeks="How many weeks, this one first; 8 when not given.",
    html="Also write it as one HTML page to this file.",
    ics="Also write it as an iCalendar file to subscribe to.",
    **JSON,
)
def calendar(_context: Context, weeks: str = "8", html: str = "", ics: str = "", json: bool = False) -> None:
    """
    Show the maintenance calendar of all open plans by week and customer, conflicts marked.

    Example: liftlock calendar --weeks 4 --html out/calendar.html --ics out/calendar.ics
    """
    from liftlock.adapters.terminal_plans import show_calendar
    from liftlock.app.overview import draw_up_calendar, whole_number, write_calendar
    from liftlock.app.workspace import Workspace

    workspace = Workspace()
    made = draw_up_calendar(workspace, whole_number(weeks, "--weeks", 1, 104))
    written = write_calendar(workspace, made, html, ics)
    if json:
        print_json(asdict(made) | {"files": written})
    else:
        show_calendar(made, written)


@declared(
    days="How many days ahead an end of support is near; 90 when not given.",
    offline="Look at no host: take the ledger's and the inventory's word.",
    fleet="Only this inventory (its name in inventories/); without it all of them.",
    **JSON,
)
def lifecycle(_context: Context, fleet: str = "", days: str = "90", offline: bool = False, json: bool = False) -> None:
    """
    Show who runs versions past or near the end of support, and which security releases are not everywhere yet.

    Example: liftlock lifecycle --days 180 --offline
    """
    from liftlock.adapters import terminal
    from liftlock.adapters.terminal_plans import show_lifecycle
    from liftlock.app.overview import review_lifecycle, whole_number
    from liftlock.app.workspace import Workspace

    workspace, near = Workspace(), whole_number(days, "--days", 0, 36500)
    with terminal.looking(quiet=json) as on_seen:
        made = review_lifecycle(workspace, fleet or None, near, look=not offline, on_seen=on_seen)
    if json:
        print_json(made)
    else:
        show_lifecycle(made, near)


def goes_on(workspace: Any, plan: Any, *, notify: bool, as_json: bool) -> bool:
    """For `rollout --replan`: plan again if files changed, tell what that brought, and whether the plan goes on."""
    from liftlock.adapters import terminal
    from liftlock.adapters.terminal_plans import show_made_again
    from liftlock.app.changing import changes_document, plan_again
    from liftlock.tasks import customers

    with terminal.looking(quiet=as_json) as on_seen:
        made = plan_again(workspace, plan, on_seen)
    if made is None:
        return True
    if not as_json:
        show_made_again(made)
    if made.new:
        notices = customers.tell(workspace, made.new, notify=notify, as_json=as_json)
    if as_json and made.new:
        told = {"plan": made.new.id, "replaces": plan.id, "exit_code": int(ExitCode.REFUSED), "end": "replanned"}
        print_json(told | {"file": made.file, "changes": changes_document(made.changes), "notices": notices})
    return made.new is None
