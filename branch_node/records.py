"""What the branch answers: an event as its whole record, an item's stock, for people and tills.

Quantities go out as JSON numbers, times as RFC 3339 with offset, hashes in hex.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Annotated, Generic, TypeVar

import msgspec

from shared.chain import Sealed
from shared.events import Definition, Event, EventType, Parent, Reference, Tail, quantity_json
from shared.runtime.clock import MINUTE, SECOND, format_rfc3339
from shared.stock import Standing

Number = Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema={"type": "number"})]
"""A quantity, written as a JSON number."""


class _Record(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """Fields that say nothing are left out."""


class EnteredRecord(_Record, kw_only=True):
    """The quantity as a person entered it; times `factor` it is the event's quantity."""

    quantity: Number
    unit: str
    factor: Number


class CostRecord(_Record, kw_only=True):
    amount: str
    currency: str


class EventRecord(_Record, kw_only=True, gc=False):
    """One event of the log, whole."""

    event_id: str
    location_id: str
    epoch: int
    sequence: int
    hash: str
    type: EventType
    occurred_at: str
    business_date: str
    recorded_at: str
    actor: str
    source: str
    line: int
    lines: int
    v: int
    item_id: str | None = None
    quantity: Number | None = None
    counted: Number | None = None
    expected: Number | None = None
    unit: str | None = None
    entered: EnteredRecord | None = None
    reference: Reference | None = None
    reason: str | None = None
    note: str | None = None
    cost: CostRecord | None = None
    area: str | None = None
    lot: str | None = None
    expires_on: str | None = None
    expires_at: str | None = None
    transfer_id: str | None = None
    transfer_line: int | None = None
    reservation_id: str | None = None
    voided_event_id: str | None = None
    voided_sequence: int | None = None
    reviewed_event_id: str | None = None
    definition: Definition | None = None
    parent: Parent | None = None
    tail: Tail | None = None
    command_key: str | None = None
    command_digest: str | None = None
    clock_unconfirmed: bool | None = None
    voided_by: Annotated[int | None, msgspec.Meta(description="Sequence of the event that voids this one")] = None
    on_hand_after: Annotated[
        Number | None, msgspec.Meta(description="On hand of the item once this command was recorded")
    ] = None
    flags: Annotated[
        tuple[str, ...], msgspec.Meta(description="`negative`, `short`, `recount`, `clock-unconfirmed`")
    ] = ()


class StockRecord(_Record, kw_only=True):
    """What stands of one item here. `available` is on hand − reserved; expired reservations never count."""

    item_id: str
    name: str | None
    unit: str | None
    on_hand: Number
    reserved: Number
    available: Number
    as_of: str
    counted_at: str | None = None
    reorder_level: Number | None = None
    reorder_target: Number | None = None
    flags: tuple[str, ...] = ()


class ItemRecord(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One item of the catalogue; `defined_here` where head office does not know it yet."""

    item_id: str
    name: str
    unit: str
    category: str | None = None
    barcode: str | None = None
    strict: bool = False
    defined_here: bool = False
    reorder_level: Number | None = None
    reorder_target: Number | None = None


T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], kw_only=True):
    """One page of a list; `next` is what to give as `after` for the following one, null at the end."""

    items: list[T]
    next: str | None = None


NEGATIVE, SHORT, RECOUNT, UNCONFIRMED = "negative", "short", "recount", "clock-unconfirmed"


def flags_of(standing: Standing) -> tuple[str, ...]:
    """What a person should look at: the book below zero, more promised than there is, goods booked behind a count."""
    if standing.on_hand >= standing.reserved and not standing.recount and standing.on_hand >= 0:
        return ()
    return (
        *([NEGATIVE] if standing.on_hand < 0 else []),
        *([SHORT] if standing.reserved > max(standing.on_hand, 0) else []),
        *([RECOUNT] if standing.recount else []),
    )


@lru_cache(maxsize=1_024)
def time_text(micros: int, offset: int = 0) -> str:
    """RFC 3339 at an offset in minutes, with microseconds only where there are any."""
    minute, rest = divmod(micros, MINUTE)
    head, zone = _minute_text(minute, offset)
    seconds, fraction = divmod(rest, SECOND)
    return f"{head}{seconds:02d}.{fraction:06d}{zone}" if fraction else f"{head}{seconds:02d}{zone}"


@lru_cache(maxsize=4_096)
def _minute_text(minute: int, offset: int) -> tuple[str, str]:
    """What stands before the seconds and after them, the same for every moment of a minute."""
    text = format_rfc3339(minute * MINUTE, offset)
    return text[:17], text[19:]


R = TypeVar("R", bound=EventRecord)


def record_of(sealed: Sealed, standing: Standing | None = None, *, voided_by: int | None = None) -> EventRecord:
    """An event as it is answered; with `standing`, what stood of its item right after its command."""
    return record_into(EventRecord, sealed, standing, voided_by=voided_by)


def record_into(kind: type[R], sealed: Sealed, standing: Standing | None = None, *, voided_by: int | None = None) -> R:
    """As `record_of`, as a record of another kind."""
    event = sealed.event
    flags: tuple[str, ...] = ()
    on_hand_after = None
    if standing is not None:
        flags = flags_of(standing)
        on_hand_after = quantity_json(standing.on_hand)
    if event.clock_unconfirmed:
        flags = (*flags, UNCONFIRMED)
    offset = event.utc_offset
    record = kind(
        event_id=event.event_id,
        location_id=event.location_id,
        epoch=event.epoch,
        sequence=event.sequence,
        hash=sealed.hash.hex(),
        type=event.type,
        occurred_at=time_text(event.occurred_at, offset),
        business_date=event.business_date,
        recorded_at=time_text(event.recorded_at, offset),
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
        voided_by=voided_by,
        on_hand_after=on_hand_after,
        flags=flags,
    )
    if event.quantity is not None:
        record.quantity = quantity_json(event.quantity)
    if event.type not in _PLAIN:
        _add_rare(record, event)
    if event.entered is not None or event.cost is not None or event.lot or event.area or event.expires_on:
        _add_detail(record, event)
    record.clock_unconfirmed = event.clock_unconfirmed
    return record


_PLAIN = frozenset({EventType.ORDER_DEDUCTION, EventType.PURCHASE_RECEIVED, EventType.WASTE_RECORDED})


def _add_detail(record: EventRecord, event: Event) -> None:
    if event.entered is not None:
        record.entered = EnteredRecord(
            quantity=quantity_json(event.entered.quantity),
            unit=event.entered.unit,
            factor=quantity_json(event.entered.factor),
        )
    if event.cost is not None:
        record.cost = CostRecord(amount=event.cost.amount, currency=event.cost.currency)
    record.lot, record.area, record.expires_on = event.lot, event.area, event.expires_on


def _add_rare(record: EventRecord, event: Event) -> None:
    if event.counted is not None:
        record.counted = quantity_json(event.counted)
    if event.expected is not None:
        record.expected = quantity_json(event.expected)
    if event.expires_at is not None:
        record.expires_at = time_text(event.expires_at, event.utc_offset)
    record.transfer_id, record.transfer_line = event.transfer_id, event.transfer_line
    record.reservation_id = event.reservation_id
    record.voided_event_id, record.voided_sequence = event.voided_event_id, event.voided_sequence
    record.reviewed_event_id = event.reviewed_event_id
    record.definition, record.parent, record.tail = event.definition, event.parent, event.tail


def records_of(sealed: Iterable[Sealed]) -> list[EventRecord]:
    return [record_of(each) for each in sealed]
