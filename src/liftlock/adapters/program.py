"""The program a host runs for one phase, as text: its command line, and the parser of what it answers.

No I/O but reading the program's own files. The protocol and the phases are described in `host/answer.sh`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from liftlock.errors import InputError

_BASICS = ("answer", "settings", "system")
_SWITCHING = ("lock", "commands", "health", "data", "guard", "switch")
_PARTS = {  # the files of host/ that each phase needs, in order; how health is asked and main.sh follow
    "probe": (*_BASICS, "commands", "health", "data", "guard", "probe"),
    "confirm": (*_BASICS, "lock", "commands", "health", "data", "guard", "probe"),
    "upgrade": (*_BASICS, *_SWITCHING, "stage"),
    "switch": (*_BASICS, *_SWITCHING, "stage"),
    "roll_back": (*_BASICS, *_SWITCHING),
    "stage": (*_BASICS, "lock", "stage"),
    "prune": (*_BASICS, "lock", "guard", "upkeep"),
    "unlock": (*_BASICS, "lock", "upkeep"),
}
PHASES = tuple(_PARTS)

MAX_VALUE = 4096  # bytes of one value
MAX_KEPT = 256 * 1024  # bytes of all values together
MAX_LOG = 512 * 1024  # bytes of what the product's commands printed
MAX_NOISE_LINES = 50
_MAX_LINE = 8192  # bytes; a longer line is cut

# Every setting the program knows, and what it is when the caller does not say.
_SETTINGS = {
    "LL_NONCE": "",
    "LL_BASE": "",
    "LL_TO": "",
    "LL_FROM": "",
    "LL_SHA256": "",
    "LL_LENGTH": "",
    "LL_ARCHIVE": "",
    "LL_PLAN": "",
    "LL_ATTEMPT": "",
    "LL_FENCE": "",
    "LL_RESTART": "",
    "LL_BACKUP": "",
    "LL_VERIFY_BACKUP": "",
    "LL_RESTORE": "",
    "LL_IRREVERSIBLE": "",
    "LL_BEFORE": "",
    "LL_AFTER": "",
    "LL_CONFIRM_WITHIN": "",
    "LL_KEEP": "",
    "LL_KEPT": "",
    "LL_HEALTH_URL": "",
    "LL_HEALTH_COMMAND": "",
    "LL_HEALTH_TCP": "",
    "LL_HEALTH_STATUS": "200",
    "LL_HEALTH_BODY": "",
    "LL_VERSION_KEY": "version",
    "LL_HEALTH_TIMES": "3",
    "LL_HEALTH_INTERVAL": "1",
    "LL_HEALTH_DEADLINE": "60",
    "LL_PHASE_TIMEOUT": "1800",
}
_FAILPOINT = "LL_FAILPOINT"
_ENVIRONMENT = "LL_ENV_"
_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_METHOD_NAME = re.compile(r"[a-z][a-z0-9_]*")
_NONCE = re.compile(r"[0-9a-f]{16,64}")
_FRAME = re.compile(rb"([a-z0-9_]{1,64})=")
_LENGTH = re.compile(r"[0-9]{1,15}")
_REACHED = re.compile(r"reached ([a-z_]+)")  # a line that names a failpoint
_FAILURE = re.compile(r"([a-z_]+):(?:kill|term|stop|sleep [0-9]{1,4})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def command(phase: str, settings: Mapping[str, str], method: str = "archive") -> str:
    """The exec command line that runs one phase, for a host whose login shell is a POSIX shell.

    `settings` are LL_ names (the module lists them; LL_NONCE is required, 16 to 64 hex digits) and
    LL_ENV_<NAME> for the environment of the product's commands. Every value is quoted, none is evaluated.
    It is seen in the host's process list: no secrets. Raises InputError for an unknown phase, setting or
    method, a name that cannot be an environment variable, or a NUL byte.

    Under test alone, LL_FAILPOINT is `<name>:<action>`: what the program does to itself at that one of
    `failpoints()`: `kill`, `term`, `stop` or `sleep <seconds>`. Without it the text has no failpoints at all.
    """
    if phase not in PHASES:
        raise InputError(f"unknown phase of the host program: {phase!r}")
    if not _NONCE.fullmatch(settings.get("LL_NONCE", "")):
        raise InputError("LL_NONCE must be 16 to 64 hex digits")
    known = dict(_SETTINGS)
    environment = {}
    for name, value in settings.items():
        if "\0" in value:
            raise InputError(f"the value of {name} holds a NUL byte")
        if name.startswith(_ENVIRONMENT):
            environment[_environment_name(name)] = value
        elif name in known or (name == _FAILPOINT and _is_failure(value)):
            known[name] = value
        else:
            raise InputError(f"unknown setting of the host program: {name!r}")
    assignments = "".join(_assignment(name, value) for name, value in (known | {"LL_PHASE": phase}).items())
    exports = "".join("export " + _assignment(name, value) for name, value in environment.items())
    program = _program(phase, method, _health(known), _FAILPOINT in known)
    text = f"{assignments}product_environment() {{\n:\n{exports}}}\n{program}"
    # The program stands in an argument of its own, so that it can hand itself to a process that outlives it.
    return f"sh -c 'eval \"$1\"' liftlock {shlex.quote(text)}"


def _environment_name(setting: str) -> str:
    name = setting.removeprefix(_ENVIRONMENT)
    if not _ENVIRONMENT_NAME.fullmatch(name):
        raise InputError(f"not a name of an environment variable: {name!r}")
    return name


def _assignment(name: str, value: str) -> str:
    return f"{name}={shlex.quote(value)}\n"


def _health(known: Mapping[str, str]) -> tuple[str, ...]:
    """The files of host/ that ask a product with these settings how it is: each host parses its program twice."""
    asks = "health_url" if known["LL_HEALTH_URL"] else "health_command"
    return (asks, "health_tcp") if known["LL_HEALTH_TCP"] else (asks,)


@cache
def _program(phase: str, method: str, health: tuple[str, ...], failing: bool) -> str:
    """The method and the parts that the phase needs, without what only people read. Raises InputError: no such method.

    The lines that name failpoints are left out unless it is to be `failing`.
    """
    methods = files("liftlock.adapters") / "methods"
    if not _METHOD_NAME.fullmatch(method) or not (methods / f"{method}.sh").is_file():
        raise InputError(f"unknown method: {method!r}")
    asking = health if "health" in _PARTS[phase] else ()
    parts = (*_PARTS[phase], *asking, *(("failpoint",) if failing else ()), "main")
    text = (methods / f"{method}.sh").read_text("utf-8") + "".join(_part(name) for name in parts)
    lines = (line.strip() for line in text.splitlines())
    kept = (line for line in lines if line and not line.startswith("#") and (failing or not _REACHED.fullmatch(line)))
    return "".join(f"{line}\n" for line in kept)


def _part(name: str) -> str:
    return (files("liftlock.adapters") / "host" / f"{name}.sh").read_text("utf-8")


@cache
def failpoints() -> tuple[str, ...]:
    """Where the host program can be made to fail under test: every line `reached <name>` of its text."""
    texts = [_part(name) for name in dict.fromkeys(part for parts in _PARTS.values() for part in parts)]
    texts += [path.read_text("utf-8") for path in (files("liftlock.adapters") / "methods").iterdir()]
    return tuple(dict.fromkeys(name for text in texts for line in text.splitlines() for name in _point(line)))


def _point(line: str) -> list[str]:
    found = _REACHED.fullmatch(line.strip())
    return [found[1]] if found else []


def _is_failure(spec: str) -> bool:
    found = _FAILURE.fullmatch(spec)
    if found is None or found[1] not in failpoints():
        raise InputError(f"not a failpoint of the host program and what happens there: {spec!r}")
    return True


class Answers:
    """What a host's program answers, read as it comes; everything is capped, whatever the host sends.

    Only lines `LL1 <nonce> <key>=<value>` count: what a profile prints cannot know the nonce.
    """

    def __init__(self, nonce: str) -> None:
        self.values: dict[str, str] = {}
        self.wants: int | None = None  # bytes of the artifact, once the host asks for them
        self.complete = False  # the closing frame was seen; without it the outcome is unknown
        self.noise: list[str] = []
        self._log: list[str] = []
        self._prefix = f"LL1 {nonce} ".encode()
        self._line = bytearray()
        self._kept = self._logged = 0

    @property
    def log(self) -> str:
        """What the product's commands printed."""
        return "\n".join(self._log)

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the host's stdout, cut anywhere. What follows the closing frame is ignored."""
        first, *others = data.split(b"\n")
        self._extend(first)
        for piece in others:
            self._end_line()
            self._extend(piece)

    def _extend(self, piece: bytes) -> None:
        self._line += piece[: _MAX_LINE - len(self._line)]

    def _end_line(self) -> None:
        line = bytes(self._line)
        self._line.clear()
        if self.complete:
            return
        if line.startswith(self._prefix) and (frame := _FRAME.match(line, len(self._prefix))):
            self._take(frame[1].decode("ascii"), _clean(line[frame.end() :]))
        elif line.strip() and len(self.noise) < MAX_NOISE_LINES:
            self.noise.append(_clean(line))

    def _take(self, key: str, value: str) -> None:
        if key == "end":
            self.complete = True
            return
        if key == "log":
            self._logged += len(value.encode()) + 1
            if self._logged <= MAX_LOG:
                self._log.append(value)
            return
        self._kept += len(key) + len(value.encode())
        if self._kept > MAX_KEPT:
            return
        self.values[key] = value
        if key == "need" and _LENGTH.fullmatch(value):
            self.wants = int(value)


def _clean(value: bytes) -> str:
    """Text without control characters, at most MAX_VALUE bytes of it."""
    text = _CONTROL.sub("", value.decode("utf-8", "replace").replace("\t", " "))
    return text.encode()[:MAX_VALUE].decode("utf-8", "ignore")
