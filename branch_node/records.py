"""The records that a branch answers: an event with the stock after it, an item's stock, a catalogue item, a page.

Quantities are JSON numbers, times RFC 3339 with offset, hashes hex.
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, TypeVar

import msgspec

from shared.chain import Sealed
from shared.event_record import (
    UNCONFIRMED,
    Digest,
    EventRecord,
    Number,
    SparseRecord,
    VoidedBy,
    event_record_as,
    stock_flags,
)
from shared.events import quantity_json
from shared.stock import Standing


class PeriodRecord(msgspec.Struct, kw_only=True):
    """On hand over a period [from, to): opening + change = closing, which is the opening of the next period."""

    opening: Number
    change: Number
    closing: Number


class StockRecord(SparseRecord, kw_only=True):
    """Stock of one item here. `available` is on hand − reserved; expired reservations never count.

    `reorder_quantity`: what to order, where available is at the reorder point or below.
    """

    item_id: str
    name: str | None
    unit: str | None
    on_hand: Number
    reserved: Number
    available: Number
    as_of: str
    counted_at: str | None = None
    reorder_point: Number | None = None
    order_up_to: Number | None = None
    order_quantity: Number | None = None
    reorder_quantity: Number | None = None
    flags: tuple[str, ...] = ()
    period: PeriodRecord | None = None


class ItemRecord(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One item of the catalogue; `defined_here` where head office does not know it yet.

    `stands_for`: head office mapped this code to that item; told in lists.
    """

    item_id: str
    name: str
    unit: str
    category: str | None = None
    barcode: str | None = None
    strict: bool = False
    defined_here: bool = False
    reorder_point: Number | None = None
    order_up_to: Number | None = None
    order_quantity: Number | None = None
    stands_for: str | None = None


T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], kw_only=True):
    """One page of a list; `next` is what to give as `after` for the following one, null at the end.

    Of the log and of what follows it `next` is never null: new entries come after it.
    """

    items: list[T]
    next: str | None = None


class BranchEventRecord(EventRecord, kw_only=True, gc=False):
    """One event of this branch's log, whole, with its hash and what stood of its item after it."""

    hash: Digest
    voided_by: VoidedBy = None
    on_hand_after: Annotated[
        Number | None, msgspec.Meta(description="On hand of the item once this command was recorded")
    ] = None
    flags: Annotated[
        tuple[str, ...], msgspec.Meta(description="`negative`, `short`, `recount`, `clock-unconfirmed`")
    ] = ()


R = TypeVar("R", bound=BranchEventRecord)


def record_of(sealed: Sealed, standing: Standing | None = None, *, voided_by: int | None = None) -> BranchEventRecord:
    """An event as it is answered; with `standing`, what stood of its item right after its command."""
    return record_into(BranchEventRecord, sealed, standing, voided_by=voided_by)


def record_into(
    kind: type[R], sealed: Sealed, standing: Standing | None = None, *, voided_by: int | None = None, **added: Any
) -> R:
    """As `record_of`, as a subclass of BranchEventRecord with the fields that it adds."""
    event = sealed.event
    flags: tuple[str, ...] = ()
    on_hand_after = None
    if standing is not None:
        flags = stock_flags(standing.on_hand, standing.reserved, recount=standing.recount)
        on_hand_after = quantity_json(standing.on_hand)
    if event.clock_unconfirmed:
        flags = (*flags, UNCONFIRMED)
    return event_record_as(
        kind, event, hash=sealed.hash.hex(), voided_by=voided_by, on_hand_after=on_hand_after, flags=flags, **added
    )
