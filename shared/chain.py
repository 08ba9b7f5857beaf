"""Canonical bytes of an event, and the hash chain over them.

`hash = sha256(previous hash, 32 raw bytes ‖ the line without its newline)`; before the first event of a location
stand 32 zero bytes. The line is kept and shipped verbatim, never encoded again. Source: DESIGN section 3.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Final

import msgspec

from shared.events import MAX_LINE_BYTES, Event, EventNotUnderstood, check

GENESIS: Final = bytes(32)

canonical: Final = msgspec.json.Encoder().encode
"""Encode an event as its canonical line: UTF-8 JSON, no newline."""
_decode = msgspec.json.Decoder(Event).decode


class Head(msgspec.Struct, frozen=True, gc=False):
    """The last event of a log: its epoch, its sequence, its hash (32 bytes). That of an empty log is EMPTY."""

    epoch: int
    sequence: int
    hash: bytes


EMPTY: Final = Head(1, 0, GENESIS)


class Sealed(msgspec.Struct, frozen=True, gc=False):
    """An event with its place, its canonical line (no newline) and its hash."""

    event: Event
    line: bytes
    hash: bytes


def seal(event: Event, head: Head, recorded_at: int) -> Sealed:
    """Place an unplaced event after `head`, and compute its line and hash. Changes the event.

    Raises EventNotUnderstood when the event breaks a rule of its type or its line is too long to ship.
    """
    event.epoch = head.epoch
    event.sequence = head.sequence + 1
    event.recorded_at = recorded_at
    check(event)
    line = canonical(event)
    if len(line) > MAX_LINE_BYTES:
        raise EventNotUnderstood(f"the line is {len(line)} bytes long, the limit is {MAX_LINE_BYTES}")
    return Sealed(event, line, sha256(head.hash + line).digest())


def understand(line: bytes) -> Event:
    """Decode and check the event of a canonical line. Raises EventNotUnderstood with the reason."""
    try:
        event = _decode(line)
    except msgspec.MsgspecError as error:
        raise EventNotUnderstood(str(error)) from error
    except UnicodeDecodeError as error:
        raise EventNotUnderstood("the line is not UTF-8") from error
    check(event)
    return event


def follow(previous: bytes, lines: Iterable[bytes]) -> list[bytes]:
    """Compute the hash (32 bytes) of each line, the first one after the hash `previous`."""
    hashes: list[bytes] = []
    for line in lines:
        previous = sha256(previous + line).digest()
        hashes.append(previous)
    return hashes
