"""The one Mailer: each letter goes by mail or into the room that its recipient names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from datetime import timedelta
from ipaddress import ip_address
from typing import Protocol
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # typeshed lacks it

from liftlock.adapters.channels import dingtalk, feishu, signed, slack, teams, wecom
from liftlock.adapters.channels.base import Service, Webhook
from liftlock.adapters.channels.room import Room
from liftlock.adapters.mail_password import mail_password
from liftlock.adapters.patience import Patience
from liftlock.adapters.smtp import SmtpMailer
from liftlock.adapters.trusted import trust
from liftlock.errors import InputError
from liftlock.model import Contact, NoticeState
from liftlock.notice import Delivery, Letter
from liftlock.settings import ChannelKind, ChannelSettings, Settings, SmtpSettings
from liftlock.wording import did_you_mean

_SERVICES: dict[ChannelKind, Service] = {
    ChannelKind.WECOM: wecom,
    ChannelKind.DINGTALK: dingtalk,
    ChannelKind.FEISHU: feishu,
    ChannelKind.SLACK: slack,
    ChannelKind.TEAMS: teams,
    ChannelKind.SIGNED: signed,
}
_MAIL = ""
"""The way of letters whose recipient names no channel."""


class Carrier(Protocol):
    """One run's way for letters."""

    def deliver(self, letter: Letter) -> Delivery:
        """Send one letter and say what became of it."""
        ...

    def close(self) -> None:
        """The run is over."""
        ...


Way = Callable[[], Carrier]


class Post:
    """The Mailer over several ways, by the name of a channel."""

    def __init__(self, ways: Mapping[str, Way]) -> None:
        self._ways = ways

    def send(self, letters: Iterable[Letter]) -> Iterator[Delivery]:
        """Send each letter once, in order, and say what became of it before the next one is taken.

        Never raises for a letter: one whose way is not there is `refused`.
        """
        with ExitStack() as open_ways:
            begun: dict[str, Carrier] = {}
            for letter in letters:
                name = letter.recipient.channel
                if name not in self._ways:
                    yield Delivery(
                        letter.message_id, NoticeState.REFUSED, f"there is no way to {letter.recipient.recipient}"
                    )
                    continue
                if name not in begun:
                    begun[name] = open_ways.enter_context(closing(self._ways[name]()))
                yield begun[name].deliver(letter)


def open_mailer(
    settings: Settings,
    environ: Mapping[str, str],
    recipients: Iterable[Contact],
    pause: timedelta = timedelta(seconds=2),
) -> Post:
    """The Mailer for letters to these recipients; secrets come from `environ`, or a keyring for the mail server's.

    `pause` is how long the first retry waits at most. Raises InputError with everything that is missing for one of the
    recipients, before any letter is sent.
    """
    ways: dict[str, Way] = {}
    problems = []
    for name in dict.fromkeys(contact.channel for contact in recipients):
        try:
            ways[name] = (
                _mail(settings.smtp, environ, pause) if name == _MAIL else _room(name, settings, environ, pause)
            )
        except InputError as error:
            problems.append(str(error))
    if problems:
        raise InputError("\n".join(problems))
    return Post(ways)


def look(name: str, channel: ChannelSettings, environ: Mapping[str, str]) -> str:
    """What a channel is, when all that it needs is there; nothing is sent. Raises InputError when something is not."""
    _webhook(name, channel, environ)
    trust(channel.ca_file, f"channels.{name}.ca_file")
    names = [variable for variable in (channel.url_env, channel.secret_env) if variable]
    return f"{channel.kind}, {' and '.join(names)} {'is' if len(names) == 1 else 'are'} set"


def _mail(smtp: SmtpSettings | None, environ: Mapping[str, str], pause: timedelta) -> Way:
    if smtp is None:
        raise InputError("liftlock.yaml names no mail server: add smtp: {host: ..., sender: ...}")
    return SmtpMailer(smtp, mail_password(smtp, environ), pause).conversation


def _room(name: str, settings: Settings, environ: Mapping[str, str], pause: timedelta) -> Way:
    if name not in settings.channels:
        raise InputError(f"liftlock.yaml has no channel `{name}`{did_you_mean(name, settings.channels)}")
    channel = settings.channels[name]
    webhook = _webhook(name, channel, environ)
    trusted = trust(channel.ca_file, f"channels.{name}.ca_file")
    return lambda: Room(
        _SERVICES[channel.kind],
        webhook,
        trust=trusted,
        timeout=channel.timeout,
        patience=Patience(channel.retry_for, pause),
        proxy=_proxy(webhook.url, environ),
    )


def _webhook(name: str, channel: ChannelSettings, environ: Mapping[str, str]) -> Webhook:
    """Raises InputError, without its value, for a variable that is missing or wrong."""
    found = {}
    for variable in (channel.url_env, channel.secret_env):
        if variable and not environ.get(variable, "").strip():
            raise InputError(f"channel {name}: set {variable} in the environment")
        found[variable] = environ.get(variable or "", "").strip()
    if why := _unusable(found[channel.url_env]):
        raise InputError(f"channel {name}: the address in {channel.url_env} {why}")
    return Webhook(found[channel.url_env], found[channel.secret_env] if channel.secret_env else "")


def _unusable(url: str) -> str:
    """Why an address cannot be posted to; empty when it can."""
    if not re.fullmatch(r"[!-~]+", url):
        return "holds spaces or letters beyond ASCII"
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return "is not an address"
    if not host or "@" in parts.netloc:
        return "must be https://HOST/... without a user name"
    if parts.scheme != "https" and not (parts.scheme == "http" and _on_this_machine(host)):
        return "must begin with https://: it is a secret, and so is the letter"
    return ""


def _on_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _proxy(url: str, environ: Mapping[str, str]) -> str:
    """The proxy on the way to an address, by the usual variables."""
    host = urlsplit(url).hostname or ""
    spared = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    if _on_this_machine(host) or proxy_bypass_environment(host, {"no": spared}):
        return ""
    return environ.get("https_proxy") or environ.get("HTTPS_PROXY") or ""
