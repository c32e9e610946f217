"""Faults at one step of the host's program: each tool that it runs and that changes something is a step.

The host's sshd runs every command through a script that puts wrappers of those tools first in the PATH. A wrapper
counts, and at the one chosen step kills the program before the tool or at one of its system calls, or lets the tool's
system calls fail.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from liftlock.demo.sshd import LoopbackFleet

TOOLS = ("chmod", "ln", "mkdir", "mktemp", "mv", "rm", "sync", "tar")
CALLS = "rename,renameat,renameat2,fsync,fdatasync,sync,syncfs,symlink,symlinkat,unlink,unlinkat,mkdir,mkdirat,fchmodat"
CHANGES = f"{CALLS},write,pwrite64,ftruncate,link,linkat,rmdir,utimensat,fchownat"
"""The system calls that change anything on a disk; a kill between two of them is one before the second."""
FAULTS = ("before", "in", "EIO", "ENOSPC")

FORCED = """\
#!/bin/sh
# The program's session, with wrappers in its PATH while a fault is wanted.
if [ -e "{folder}/wanted" ]; then
    LL_STEPS={folder} LL_STEP_SHELL=$$ PATH={folder}/bin:$PATH
    export LL_STEPS LL_STEP_SHELL PATH
fi
exec sh -c "$SSH_ORIGINAL_COMMAND"
"""
WRAPPER = """\
#!/bin/sh
printf '%s\\n' "{tool} $*" >>"$LL_STEPS/passed"
read -r step fault call nth <"$LL_STEPS/wanted"
if [ "$fault" = count ]; then
    {strace} -f -qq -o "$LL_STEPS/calls" -e trace={changes} {real} "$@"
    status=$?
    sed 's/(.*//; s/.* //' "$LL_STEPS/calls" | tr '\\n' ' ' >>"$LL_STEPS/counted"
    echo >>"$LL_STEPS/counted"
    exit "$status"
fi
[ "$(wc -l <"$LL_STEPS/passed")" -eq "$step" ] || exec {real} "$@"
end() {{ kill -s KILL -- "-$LL_STEP_SHELL"; exit 137; }} # a tool of the product outlives the program
case $fault in
before) end ;;
in)
    {strace} -f -qq -o /dev/null -e trace="$call" -e inject="$call:signal=KILL:when=$nth" {real} "$@"
    status=$?
    [ "$status" -eq 137 ] || exit "$status"
    touch "$LL_STEPS/killed"
    end
    ;;
*) exec {strace} -f -qq -o /dev/null -e trace={calls} -e inject={calls}:error="$fault" {real} "$@" ;;
esac
"""


class Steps:
    """The steps of one host's program."""

    def __init__(self, fleet: LoopbackFleet, name: str) -> None:
        directory = fleet.hosts[name].directory
        self._folder = directory / "steps"
        (self._folder / "bin").mkdir(parents=True)
        forced = self._folder / "forced"
        _write_program(forced, FORCED.format(folder=self._folder))
        strace = shutil.which("strace")
        for tool in TOOLS:
            text = WRAPPER.format(tool=tool, real=shutil.which(tool), strace=strace, calls=CALLS, changes=CHANGES)
            _write_program(self._folder / "bin" / tool, text)
        config = directory / "sshd_config"
        config.write_text(f"{config.read_text()}ForceCommand {forced}\n")
        fleet.stop_host(name)
        fleet.start_host(name)

    def want(self, step: int, fault: str, call: str = CHANGES, nth: int = 1) -> None:
        """A fault at this step (from 1) of what the host is asked next; `in` strikes at the `nth` such system call."""
        for name in ("passed", "counted", "killed"):
            (self._folder / name).unlink(missing_ok=True)
        (self._folder / "passed").touch()
        (self._folder / "wanted").write_text(f"{step} {fault} {call} {nth}\n")

    def has_struck(self) -> bool:
        """Whether the step came to that system call, and was killed there."""
        return (self._folder / "killed").exists()

    def count(self) -> None:
        """Only count the steps of what the host is asked next, and their system calls that change anything."""
        self.want(0, "count")

    def counted(self) -> list[list[tuple[str, int]]]:
        """Such system calls of each step, in order: its name, and which of that name it is."""
        lines = [line.split() for line in (self._folder / "counted").read_text().splitlines()]
        return [[(call, calls[: place + 1].count(call)) for place, call in enumerate(calls)] for calls in lines]

    def passed(self) -> list[str]:
        """The steps taken since; nothing is in their way any more."""
        (self._folder / "wanted").unlink()
        return (self._folder / "passed").read_text().splitlines()


def _write_program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)
