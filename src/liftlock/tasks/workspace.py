"""The tasks about a workspace: make one, get to know its hosts, find what is missing; and the demo."""

from __future__ import annotations

import sys
from pathlib import Path

from invoke import Context

from liftlock.errors import ExitCode, InputError
from liftlock.tasks.declare import FLEET, HOSTS, JSON, declared, names, print_json


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
    found, keys = checking.scan_hosts(workspace, fleet or None, names(hosts))
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
