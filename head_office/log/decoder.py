"""Decoding a frame of canonical lines into events with their hashes. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

import msgspec

from shared.chain import understand
from shared.events import MAX_TIME, MIN_TIME, RULES, Event, EventNotUnderstood, EventType
from shared.orders.inbound_orders import INBOUND_KEYS
from shared.purchases.delivered_lines import DeliveredLine, delivered_line_of

LOOKED_UP: Final = frozenset(
    {
        EventType.EVENT_VOIDED, EventType.TRANSFER_OUT, EventType.TRANSFER_REVERSED, EventType.STOCK_RESERVED,
        EventType.RESERVATION_RELEASED, EventType.RESERVATION_EXPIRED, EventType.RESERVATION_CONFIRMED,
    }
)  # fmt: skip
"""The types whose fold check needs earlier events of the log."""

_NAMING: Final = (
    LOOKED_UP
    | {kind for kind, rule in RULES.items() if {"transfer_id", "reservation_id"} & rule.required}
    | {EventType.ADJUSTMENT, EventType.PURCHASE_RECEIVED, EventType.PURCHASE_RETURNED}
)
"""The types that may name a transfer, a reservation, or an order to a supplier."""


@dataclass(slots=True)
class Decoded:
    """Lines of one log, decoded; `reasons` has why a line is no event. The sequences are parallel.

    `before` holds the hash before each line, `digests` the hash after it (32 bytes each).
    """

    sequences: Sequence[int]
    lines: Sequence[bytes]
    before: Sequence[bytes]
    digests: Sequence[bytes]
    events: list[Event | None]
    ids: list[bytes]
    reasons: dict[int, str] = field(default_factory=dict)  # by sequence
    items: set[str | None] = field(default_factory=set)
    looked_up: list[Event] = field(default_factory=list)
    deliveries: list[DeliveredLine] = field(default_factory=list)


class _Readable(msgspec.Struct):
    """The fields of an event that are read even where it is not understood, of any type."""

    type: object = None
    item_id: object = None
    transfer_id: object = None
    occurred_at: object = None


class Readable(msgspec.Struct, frozen=True):
    """The fields that could be read of an event that was not understood; None for the others."""

    type: str | None = None
    item_id: str | None = None
    transfer_id: str | None = None
    occurred_at: int | None = None


_decode_readable = msgspec.json.Decoder(_Readable).decode


def decode(first_sequence: int, previous: bytes, lines: Sequence[bytes]) -> Decoded:
    """Hash and decode consecutive lines; the first, of `first_sequence`, follows the hash `previous` (32 bytes)."""
    digests = [previous]
    for line in lines:
        previous = sha256(previous + line).digest()
        digests.append(previous)
    before = digests[:-1]
    del digests[0]
    return decode_lines(range(first_sequence, first_sequence + len(lines)), lines, before, digests)


def decode_lines(
    sequences: Sequence[int], lines: Sequence[bytes], before: Sequence[bytes], digests: Sequence[bytes]
) -> Decoded:
    """Decode lines whose hashes are known."""
    events: list[Event | None] = []
    ids: list[bytes] = []
    decoded = Decoded(sequences, lines, before, digests, events, ids)
    items, looked_up, deliveries = decoded.items, decoded.looked_up, decoded.deliveries
    for line in lines:
        try:
            event = understand(line)
            event_id = id_bytes(event.event_id)
            item_id = event.item_id
            if item_id not in items:
                _check_storable("item_id", item_id)
                items.add(item_id)
            key = event.command_key
            if key is not None and key.startswith(INBOUND_KEYS):
                _check_storable("command_key", key)
            if event.type in _NAMING:
                _check_storable("transfer_id", event.transfer_id)
                if event.reservation_id is not None:
                    _check_storable("reservation_id", event.reservation_id)
                    _check_storable("source", event.source)
                    _check_storable("reference", event.reference.id if event.reference else None)
                if event.type in LOOKED_UP:
                    looked_up.append(event)
                elif (delivery := delivered_line_of(event)) is not None:
                    deliveries.append(delivery)
        except EventNotUnderstood as error:
            decoded.reasons[sequences[len(events)]] = error.reason
            events.append(None)
            ids.append(b"")
        else:
            events.append(event)
            ids.append(event_id)
    return decoded


def id_bytes(event_id: str) -> bytes:
    """The 16 bytes of an event id. Raises EventNotUnderstood."""
    try:
        raw = bytes.fromhex(event_id.replace("-", ""))
    except ValueError as error:
        raise EventNotUnderstood(f"its id {event_id!r} is no UUID") from error
    if len(raw) != 16:
        raise EventNotUnderstood(f"its id {event_id!r} is no UUID")
    return raw


def _check_storable(name: str, value: str | None) -> None:
    """Raise EventNotUnderstood for what a text column of PostgreSQL cannot hold."""
    if value is not None and "\x00" in value:
        raise EventNotUnderstood(f"its {name} contains the character U+0000")


def read_partially(line: bytes) -> Readable:
    """The readable fields of a line that is not understood or cannot be folded: they name the figures it may touch."""
    try:
        found = _decode_readable(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Readable()
    moment = found.occurred_at
    return Readable(
        _short_text(found.type),
        _short_text(found.item_id),
        _short_text(found.transfer_id),
        moment if isinstance(moment, int) and MIN_TIME <= moment <= MAX_TIME else None,
    )


def _short_text(value: object) -> str | None:
    return value if isinstance(value, str) and 1 <= len(value) <= 64 and "\x00" not in value else None
