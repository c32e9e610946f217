"""What `trust` and `doctor` do: get to know the hosts' keys, and find what is missing before it hurts."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from liftlock.adapters import files
from liftlock.app.workspace import Workspace, choose
from liftlock.cause import suggestion
from liftlock.errors import HostError, InputError, LiftlockError
from liftlock.settings import SmtpSettings

if TYPE_CHECKING:
    from liftlock.adapters.trust import ScannedKey

LOW_DISK = 500 * 1024 * 1024
"""Free bytes under which the controller's own disk is called too full for ledger, logs and manuals."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """One host's key as it answers now, and how it stands to the recorded one."""

    host: str
    address: str
    port: int
    state: str
    """`new`, `same`, `changed` or `unreachable`."""
    key_type: str = ""
    fingerprint: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing the doctor looked at; `remedy` says what to do when it is not well."""

    subject: str
    well: bool
    detail: str
    remedy: str = ""


def scan_hosts(
    workspace: Workspace, fleet_name: str | None, names: Sequence[str]
) -> tuple[list[Fingerprint], dict[str, ScannedKey]]:
    """The keys that the hosts show now, beside what is recorded."""
    from liftlock.adapters import trust

    ssh = workspace.settings.ssh
    hosts = choose(workspace.fleet(fleet_name), names)
    keys: dict[str, ScannedKey] = {}

    def scan(place: int) -> Fingerprint:
        host = hosts[place]
        try:
            key = trust.scan(host, ssh.connect_timeout.total_seconds())
        except HostError as error:
            return Fingerprint(host.name, host.address, host.port, "unreachable", detail=str(error))
        keys[host.name] = key
        state = trust.compare(ssh.known_hosts, key)
        return Fingerprint(host.name, host.address, host.port, state, key.key_type, key.fingerprint)

    with ThreadPoolExecutor(workspace.settings.policy.concurrency) as pool:
        return list(pool.map(scan, range(len(hosts)))), keys


def record_keys(workspace: Workspace, keys: Sequence[ScannedKey]) -> None:
    """Write these keys into the workspace's own known hosts."""
    from liftlock.adapters import trust

    trust.record(workspace.settings.ssh.known_hosts, keys)


def examine(workspace: Workspace, fleet_name: str | None, on_finding: Callable[[Finding], None]) -> list[Finding]:
    """Look at everything a rollout will need; nothing is changed and nothing is sent."""
    findings: list[Finding] = []
    for finding in _examination(workspace, fleet_name):
        if not finding.well and any(finding.detail == known.detail for known in findings):
            continue  # one mistake in the settings is one finding, whoever stumbles over it
        findings.append(finding)
        on_finding(finding)
    return findings


def _examination(workspace: Workspace, fleet_name: str | None) -> Iterator[Finding]:
    yield _try("workspace", lambda: f"{workspace.root}, ledger {_scheme(workspace)}", "correct liftlock.yaml")
    yield from _files(workspace, fleet_name)
    yield _try("ssh key", lambda: _key(workspace), "set ssh.key in liftlock.yaml to a key without a passphrase")
    yield _disk(workspace)
    yield _try("mail server", lambda: _mail(workspace), _MAIL_REMEDY)
    yield from _channels(workspace, fleet_name)
    yield from _hosts(workspace, fleet_name)


def _try(subject: str, look: Callable[[], str], remedy: str) -> Finding:
    try:
        return Finding(subject, well=True, detail=look())
    except (LiftlockError, OSError) as error:
        return Finding(subject, well=False, detail=str(error), remedy=remedy)


def _scheme(workspace: Workspace) -> str:
    return workspace.settings.ledger.split(":", 1)[0]


def _files(workspace: Workspace, fleet_name: str | None) -> Iterator[Finding]:
    from liftlock.adapters.artifact import verify_artifact

    def product(name: str) -> str:
        releases = workspace.catalogue(name).releases
        for release in releases:
            verify_artifact(release.artifact)
        return f"{len(releases)} releases, every artifact is what its manifest says"

    def fleet() -> str:
        read = workspace.fleet(fleet_name)
        return f"{read.name}: {len(read.hosts)} hosts of {len(read.customers)} customers"

    for name in files.list_products(workspace.root):
        yield _try(f"product {name}", lambda name=name: product(name), "correct the manifest or the artifact")  # type: ignore[misc]
    yield _try("inventory", fleet, "correct the inventory")


