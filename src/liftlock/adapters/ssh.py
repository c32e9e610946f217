"""The transport: one ssh connection and one run of the host program for each phase.

The program travels in the exec request; the artifact follows on stdin, from disk in pieces, and only when
the host asks for it. The host answers in frames: without the closing one nothing is known, the link is lost.
"""

from __future__ import annotations

import logging
import math
import os
import re
import secrets
import shlex
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from urllib.parse import quote

import jinja2
import paramiko

from liftlock.adapters.connection import BROKEN, PIECE, execute, exit_status, open_connection, pieces
from liftlock.adapters.failpoints import FLAG
from liftlock.adapters.program import Answers, command
from liftlock.errors import InputError, LinkLostError, Problem
from liftlock.model import Host, HostAnswer, HostResult, Observation, Product, Release, Ticket
from liftlock.settings import SshSettings

HOST_POINT = "LIFTLOCK_HOST_FAILPOINT"
_PROBE_TIMEOUT = 120.0  # seconds; a look needs far less
_STDERR_KEPT = 64 * 1024  # bytes
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class SshTransport:
    """ports.Transport over ssh for one product; what it keeps of one call matters to no other, so threads may share it.

    A phase may take `ssh.phase_timeout` in all. `log_dir` receives what each host printed (`<host>.log`); where it
    cannot, that is logged once as a warning.
    `ways` are by host the versions that a plan takes it over: from any other it is not rolled back.
    """

    def __init__(
        self,
        product: Product,
        ssh: SshSettings,
        clock_now: Callable[[], datetime],
        log_dir: Path | None = None,
        ways: Mapping[str, Collection[str]] = MappingProxyType({}),
    ) -> None:
        self._product = product
        self._ssh = ssh
        self._now = clock_now
        self._log_dir = log_dir
        self._log_trouble = False
        self._ways = ways

    def probe(self, host: Host) -> Observation:
        """See ports.Transport. Raises InputError when the product's settings do not fit the host."""
        told, _, _ = self._run_phase("probe", host, {}, None)
        return _observation(host.name, self._now(), told)

    def upgrade(self, host: Host, from_version: str, release: Release, ticket: Ticket) -> HostAnswer:
        """See ports.Transport. Raises InputError when the artifact is missing or the settings do not fit."""
        settings = _of_release(release) | _of_ticket(ticket) | {"LL_FROM": from_version}
        return self._answer("upgrade", host, settings, _artifact(release))

    def confirm(self, host: Host, ticket: Ticket) -> Observation:
        """See ports.Transport. Raises InputError when the product's settings do not fit the host."""
        told, _, _ = self._run_phase("confirm", host, _of_ticket(ticket), None)
        return _observation(host.name, self._now(), told)

    def roll_back(self, host: Host, version: str, ticket: Ticket) -> HostAnswer:
        """See ports.Transport. Raises InputError when the product's settings do not fit the host."""
        settings = {"LL_TO": version, "LL_FROM": " ".join(sorted(self._ways.get(host.name, ())))}
        return self._answer("roll_back", host, settings | _of_ticket(ticket), None)

    def stage(self, host: Host, release: Release, ticket: Ticket) -> HostAnswer:
        """See ports.Transport. Raises InputError when the artifact is missing or the settings do not fit."""
        return self._answer("stage", host, _of_release(release) | _of_ticket(ticket), _artifact(release))

    def prune(self, host: Host, keep: Collection[str], ticket: Ticket) -> HostAnswer:
        """See ports.Transport. Raises InputError when the product's settings do not fit the host."""
        settings = {"LL_KEEP": str(self._product.keep), "LL_KEPT": " ".join(sorted(keep))}
        return self._answer("prune", host, settings | _of_ticket(ticket), None)

    def unlock(self, host: Host, ticket: Ticket) -> HostAnswer:
        """See ports.Transport. Raises InputError when the product's settings do not fit the host."""
        return self._answer("unlock", host, _of_ticket(ticket), None)

    def _answer(self, phase: str, host: Host, settings: Mapping[str, str], artifact: Path | None) -> HostAnswer:
        told, output, seconds = self._run_phase(phase, host, settings, artifact)
        try:
            result = HostResult(told.get("result", ""))
        except ValueError as error:
            raise LinkLostError("answer not understood", str(error)) from error
        cause, detail = told.get("cause", ""), told.get("detail", "")
        version, installed = told.get("version") or None, told.get("installed") or None
        return HostAnswer(result, version, cause, detail, seconds, output, installed)

    def _run_phase(
        self, phase: str, host: Host, settings: Mapping[str, str], artifact: Path | None
    ) -> tuple[Mapping[str, str], str, float]:
        """Run one phase: what the host told, what it printed, and how many seconds it took in all."""
        nonce = secrets.token_hex(16)
        limit = self._ssh.phase_timeout
        told = _of_host(self._product, host) | _of_time(self._product, limit) | {"LL_NONCE": nonce} | dict(settings)
        told |= _of_failpoint(host)
        program = command(phase, told, self._product.method)
        began = time.monotonic()
        seconds = limit.total_seconds()
        until = began + (min(seconds, _PROBE_TIMEOUT) if phase in ("probe", "confirm") else seconds)
        answers, stderr = Answers(nonce), bytearray()
        try:
            with open_connection(host, self._ssh) as connection, execute(connection, program, until) as channel:
                _converse(channel, answers, stderr, artifact, until)
        finally:
            output = _output(answers, stderr)
            self._log(host, phase, output)
        return answers.values, output, time.monotonic() - began

    def _log(self, host: Host, phase: str, output: str) -> None:
        if self._log_dir is None or not output:
            return
        try:
            self._append_log(self._log_dir, host, phase, output)
        except OSError as error:  # it must not hide what the host answered; the ledger tells of that
            if not self._log_trouble:
                words = f"what hosts print is not kept in {self._log_dir}: {error.strerror}"
                logging.getLogger("liftlock").warning(words)
            self._log_trouble = True

    def _append_log(self, folder: Path, host: Host, phase: str, output: str) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder / f"{host.name}.log", os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"== {self._now().isoformat(timespec='seconds')} {phase}\n{output}\n")


