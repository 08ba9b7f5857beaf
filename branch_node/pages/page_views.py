"""The contents of the branch's pages in plain words: events, stock, the state of shipping. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from branch_node.commands.count_areas import MissingArea
from branch_node.model import Item
from branch_node.records import StockRecord
from branch_node.sync.shipping_status import NEEDS_A_PERSON, ShippingState, ShippingStatus
from shared.event_record import UNCONFIRMED
from shared.events import BY_HAND, Event, effect, parse_quantity
from shared.messages import OpenCount
from shared.runtime.clock import parse_rfc3339
from shared.runtime.pages.words import STOCK_FLAGS, Flag, in_words, reason_words

_FLAGS: Final = {**STOCK_FLAGS, UNCONFIRMED: Flag("the clock was in doubt")}


LOW: Final = Flag("low: at or below its reorder level")


def flag_words(flags: Iterable[str]) -> list[Flag]:
    """The flags of a record in words."""
    return [_FLAGS[flag] for flag in flags]


@dataclass(frozen=True)
class EventRow:
    """One listed event: quantities in thousandths, times in microseconds UTC."""

    event_id: str
    sequence: int
    what: str
    item_id: str | None
    name: str | None
    unit: str | None
    quantity: int | None
    counted: int | None
    change: int | None
    reason: str | None
    note: str | None
    occurred_at: int
    voided_by: int | None
    voidable: bool
    flags: tuple[Flag, ...]


def event_row(event: Event, items: Mapping[str, Item], voided_by: int | None) -> EventRow:
    """The row of an event: its item's name, its effect on stock, whether it may be voided."""
    item = items.get(event.item_id or "")
    what = in_words(event.type)
    if event.voided_sequence is not None:
        what = f"{what} ({event.voided_sequence})"
    effects = effect(event)
    return EventRow(
        event_id=event.event_id,
        sequence=event.sequence,
        what=what,
        item_id=event.item_id,
        name=item.name if item else event.item_id,
        unit=event.unit,
        quantity=event.quantity,
        counted=effects.counted,
        change=effects.on_hand_change,
        reason=None if event.reason is None else reason_words(event.reason),
        note=event.note,
        occurred_at=event.occurred_at,
        voided_by=voided_by,
        voidable=event.type in BY_HAND and voided_by is None,
        flags=tuple(flag_words([UNCONFIRMED] if event.clock_unconfirmed else [])),
    )


@dataclass(frozen=True)
class OpenAreaView:
    """One area of an open count: the quantity in thousandths."""

    name: str
    area: str
    counted: int
    unit: str
    actor: str


@dataclass(frozen=True)
class OpenCountView:
    """A count that nobody has closed; the time in microseconds UTC. `missing`: item and area counted last time."""

    count_id: str
    opened_at: int
    areas: tuple[OpenAreaView, ...]
    missing: tuple[tuple[str, str], ...]


def open_count_view(count: OpenCount, missing: Iterable[MissingArea], items: Mapping[str, Item]) -> OpenCountView:
    """An open count with the names of its items."""

    def name(item_id: str) -> str:
        return items[item_id].name if item_id in items else item_id

    return OpenCountView(
        count_id=count.count_id,
        opened_at=count.opened_at,
        areas=tuple(
            OpenAreaView(
                name=name(each.item_id),
                area=each.area or "the whole",
                counted=each.counted,
                unit=items[each.item_id].unit if each.item_id in items else "",
                actor=each.actor or "",
            )
            for each in count.areas
        ),
        missing=tuple((name(each.item_id), each.area) for each in missing),
    )


@dataclass(frozen=True)
class StockLine:
    """The listed stock of one item: quantities in thousandths, the time in microseconds UTC.

    `also`: the codes that stand for it.
    """

    item_id: str
    name: str
    unit: str
    on_hand: int
    reserved: int
    available: int
    counted_at: int | None
    flags: tuple[Flag, ...]
    also: tuple[str, ...]


