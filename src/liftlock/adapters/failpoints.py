"""Failpoints: named places around the ports at which a test makes the controller die, stop or fail.

Without LIFTLOCK_TEST_FAILPOINTS=1 in the environment nothing is wrapped. With it, LIFTLOCK_FAILPOINT says where and
what, once: `<call>.<before|after>[.<fact>][#<nth pass>]:<action>`, such as `append.after.started#2:kill` or
`upgrade.before:stop`. Actions: `kill`, `term` and `stop` are signals that the controller sends itself, `exit` leaves at
once, `raise` breaks the link (calls to hosts) or the record (appends). `*:tell` names every place passed on stderr.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar, cast

from liftlock.errors import InputError, LedgerError, LinkLostError
from liftlock.ledger import Fact
from liftlock.ports import LedgerStore, Transport

FLAG = "LIFTLOCK_TEST_FAILPOINTS"
POINT = "LIFTLOCK_FAILPOINT"
APPENDS = ("append", "append_all")
HOST_CALLS = ("probe", "upgrade", "confirm", "roll_back", "stage", "prune", "unlock")
EXIT_CODE = 70
"""What the action `exit` leaves with: none of the product's own codes."""

_SPEC = re.compile(r"(?P<name>\*|[a-z_]+\.(?:before|after)(?:\.[a-z_]+)?)(?:#(?P<nth>[1-9]\d*))?:(?P<action>[a-z]+)")
_SIGNALS = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "stop": signal.SIGSTOP}
_ACTIONS = (*_SIGNALS, "exit", "raise", "tell")

Port = TypeVar("Port", bound=LedgerStore | Transport)


def with_failpoints(port: Port) -> Port:
    """The port itself; under test, the port with a failpoint before and after each of its calls.

    Raises InputError when LIFTLOCK_FAILPOINT cannot be read: a fault that never strikes proves nothing.
    """
    if os.environ.get(FLAG) != "1":
        return port
    return cast(Port, _Failing(port, _fuse(os.environ.get(POINT, ""))))


class _Fuse:
    """The one failpoint of this process, shared by all ports and threads."""

    def __init__(self, name: str, nth: int, action: str) -> None:
        self._name, self._left, self._action = name, nth, action
        self._lock = threading.Lock()

    def pass_by(self, name: str) -> None:
        """Do what is to be done here, if this is the place and the pass. Raises what a broken port would."""
        if self._strikes(name):
            _say(f"failpoint {name}")
            _act(self._action, name)

    def _strikes(self, name: str) -> bool:
        if self._name == "*":
            return True
        if name != self._name:
            return False
        with self._lock:
            self._left -= 1
            return self._left == 0


class _Failing:
    """A port whose calls pass a failpoint before and after; everything else of it is as it was."""

    def __init__(self, port: object, fuse: _Fuse) -> None:
        self._port, self._fuse = port, fuse

    def __getattr__(self, call: str) -> Any:
        method = getattr(self._port, call)
        return self._failing(call, method) if call in (*APPENDS, *HOST_CALLS) else method

    def _failing(self, call: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def passing(*args: Any, **options: Any) -> Any:
            facts = _fact_names(call, args)
            for fact in facts:
                self._fuse.pass_by(_name(call, "before", fact))
            result = method(*args, **options)
            for fact in facts:
                self._fuse.pass_by(_name(call, "after", fact))
            return result

        return passing


@cache
def _fuse(spec: str) -> _Fuse:
    if not spec:
        return _Fuse("", 0, "")
    found = _SPEC.fullmatch(spec)
    if found is None or found["action"] not in _ACTIONS:
        raise InputError(f"{POINT} is not <call>.<before|after>[.<fact>][#<pass>]:<{'|'.join(_ACTIONS)}>: {spec!r}")
    return _Fuse(found["name"], int(found["nth"] or 1), found["action"])


def _fact_names(call: str, args: tuple[Any, ...]) -> list[str]:
    """The kinds of the facts that an append carries; one empty name for a call to a host."""
    if call not in APPENDS:
        return [""]
    facts: list[Fact] = [args[1]] if call == "append" else list(args[1])
    return [fact.fact for fact in facts]


def _name(call: str, when: str, fact: str) -> str:
    return f"append.{when}.{fact}" if fact else f"{call}.{when}"


def _act(action: str, name: str) -> None:
    if action in _SIGNALS:
        os.kill(os.getpid(), _SIGNALS[action])
    elif action == "exit":
        os._exit(EXIT_CODE)
    elif action == "raise" and name.startswith("append."):
        raise LedgerError(f"failpoint {name}")
    elif action == "raise":
        raise LinkLostError("connection lost", f"failpoint {name}")


def _say(text: str) -> None:
    sys.stderr.write(f"liftlock: {text}\n")
    sys.stderr.flush()
