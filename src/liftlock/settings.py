"""The workspace's settings file, `liftlock.yaml`: how this vendor reaches hosts, customers and the record."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, Strict, model_validator

from liftlock.document import Shape, read
from liftlock.fields import (
    Address,
    Count,
    Email,
    Flag,
    Length,
    Line,
    Name,
    Port,
    Sender,
    ShortLine,
    Span,
    User,
    Variable,
)
from liftlock.model import ApprovalRule, Policy, ReleaseKind, RollbackScope


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
    """The mail server; the password comes from the environment (`LIFTLOCK_SMTP_PASSWORD`) or a keyring, never a file.

    `keyring` names the service in the system's keyring that holds the password, `ca_file` the authorities that are
    trusted instead of the system's. All letters of one run together wait `retry_for` at most for a server that is busy.
    """

    host: str
    sender: str
    port: int = 587
    security: MailSecurity = MailSecurity.STARTTLS
    username: str | None = None
    timeout: timedelta = timedelta(seconds=30)
    ca_file: Path | None = None
    keyring: str | None = None
    retry_for: timedelta = timedelta(minutes=2)


class ChannelKind(StrEnum):
    """The service behind a channel's webhook; `signed` is any that checks our signature."""

    WECOM = "wecom"
    DINGTALK = "dingtalk"
    FEISHU = "feishu"
    SLACK = "slack"
    TEAMS = "teams"
    SIGNED = "signed"


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """One room that letters may go to; `url_env` and `secret_env` name the environment variables that hold its secrets.

    `timeout` is for one request as a whole; the rest as for the mail server.
    """

    kind: ChannelKind
    url_env: str
    secret_env: str | None = None
    ca_file: Path | None = None
    timeout: timedelta = timedelta(seconds=15)
    retry_for: timedelta = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Desk:
    """Where customers of a tier write and call."""

    email: str = ""
    phone: str = ""


@dataclass(frozen=True, slots=True)
class Vendor:
    """Who customers are told to call, by tier where `support` names one, and the vendor's own people.

    `release_managers` are mail addresses; what they are told is in `language`.
    """

    name: str = "Your vendor"
    email: str = ""
    phone: str = ""
    support: Mapping[str, Desk] = field(default_factory=dict)
    release_managers: tuple[str, ...] = ()
    language: str = "en"

    def desk(self, tier: str) -> Desk:
        """Where customers of this tier turn to; what its own desk does not name is everybody's."""
        own = self.support.get(tier, Desk())
        return Desk(own.email or self.email, own.phone or self.phone)


class Ambiguous(StrEnum):
    """What becomes of a letter that may or may not have arrived: a person decides, or it is one or the other."""

    ASK = "ask"
    RESEND = "resend"
    ASSUME_SENT = "assume_sent"


