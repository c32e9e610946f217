"""Why hosts fail: which causes are one, and what helps against those that are known. Pure.

Causes are short phrases (`health: HTTP 500`), many with a number, a version, or the name of the host or its customer in
them. Two causes are one when they differ in nothing else.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

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
        (r"ended by an unlock", "an operator ended its phase with liftlock unlock: the record says who, and why"),
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
            r"did not come through|cut off before its end|found without|is installed, expected",
            "look what the host runs, bring it to a release that is well, then run it again: it looks first",
        ),
        (
            r"not confirmed in time",
            "nobody came through to the host in time: see whether the release cut off its ssh access or its network",
        ),
        (r"another version", "the host is on a version that nobody planned for: plan again"),
    )
)


class Complaint(Protocol):
    """A host, whose it is, and what is wrong with it."""

    @property
    def host(self) -> str:
        """Its name in the plan."""
        ...

    @property
    def customer(self) -> str:
        """Whose it is."""
        ...

    @property
    def cause(self) -> str:
        """What is wrong with it."""
        ...


C = TypeVar("C", bound=Complaint)


class HostComplaint(NamedTuple):
    """A `Complaint` of no other use."""

    host: str
    customer: str
    cause: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """Hosts with one cause, in its first wording, and what is known to help; empty when nothing is."""

    cause: str
    hosts: tuple[str, ...]
    suggestion: str


def normalised(cause: str, host: str = "", customer: str = "") -> str:
    """The cause without what differs from host to host: numbers, versions, its own name (as it is in the plan), or that
    of its customer.
    """
    for name in (host.partition("/")[0], customer):
        cause = _without(cause, name, "*")
    return _SPACE.sub(" ", _NUMBER.sub("*", _VERSION.sub("*", cause))).strip()


def _without(cause: str, name: str, instead: str) -> str:
    if not name or name not in cause:  # so it is with most: an expression of its own for each host is dear
        return cause
    return re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", instead, cause)


def suggestion(cause: str) -> str:
    """What is known to help against a cause; empty when nothing is."""
    return next((words for pattern, words in _SUGGESTIONS if pattern.search(cause)), "")


def by_cause(complaints: Iterable[C]) -> list[tuple[str, tuple[C, ...]]]:
    """Those that share a cause, most first, and the cause in its most frequent wording, which names no one customer."""
    groups: dict[str, list[C]] = defaultdict(list)
    for one in complaints:
        groups[normalised(one.cause, one.host, one.customer)].append(one)
    found = [(_wording(members), tuple(members)) for members in groups.values()]
    return sorted(found, key=lambda group: (-len(group[1]), group[0]))


def _wording(members: Sequence[Complaint]) -> str:
    several = len({one.customer for one in members}) > 1
    causes = (_without(one.cause, one.customer, "its customer") if several else one.cause for one in members)
    return Counter(causes).most_common(1)[0][0] or "no cause recorded"


def troubles(complaints: Iterable[Complaint]) -> tuple[Trouble, ...]:
    """Hosts grouped by cause, most hosts first, and what is known to help."""
    return tuple(
        Trouble(cause, tuple(one.host for one in members), suggestion(cause)) for cause, members in by_cause(complaints)
    )
