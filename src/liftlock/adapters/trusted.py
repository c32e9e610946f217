"""Which certificates a server may show: the system's authorities vouch for it, or those of a file."""

from __future__ import annotations

import ssl
from pathlib import Path

from liftlock.errors import InputError


def trust(ca_file: Path | None, setting: str) -> ssl.SSLContext:
    """A context that verifies certificate and host name.

    Raises InputError, naming `setting`, for a file that it cannot use.
    """
    try:
        return ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError:
        raise InputError(f"{setting}: {ca_file} is not a PEM file of certificates") from None
    except OSError as error:
        raise InputError(f"{setting}: cannot read {ca_file}: {error.strerror}") from None


def distrust(error: ssl.SSLError) -> str:
    """Why there is no protected connection, in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted: {error.verify_message}"
    return f"no TLS: {error.reason}"
