"""Signatures of webhooks, as Standard Webhooks has them: HMAC-SHA256 over `id.timestamp.body`, one for each secret.

A secret is `whsec_` and the base64 of 24 to 64 random bytes. Both sides know it, so it is kept as it is: who can read
it can sign.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Final

from shared.runtime.clock import SECOND

PREFIX: Final = "whsec_"
SECRET_BYTES: Final = (24, 64)
NEW_SECRET_BYTES: Final = 32
TOLERANCE_SECONDS: Final = 300
HEADERS: Final = ("webhook-id", "webhook-timestamp", "webhook-signature")
_VERSION: Final = "v1,"
_TIMESTAMP: Final = re.compile(r"[0-9]{1,12}", re.ASCII)
_LONGEST_ID: Final = 256
_MOST_SIGNATURES: Final = 20
_LONGEST_SIGNATURES: Final = 4_096


class InvalidSignature(Exception):
    """A header is missing or cannot be read, or none of the signatures was made with one of the secrets."""


class SignatureExpired(Exception):
    """The signature is right, and its timestamp too far from the receiver's time."""


def secret_of(random_bytes: bytes) -> str:
    """The text of a secret. Raises ValueError for fewer than 24 or more than 64 bytes."""
    if not SECRET_BYTES[0] <= len(random_bytes) <= SECRET_BYTES[1]:
        raise ValueError(f"a secret has {SECRET_BYTES[0]} to {SECRET_BYTES[1]} bytes, not {len(random_bytes)}")
    return PREFIX + b64encode(random_bytes).decode("ascii")


def secret_bytes(text: str) -> bytes:
    """The bytes of a secret's text, whose padding may be left out. Raises ValueError where it is none."""
    if not text.startswith(PREFIX):
        raise ValueError(f"a secret begins with {PREFIX}")
    try:
        encoded = text.removeprefix(PREFIX).encode("ascii")
        found = b64decode(encoded.rstrip(b"=") + b"=" * (-len(encoded.rstrip(b"=")) % 4), validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise ValueError(f"what follows {PREFIX} is not base64") from error
    if not SECRET_BYTES[0] <= len(found) <= SECRET_BYTES[1]:
        raise ValueError(f"a secret has {SECRET_BYTES[0]} to {SECRET_BYTES[1]} bytes, not {len(found)}")
    return found


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """`v1,` and the base64 of the MAC; `timestamp` in seconds."""
    mac = hmac.new(secret_bytes(secret), f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return _VERSION + b64encode(mac).decode("ascii")


def signed_headers(secrets: Sequence[str], message_id: str, at: int, body: bytes) -> dict[str, str]:
    """The three headers of an attempt at a moment (microseconds UTC), with a signature for each secret."""
    timestamp = at // SECOND
    signatures = " ".join(signature(each, message_id, timestamp, body) for each in secrets)
    return dict(zip(HEADERS, (message_id, str(timestamp), signatures), strict=True))


def verify(secrets: Sequence[str], headers: Mapping[str, str], body: bytes, now: int | None) -> str:
    """The `webhook-id` of a request that was signed with one of the secrets. Raises InvalidSignature, SignatureExpired.

    `headers` by lower-case names. `now` in microseconds UTC; None where the receiver's clock cannot be trusted: then no
    signature is too old.
    """
    message_id, timestamp, signatures = (headers.get(name, "") for name in HEADERS)
    if not message_id or len(message_id) > _LONGEST_ID or not _TIMESTAMP.fullmatch(timestamp):
        raise InvalidSignature("webhook-id or webhook-timestamp is missing or cannot be read")
    if len(signatures) > _LONGEST_SIGNATURES:
        raise InvalidSignature("webhook-signature is too long")
    given = [each for each in signatures.split(" ", _MOST_SIGNATURES)[:_MOST_SIGNATURES] if each.startswith(_VERSION)]
    matches = False
    for secret in secrets:
        expected = signature(secret, message_id, int(timestamp), body).encode()
        for each in given:
            # Every pair, so that the time taken does not tell which secret it was.
            matches |= hmac.compare_digest(expected, each.encode("utf-8", "surrogatepass"))
    if not matches:
        raise InvalidSignature("no signature was made with a secret that is known here")
    if now is not None and abs(now // SECOND - int(timestamp)) > TOLERANCE_SECONDS:
        raise SignatureExpired(f"the timestamp {timestamp} is more than {TOLERANCE_SECONDS} s from the time here")
    return message_id
