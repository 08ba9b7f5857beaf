"""Rows in PostgreSQL's binary COPY format, packed by hand.

Adapting column by column in Python costs more than decoding, verifying and folding an event together. Format: header,
then for each row the number of fields (int16) and each field as its length (int32, -1 for NULL) and its bytes, then -1.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Final

from shared.event_log import LEAN_COLUMNS
from shared.events import RULES, Event, EventType, effect

HEADER: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER: Final = b"\xff\xff"
_NULL: Final = b"\xff\xff\xff\xff"
_LENGTH_8: Final = b"\x00\x00\x00\x08"
# Of a plain row: everything between on_hand_change and occurred_at is NULL.
_PLAIN_GAP: Final = _NULL * 7 + _LENGTH_8

_pack_count = Struct(">h").pack
_pack_length = Struct(">i").pack
_pack_bigint = Struct(">iq").pack

ON_HAND_SIGN: Final = {
    kind: rule.on_hand
    for kind, rule in RULES.items()
    if rule.on_hand and not rule.reserved and not rule.in_transit and "transfer_id" not in rule.required
}
"""The types whose only effect is on what is on hand. Unless they name a transfer their rows are plain."""


def text_field(value: str) -> bytes:
    """A text column of a row."""
    raw = value.encode()
    return _pack_length(len(raw)) + raw


def bytes_field(value: bytes) -> bytes:
    """A bytea column of a row."""
    return _pack_length(len(value)) + value


def _text(value: str | None) -> bytes:
    return _NULL if value is None else text_field(value)


def _bigint(value: int | None) -> bytes:
    return _NULL if value is None else _pack_bigint(8, value)


class EventRows:
    """Packs the lean rows of one location's events, in the order of LEAN_COLUMNS."""

    def __init__(self, location_id: str) -> None:
        self._start = _pack_count(len(LEAN_COLUMNS)) + text_field(location_id) + _LENGTH_8
        self._what: dict[EventType, dict[str, tuple[bytes, Callable[..., bytes]]]] = {kind: {} for kind in EventType}
        self._packers: dict[int, Callable[..., bytes]] = {}

    def pack(self, event: Event, event_id: bytes, digest: bytes) -> bytes:
        """One row; `event_id` is the event's id as 16 bytes, `digest` its hash."""
        kind, item_id = event.type, event.item_id
        sign = ON_HAND_SIGN.get(kind)
        if sign is None or event.transfer_id is not None or item_id is None or event.quantity is None:
            return self._any(event, event_id, digest)
        what = self._what[kind].get(item_id)
        if what is None:
            what = self._prepare(kind, item_id)
        named, pack = what
        return pack(
            self._start, event.sequence, 16, event_id, named, event.quantity * sign, _PLAIN_GAP, event.occurred_at, 32,
            digest,
        )  # fmt: skip

    def _prepare(self, kind: EventType, item_id: str) -> tuple[bytes, Callable[..., bytes]]:
        named = text_field(kind._value_) + text_field(item_id) + _LENGTH_8
        pack = self._packers.get(len(named))
        if pack is None:
            pack = Struct(f">{len(self._start)}sqi16s{len(named)}sq{len(_PLAIN_GAP)}sqi32s").pack
            self._packers[len(named)] = pack
        self._what[kind][item_id] = (named, pack)
        return named, pack

    def _any(self, event: Event, event_id: bytes, digest: bytes) -> bytes:
        does = effect(event)
        return b"".join(
            [
                self._start[:-4],
                _pack_bigint(8, event.sequence),
                bytes_field(event_id),
                text_field(event.type._value_),
                _text(event.item_id),
                _bigint(does.on_hand_change),
                _bigint(does.counted),
                _bigint(does.reserved_change),
                _bigint(does.in_transit_change),
                _text(event.reservation_id),
                _bigint(event.expires_at),
                _text(event.transfer_id),
                _bigint(event.voided_sequence),
                _pack_bigint(8, event.occurred_at),
                bytes_field(digest),
            ]
        )
