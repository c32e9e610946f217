"""The workspace's settings file, `liftlock.yaml`: how this vendor reaches hosts, customers and the record."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path

from liftlock.model import Policy


@dataclass(frozen=True, slots=True)
class SshSettings:
    """How hosts are reached; paths are absolute once read. The user's own ssh configuration is never read."""

    key: Path
    known_hosts: Path
    user: str | None = None
    connect_timeout: timedelta = timedelta(seconds=10)
    phase_timeout: timedelta = timedelta(minutes=30)


class MailSecurity(StrEnum):
    """How the conversation with the mail server is protected; credentials are refused over `none`."""

    NONE = "none"
    STARTTLS = "starttls"
    TLS = "tls"


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """The mail server; the password comes from the environment (`LIFTLOCK_SMTP_PASSWORD`), never from a file."""

    host: str
    sender: str
    port: int = 587
    security: MailSecurity = MailSecurity.STARTTLS
    username: str | None = None
    timeout: timedelta = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Vendor:
    """Who customers are told to call."""

    name: str = "Your vendor"
    email: str = ""
    phone: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything `liftlock.yaml` says; `ledger` is an SQLAlchemy URL."""

    ledger: str
    ssh: SshSettings
    vendor: Vendor = field(default_factory=Vendor)
    smtp: SmtpSettings | None = None
    policy: Policy = field(default_factory=Policy)
