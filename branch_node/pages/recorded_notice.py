"""What a page says of what was just recorded, or voided: the event, its command, and what stands now of each item.

Read when the page is made, so that a reload of it tells the present figures.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from branch_node.commands.corrections import decided_at, still_standing, voided_together
from branch_node.commands.count_areas import missing_areas
from branch_node.database.lookups import event_by_id, voids_of
from branch_node.database.schema import STOCK
from branch_node.database.stock import stock_figures
from branch_node.model import Item
from branch_node.pages.page_views import EventRow, event_row, flag_words
from shared.chain import Sealed
from shared.events import Event, EventType, parse_quantity
from shared.projection import load_standings
from shared.runtime.pages.words import Flag

MOST_TOUCHED: Final = 50
"""Of how many items the stock is told, and how many events of one command are named."""


@dataclass(frozen=True)
class StockNow:
    """What stands now of an item over all its codes: quantities in thousandths."""

    item_id: str
    name: str
    unit: str
    on_hand: int
    reserved: int
    available: int
    flags: tuple[Flag, ...]


@dataclass(frozen=True)
class OtherCode:
    """What stands of a counted item under another of its codes, which the count left as it was; in thousandths."""

    code: str
    on_hand: int


@dataclass(frozen=True)
class RecordedNotice:
    """An event, what stands of its item, and what else its command recorded (of a void: voided) and touched.

    `others` are events recorded with it that stand, `voided_together` those voided with it; `touched` is the stock of
    the further items of these. Of each the first MOST_TOUCHED are here, and `more_…` says how many are not.
    `missing`: item and area where it was counted last, and not this time.
    """

    row: EventRow
    expected: int | None
    stock: StockNow
    others: Sequence[EventRow]
    more_others: int
    voided_together: Sequence[EventRow]
    more_voided: int
    touched: Sequence[StockNow]
    more_touched: int
    other_codes: Sequence[OtherCode]
    missing: Sequence[tuple[str, str]]


def recorded_notice(
    connection: Connection, event_id: str, items: Mapping[str, Item], *, now: int
) -> RecordedNotice | None:
    """The notice of an event; None where there is no such event, or none of an item."""
    found = event_by_id(connection, event_id) if event_id else None
    if found is None or (item_id := found.event.item_id) is None:
        return None
    event = found.event
    voids = voids_of(connection, [event.sequence])
    counted = event.type == EventType.STOCKTAKE and not voids
    standing = still_standing(connection, event) if voids or counted else []
    others = [each for each in standing if each.event.sequence != event.sequence]
    together = voided_together(connection, event.sequence, *voids.values()) if voids else []
    stock = stock_now(connection, item_id, items, now)
    # A void touches what it voids; what still stands of its command it leaves.
    further = _items_of(together if voids else others, connection, but=stock.item_id)
    return RecordedNotice(
        row=event_row(event, items, voids.get(event.sequence)),
        expected=event.expected,
        stock=stock,
        others=_rows(others, items),
        more_others=max(0, len(others) - MOST_TOUCHED),
        voided_together=_rows(together, items),
        more_voided=max(0, len(together) - MOST_TOUCHED),
        touched=[stock_now(connection, each, items, now) for each in further[:MOST_TOUCHED]],
        more_touched=max(0, len(further) - MOST_TOUCHED),
        other_codes=_other_codes(connection, event) if counted else [],
        missing=_missing(connection, [event, *(each.event for each in others)], items) if counted else [],
    )


def _rows(found: Sequence[Sealed], items: Mapping[str, Item]) -> list[EventRow]:
    return [event_row(each.event, items, None) for each in found[:MOST_TOUCHED]]


def _items_of(found: Iterable[Sealed], connection: Connection, *, but: str) -> list[str]:
    """The items of these events, each by the code that stands for it, without `but`."""
    codes = dict.fromkeys(each.event.item_id for each in found if each.event.item_id is not None)
    meant = dict.fromkeys(stock_figures.codes_of(connection, code)[0] for code in codes)
    return [item_id for item_id in meant if item_id != but]


def stock_now(connection: Connection, item_id: str, items: Mapping[str, Item], now: int) -> StockNow:
    """What stands of an item, given by any of its codes; what had expired by `now` is not reserved."""
    stock = stock_figures.stock_of(connection, item_id, now=now, as_of=None)
    item = items.get(stock.item_id) or items.get(item_id)
    return StockNow(
        item_id=stock.item_id,
        name=item.name if item else stock.item_id,
        unit=item.unit if item else stock.unit or "",
        on_hand=parse_quantity(stock.on_hand),
        reserved=parse_quantity(stock.reserved),
        available=parse_quantity(stock.available),
        flags=tuple(flag_words(stock.flags)),
    )


def _other_codes(connection: Connection, event: Event) -> list[OtherCode]:
    """What a count left under the item's other codes. Which codes an item has, head office says and not the log, so
    that an answer given again could not tell it alike: only the page does, as of now."""
    codes = stock_figures.codes_of(connection, event.item_id or "")[1]
    others = [code for code in codes if code != event.item_id]
    found = load_standings(connection, STOCK, event.location_id, others) if others else {}
    return [OtherCode(code, found[code].on_hand) for code in others if code in found and found[code].on_hand]


def _missing(connection: Connection, counts: Sequence[Event], items: Mapping[str, Item]) -> list[tuple[str, str]]:
    """Item and area of what these events of one count miss, as the answer to it has them."""
    areas = {
        event.item_id: {each.area or "" for each in event.areas} if event.areas else {event.area or ""}
        for event in counts
        if event.item_id is not None
    }
    first = counts[0]
    found = missing_areas(connection, areas, decided_at(connection, first.sequence, first.line, first.lines))
    return [(items[each.item_id].name if each.item_id in items else each.item_id, each.area) for each in found]
