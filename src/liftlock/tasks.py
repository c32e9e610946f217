"""The tasks: parse, call, print. What they do stands in `liftlock.app`.

Only invoke and the errors are imported here; everything else when a task runs, so that listing the
tasks stays instant.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from invoke import Context

from liftlock import customer_tasks, host_tasks, manual_tasks, plan_tasks, record_tasks, report_tasks, steer_tasks
from liftlock.declare import FLEET, JSON, declared, namespace, print_json
from liftlock.errors import ExitCode, InputError

__all__ = [
    "customer_tasks",
    "host_tasks",
    "manual_tasks",
    "namespace",
    "plan_tasks",
    "record_tasks",
    "report_tasks",
    "steer_tasks",
]

HOSTS = {"hosts": "Only these hosts, separated by commas."}
REASON = {"reason": "Why; it is recorded."}
NOTIFY = {"notify": "Tell customers at the end what it means to them (--no-notify leaves it)."}


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


@declared("folder", folder="Where to make the workspace; created when it is not there.", **JSON)
def init(_context: Context, folder: str, json: bool = False) -> None:
    """
    Make a new workspace with a sample product, fleet, templates and gates.

    Example: liftlock init ~/releases
    """
    from liftlock.adapters import terminal
    from liftlock.app.scaffold import create_workspace

    written = create_workspace(Path(folder))
    if json:
        print_json({"workspace": str(Path(folder).absolute()), "files": [str(path) for path in written]})
    else:
        terminal.show_workspace(Path(folder), written)


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
    **REASON,
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
    from liftlock.app.changing import changes_document, compare
    from liftlock.app.planning import plan_release, read_also
    from liftlock.app.workspace import Workspace
    from liftlock.plan_document import to_document
    from liftlock.timing import blocked_lines
    from liftlock.waves import budget_words

    workspace = Workspace()
    old = workspace.find_plan(diff) if diff else None
    with terminal.looking(quiet=json) as on_seen:
        made, path = plan_release(
            workspace,
            product,
            version,
            also=read_also(also),
            fleet_name=fleet or None,
            customers=_names(customers),
            hosts=_names(hosts),
            look=look,
            waive=_names(waive),
            downgrade=downgrade,
            reason=reason,
            on_seen=on_seen,
        )
    changes = compare(workspace, old, made) if old else ()
    if json:
        told = {
            "file": str(path),
            "allowed_failures": made.allowed_failures,
            "budget": budget_words(made),
            "blocked": blocked_lines(made),
        }
        since = {"compared_with": old.id, "changes": changes_document(changes)} if old else {}
        print_json(to_document(made) | told | since)
    else:
        terminal.show_plan(made, path, workspace.fleet(made.fleet))
        if old:
            show_changes(old, made, changes)


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
        results = run_gates(workspace, found, _names(hosts), on_result)
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
    wait="Wait for windows to open instead of ending with exit 3.",
    replan="When its files changed: plan again, and go on only if nothing else did.",
    **REASON,
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

    Exit 0 target met, 3 refused, 4 halted on known-good releases, 5 a host needs a person.
    Example: liftlock rollout 3fa9c1d2
    """
    from liftlock.adapters import live, terminal
    from liftlock.app.heralding import heralding
    from liftlock.app.rolling import roll_out
    from liftlock.app.workspace import Workspace

    workspace = Workspace()
    found = workspace.find_plan(plan)
    if replan and not plan_tasks.goes_on(workspace, found, notify=notify, as_json=json):
        return ExitCode.REFUSED
    with (
        live.watching(found, quiet=json) as watcher,
        heralding(workspace, found, watcher, enabled=notify) as herald,
    ):
        ending = roll_out(
            workspace,
            found,
            waive=_names(waive),
            reason=reason,
            patient=wait,
            watcher=herald.watch,
            on_pause=terminal.say_waiting,
        )
    return _tell_ending(workspace, ending, notify=notify, told=herald.told, as_json=json)


