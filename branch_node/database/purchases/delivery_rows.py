"""The deliveries of this log: written with their events, and summed by order and line as far as they count.

Works inside the transaction of the Connection it is given. Quantities are thousandths.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import ColumnElement, Connection, and_, func, select

from branch_node.database.schema import DELIVERED_LINE, ITEM, LOG, PURCHASES
from shared.chain import Sealed
from shared.event_log import append
from shared.purchases.delivered_lines import PURCHASE_ORDER, delivered_line_of
from shared.purchases.purchase_orders import Delivered
from shared.runtime.database.row_writes import insert_rows

DELIVERY_COLUMNS: Final = tuple(column.name for column in DELIVERED_LINE.columns)


def append_events(connection: Connection, sealed: Sequence[Sealed]) -> None:
    """Append events to the log, and keep those that are deliveries against an order's line. Raises StaleHead."""
    append(connection, LOG, sealed)
    # It is on the path of every append, and few events refer to an order to a supplier.
    events = [each.event for each in sealed if each.event.reference is not None]
    referring = [event for event in events if event.reference is not None and event.reference.kind == PURCHASE_ORDER]
    if referring:
        deliveries = [found for found in map(delivered_line_of, referring) if found is not None]
        insert_rows(connection, DELIVERED_LINE, DELIVERY_COLUMNS, deliveries)


def counts_for_line() -> ColumnElement[bool]:
    """The condition on DELIVERED_LINE that it is not voided and counts for a line of PURCHASES.line: its code means
    the line's item here. Before its order was pulled, a delivery was recorded as it was told, whatever its item."""
    row, line, voided = DELIVERED_LINE.c, PURCHASES.line.c, LOG.voided.c
    meant = select(ITEM.c.stands_for).where(ITEM.c.item_id == row.item_id).scalar_subquery()
    return and_(
        row.purchase_order_id == line.purchase_order_id,
        row.line == line.line,
        func.coalesce(meant, row.item_id) == line.item_id,
        ~select(voided.sequence).where(voided.sequence == row.sequence).exists(),
    )


def delivered_of(connection: Connection, purchase_order_ids: Sequence[str]) -> dict[str, dict[int, Delivered]]:
    """Sum what counts for the lines of these orders: by order, then by line; lines without a delivery are left out.

    So are orders that were not pulled: nobody knows what their lines are of.
    """
    row, line = DELIVERED_LINE.c, PURCHASES.line.c
    query = (
        select(
            line.purchase_order_id,
            line.line,
            func.sum(row.received).label("received"),
            func.sum(row.returned).label("returned"),
        )
        .select_from(PURCHASES.line.join(DELIVERED_LINE, counts_for_line()))
        .where(line.purchase_order_id.in_(purchase_order_ids))
        .group_by(line.purchase_order_id, line.line)
    )
    found: dict[str, dict[int, Delivered]] = {}
    for each in connection.execute(query):
        delivered = Delivered(received=int(each.received), returned=int(each.returned))
        found.setdefault(each.purchase_order_id, {})[each.line] = delivered
    return found
