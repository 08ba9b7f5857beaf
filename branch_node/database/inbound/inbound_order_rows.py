"""The rows of told orders in the node's database: what the log says of each, kept for look-ups."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, select, tuple_

from branch_node.database.reservation_rows import OrderKey
from branch_node.database.schema import INBOUND_ORDER
from shared.orders.inbound_orders import InboundOrder
from shared.runtime.database.row_writes import upsert_rows

_COLUMNS: Final = tuple(column.name for column in INBOUND_ORDER.columns)


def inbound_orders(connection: Connection, orders: Sequence[OrderKey]) -> list[InboundOrder]:
    """Read what is known of these orders."""
    if not orders:
        return []
    row = INBOUND_ORDER.c
    query = select(INBOUND_ORDER).where(tuple_(row.order_id, row.source).in_(list(orders)))
    return [inbound_order_of(row) for row in connection.execute(query)]


def inbound_order_of(row: Any) -> InboundOrder:
    """What a row says of its order."""
    return InboundOrder(
        order_id=row.order_id,
        source=row.source,
        revision=row.revision,
        covered=bool(row.covered),
        cancelled=bool(row.cancelled),
        final=bool(row.final),
        deductions=tuple(msgspec.json.decode(row.deductions, type=list[int])),
    )


def has_inbound_orders(connection: Connection) -> bool:
    """Whether any order was told of."""
    return connection.execute(select(INBOUND_ORDER.c.order_id).limit(1)).first() is not None


def store_inbound_orders(connection: Connection, orders: Iterable[InboundOrder]) -> None:
    """Write what is known of orders, in place of what was."""
    rows = [
        (
            each.order_id,
            each.source,
            each.revision,
            each.covered,
            each.cancelled,
            each.final,
            msgspec.json.encode(each.deductions).decode("ascii"),
        )
        for each in orders
    ]
    upsert_rows(connection, INBOUND_ORDER, _COLUMNS, rows)
