"""Addresses as settings give them: the server that mail is handed to, and the people who get it. Strictly read."""

from __future__ import annotations

import re
from enum import Enum
from ipaddress import ip_address
from typing import Annotated, Final, NamedTuple
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, SecretStr

MOST_RECIPIENTS: Final = 50
_LONGEST: Final = 254
_ADDRESS: Final = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*",
    re.ASCII,
)
_LIKE: Final = "smtp://user:password@host:587?starttls or smtps://user:password@host"


class Encryption(Enum):
    """How the way to the server is encrypted: not at all, from STARTTLS on, or from the first byte on."""

    NONE = "none"
    STARTTLS = "starttls"
    TLS = "tls"


_PORTS: Final = {Encryption.NONE: 25, Encryption.STARTTLS: 587, Encryption.TLS: 465}


class SmtpServer(NamedTuple):
    """A server that takes mail. Without a user it takes it from anybody who reaches it."""

    host: str
    port: int
    encryption: Encryption
    user: str | None
    password: str | None


def read_smtp_url(text: str) -> SmtpServer:
    """Read a server's address. Raises ValueError, whose text never has the password."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(f"an address of a mail server is like {_LIKE}") from None
    if parts.scheme not in {"smtp", "smtps"} or not parts.hostname or parts.path not in {"", "/"} or parts.fragment:
        raise ValueError(f"an address of a mail server is like {_LIKE}")
    if parts.query not in {"", "starttls"} or (parts.query and parts.scheme == "smtps"):
        raise ValueError("after the '?' of smtp:// may be 'starttls', and nothing after smtps://, which is encrypted")
    if port == 0 or any(not each.isprintable() or each.isspace() for each in parts.hostname):
        raise ValueError(f"an address of a mail server is like {_LIKE}")
    user = None if parts.username is None else unquote(parts.username)
    password = None if parts.password is None else unquote(parts.password)
    if (user is None) != (password is None) or user == "" or not f"{user}{password}".isprintable():
        raise ValueError("a user of a mail server has a name and a password, both percent-encoded")
    if not f"{user}{password}".isascii():
        raise ValueError("a mail server takes a user and a password of ASCII characters alone")
    encryption = Encryption.TLS if parts.scheme == "smtps" else Encryption.NONE
    if parts.query:
        encryption = Encryption.STARTTLS
    if user is not None and encryption is Encryption.NONE and not _is_here(parts.hostname):
        raise ValueError("a password goes to another machine only encrypted: add '?starttls', or write smtps://")
    return SmtpServer(parts.hostname, _PORTS[encryption] if port is None else port, encryption, user, password)


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def read_mail_addresses(text: str) -> tuple[str, ...]:
    """Read addresses with commas between them; none where the text is empty. Raises ValueError."""
    if not text.strip():
        return ()
    found = tuple(each.strip() for each in text.split(","))
    for each in found:
        if len(each) > _LONGEST or not _ADDRESS.fullmatch(each):
            raise ValueError(f"{each[:_LONGEST]!r} is no mail address such as purchasing@example.com")
    if len(found) > MOST_RECIPIENTS:
        raise ValueError(f"more than {MOST_RECIPIENTS} addresses: give that of a mailing list")
    if len({each.lower() for each in found}) < len(found):
        raise ValueError("an address stands there twice")
    return found


def _smtp_url(secret: SecretStr) -> SecretStr:
    read_smtp_url(secret.get_secret_value())
    return secret


def _one_address(text: str) -> str:
    if len(read_mail_addresses(text)) != 1:
        raise ValueError("one mail address, such as larder@example.com")
    return text.strip()


def _addresses(text: str) -> str:
    read_mail_addresses(text)
    return text


SmtpUrl = Annotated[SecretStr, AfterValidator(_smtp_url)]
"""The mail server: `smtp://host:port`, `smtp://user:password@host?starttls` or `smtps://user:password@host`."""

MailAddress = Annotated[str, AfterValidator(_one_address)]
"""One mail address."""

MailAddresses = Annotated[str, AfterValidator(_addresses)]
"""Mail addresses, with commas between them."""