@dataclass(frozen=True, slots=True)
class NoticeSettings:
    """How long before their first window customers are reminded, and what is done about ambiguous letters."""

    remind_before: timedelta = timedelta(hours=24)
    ambiguous: Ambiguous = Ambiguous.ASK


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything `liftlock.yaml` says; `ledger` is an SQLAlchemy URL."""

    ledger: str
    ssh: SshSettings
    vendor: Vendor = field(default_factory=Vendor)
    smtp: SmtpSettings | None = None
    policy: Policy = field(default_factory=Policy)
    notices: NoticeSettings = field(default_factory=NoticeSettings)
    channels: Mapping[str, ChannelSettings] = field(default_factory=dict)


_POLICY = Policy()
_SIGNING = (ChannelKind.SIGNED, ChannelKind.DINGTALK, ChannelKind.FEISHU)
_SQLITE = "sqlite:///"


def _ledger_url(url: str) -> str:
    if not re.match(r"sqlite:///(?!:memory:)[^?]|postgresql(\+\w+)?://.", url):
        raise ValueError("must be sqlite:///<file> or postgresql://<user>@<host>/<database>")
    return url


def _wave(value: object) -> str:
    text = str(value) if type(value) is int else value
    if not isinstance(text, str) or not re.fullmatch(r"[1-9]\d{0,6}|([1-9]\d?|100)%|evidence", text, re.ASCII):
        raise ValueError(
            "must be a number of hosts such as 1, or a share such as `25%`, more than none and up to `100%`"
        )
    return text


def _by_evidence(value: object) -> object:
    return ["evidence"] if value == "evidence" else value


def _percent(value: object) -> int:
    found = re.fullmatch(r"([1-9]\d?)%", value, re.ASCII) if isinstance(value, str) else None
    if not found:
        raise ValueError("must be a percentage from `1%` to `99%`")
    return int(found[1])


def _reaching_all(waves: list[str]) -> list[str]:
    if waves == ["evidence"]:
        return waves
    if "evidence" in waves:
        raise ValueError("`evidence` stands alone: it sizes every wave")
    if waves[-1:] != ["100%"]:
        raise ValueError("the last wave must be `100%`, every host of the plan")
    return waves


_Waves = Annotated[
    list[Annotated[str, BeforeValidator(_wave)]], BeforeValidator(_by_evidence), AfterValidator(_reaching_all)
]
_Percent = Annotated[int, BeforeValidator(_percent)]


class _Ssh(Shape):
    key: Line = "~/.ssh/id_ed25519"
    known_hosts: Line = ".liftlock/known_hosts"
    user: User | None = None
    connect_timeout: Length = timedelta(seconds=10)
    phase_timeout: Length = timedelta(minutes=30)


class _Desk(Shape):
    email: Email | None = None
    phone: ShortLine | None = None


class _Vendor(Shape):
    name: ShortLine = "Your vendor"
    email: Email | None = None
    phone: ShortLine | None = None
    support: dict[Name, _Desk] = Field(default_factory=dict)
    release_managers: list[Email] = Field(default_factory=list)
    language: Literal["en", "zh-CN"] = "en"


class _Notices(Shape):
    remind_before: Span = NoticeSettings().remind_before
    ambiguous: Ambiguous = Ambiguous.ASK


class _Smtp(Shape):
    host: Address
    sender: Sender
    port: Port = 587
    security: MailSecurity = MailSecurity.STARTTLS
    username: Line | None = None
    timeout: Length = timedelta(seconds=30)
    ca_file: Line | None = None
    keyring: Line | None = None
    retry_for: Span = timedelta(minutes=2)

    @model_validator(mode="after")
    def _no_open_credentials(self) -> Self:
        if self.username is not None and self.security is MailSecurity.NONE:
            raise ValueError("a username needs `security: starttls` or `tls`: a password must not travel in the open")
        if self.ca_file is not None and self.security is MailSecurity.NONE:
            raise ValueError("a `ca_file` needs `security: starttls` or `tls`: without them nothing is verified")
        return self


class _Channel(Shape):
    kind: ChannelKind
    url_env: Variable
    secret_env: Variable | None = None
    ca_file: Line | None = None
    timeout: Length = timedelta(seconds=15)
    retry_for: Span = timedelta(minutes=2)

    @model_validator(mode="after")
    def _secret_where_there_is_one(self) -> Self:
        if self.kind is ChannelKind.SIGNED and self.secret_env is None:
            raise ValueError("`kind: signed` needs a `secret_env`: what it signs with")
        if self.secret_env is not None and self.kind not in _SIGNING:
            raise ValueError(f"`kind: {self.kind}` knows no secret beside its address: leave `secret_env` out")
        return self


class _Approval(Shape):
    kinds: list[ReleaseKind] = Field(default_factory=list)
    over_hosts: Annotated[int, Strict(), Field(ge=0)] = 0
    approvers: Count = 1


class _Policy(Shape):
    target_percent: Annotated[int, Strict(), Field(ge=1, le=100)] = _POLICY.target_percent
    waves: _Waves = Field(default_factory=lambda: list(_POLICY.waves))
    risk: _Percent = _POLICY.risk_percent
    bake: Span = _POLICY.bake
    watch_every: Length = _POLICY.watch_every
    concurrency: Count = _POLICY.concurrency
    rollback: RollbackScope = _POLICY.rollback
    max_failures: Annotated[int, Strict(), Field(ge=0)] | None = None
    max_attempts: Count = _POLICY.max_attempts
    reconcile_within: Span = _POLICY.reconcile_within
    notice_lead: dict[ReleaseKind, Span] = Field(default_factory=dict)
    notice_lead_by_tier: dict[Name, dict[ReleaseKind, Span]] = Field(default_factory=dict)
    site_at_once: Count | None = None
    customer_at_once: Count | None = None
    approvals: list[_Approval] = Field(default_factory=list)
    gates_after: Flag = _POLICY.gates_after
    progress_within: Length = _POLICY.progress_within
    max_per_cause: Annotated[int, Strict(), Field(ge=0)] | None = None
    drill: Flag = _POLICY.drill


class _Settings(Shape):
    ledger: Annotated[Line, AfterValidator(_ledger_url)] = "sqlite:///.liftlock/ledger.db"
    ssh: _Ssh = _Ssh()
    vendor: _Vendor = _Vendor()
    smtp: _Smtp | None = None
    policy: _Policy = _Policy()
    notices: _Notices = _Notices()
    channels: dict[Name, _Channel] = Field(default_factory=dict)


def read_settings(text: str, file: str, workspace: Path) -> Settings:
    """The settings that `liftlock.yaml` declares; everything is optional, and an empty text gives the defaults.

    `workspace` is absolute: relative paths are taken from it, and `~` is the operator's home. A notice lead
    that is not given keeps its default. Raises InputError with every problem and its place.
    """
    shape = read(text, file, _Settings, empty_ok=True)
    ssh, policy = shape.ssh, shape.policy
    return Settings(
        ledger=_in_workspace(shape.ledger, workspace),
        ssh=SshSettings(
            key=_absolute(ssh.key, workspace),
            known_hosts=_absolute(ssh.known_hosts, workspace),
            user=ssh.user,
            connect_timeout=ssh.connect_timeout,
            phase_timeout=ssh.phase_timeout,
        ),
        vendor=_vendor(shape.vendor),
        smtp=SmtpSettings(**_with_ca(shape.smtp, workspace)) if shape.smtp else None,
        policy=Policy(
            **policy.model_dump(exclude={"waves", "risk", "notice_lead", "approvals"}),
            waves=tuple(policy.waves),
            risk_percent=policy.risk,
            notice_lead={**_POLICY.notice_lead, **policy.notice_lead},
            approvals=tuple(
                ApprovalRule(tuple(rule.kinds), rule.over_hosts, rule.approvers) for rule in policy.approvals
            ),
        ),
        notices=NoticeSettings(shape.notices.remind_before, shape.notices.ambiguous),
        channels={name: ChannelSettings(**_with_ca(each, workspace)) for name, each in shape.channels.items()},
    )


def _vendor(shape: _Vendor) -> Vendor:
    return Vendor(
        name=shape.name,
        email=shape.email or "",
        phone=shape.phone or "",
        support={tier: Desk(desk.email or "", desk.phone or "") for tier, desk in shape.support.items()},
        release_managers=tuple(shape.release_managers),
        language=shape.language,
    )


def _with_ca(shape: _Smtp | _Channel, workspace: Path) -> dict[str, Any]:
    """The fields of a shape, its `ca_file` as a path."""
    return {**dict(shape), "ca_file": _absolute(shape.ca_file, workspace) if shape.ca_file else None}


def _absolute(path: str, workspace: Path) -> Path:
    return Path(path).expanduser() if path.startswith("~/") else workspace / path


def _in_workspace(url: str, workspace: Path) -> str:
    """An SQLite URL with its file's path made absolute; any other URL as it is."""
    if not url.startswith(_SQLITE):
        return url
    path, mark, query = url.removeprefix(_SQLITE).partition("?")
    return f"{_SQLITE}{_absolute(path, workspace)}{mark}{query}"