def _key(workspace: Workspace) -> str:
    from liftlock.adapters.connection import load_key

    path = workspace.settings.ssh.key
    return f"{path} ({load_key(path).get_name()})"


def _disk(workspace: Workspace) -> Finding:
    free = shutil.disk_usage(workspace.root).free
    writable = os.access(workspace.root, os.W_OK)
    detail = f"{free // 2**20} MiB free" + ("" if writable else ", not writable")
    return Finding("disk", free >= LOW_DISK and writable, detail, "free some space, or give yourself write access")


def _mail(workspace: Workspace) -> str:
    smtp = workspace.settings.smtp
    if smtp is None:
        return "none configured: notify cannot send"
    where = f"{smtp.host}:{smtp.port}"
    try:
        with socket.create_connection((smtp.host, smtp.port), timeout=smtp.timeout.total_seconds()):
            return f"{where} answers"
    except OSError as error:
        raise LiftlockError(f"{where}: {error}") from error


def _login(smtp: SmtpSettings) -> str:
    from liftlock.adapters.mail_password import mail_password
    from liftlock.adapters.smtp import SmtpMailer

    SmtpMailer(smtp, mail_password(smtp, os.environ))
    return f"as {smtp.username}" if smtp.username else "none"


def _channels(workspace: Workspace, fleet_name: str | None) -> Iterator[Finding]:
    """Whether every channel has what it needs, and every channel that a contact names is there. Nothing is called."""
    from liftlock.adapters.channels import look

    try:
        settings = workspace.settings
    except LiftlockError:
        return  # the findings above already say so
    if (smtp := settings.smtp) is not None and (smtp.username or smtp.ca_file):
        yield _try("mail login", lambda: _login(smtp), "correct smtp in liftlock.yaml, or set LIFTLOCK_SMTP_PASSWORD")
    for name, channel in settings.channels.items():
        subject = f"channel {name}"
        yield _try(subject, lambda: look(name, channel, os.environ), "docs/channels.md says what it needs")  # noqa: B023
    try:
        fleet = workspace.fleet(fleet_name)
    except LiftlockError:
        return
    for customer in fleet.customers.values():
        for one in customer.contacts:
            if one.channel and one.channel not in settings.channels:
                detail = f"its contact {one.name} names channel `{one.channel}`, which liftlock.yaml lacks"
                yield Finding(f"customer {customer.name}", False, detail, "add it to channels, or correct the contact")


def _hosts(workspace: Workspace, fleet_name: str | None) -> Iterator[Finding]:
    products = files.list_products(workspace.root)
    try:
        fleet = workspace.fleet(fleet_name)
        product = workspace.catalogue(products[0]).product if products else None
    except LiftlockError:
        return  # the findings above already say so
    if product is None:
        return
    try:
        observations = workspace.observe(product, fleet.hosts)
    except InputError as error:
        yield Finding("hosts", False, str(error), "correct that, then look again")
        return
    for name, seen in observations.items():
        if not seen.reachable:
            yield Finding(
                f"host {name}", False, f"{seen.cause}: {seen.detail}", _REMEDIES.get(seen.cause, "look at it")
            )
        elif seen.missing_tools:
            missing = ", ".join(seen.missing_tools)
            yield Finding(f"host {name}", False, f"lacks {missing}", f"install {missing} on it")
        else:
            state = {True: "healthy", False: "not healthy", None: "health unknown"}[seen.healthy]
            detail = (
                f"{product.name} {seen.installed or 'not installed'}, {state}{f' ({seen.cause})' if seen.cause else ''}"
            )
            well = seen.healthy is not False and not seen.cause
            yield Finding(f"host {name}", well, detail, suggestion(seen.cause) or f"look at {product.name} on it")


_MAIL_REMEDY = "start the mail server if it is down; else correct smtp.host and smtp.port in liftlock.yaml"
_REMEDIES = {
    "host key unknown": "run: liftlock trust",
    "host key changed": "find out why; if it is right, run: liftlock trust --replace",
    "connection refused": "start its ssh server, or correct its address and port",
}
