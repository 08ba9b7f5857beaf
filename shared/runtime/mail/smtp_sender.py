"""Handing a message to a mail server, within a bounded time. Any failure is one exception that says why."""

from __future__ import annotations

import smtplib
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from email.message import EmailMessage
from typing import Any, Final

from shared.runtime.mail.mail_addresses import Encryption, SmtpServer
from shared.runtime.text.printable import printable

STEP_SECONDS: Final = 20.0
"""How long the server may take for a step: to connect, to answer, to take a part of the message."""
MOST_SECONDS: Final = 90.0
"""How long it may take for all of it: a server that sends a byte now and then would never be done with."""
MAX_REASON: Final = 300


class NotSent(Exception):
    """The message was not taken by the server, or it is not known to be. Its text says why, on one line."""


class _PlainConnection(smtplib.SMTP):
    """One that is known before its constructor connects, so that it can be cut then, too."""

    def __init__(self, watch: Callable[[smtplib.SMTP], None], **given: Any) -> None:
        watch(self)
        super().__init__(**given)


class _EncryptedConnection(smtplib.SMTP_SSL):
    """The same, encrypted from the first byte on."""

    def __init__(self, watch: Callable[[smtplib.SMTP], None], **given: Any) -> None:
        watch(self)
        super().__init__(**given)


class SmtpSender:
    """Sends messages to one server. `interrupt` ends what is being sent; its thread gets NotSent.

    Certificates are verified. Use from one thread, but for `interrupt`.
    """

    def __init__(
        self, server: SmtpServer, *, step_seconds: float = STEP_SECONDS, most_seconds: float = MOST_SECONDS
    ) -> None:
        self._server = server
        self._step_seconds = step_seconds
        self._most_seconds = most_seconds
        self._connection: smtplib.SMTP | None = None
        self._stopping = False

    def send(self, message: EmailMessage, sender: str, recipients: Sequence[str]) -> dict[str, str]:
        """Send a message; the recipients that the server refused, and why, where it took it for others.

        Raises NotSent where it was taken for nobody.
        """
        if self._stopping:
            raise NotSent("it is being stopped")
        watchdog = threading.Timer(self._most_seconds, self._cut)
        watchdog.daemon = True
        watchdog.start()
        try:
            connection = self._connected()
            try:
                refused = connection.send_message(message, sender, list(recipients))
                with suppress(smtplib.SMTPException, OSError):
                    connection.quit()  # it has the message: how it says goodbye changes nothing
            finally:
                connection.close()
            return {address: _line(_reply(code, text)) for address, (code, text) in refused.items()}
        except smtplib.SMTPRecipientsRefused as error:
            reasons = "; ".join(f"{address}: {_reply(*why)}" for address, why in error.recipients.items())
            raise NotSent(_line(f"the mail server takes it for nobody: {reasons}")) from error
        except smtplib.SMTPResponseException as error:
            raise NotSent(_line(f"the mail server refuses: {_reply(error.smtp_code, error.smtp_error)}")) from error
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise NotSent(_line(f"{type(error).__name__}: {error}")) from error
        finally:
            watchdog.cancel()
            self._connection = None

    def interrupt(self) -> None:
        """Send nothing any more."""
        self._stopping = True
        self._cut()

    def _connected(self) -> smtplib.SMTP:
        server, context = self._server, ssl.create_default_context()
        # Looked up by name it could take minutes; no server needs it.
        name = socket.gethostname()
        given: dict[str, Any] = {
            "host": server.host,
            "port": server.port,
            "timeout": self._step_seconds,
            "local_hostname": name if name.isascii() and name else "localhost",
        }
        if server.encryption is Encryption.TLS:
            connection: smtplib.SMTP = _EncryptedConnection(self._watch, context=context, **given)
        else:
            connection = _PlainConnection(self._watch, **given)
        try:
            if server.encryption is Encryption.STARTTLS:
                connection.starttls(context=context)
            if server.user is not None and server.password is not None:
                connection.login(server.user, server.password)
        except BaseException:
            connection.close()
            raise
        return connection

    def _watch(self, connection: smtplib.SMTP) -> None:
        self._connection = connection

    def _cut(self) -> None:
        connection = self._connection
        if connection is not None and connection.sock is not None:
            with suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)


def _reply(code: int, text: bytes | str) -> str:
    return f"{code} {text.decode('utf-8', 'replace') if isinstance(text, bytes) else text}"


def _line(text: str) -> str:
    return printable(" ".join(text.split()))[:MAX_REASON]
