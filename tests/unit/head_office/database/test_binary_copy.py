"""The two ways to pack a row, fast and general, give the same bytes."""

from __future__ import annotations

import struct

import pytest

from head_office.database.binary_copy import ON_HAND_SIGN, EventRows
from head_office.log.decoder import decode, id_bytes
from shared.event_log import LEAN_COLUMNS, lean_row
from shared.events import Event, EventNotUnderstood, EventType
from tests.support.events import seal_all, whole_event


def unpacked(row: bytes) -> list[bytes | None]:
    """The fields of a row by the book."""
    (count,) = struct.unpack_from(">h", row)
    fields: list[bytes | None] = []
    place = 2
    for _ in range(count):
        (size,) = struct.unpack_from(">i", row, place)
        place += 4
        fields.append(None if size < 0 else row[place : place + size])
        place += max(size, 0)
    assert place == len(row)
    return fields


def as_sent(value: object) -> bytes | None:
    if value is None or isinstance(value, bytes):
        return value
    return struct.pack(">q", value) if isinstance(value, int) else str(value).encode()


@pytest.mark.parametrize("kind", EventType)
def test_every_type(kind: EventType) -> None:
    event = seal_all([whole_event(kind)])[0].event if kind not in NEEDS_AN_EARLIER else whole_event(kind)
    event.item_id = "قهوة" if event.item_id else None
    digest = bytes(range(32))
    row = EventRows(event.location_id).pack(event, id_bytes(event.event_id), digest)
    assert dict(zip(LEAN_COLUMNS, unpacked(row), strict=True)) == {
        name: as_sent(value) for name, value in zip(LEAN_COLUMNS, lean_row(event, digest), strict=True)
    }


NEEDS_AN_EARLIER = {EventType.EVENT_VOIDED, EventType.TRANSFER_REVERSED}


def test_the_fast_way_is_for_what_only_moves_stock() -> None:
    assert EventType.ORDER_DEDUCTION in ON_HAND_SIGN
    assert not {EventType.STOCKTAKE, EventType.TRANSFER_IN, EventType.RESERVATION_CONFIRMED} & set(ON_HAND_SIGN)


@pytest.mark.parametrize("text", ["", "z" * 36, "12 " * 12, "0190-0000", "é" * 36])
def test_what_is_no_uuid(text: str) -> None:
    with pytest.raises(EventNotUnderstood, match="no UUID"):
        id_bytes(text)


def test_decoding_keeps_lines_hashes_and_reasons_side_by_side() -> None:
    sealed = seal_all([whole_event("PURCHASE_RECEIVED"), whole_event("TRANSFER_OUT")])
    lines = [sealed[0].line, b"?", sealed[1].line]
    decoded = decode(11, bytes(32), lines)
    assert list(decoded.sequences) == [11, 12, 13]
    assert [isinstance(each, Event) for each in decoded.events] == [True, False, True]
    assert list(decoded.reasons) == [12]
    assert (decoded.before[0], decoded.before[1:]) == (bytes(32), decoded.digests[:2])
    assert [each.type for each in decoded.looked_up] == ["TRANSFER_OUT"]
