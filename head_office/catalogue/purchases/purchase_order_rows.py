"""The rows of orders to suppliers, as they stand now. Works inside the transaction of the Connection it is given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select

from head_office.database.arrays import array
from head_office.database.purchase_tables import PURCHASE_ORDER, PURCHASE_ORDER_LINE
from shared.events import Cost
from shared.purchases.purchase_orders import PurchaseOrder, PurchaseOrderLine


def orders_with_ids(connection: Connection, purchase_order_ids: Iterable[str]) -> dict[str, PurchaseOrder]:
    """Read those of the given orders that exist, by id."""
    wanted = array(sorted(set(purchase_order_ids)))
    order, line = PURCHASE_ORDER.c, PURCHASE_ORDER_LINE.c
    lines: dict[str, list[PurchaseOrderLine]] = {}
    of_them = (
        select(PURCHASE_ORDER_LINE)
        .where(line.purchase_order_id == func.any(wanted))
        .order_by(line.purchase_order_id, line.line)
    )
    for row in connection.execute(of_them):
        lines.setdefault(row.purchase_order_id, []).append(_line(row))
    rows = connection.execute(select(PURCHASE_ORDER).where(order.purchase_order_id == func.any(wanted)))
    return {row.purchase_order_id: _order(row, lines[row.purchase_order_id]) for row in rows}


def insert_orders(
    connection: Connection, orders: Sequence[PurchaseOrder], about: Mapping[str, Mapping[str, Any]]
) -> None:
    """Insert new orders with all that is in `about` by id: `content_digest` and `request_key`.

    Every line is awaited at first, even where its delivery arrived before it: that is only in vain.
    """
    if not orders:
        return
    connection.execute(
        insert(PURCHASE_ORDER),
        [
            {
                "purchase_order_id": each.purchase_order_id,
                "location_id": each.location_id,
                "supplier_id": each.supplier_id,
                "due": each.due,
                "note": each.note,
                "close_reason": each.close_reason,
                "created_at": each.created_at,
                **about[each.purchase_order_id],
            }
            for each in orders
        ],
    )
    connection.execute(insert(PURCHASE_ORDER_LINE), [_line_row(each, line) for each in orders for line in each.lines])


def _line_row(order: PurchaseOrder, line: PurchaseOrderLine) -> dict[str, Any]:
    return {
        "purchase_order_id": order.purchase_order_id,
        "line": line.line,
        "location_id": order.location_id,
        "item_id": line.item_id,
        "unit": line.unit,
        "quantity": line.quantity,
        "cost_amount": None if line.cost is None else line.cost.amount,
        "cost_currency": None if line.cost is None else line.cost.currency,
        "closed": line.closed,
        "awaited": not line.closed,
    }


def _order(row: Row[Any], lines: Sequence[PurchaseOrderLine]) -> PurchaseOrder:
    return PurchaseOrder(
        purchase_order_id=row.purchase_order_id,
        location_id=row.location_id,
        supplier_id=row.supplier_id,
        lines=tuple(lines),
        created_at=row.created_at,
        due=row.due,
        note=row.note,
        close_reason=row.close_reason,
    )


def _line(row: Row[Any]) -> PurchaseOrderLine:
    return PurchaseOrderLine(
        line=row.line,
        item_id=row.item_id,
        unit=row.unit,
        quantity=row.quantity,
        cost=None if row.cost_amount is None else Cost(amount=row.cost_amount, currency=row.cost_currency),
        closed=row.closed,
    )
