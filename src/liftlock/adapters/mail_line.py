"""The connection to the mail server: made when first needed, made anew after it dropped, given up when it is no use."""

from __future__ import annotations

import smtplib
import socket
import ssl
from contextlib import suppress

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_base

from liftlock.adapters.trusted import distrust
from liftlock.settings import MailSecurity, SmtpSettings

_CONNECTS = 3
_BREAKS = 5
"""So often in a row may the connection break before letters stop trying: each may have waited for a whole timeout."""


class NoServiceError(Exception):
    """The server cannot be used at all."""


class _NoServiceNowError(NoServiceError):
    """The server cannot be used, but a little later it may."""


class Line:
    """One conversation with the server of the settings; `trust` is None where nothing is protected."""

    def __init__(
        self, settings: SmtpSettings, password: str | None, trust: ssl.SSLContext | None, pauses: wait_base
    ) -> None:
        self._settings = settings
        self._password = password
        self._pauses = pauses
        self._trust = trust
        self._smtp: smtplib.SMTP | None = None
        self._breaks = 0
        self.out_of_service = ""
        """Why the server is not tried any more; empty while it is."""

    def open(self) -> smtplib.SMTP:
        """The living connection. Raises NoServiceError, from the first failure on without trying again."""
        if self.out_of_service:
            raise NoServiceError(self.out_of_service)
        if self._smtp is None:
            try_few_times = Retrying(
                stop=stop_after_attempt(_CONNECTS),
                wait=self._pauses,
                retry=retry_if_exception_type(_NoServiceNowError),
                reraise=True,
            )
            try:
                self._smtp = try_few_times(self._connect)
            except NoServiceError as error:
                self.out_of_service = str(error)
                raise
        return self._smtp

    def reset(self) -> None:
        """Forget the letter that was not taken; the next one starts clean."""
        if self._smtp is not None:
            try:
                self._smtp.rset()
            except OSError:
                self.drop()

    def answered(self) -> None:
        """The server settled a letter, so its breaks do not count any more."""
        self._breaks = 0

    def broke(self, why: str) -> None:
        """Give up a connection that broke in the middle of a letter."""
        self.drop()
        self._breaks += 1
        if self._breaks == _BREAKS:
            self.out_of_service = f"the connection broke {_BREAKS} times in a row: {why}"

    def drop(self) -> None:
        """Let go of the connection."""
        if self._smtp is not None:
            self._smtp.close()
        self._smtp = None

    def close(self) -> None:
        """Say goodbye, where someone still listens."""
        if self._smtp is not None:
            with suppress(OSError):
                self._smtp.quit()
        self.drop()

    def _connect(self) -> smtplib.SMTP:
        where = f"{self._settings.host}:{self._settings.port}"
        try:
            return self._dial()
        except ssl.SSLError as error:
            raise NoServiceError(f"{where}: {distrust(error)}") from None
        except smtplib.SMTPAuthenticationError as error:
            # The server's own words may repeat what it was sent, so they are left out.
            later = error.smtp_code // 100 == 4
            raise (_NoServiceNowError if later else NoServiceError)(
                f"{where} refuses the credentials ({error.smtp_code})"
            ) from None
        except smtplib.SMTPNotSupportedError as error:
            raise NoServiceError(f"{where}: {error}") from None
        except OSError as error:
            raise _NoServiceNowError(f"cannot connect to {where}: {error}") from None

    def _dial(self) -> smtplib.SMTP:
        settings = self._settings
        timeout = settings.timeout.total_seconds()
        smtp: smtplib.SMTP
        if settings.security is MailSecurity.TLS:
            smtp = smtplib.SMTP_SSL(settings.host, settings.port, timeout=timeout, context=self._trust)
        else:
            smtp = smtplib.SMTP(settings.host, settings.port, timeout=timeout)
        try:
            if settings.security is MailSecurity.STARTTLS:
                smtp.starttls(context=self._trust)
            smtp.ehlo_or_helo_if_needed()
            if settings.username is not None and self._password is not None:
                smtp.login(settings.username, self._password)
            # A letter's end is a send of its own, which must not wait for the server's delayed ACK.
            assert smtp.sock is not None
            smtp.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            smtp.close()
            raise
        return smtp
