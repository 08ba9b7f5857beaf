"""An event as its whole record: the one JSON form in which the branch and head office answer an event.

Quantities are JSON numbers in base units, moments RFC 3339 at the event's own UTC offset, hashes hex. Fields that are
absent are left out. Both services document `EventRecord` as the schema.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, TypeVar

import msgspec

from shared.events import Definition, Event, EventType, Parent, Reference, Tail, quantity_json
from shared.runtime.clock import MINUTE, SECOND, format_rfc3339

Number = Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema={"type": "number"})]
"""A quantity, written as a JSON number."""

Moment = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]
"""A moment as RFC 3339 text with its offset."""


class SparseRecord(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """Base of records that leave out fields at their default."""


class EnteredRecord(SparseRecord, kw_only=True):
    """The quantity as a person entered it; times `factor` it is the event's quantity."""

    quantity: Number
    unit: str
    factor: Number


class CostRecord(SparseRecord, kw_only=True):
    """What the line cost: a decimal string and an ISO 4217 code."""

    amount: str
    currency: str


class EventRecord(SparseRecord, kw_only=True, gc=False):
    """One event of the log, whole."""

    event_id: str
    location_id: str
    epoch: int
    sequence: int
    hash: Annotated[
        str | None, msgspec.Meta(description="Of the chain after this event, hex; explanations leave it out")
    ] = None
    type: EventType
    occurred_at: Moment
    business_date: str
    recorded_at: Moment
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
    expires_at: Moment | None = None
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
    received_at: Annotated[
        Moment | None, msgspec.Meta(description="When it arrived at head office; only head office knows")
    ] = None
    voided_by: Annotated[int | None, msgspec.Meta(description="Sequence of the event that voids this one")] = None
    on_hand_after: Annotated[
        Number | None, msgspec.Meta(description="On hand of the item once this command was recorded; at a branch")
    ] = None
    flags: Annotated[
        tuple[str, ...], msgspec.Meta(description="`negative`, `short`, `recount`, `clock-unconfirmed`; at a branch")
    ] = ()


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


def event_record(
    event: Event, *, digest: str | None = None, received_at: int | None = None, voided_by: int | None = None
) -> EventRecord:
    """The record of a placed event.

    `digest` is its hash in hex, `received_at` microseconds UTC, `voided_by` the sequence of the event that voids it.
    """
    record = event_record_as(EventRecord, event, digest, voided_by=voided_by)
    if received_at is not None:
        record.received_at = moment_text(received_at)
    return record


def event_record_as(
    kind: type[R],
    event: Event,
    digest: str | None,
    *,
    voided_by: int | None = None,
    on_hand_after: msgspec.Raw | None = None,
    flags: tuple[str, ...] = (),
) -> R:
    """As `event_record`, of a subclass of EventRecord and with the fields that a branch adds.

    It is on the path of every append, so rare fields are set only for the events that have them.
    """
    offset = event.utc_offset
    record = kind(
        event_id=event.event_id,
        location_id=event.location_id,
        epoch=event.epoch,
        sequence=event.sequence,
        hash=digest,
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
        record.expires_at = moment_text(event.expires_at, event.utc_offset)
    record.transfer_id, record.transfer_line = event.transfer_id, event.transfer_line
    record.reservation_id = event.reservation_id
    record.voided_event_id, record.voided_sequence = event.voided_event_id, event.voided_sequence
    record.reviewed_event_id = event.reviewed_event_id
    record.definition, record.parent, record.tail = event.definition, event.parent, event.tail
