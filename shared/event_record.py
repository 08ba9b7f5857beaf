"""An event as its whole record: the one JSON form in which the branch and head office answer an event.

Quantities are JSON numbers in base units, moments RFC 3339 at the event's own UTC offset, hashes hex. Fields that are
absent are left out, never null. `EventRecord` has what the event itself holds, with the bounds of `shared.events`; a
service adds in a subclass what it alone knows, and documents that subclass.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, TypeVar

import msgspec

from shared.events import (
    RULES,
    Code,
    Cost,
    CountedArea,
    Day,
    Definition,
    Event,
    EventType,
    HexHash,
    Id,
    Key,
    Parent,
    Position,
    Reference,
    Sequence,
    Tail,
    Text,
    Uuid,
    quantity_json,
)
from shared.runtime.clock import MINUTE, SECOND, format_rfc3339

Number = Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema={"type": "number"})]
"""A quantity, written as a JSON number."""

Moment = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]
"""A moment as RFC 3339 text with its offset."""

Digest = Annotated[HexHash, msgspec.Meta(description="Of the chain after this event, hex")]
"""The `hash` of an event."""

VoidedBy = Annotated[int | None, msgspec.Meta(description="Sequence of the event that voids this one")]


class SparseRecord(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """Base of records that leave out fields at their default."""


class EnteredRecord(SparseRecord, kw_only=True):
    """The quantity as a person entered it; times `factor` it is the event's quantity."""

    quantity: Number
    unit: Code
    factor: Number


class CountedAreaRecord(SparseRecord, kw_only=True):
    """What was counted in one area of a count (none: the whole), when and by whom."""

    area: Code | None = None
    counted: Number
    occurred_at: Moment
    actor: Id
    source: Code
    note: Text | None = None


class LowStockRecord(SparseRecord, kw_only=True):
    """The reorder level that the command took the item's available stock to, or below, and what to order then.

    `available`: the sum over the item's codes, where it has several.
    """

    available: Number | None = None
    reorder_point: Number
    reorder_quantity: Number


class EventRecord(SparseRecord, kw_only=True, gc=False):
    """One event of the log, whole."""

    event_id: Uuid
    location_id: Id
    epoch: Sequence
    sequence: Sequence
    type: EventType
    occurred_at: Moment
    business_date: Day
    recorded_at: Moment
    actor: Id
    source: Code
    line: Position
    lines: Position
    v: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
    item_id: Id | None = None
    quantity: Number | None = None
    counted: Number | None = None
    expected: Number | None = None
    unit: Code | None = None
    entered: EnteredRecord | None = None
    reference: Reference | None = None
    reason: Code | None = None
    note: Text | None = None
    cost: Cost | None = None
    area: Code | None = None
    areas: tuple[CountedAreaRecord, ...] | None = None
    lot: Code | None = None
    expires_on: Day | None = None
    expires_at: Moment | None = None
    transfer_id: Id | None = None
    transfer_line: Position | None = None
    reservation_id: Id | None = None
    voided_event_id: Uuid | None = None
    voided_sequence: Sequence | None = None
    reviewed_event_id: Uuid | None = None
    definition: Definition | None = None
    parent: Parent | None = None
    tail: Tail | None = None
    command_key: Key | None = None
    command_digest: HexHash | None = None
    clock_unconfirmed: bool | None = None
    supplier_id: Id | None = None
    low: LowStockRecord | None = None


NEGATIVE, SHORT, RECOUNT, UNCONFIRMED = "negative", "short", "recount", "clock-unconfirmed"


def stock_flags(on_hand: int, reserved: int, *, recount: bool) -> tuple[str, ...]:
    """The flags of a figure: on hand below zero, more reserved than on hand, something booked before its last count."""
    if on_hand >= reserved and not recount and on_hand >= 0:
        return ()
    return (
        *([NEGATIVE] if on_hand < 0 else []),
        *([SHORT] if reserved > max(on_hand, 0) else []),
        *([RECOUNT] if recount else []),
    )


@lru_cache(maxsize=4_096)
def moment_text(micros: int, offset: int = 0) -> str:
    """RFC 3339 text of a moment (microseconds UTC) at an offset in minutes; the text of `format_rfc3339`, cached."""
    minute, rest = divmod(micros, MINUTE)
    head, zone = _minute_text(minute, offset)
    seconds, fraction = divmod(rest, SECOND)
    return f"{head}{seconds:02d}.{fraction:06d}{zone}" if fraction else f"{head}{seconds:02d}{zone}"


