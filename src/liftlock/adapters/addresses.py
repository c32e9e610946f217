"""Mail addresses and lines that are safe in a header."""

from __future__ import annotations

from email.headerregistry import Address
from email.utils import parseaddr

from liftlock.errors import InputError
from liftlock.fields import LONGEST_NAME

_BREAKS = "\r\n\0\v\f\x1c\x1d\x1e\x85\u2028\u2029"


def mail_address(name: str, email: str) -> Address:
    """A mail address that is safe in a header. Raises InputError when it is not one, or carries a line break."""
    one_line(name, "the name of a contact")
    one_line(email, "an address")
    if len(name) > LONGEST_NAME:
        raise InputError(f"the name of a contact has {len(name)} characters, {LONGEST_NAME} at most: {name[:40]!r}...")
    try:
        address = Address(display_name=name, addr_spec=email)
    except (ValueError, IndexError) as error:
        raise InputError(f"{email!r} is not a mail address") from error
    if not (address.username and address.domain and email.isascii()):
        raise InputError(f"{email!r} is not a mail address")
    return address


def sender_address(sender: str) -> Address:
    """The address letters come from, as the settings write it. Raises InputError when it is not one."""
    return mail_address(*parseaddr(one_line(sender, "the sender")))


def one_line(text: str, what: str) -> str:
    """The text, if it has no line break. Raises InputError, saying `what` it is, otherwise."""
    if any(character in text for character in _BREAKS):
        raise InputError(f"{what} contains a line break: {text[:200]!r}")
    return text