class StockFilter(StrEnum):
    """Which items the stock page lists; the value is part of its query."""

    ALL = ""
    LOOK = "look"
    LOW = "low"
    THERE = "there"


def stock_rows(
    items: Sequence[Item], records: Iterable[StockRecord], show: StockFilter, catalogue: Iterable[Item]
) -> list[StockLine]:
    """The given items with their stock, zero where nothing was recorded, in the order given.

    A code that stands for an item of the group has no line of its own: its figures are in that item's, which names it.
    """
    by_id = {record.item_id: record for record in records}
    also: dict[str, list[str]] = {}
    for item in catalogue:
        if item.stands_for is not None:
            also.setdefault(item.stands_for, []).append(item.item_id)
    rows = [
        _stock_row(item, by_id.get(item.item_id), tuple(sorted(also.get(item.item_id, ()))))
        for item in items
        if item.stands_for is None
    ]
    return [row for row in rows if _wanted(row, show)]


def _wanted(row: StockLine, show: StockFilter) -> bool:
    if show is StockFilter.LOOK:
        return bool(row.flags)
    if show is StockFilter.LOW:
        return LOW in row.flags
    return show is StockFilter.ALL or row.on_hand != 0


def _stock_row(item: Item, record: StockRecord | None, also: tuple[str, ...]) -> StockLine:
    if record is None:
        return StockLine(item.item_id, item.name, item.unit, 0, 0, 0, None, (), also)
    available = parse_quantity(record.available)
    low = record.reorder_point is not None and available <= parse_quantity(record.reorder_point)
    return StockLine(
        item_id=item.item_id,
        name=item.name,
        unit=item.unit,
        on_hand=parse_quantity(record.on_hand),
        reserved=parse_quantity(record.reserved),
        available=available,
        counted_at=None if record.counted_at is None else parse_rfc3339(record.counted_at)[0],
        flags=(*flag_words(record.flags), *([LOW] if low else [])),
        also=also,
    )


_SHIPPING: Final = {
    ShippingState.NO_HEAD_OFFICE: "This branch works by itself: no head office is set.",
    ShippingState.STOPPED: "Shipping does not run.",
    ShippingState.CONNECTING: "Looking for head office.",
    ShippingState.OK: "Connected to head office.",
    ShippingState.UNREACHABLE: "Head office cannot be reached. Go on working: everything is kept here and sent later.",
    ShippingState.UNAUTHORIZED: "Head office does not take this branch's key. Go on working, and inform your engineer.",
    ShippingState.REFUSED: "Head office refuses what this branch sends. Go on working, and inform your engineer.",
    ShippingState.SUPERSEDED: "Head office has a newer log of this branch. Nothing is sent until it is recovered.",
    ShippingState.ROLLED_BACK: "This database is older than what was recorded before. It must be recovered.",
    ShippingState.FORKED: "This branch's log and head office's copy differ. Nothing is sent until it is recovered.",
    ShippingState.DAMAGED: "This branch's own log is damaged. Nothing is sent until it is repaired.",
    ShippingState.UPGRADE_REQUIRED: "One side is too old for the other. Go on working, and have it upgraded.",
}


@dataclass(frozen=True)
class ShippingView:
    """The state of shipping in words. `waiting` events, from `first_waiting` on, are not acknowledged by head office.

    `alone`: no head office is set. `urgent`: a person must act.
    """

    waiting: int
    first_waiting: int
    alone: bool
    text: str
    urgent: bool
    status: ShippingStatus


def shipping_view(status: ShippingStatus, head_sequence: int) -> ShippingView:
    """The view of a shipping status and the sequence of the log's head."""
    acknowledged = status.acknowledged.sequence if status.acknowledged else 0
    return ShippingView(
        waiting=max(0, head_sequence - acknowledged),
        first_waiting=acknowledged + 1,
        alone=status.state is ShippingState.NO_HEAD_OFFICE,
        text=_SHIPPING[status.state],
        urgent=status.state in NEEDS_A_PERSON or not status.recording,
        status=status,
    )