@lru_cache(maxsize=4_096)
def _minute_text(minute: int, offset: int) -> tuple[str, str]:
    """The text before the seconds and after them, the same for every moment of a minute."""
    text = format_rfc3339(minute * MINUTE, offset)
    return text[:17], text[19:]


R = TypeVar("R", bound=EventRecord)


def event_record(event: Event) -> EventRecord:
    """The record of a placed event, with what the event itself holds."""
    return event_record_as(EventRecord, event)


def event_record_as(kind: type[R], event: Event, **added: Any) -> R:
    """As `event_record`, of a subclass of EventRecord with the fields that it adds.

    It is on the path of every append, so rare fields are set only for the events that have them.
    """
    offset = event.utc_offset
    record = kind(
        event_id=event.event_id,
        location_id=event.location_id,
        epoch=event.epoch,
        sequence=event.sequence,
        type=event.type,
        occurred_at=moment_text(event.occurred_at, offset),
        business_date=event.business_date,
        recorded_at=moment_text(event.recorded_at, offset),
        actor=event.actor,
        source=event.source,
        line=event.line,
        lines=event.lines,
        v=event.v,
        item_id=event.item_id,
        unit=event.unit,
        reference=event.reference,
        reason=event.reason,
        note=event.note,
        command_key=event.command_key,
        command_digest=event.command_digest,
        **added,
    )
    if event.quantity is not None:
        record.quantity = quantity_json(event.quantity)
    if event.type not in _PLAIN:
        _add_rare(record, event)
    if event.entered is not None or event.cost is not None or event.lot or event.area or event.expires_on:
        _add_detail(record, event)
    if event.low is not None:
        record.low = LowStockRecord(
            available=None if event.low.available is None else quantity_json(event.low.available),
            reorder_point=quantity_json(event.low.reorder_point),
            reorder_quantity=quantity_json(event.low.reorder_quantity),
        )
    record.clock_unconfirmed, record.supplier_id = event.clock_unconfirmed, event.supplier_id
    return record


def change_text(record: Mapping[str, Any]) -> str:
    """How a decoded record changes on hand, as text: `+2.5`, `-2.5`, `= 8.5` of a count; empty where it does not."""
    if record.get("counted") is not None:
        return f"= {_decimal(record['counted'])}"
    quantity, kind = record.get("quantity"), record.get("type")
    if quantity is None or kind not in RULES or not RULES[EventType(kind)].on_hand:
        return ""
    change = quantity * RULES[EventType(kind)].on_hand
    return f"+{_decimal(change)}" if change > 0 else _decimal(change)


def _decimal(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


_PLAIN = frozenset({EventType.ORDER_DEDUCTION, EventType.PURCHASE_RECEIVED, EventType.WASTE_RECORDED})


def _add_detail(record: EventRecord, event: Event) -> None:
    if event.entered is not None:
        record.entered = EnteredRecord(
            quantity=quantity_json(event.entered.quantity),
            unit=event.entered.unit,
            factor=quantity_json(event.entered.factor),
        )
    record.cost, record.lot, record.area, record.expires_on = event.cost, event.lot, event.area, event.expires_on


def _add_rare(record: EventRecord, event: Event) -> None:
    if event.counted is not None:
        record.counted = quantity_json(event.counted)
    if event.expected is not None:
        record.expected = quantity_json(event.expected)
    if event.areas is not None:
        record.areas = tuple(_area(each, event.utc_offset) for each in event.areas)
    if event.expires_at is not None:
        record.expires_at = moment_text(event.expires_at, event.utc_offset)
    record.transfer_id, record.transfer_line = event.transfer_id, event.transfer_line
    record.reservation_id = event.reservation_id
    record.voided_event_id, record.voided_sequence = event.voided_event_id, event.voided_sequence
    record.reviewed_event_id = event.reviewed_event_id
    record.definition, record.parent, record.tail = event.definition, event.parent, event.tail


def _area(area: CountedArea, offset: int) -> CountedAreaRecord:
    return CountedAreaRecord(
        area=area.area,
        counted=quantity_json(area.counted),
        occurred_at=moment_text(area.occurred_at, offset),
        actor=area.actor,
        source=area.source,
        note=area.note,
    )
