"""What is on order: the open quantities of the orders to suppliers, now and within a cut.

Works inside the transaction of the Connection it is given. Quantities are thousandths.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import BigInteger, ColumnElement, Connection, func, literal, select

from head_office.catalogue.catalogue_history import entries_at
from head_office.database.arrays import array
from head_office.database.purchase_tables import DELIVERED_LINE, PURCHASE_ORDER, PURCHASE_ORDER_LINE
from head_office.database.schema import VOIDED
from head_office.reports.known_at import AsOf, Cut, moment_at
from shared.catalogue_messages import CataloguePurchaseOrder
from shared.purchases.purchase_orders import Delivered, PurchaseOrderLine, open_quantity
from shared.stock_expressions import EVERYTHING, EventScope, known, stands

_decode: Final = msgspec.json.Decoder(CataloguePurchaseOrder).decode


class OnOrder(NamedTuple):
    """How much of an item is on order for a location, and the earliest date at which some of it is due."""

    quantity: int
    next_due: str | None


def on_order_now(connection: Connection, location_ids: Collection[str] | None) -> dict[tuple[str, str], OnOrder]:
    """Sum what is open, by location and item, of the orders as they stand."""
    line = PURCHASE_ORDER_LINE
    query = select(line, PURCHASE_ORDER.c.due).join(
        PURCHASE_ORDER, PURCHASE_ORDER.c.purchase_order_id == line.c.purchase_order_id
    )
    if location_ids is not None:
        query = query.where(line.c.location_id == func.any(array(sorted(location_ids))))
    received = _received(connection, [stands(DELIVERED_LINE, VOIDED, EVERYTHING)], location_ids)
    rows = connection.execute(query)
    lines = ((row.location_id, row.purchase_order_id, _line(row), row.due) for row in rows)
    return _summed(lines, received)


def on_order_at(
    connection: Connection, cut: Cut, as_of: AsOf | None, location_ids: Collection[str] | None
) -> dict[tuple[str, str], OnOrder]:
    """The same of the orders as they were known at the cut's moment, by the deliveries within it and as of a moment."""
    heads = cut.table()
    moment = None if as_of is None else moment_at(heads.c.location_id, as_of)
    scope = EventScope(moment, heads.c.sequence, cut.unknown())
    conditions = [
        heads.c.location_id == DELIVERED_LINE.c.location_id,
        *known(DELIVERED_LINE, scope),
        stands(DELIVERED_LINE, VOIDED, scope, heads),
    ]
    received = _received(connection, conditions, location_ids)
    query = entries_at("purchase_order", literal(cut.known_at, BigInteger))
    orders = [_decode(row.content).order for row in connection.execute(query)]
    lines = (
        (order.location_id, order.purchase_order_id, line, order.due)
        for order in orders
        if location_ids is None or order.location_id in location_ids
        for line in order.lines
    )
    return _summed(lines, received)


def _line(row: Any) -> PurchaseOrderLine:
    return PurchaseOrderLine(
        line=row.line, item_id=row.item_id, unit=row.unit, quantity=row.quantity, closed=row.closed
    )


def _received(
    connection: Connection, where: Iterable[ColumnElement[bool]], location_ids: Collection[str] | None
) -> dict[tuple[str, str, int], int]:
    key = (DELIVERED_LINE.c.location_id, DELIVERED_LINE.c.purchase_order_id, DELIVERED_LINE.c.line)
    query = select(*key, func.sum(DELIVERED_LINE.c.received).label("received")).where(*where).group_by(*key)
    if location_ids is not None:
        query = query.where(DELIVERED_LINE.c.location_id == func.any(array(sorted(location_ids))))
    return {(row[0], row[1], row[2]): int(row[3]) for row in connection.execute(query)}


def _summed(
    lines: Iterable[tuple[str, str, PurchaseOrderLine, str | None]], received: dict[tuple[str, str, int], int]
) -> dict[tuple[str, str], OnOrder]:
    found: dict[tuple[str, str], OnOrder] = {}
    for location_id, order_id, line, due in lines:
        delivered = Delivered(received=received.get((location_id, order_id, line.line), 0))
        if (quantity := open_quantity(line, delivered)) == 0:
            continue
        before = found.get((location_id, line.item_id), OnOrder(0, None))
        dues = [each for each in (before.next_due, due) if each is not None]
        found[location_id, line.item_id] = OnOrder(before.quantity + quantity, min(dues, default=None))
    return found
