"""The kinds of values our files hold, each with its own refusal in plain words. Pure.

Used as annotations of the shapes that `document.read` checks. Patterns are strict on purpose: these values
end up in shell commands, mail headers, paths and pages.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from ipaddress import ip_address
from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

from packaging.version import InvalidVersion
from packaging.version import Version as ParsedVersion
from pydantic import AfterValidator, BeforeValidator, Field, Strict

from liftlock.wording import did_you_mean

LONGEST_NAME = 200
"""How many characters somebody's or something's name may have: headers and pages must have room for it."""
LONGEST_LINE = 2_000
LONGEST_SETTING = 10_000

_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SPAN = re.compile(r"(?=\d)(?:(\d{1,4})d)?(?:(\d{1,5})h)?(?:(\d{1,6})m(?!s))?(?:(\d{1,8})s)?(?:(\d{1,9})ms)?", re.ASCII)


def span(text: object) -> timedelta:
    """A length of time written as `200ms`, `90s`, `10m`, `2h`, `3d` or `1h30m`. Raises ValueError."""
    found = _SPAN.fullmatch(text) if isinstance(text, str) else None
    if not found:
        raise ValueError("must be a length of time such as 90s, 10m, 2h, 3d or 1h30m")
    days, hours, minutes, seconds, thousandths = (int(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds, milliseconds=thousandths)


def _lasting(length: timedelta) -> timedelta:
    if not length:
        raise ValueError("must be longer than zero")
    return length


def version(text: str) -> str:
    """`text` if it is a version that can be ordered without doubt (policy: `liftlock.manifest`). Raises ValueError."""
    try:
        parsed = ParsedVersion(text)
    except InvalidVersion:
        raise ValueError(f"`{text}` is not a version that can be ordered: use PEP 440, such as 4.2.1") from None
    if parsed.local is not None:
        raise ValueError(f"`{text}` is a local version: give the fix a number of its own, such as 4.2.1.1")
    if re.search(r"\d-\d", text):
        raise ValueError(f"`{text}` would be read as post-release {parsed}: write that, or another number")
    if not re.fullmatch(r"[0-9A-Za-z._-]+", text):
        raise ValueError(f"`{text}` must be of letters, digits, dots, dashes and underscores alone, without an epoch")
    return text


def _line(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty")
    if _BREAKS.search(text):
        raise ValueError("must be one line without control characters (fold long text with `>-`)")
    return text


_NO_ZONES = {"localtime", "posix", "posixrules", "right"}
"""What a machine keeps beside the zones of IANA: its own clock, and clocks that count leap seconds."""


@cache
def zone(name: str) -> str:
    """`name` if it is an IANA time zone. Raises ValueError, with the nearest name there is."""
    try:
        if name.split("/", maxsplit=1)[0] in _NO_ZONES:
            raise ValueError
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        near = did_you_mean(name, available_timezones() - _NO_ZONES)
        raise ValueError(f"`{name[:60]}` is not an IANA time zone such as Asia/Shanghai{near}") from None
    return name


def _address(text: str) -> str:
    if ":" in text or re.fullmatch(r"[0-9.]+", text):
        try:
            ip_address(text if re.fullmatch(r"[0-9A-Fa-f:.]+", text) else "")
        except ValueError:
            raise ValueError(f"`{text[:60]}` is not an IP address") from None
    elif not _HOSTNAME.fullmatch(text):
        raise ValueError(f"`{text[:60]}` is neither a host name nor an IP address")
    return text


def _base(text: str) -> str:
    if not _PATH.fullmatch(text) or {".", ".."} & set(text.split("/")):
        raise ValueError("must be an absolute path of letters, digits and `._+@-`, without `..` or a slash at its end")
    return text


def matching(pattern: str, words: str) -> Callable[[str], str]:
    """A check that refuses, with `words` for what would do, every text that `pattern` (ASCII) does not match whole."""
    match = re.compile(pattern, re.ASCII).fullmatch

    def check(text: str) -> str:
        if not match(text):
            raise ValueError(f"`{text[:60]}` must be {words}")
        return text

    return check


def _with_english(texts: dict[str, str]) -> dict[str, str]:
    if "en" not in texts:
        raise ValueError("needs at least `en`")
    return texts


# The check that browsers make, https://html.spec.whatwg.org/#valid-e-mail-address: one @, no space, no line break.
_email = matching(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*",
    "an e-mail address such as li.lei@example.com",
)


def _sender(text: str) -> str:
    named = re.fullmatch(r"[^<>]*<([^<>]*)>", text)
    _email(named[1] if named else text)
    return text


_HOSTNAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9][A-Za-z0-9_-]{0,62}(\.[A-Za-z0-9][A-Za-z0-9_-]{0,62})*", re.ASCII)
_PATH = re.compile(r"(/[A-Za-z0-9._+@-]+)+", re.ASCII)

Flag = Annotated[bool, Strict()]
Count = Annotated[int, Strict(), Field(ge=1)]
Port = Annotated[int, Strict(), Field(ge=1, le=65535)]
Span = Annotated[timedelta, BeforeValidator(span)]
Length = Annotated[Span, AfterValidator(_lasting)]
Line = Annotated[str, Field(max_length=LONGEST_LINE), AfterValidator(_line)]
"""One line of text that may stand in a mail header or a shell command: no CR, LF, NUL or other control character."""
ShortLine = Annotated[str, Field(max_length=LONGEST_NAME), AfterValidator(_line)]
"""A `Line` that somebody or something is called by."""
Setting = Annotated[
    str,
    Field(max_length=LONGEST_SETTING),
    BeforeValidator(lambda v: str(v) if type(v) is int else v),
    AfterValidator(_line),
]
"""A `Line` that may also be written as a bare whole number, and be as long as a key or a token."""
Version = Annotated[str, Field(max_length=100), AfterValidator(version)]
Zone = Annotated[str, AfterValidator(zone)]
Address = Annotated[str, AfterValidator(_address)]
Base = Annotated[str, Field(max_length=LONGEST_LINE), AfterValidator(_base)]
Name = Annotated[
    str, AfterValidator(matching(r"[a-z0-9][a-z0-9-]{0,62}", "1 to 63 lower-case letters, digits and dashes"))
]
HostName = Annotated[
    str, AfterValidator(matching(r"[a-z0-9][a-z0-9._-]{0,62}", "1 to 63 lower-case letters, digits, `.`, `_` and `-`"))
]
User = Annotated[
    str, AfterValidator(matching(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}", "a user name of letters, digits, `.`, `_` and `-`"))
]
Variable = Annotated[str, AfterValidator(matching(r"[A-Za-z_][A-Za-z0-9_]{0,62}", "a name of letters, digits and `_`"))]
Label = Annotated[
    str, AfterValidator(matching(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,62}", "a label of letters, digits and `._/-`"))
]
Sha256 = Annotated[
    str, AfterValidator(str.lower), AfterValidator(matching(r"[0-9a-f]{64}", "a sha256: 64 hexadecimal digits"))
]
Email = Annotated[str, Field(max_length=254), AfterValidator(_email)]
"""An e-mail address; as long as a mail server takes one (RFC 5321, 4.5.3.1.3)."""
Sender = Annotated[Line, AfterValidator(_sender)]
"""An e-mail address, with or without a name: `Boathouse <desk@example.com>`."""
Language = Annotated[
    str, AfterValidator(matching(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*", "a language such as `en` or `zh-CN`"))
]
Texts = Annotated[dict[Language, Line], AfterValidator(_with_english)]
"""A line by language, at least in `en`."""
ShortTexts = Annotated[dict[Language, ShortLine], AfterValidator(_with_english)]
"""A short line by language, at least in `en`."""