@declared("plan", plan="A plan file, or the id that `plan` printed.", **HOSTS, **REASON, **NOTIFY, **JSON)
def rollback(
    _context: Context, plan: str, hosts: str = "", reason: str = "", notify: bool = True, json: bool = False
) -> ExitCode:
    """
    End a plan and bring its upgraded hosts back to the release they came from, verified.

    Exit 0 when all are back and healthy, 5 when one needs a person.
    Example: liftlock rollback 3fa9c1d2 --reason "customer asked"
    """
    from liftlock.adapters import live
    from liftlock.app.rolling import roll_back
    from liftlock.app.workspace import Workspace

    workspace = Workspace()
    found = workspace.find_plan(plan)
    with live.watching(found, quiet=json) as watcher:
        ending = roll_back(workspace, found, _names(hosts), reason, watcher)
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
    notices = customer_tasks.tell(workspace, ending.plan, notify=notify, as_json=as_json, before=told)
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


@declared(
    yes="Record new keys without asking.",
    replace="Record changed keys as well; find out first why they changed.",
    **FLEET,
    **HOSTS,
    **JSON,
)
def trust(
    _context: Context, fleet: str = "", hosts: str = "", yes: bool = False, replace: bool = False, json: bool = False
) -> ExitCode:
    """
    Show the fingerprints of the hosts' keys, then record them after you have compared them.

    Exit 5 when a host does not answer, 3 when a changed key was left alone. Example: liftlock trust --fleet example
    """
    from liftlock.adapters import terminal
    from liftlock.app import checking
    from liftlock.app.workspace import Workspace

    workspace = Workspace()
    found, keys = checking.scan_hosts(workspace, fleet or None, _names(hosts))
    wanted = [one for one in found if one.state == "new" or (replace and one.state == "changed")]
    if not json:
        terminal.show_fingerprints(found)
    if wanted and not yes:
        if json or not sys.stdin.isatty():
            raise InputError("nothing was recorded: compare the fingerprints, then say --yes")
        yes = terminal.confirm(f"Record {len(wanted)} keys?")
    if wanted and yes:
        checking.record_keys(workspace, [keys[one.host] for one in wanted])
    recorded = [one.host for one in wanted] if yes else []
    if json:
        print_json({"hosts": found, "recorded": recorded})
    else:
        terminal.show_recorded(recorded, workspace.settings.ssh.known_hosts)
    changed = [one.host for one in found if one.state == "changed" and one.host not in recorded]
    if changed and not json:
        terminal.warn(f"left alone: the key of {', '.join(changed)} changed; find out why, then say --replace")
    if any(one.state == "unreachable" for one in found):
        return ExitCode.NEEDS_A_PERSON
    return ExitCode.REFUSED if changed or (wanted and not recorded) else ExitCode.DONE


@declared(**FLEET, **JSON)
def doctor(_context: Context, fleet: str = "", json: bool = False) -> ExitCode:
    """
    Look at workspace, keys, mail server, disk and hosts, and say what to do about what is not well.

    Exit 0 when all is well, 3 when something is not. Example: liftlock doctor
    """
    from liftlock.adapters import terminal
    from liftlock.app.checking import examine
    from liftlock.app.workspace import Workspace

    findings = examine(Workspace(), fleet or None, terminal.ignore if json else terminal.show_finding)
    if json:
        print_json({"well": all(one.well for one in findings), "findings": findings})
    return ExitCode.DONE if all(one.well for one in findings) else ExitCode.REFUSED


@declared(
    folder="Where to run it; a fresh folder under the temporary directory when not given.",
    keep="Leave the hosts running at the end, until Ctrl-C.",
    **JSON,
)
def demo(_context: Context, folder: str = "", keep: bool = False, json: bool = False) -> None:
    """
    Run the whole job on twelve real sshd hosts on this machine: plan, gate, notify, two rollouts, report.

    Example: liftlock demo --folder demo-run
    """
    from liftlock.demo.story import tell

    told = tell(Path(folder) if folder else None, keep=keep, quiet=json)
    if json:
        print_json(told)