def check_host(product: Product, host: Host) -> None:
    """Whether the product's base, commands and environment can be made for this host, before anything is touched.

    Raises InputError with everything that is missing or unfit.
    """
    command("probe", _of_host(product, host) | {"LL_NONCE": secrets.token_hex(16)}, product.method)


def _converse(
    channel: paramiko.Channel, answers: Answers, stderr: bytearray, artifact: Path | None, until: float
) -> None:
    """Hear the program out, and send the artifact once it asks. Raises LinkLostError without a whole answer."""
    listening = artifact is not None
    if not listening:
        channel.shutdown_write()
    for out, err in pieces(channel, until):
        stderr += err[: _STDERR_KEPT - len(stderr)]
        answers.feed(out)
        if answers.complete:
            return
        if artifact is not None and listening and (answers.wants is not None or "have" in answers.values):
            listening = False
            if answers.wants is not None:
                _send(channel, artifact, until)
            with suppress(*BROKEN):
                channel.shutdown_write()
    status = exit_status(channel, until)
    printed = _output(answers, stderr)[-300:].replace("\n", " | ")
    raise LinkLostError("no answer", f"the program ended with status {status}; {printed}")


def _send(channel: paramiko.Channel, artifact: Path, until: float) -> None:
    """Stream the file. A host that stops listening is no error: its answer, if it comes, says why."""
    with artifact.open("rb") as file:
        while piece := file.read(PIECE):
            channel.settimeout(max(0.001, until - time.monotonic()))
            try:
                channel.sendall(piece)
            except TimeoutError as error:
                raise LinkLostError("deadline passed", "while the artifact was sent") from error
            except BROKEN:
                return


def _output(answers: Answers, stderr: bytearray) -> str:
    errors = _CONTROL.sub("", stderr.decode("utf-8", "replace")).rstrip("\n")
    return "\n".join(part for part in ("\n".join(answers.noise), errors, answers.log) if part)


def _observation(host: str, at: datetime, told: Mapping[str, str]) -> Observation:
    return Observation(
        host=host,
        at=at,
        reachable=True,
        installed=told.get("installed") or None,
        running=told.get("running") or None,
        healthy={"1": True, "0": False}.get(told.get("healthy", "")),
        free_bytes=_count(told.get("free_bytes", "")),
        free_inodes=_count(told.get("free_inodes", "")),
        missing_tools=tuple(told.get("missing_tools", "").split()),
        busy=told.get("busy") == "1",
        unconfirmed=told.get("unconfirmed") == "1",
        staged=tuple(told.get("staged", "").split()),
        journal=told.get("journal", ""),
        cause=told.get("cause", ""),
        detail=told.get("detail", ""),
    )


