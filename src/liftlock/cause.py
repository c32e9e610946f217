"""Why hosts fail: which causes are one, and what helps against those that are known. Pure.

Causes are short phrases (`health: HTTP 500`), many with a number, a version or the host's own name in them. Two causes
are one when they differ in nothing else.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

_VERSION = re.compile(r"\bv?\d+(\.\d+)+[\w.+~:-]*")
_NUMBER = re.compile(r"\d+")
_SPACE = re.compile(r"\s+")

_SUGGESTIONS = tuple(
    (re.compile(pattern, re.IGNORECASE), words)
    for pattern, words in (
        (
            r"not enough (space|inodes)|no space left|disk.* full|quota",
            "make room on the filesystem of the product's base (old releases go first), then run it again",
        ),
        (
            r"host key (changed|revoked)",
            "ask the host's owner why the key changed before anything else; then: liftlock trust --replace",
        ),
        (r"host key", "compare the fingerprint with the host's owner, then record it: liftlock trust"),
        (
            r"ssh banner|maxstartups|connection closed by the host|no ssh session",
            "sshd turns away many connections at once: raise its MaxStartups, or lower policy.concurrency",
        ),
        (r"missing tools?", "install the tools that the cause names on the host"),
        (r"\bbusy\b", "another phase works on the host: wait for it, or find out who holds the lock there"),
        (
            r"stale fence|fence unreadable",
            "a later controller has worked on the host, or the clock here is behind: see who else works on this plan",
        ),
        (
            r"not writable",
            "give the user that logs in its rights in the product's base; or the filesystem there is mounted read-only:"
            " look for errors of its disk",
        ),
        (r"read-only", "the filesystem of the product's base is mounted read-only: look for errors of its disk"),
        (
            r"authentication|permission denied|base missing",
            "check the user that logs in, its key, and its rights in the product's base",
        ),
        (
            r"health: not steady|by turns",
            "the new version answers now and then: look at its log before it is tried again",
        ),
        (
            r"health: no (answer|version)",
            "nothing answers the health check: look whether the product started, in its log and in the host's output",
        ),
        (r"health: ", "the product answers and is not well: read its own log and the host's output"),
        (
            r"^(backup|verify_backup|restore|before_switch|after_switch|restart): ",
            "one of the product's own commands failed on the host: read what it printed in the host's output",
        ),
        (r"name not found", "correct the host's address in the inventory, or its DNS entry"),
        (
            r"connection lost",
            "look whether the host is up and what cut the link; then run it again: it looks at the host first",
        ),
        (
            r"a phase still runs",
            "wait until the phase there has ended, then run it again; one that hangs is ended by: liftlock unlock",
        ),
        (
            r"release is not on the host",
            "the release to go back to was removed there: put it back into releases/, or repair the host by hand",
        ),
        (r"connection (refused|timed out)|no route|handshake", "look whether the host is up and its sshd answers"),
        (
            r"sha256|upload incomplete",
            "the artifact did not arrive as it left: look at the link and the artifact's file, then run it again",
        ),
        (
            r"rollback not verified",
            "it is back on the release before: read what the gate found, correct the host or the suite, then run"
            " liftlock rollback again",
        ),
        (r"^gate ", "read what the gate found; correct the host, then run: liftlock gate"),
        (
            r"current (is not a link|points outside|is dangling)",
            "put the link `current` right on the host: it must lead to a folder in releases/",
        ),
        (
            r"not confirmed in time",
            "nobody came through to the host in time: see whether the release cut off its ssh access or its network",
        ),
        (r"another version", "the host is on a version that nobody planned for: plan again"),
    )
)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Hosts with one cause, in its first wording, and what is known to help; empty when nothing is."""

    cause: str
    hosts: tuple[str, ...]
    suggestion: str


def normalised(cause: str, host: str = "") -> str:
    """The cause without what differs from host to host: numbers, versions, its own name (as it is in the plan)."""
    host = host.partition("/")[0]
    text = re.sub(rf"(?<![\w-]){re.escape(host)}(?![\w-])", "*", cause) if host else cause
    return _SPACE.sub(" ", _NUMBER.sub("*", _VERSION.sub("*", text))).strip()


def suggestion(cause: str) -> str:
    """What is known to help against a cause; empty when nothing is."""
    return next((words for pattern, words in _SUGGESTIONS if pattern.search(cause)), "")


def troubles(causes: Iterable[tuple[str, str]]) -> tuple[Trouble, ...]:
    """Hosts with their causes, grouped by cause, most hosts first. A group's wording is the most frequent one."""
    groups: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for host, cause in causes:
        groups[normalised(cause, host)].append((host, cause))
    found = []
    for members in groups.values():
        wording = Counter(cause for _, cause in members).most_common(1)[0][0] or "no cause recorded"
        found.append(Trouble(wording, tuple(host for host, _ in members), suggestion(wording)))
    return tuple(sorted(found, key=lambda one: (-len(one.hosts), one.cause)))
