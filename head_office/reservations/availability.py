"""The availability of an order's items over the locations, and where it should be served.

Works inside the transaction of the Connection it is given, one snapshot.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection

from head_office.catalogue.item_names import items_named
from head_office.database.schema import now
from head_office.reports.freshness import Freshness, freshness
from head_office.reports.group_stock import StockRow, stock
from head_office.reports.report_records import FreshnessOut, freshness_out
from head_office.reservations.order_placement import (
    ItemShort,
    OrderedItem,
    Placement,
    StockedLocation,
    Unfit,
    choice_of,
    place_order,
)
from shared.event_record import Number
from shared.events import quantity_json


class ItemQuantity(NamedTuple):
    """What is asked of an item, named by its code or its barcode, in thousandths."""

    item_id: str
    quantity: int


class PreferredOrder(NamedTuple):
    """An order's items, one line each, and the locations that are preferred to serve it, the first one most."""

    lines: Sequence[OrderedItem]
    prefer: Sequence[str]


class ItemShortOut(msgspec.Struct, frozen=True, kw_only=True):
    """An item of which too little is available; `available` may be below zero."""

    item_id: str
    unit: str | None
    asked: Number
    available: Number


class PlacementOut(msgspec.Struct, frozen=True, kw_only=True):
    """A location. It `serves` the order if nothing is `short` and nothing is `unfit` about its figures.

    `unfit`: `silent` not heard of for too long; `verdict` it does not ship; `behind` it had events that are not here;
    `quarantined` an event that cannot be read may change a figure; `units` it keeps an item in another unit.
    """

    location_id: str
    serves: bool
    short: tuple[ItemShortOut, ...]
    unfit: tuple[Unfit, ...]
    freshness: FreshnessOut


class ServingChoice(msgspec.Struct, frozen=True, kw_only=True):
    """The location that should serve the order, null where none does; and every location, the best first."""

    choice: str | None
    items: tuple[PlacementOut, ...]


def availability(
    connection: Connection,
    lines: Sequence[ItemQuantity],
    *,
    prefer: Sequence[str],
    location_ids: Collection[str] | None,
    heard_within: int,
) -> ServingChoice:
    """Find where an order should be served, among the given locations (None: all).

    Lines of one item are summed. `heard_within` is in microseconds. Raises Problem 422 `unknown-item`.
    """
    named = items_named(connection, {line.item_id for line in lines})
    sums: dict[str, int] = {}
    for line in lines:
        item = named[line.item_id]
        sums[item.item_id] = sums.get(item.item_id, 0) + line.quantity
    units = {item.item_id: item.unit for item in named.values()}
    asked = [OrderedItem(item_id=item, unit=units[item], quantity=quantity) for item, quantity in sums.items()]
    order = PreferredOrder(asked, prefer)
    (placements,) = placements_of(connection, [order], location_ids=location_ids, heard_within=heard_within)
    return ServingChoice(choice=choice_of(placements), items=tuple(_out(each) for each in placements))


def placements_of(
    connection: Connection,
    orders: Sequence[PreferredOrder],
    *,
    location_ids: Collection[str] | None,
    heard_within: int,
) -> list[list[Placement]]:
    """Every location for each of some orders, as `place_order` has it; a few queries for all of them.

    `heard_within` is in microseconds.
    """
    items = {line.item_id for order in orders for line in order.lines}
    by_location: dict[str, list[StockRow]] = {}
    for row in stock(connection, location_ids=location_ids, item_ids=sorted(items)).rows:
        by_location.setdefault(row.location_id, []).append(row)
    fresh = freshness(connection, location_ids)
    moment = now(connection)
    found = []
    for order in orders:
        units = {line.item_id: line.unit for line in order.lines}
        stocked = []
        for place in fresh:
            rows = (row for row in by_location.get(place, ()) if row.item_id in units)
            stocked.append(_stocked(fresh[place], rows, units))
        found.append(place_order(order.lines, stocked, order.prefer, now=moment, heard_within=heard_within))
    return found


def _stocked(fresh: Freshness, rows: Iterable[StockRow], units: Mapping[str, str | None]) -> StockedLocation:
    available: dict[str, int] = {}
    other: set[str] = set()
    seen: dict[str, str | None] = {}
    for row in rows:
        unit = units[row.item_id] or seen.setdefault(row.item_id, row.unit)
        if row.unit in {None, unit}:
            available[row.item_id] = available.get(row.item_id, 0) + row.available
        else:
            other.add(row.item_id)
    return StockedLocation(fresh=fresh, available=available, other_units=frozenset(other))


def _out(each: Placement) -> PlacementOut:
    return PlacementOut(
        location_id=each.location_id,
        serves=each.serves,
        short=tuple(_short_out(short) for short in each.short),
        unfit=each.unfit,
        freshness=freshness_out(each.fresh),
    )


def _short_out(short: ItemShort) -> ItemShortOut:
    return ItemShortOut(
        item_id=short.item_id,
        unit=short.unit,
        asked=quantity_json(short.asked),
        available=quantity_json(short.available),
    )