def _count(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None


def _artifact(release: Release) -> Path:
    artifact = Path(release.artifact.path)
    if not artifact.is_file():
        raise InputError(f"the artifact {artifact} of {release.product} {release.version} does not exist")
    return artifact


def _of_release(release: Release) -> dict[str, str]:
    within = release.confirm_within
    settings = {
        "LL_TO": release.version,
        "LL_SHA256": release.artifact.sha256,
        "LL_LENGTH": str(release.artifact.length),
        "LL_ARCHIVE": Path(release.artifact.path).name,
        "LL_BEFORE": release.before_switch or "",
        "LL_AFTER": release.after_switch or "",
        "LL_IRREVERSIBLE": "" if release.reversible else "1",
        "LL_CONFIRM_WITHIN": str(math.ceil(within.total_seconds())) if within else "",
    }
    wanted = {"LL_BACKUP": release.backup, "LL_VERIFY_BACKUP": release.backup_verified}
    return settings | {name: "" for name, wants in wanted.items() if not wants}


def _of_failpoint(host: Host) -> dict[str, str]:
    """Under test alone: what LIFTLOCK_HOST_FAILPOINT, `<name>:<action>[:<host>]`, makes this host do to itself."""
    if os.environ.get(FLAG) != "1":
        return {}
    spec, _, name = os.environ.get(HOST_POINT, "").rpartition(":")
    if ":" not in spec:  # no host was named
        spec, name = f"{spec}:{name}", host.name
    return {"LL_FAILPOINT": spec} if name == host.name and spec != ":" else {}


def _of_ticket(ticket: Ticket) -> dict[str, str]:
    return {"LL_PLAN": ticket.plan, "LL_ATTEMPT": str(ticket.attempt), "LL_FENCE": str(ticket.fence)}


def _of_time(product: Product, limit: timedelta) -> dict[str, str]:
    """How long the host may go forward: it must also be able to go back, and say so, within `limit`.

    Each way takes at most LL_PHASE_TIMEOUT and then one health deadline: (limit - 2 deadlines) / 2.
    """
    deadline = math.ceil(product.health.deadline.total_seconds())
    interval = f"{product.health.interval.total_seconds():.3f}".rstrip("0").rstrip(".")
    return {
        "LL_PHASE_TIMEOUT": str(max(1, math.floor(limit.total_seconds() - 2 * deadline) // 2)),
        "LL_HEALTH_TIMES": str(product.health.times),
        "LL_HEALTH_INTERVAL": interval,
        "LL_HEALTH_DEADLINE": str(deadline),
    }


def _of_host(product: Product, host: Host) -> dict[str, str]:
    """What the product says, made for this host. Raises InputError with every variable missing or unfit."""
    base = host.base or product.base or ""
    values = {**host.variables, "name": host.name, "address": host.address, "base": base}
    problems: list[Problem] = []

    def fill(place: str, template: str | None, environment: jinja2.Environment) -> str:
        try:
            return _compiled(environment, template or "").render(values)
        except (jinja2.TemplateError, ValueError, TypeError) as error:
            problems.append(Problem(f"host {host.name}", str(error), f"{product.name}: {place}"))
            return ""

    if not base.startswith("/") or ".." in PurePosixPath(base).parts:
        problems.append(Problem(f"host {host.name}", f"must be an absolute path, not {base!r}", "base"))
    settings = {
        "LL_BASE": str(PurePosixPath(base)),
        "LL_HEALTH_URL": fill("health.url", product.health.url, _URL),
        "LL_HEALTH_COMMAND": fill("health.command", product.health.command, _COMMAND),
        "LL_HEALTH_TCP": fill("health.tcp", product.health.tcp, _URL),
        "LL_HEALTH_STATUS": str(product.health.status),
        "LL_HEALTH_BODY": fill("health.body", product.health.body, _PLAIN),
        "LL_VERSION_KEY": product.health.version_key,
        "LL_RESTART": fill("restart", product.restart, _COMMAND),
        "LL_BACKUP": fill("backup", product.backup, _COMMAND),
        "LL_VERIFY_BACKUP": fill("verify_backup", product.verify_backup, _COMMAND),
        "LL_RESTORE": fill("restore", product.restore, _COMMAND),
    }
    for name, value in product.environment.items():
        settings[f"LL_ENV_{name}"] = fill(f"environment.{name}", value, _PLAIN)
    if problems:
        raise InputError(problems)
    return settings


def _for_a_shell(value: object) -> str:
    """The value, if a shell reads it as itself in any kind of quotes; templates are trusted, values are not."""
    text = str(value)
    if shlex.quote(text) != text:
        raise ValueError(f"{text!r} is not safe in a command; hand it over in the product's environment")
    return text


def _for_a_url(value: object) -> str:
    return quote(str(value), safe=":/[]@?&=%,")


@lru_cache(maxsize=256)
def _compiled(environment: jinja2.Environment, template: str) -> jinja2.Template:
    """A product's template, compiled once and not for every phase of every host."""
    return environment.from_string(template)


_PLAIN = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)  # noqa: S701  no HTML
_COMMAND = _PLAIN.overlay(finalize=_for_a_shell)
_URL = _PLAIN.overlay(finalize=_for_a_url)
