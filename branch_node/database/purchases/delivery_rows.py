"""The deliveries of this log: written with their events, and summed by order and line without those that are voided.

Works inside the transaction of the Connection it is given. Quantities are thousandths.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import ColumnElement, Connection, func, select

from branch_node.database.schema import DELIVERED_LINE, LOG
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


def delivery_stands() -> ColumnElement[bool]:
    """The condition on DELIVERED_LINE that the event is not voided."""
    voided = LOG.voided.c
    return ~select(voided.sequence).where(voided.sequence == DELIVERED_LINE.c.sequence).exists()


def delivered_of(connection: Connection, purchase_order_ids: Sequence[str]) -> dict[str, dict[int, Delivered]]:
    """Sum what stands of these orders: by order, then by line; what nothing was delivered of is left out."""
    row = DELIVERED_LINE.c
    query = (
        select(
            row.purchase_order_id,
            row.line,
            func.sum(row.received).label("received"),
            func.sum(row.returned).label("returned"),
        )
        .where(row.purchase_order_id.in_(purchase_order_ids), delivery_stands())
        .group_by(row.purchase_order_id, row.line)
    )
    found: dict[str, dict[int, Delivered]] = {}
    for each in connection.execute(query):
        delivered = Delivered(received=int(each.received), returned=int(each.returned))
        found.setdefault(each.purchase_order_id, {})[each.line] = delivered
    return found
