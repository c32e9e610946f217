"""Faults at one step of the host's program: each tool that it runs and that changes something is a step.

The host's sshd runs every command through a script that puts wrappers of those tools first in the PATH. A wrapper
counts, and at the one chosen step kills the program before or in the tool, or lets the tool's system calls fail.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from liftlock.demo.sshd import LoopbackFleet

TOOLS = ("chmod", "ln", "mkdir", "mktemp", "mv", "rm", "sync", "tar")
CALLS = "rename,renameat,renameat2,fsync,fdatasync,sync,syncfs,symlink,symlinkat,unlink,unlinkat,mkdir,mkdirat,fchmodat"
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
read -r step fault <"$LL_STEPS/wanted"
[ "$(wc -l <"$LL_STEPS/passed")" -eq "$step" ] || exec {real} "$@"
end() {{ kill -s KILL -- "-$LL_STEP_SHELL"; exit 137; }} # a tool of the product outlives the program
case $fault in
before) end ;;
in) {strace} -f -qq -o /dev/null -e trace={calls} -e inject={calls}:signal=KILL:when=1 {real} "$@"; end ;;
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
            text = WRAPPER.format(tool=tool, real=shutil.which(tool), strace=strace, calls=CALLS)
            _write_program(self._folder / "bin" / tool, text)
        config = directory / "sshd_config"
        config.write_text(f"{config.read_text()}ForceCommand {forced}\n")
        fleet.stop_host(name)
        fleet.start_host(name)

    def want(self, step: int, fault: str) -> None:
        """A fault at this step (from 1) of what the host is asked next; at step 0, steps are only counted."""
        (self._folder / "passed").unlink(missing_ok=True)
        (self._folder / "passed").touch()
        (self._folder / "wanted").write_text(f"{step} {fault}\n")

    def passed(self) -> list[str]:
        """The steps taken since; nothing is in their way any more."""
        (self._folder / "wanted").unlink()
        return (self._folder / "passed").read_text().splitlines()


def _write_program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)
