"""The rows of suppliers and of orders to them: written as pulled, whole, and read by id.

Works inside the transaction of the Connection it is given.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Connection, Table, bindparam, delete, select, true

from branch_node.database.schema import PURCHASES
from shared.events import Cost
from shared.purchases.purchase_orders import PurchaseOrder, PurchaseOrderLine
from shared.purchases.suppliers import Supplier
from shared.runtime.database.row_writes import insert_rows, upsert_rows

_SUPPLIER_COLUMNS: Final = tuple(column.name for column in PURCHASES.supplier.columns)
_ORDER_COLUMNS: Final = tuple(column.name for column in PURCHASES.order.columns)
_LINE_COLUMNS: Final = tuple(column.name for column in PURCHASES.line.columns)


def store_suppliers(connection: Connection, suppliers: Iterable[Supplier]) -> None:
    """Write suppliers, in place of what was known of them."""
    rows = [(each.supplier_id, each.name, each.email, each.lead_days) for each in suppliers]
    upsert_rows(connection, PURCHASES.supplier, _SUPPLIER_COLUMNS, rows)


def delete_suppliers(connection: Connection, supplier_ids: Iterable[str]) -> None:
    """Delete these suppliers; orders go on naming them."""
    _delete(connection, PURCHASES.supplier.c.supplier_id, supplier_ids)


def store_purchase_orders(connection: Connection, orders: Sequence[PurchaseOrder]) -> None:
    """Write orders with all their lines, in place of what was known of them."""
    rows = [
        (
            each.purchase_order_id,
            each.location_id,
            each.supplier_id,
            each.due,
            each.note,
            each.close_reason,
            each.created_at,
        )
        for each in orders
    ]
    upsert_rows(connection, PURCHASES.order, _ORDER_COLUMNS, rows)
    _delete(connection, PURCHASES.line.c.purchase_order_id, [each.purchase_order_id for each in orders])
    lines = [
        (
            each.purchase_order_id,
            line.line,
            line.item_id,
            line.unit,
            line.quantity,
            None if line.cost is None else line.cost.amount,
            None if line.cost is None else line.cost.currency,
            line.closed,
        )
        for each in orders
        for line in each.lines
    ]
    insert_rows(connection, PURCHASES.line, _LINE_COLUMNS, lines)


def keep_only(connection: Connection, *, supplier_ids: Collection[str], purchase_order_ids: Collection[str]) -> None:
    """Delete every supplier and order but these. What the log says was delivered against the others stays."""
    delete_suppliers(connection, _others(connection, PURCHASES.supplier, supplier_ids))
    gone = _others(connection, PURCHASES.order, purchase_order_ids)
    _delete(connection, PURCHASES.line.c.purchase_order_id, gone)
    _delete(connection, PURCHASES.order.c.purchase_order_id, gone)


def _others(connection: Connection, table: Table, kept: Collection[str]) -> list[str]:
    (key,) = table.primary_key
    return [each for each in connection.execute(select(key)).scalars() if each not in kept]


def _delete(connection: Connection, column: Column[Any], values: Iterable[str]) -> None:
    gone = [{"gone": each} for each in values]
    if gone:
        connection.execute(delete(column.table).where(column == bindparam("gone")), gone)


def supplier_names(connection: Connection, supplier_ids: Iterable[str]) -> dict[str, str]:
    """Read the names of suppliers by id; one that head office has removed is left out."""
    row = PURCHASES.supplier.c
    query = select(row.supplier_id, row.name).where(row.supplier_id.in_(sorted(set(supplier_ids))))
    return {found.supplier_id: found.name for found in connection.execute(query)}


def purchase_order_with_id(connection: Connection, purchase_order_id: str) -> PurchaseOrder | None:
    """Read an order as head office stated it last; None for one that was not pulled."""
    found = purchase_orders_where(connection, PURCHASES.order.c.purchase_order_id == purchase_order_id)
    return found[0] if found else None


def purchase_orders_where(
    connection: Connection,
    condition: ColumnElement[bool] | None = None,
    *,
    limit: int | None = None,
    order_by: Sequence[ColumnElement[Any]] = (PURCHASES.order.c.purchase_order_id,),
) -> list[PurchaseOrder]:
    """Read the orders for which a condition on their table holds (None: all), in order of id if not told otherwise."""
    table = PURCHASES.order
    query = select(table).where(true() if condition is None else condition).order_by(*order_by).limit(limit)
    rows = connection.execute(query).all()
    lines = _lines_of(connection, [row.purchase_order_id for row in rows])
    return [
        PurchaseOrder(
            purchase_order_id=row.purchase_order_id,
            location_id=row.location_id,
            supplier_id=row.supplier_id,
            lines=tuple(lines.get(row.purchase_order_id, ())),
            created_at=row.created_at,
            due=row.due,
            note=row.note,
            close_reason=row.close_reason,
        )
        for row in rows
    ]


def _lines_of(connection: Connection, purchase_order_ids: Sequence[str]) -> dict[str, list[PurchaseOrderLine]]:
    if not purchase_order_ids:
        return {}
    table = PURCHASES.line
    query = select(table).where(table.c.purchase_order_id.in_(purchase_order_ids)).order_by(table.c.line)
    found: dict[str, list[PurchaseOrderLine]] = {}
    for row in connection.execute(query):
        line = PurchaseOrderLine(
            line=row.line,
            item_id=row.item_id,
            unit=row.unit,
            quantity=row.quantity,
            cost=None if row.cost_amount is None else Cost(amount=row.cost_amount, currency=row.cost_currency),
            closed=bool(row.closed),
        )
        found.setdefault(row.purchase_order_id, []).append(line)
    return found
