"""Where the mail server's password comes from: the environment, else the system's keyring; never a file of ours."""

from __future__ import annotations

from collections.abc import Mapping

from liftlock.errors import InputError
from liftlock.settings import SmtpSettings

VARIABLE = "LIFTLOCK_SMTP_PASSWORD"


def mail_password(smtp: SmtpSettings, environ: Mapping[str, str]) -> str | None:
    """The password of `smtp.username`, None where there is no such user or nobody knows it.

    Raises InputError when the settings name a keyring that cannot be asked or does not hold it.
    """
    if smtp.username is None:
        return None
    if given := environ.get(VARIABLE):
        return given
    return _from_keyring(smtp.keyring, smtp.username) if smtp.keyring else None


def _from_keyring(service: str, username: str) -> str:
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        raise InputError(
            f"smtp.keyring: the library is not installed: run pip install 'liftlock[keyring]', or set {VARIABLE}"
        ) from None
    try:
        password: str | None = keyring.get_password(service, username)
    except KeyringError as error:
        raise InputError(f"smtp.keyring: the keyring cannot be read: {error}") from None
    if not password:
        raise InputError(f"smtp.keyring: it holds no password: run keyring set {service} {username}")
    return password
