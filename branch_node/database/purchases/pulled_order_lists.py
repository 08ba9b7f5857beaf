"""The orders to suppliers that were pulled, with what this log says was delivered, on a read-only connection."""

from __future__ import annotations

from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, exists, func, select

from branch_node.database.purchases.delivery_rows import counts_for_line, delivered_of
from branch_node.database.purchases.pulled_order_rows import purchase_order_with_id, purchase_orders_where
from branch_node.database.schema import DELIVERED_LINE, PURCHASES
from branch_node.database.stock.stock_figures import codes_of
from branch_node.records import Page
from shared.purchases.purchase_order_record import PurchaseOrderRecord, purchase_order_record
from shared.purchases.purchase_orders import PurchaseOrder, PurchaseOrderState
from shared.runtime.http.cursor import Cursor, page_of

BY_PURCHASE_ORDER: Final[Cursor[str]] = Cursor(str)
"""The cursor of the list, in the order of ids."""

MOST_OPEN: Final = 500
"""How many open orders a page shows at most."""


class PurchaseOrdersWanted(NamedTuple):
    """What the listed orders have in common; None: any. An item is named by any of its codes."""

    supplier_id: str | None = None
    item_id: str | None = None
    state: PurchaseOrderState | None = None

    def conditions(self, connection: Connection) -> list[ColumnElement[bool]]:
        """The conditions on an order."""
        row, line = PURCHASES.order.c, PURCHASES.line.c
        found: list[ColumnElement[bool]] = []
        if self.supplier_id is not None:
            found.append(row.supplier_id == self.supplier_id)
        if self.item_id is not None:
            meant, codes = codes_of(connection, self.item_id)
            names_it = select(line.purchase_order_id).where(line.item_id.in_({meant, *codes}))
            found.append(row.purchase_order_id.in_(names_it))
        if self.state is not None:
            found.append(_in_state(self.state))
        return found


def _in_state(state: PurchaseOrderState) -> ColumnElement[bool]:
    """The condition that an order is in a state: `shared.purchases.purchase_orders.state_of` in SQL."""
    line, delivery = PURCHASES.line.c, DELIVERED_LINE.c
    received = (
        select(func.coalesce(func.sum(delivery.received), 0))
        .where(counts_for_line())
        .correlate(PURCHASES.line)
        .scalar_subquery()
    )
    of_it = line.purchase_order_id == PURCHASES.order.c.purchase_order_id
    is_open = exists().where(of_it, ~line.closed, line.quantity > received)
    if state is PurchaseOrderState.OPEN:
        return is_open
    rest_taken = exists().where(of_it, line.closed, line.quantity > received)
    return and_(~is_open, rest_taken if state is PurchaseOrderState.CLOSED else ~rest_taken)


def list_purchase_orders(
    connection: Connection, wanted: PurchaseOrdersWanted, *, after: str | None, limit: int
) -> Page[PurchaseOrderRecord]:
    """List orders in the order of their ids."""
    conditions = wanted.conditions(connection)
    if after is not None:
        conditions.append(PURCHASES.order.c.purchase_order_id > after)
    found = purchase_orders_where(connection, and_(True, *conditions), limit=limit + 1)
    listed, following = page_of(found, limit, lambda last: BY_PURCHASE_ORDER.write(last.purchase_order_id))
    return Page(items=_records(connection, listed), next=following)


def open_purchase_orders(connection: Connection, limit: int = MOST_OPEN) -> list[PurchaseOrderRecord]:
    """The orders of which any line is open, the one due first in front, those without a date at the end."""
    row = PURCHASES.order.c
    order_by = (row.due.is_(None), row.due, row.purchase_order_id)
    found = purchase_orders_where(connection, _in_state(PurchaseOrderState.OPEN), limit=limit, order_by=order_by)
    return _records(connection, found)


def ended_purchase_orders(connection: Connection, *, before: str | None, limit: int) -> list[PurchaseOrderRecord]:
    """The orders of which no line is open, the newest in front; `before`: those older than this one."""
    row = PURCHASES.order.c
    ended = ~_in_state(PurchaseOrderState.OPEN)
    if before is not None:
        made = select(row.created_at).where(row.purchase_order_id == before).scalar_subquery()
        ended &= (row.created_at < made) | ((row.created_at == made) & (row.purchase_order_id < before))
    order_by = (row.created_at.desc(), row.purchase_order_id.desc())
    return _records(connection, purchase_orders_where(connection, ended, limit=limit, order_by=order_by))


def read_purchase_order(connection: Connection, purchase_order_id: str) -> PurchaseOrderRecord | None:
    """One order; None for one that was not pulled."""
    order = purchase_order_with_id(connection, purchase_order_id)
    return None if order is None else _records(connection, [order])[0]


def _records(connection: Connection, orders: list[PurchaseOrder]) -> list[PurchaseOrderRecord]:
    delivered = delivered_of(connection, [each.purchase_order_id for each in orders])
    return [purchase_order_record(each, delivered.get(each.purchase_order_id, {})) for each in orders]
