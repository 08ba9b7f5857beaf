"""The tables of suppliers and of orders to them, as head office stated them last. Only the puller writes them.

Times are microseconds UTC, quantities thousandths.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
)

from shared.events import MAX_QUANTITY
from shared.levels.reorder_levels import MAX_LEAD_DAYS
from shared.purchases.purchase_orders import MAX_ORDER_LINES


class PulledPurchaseTables(NamedTuple):
    """`order` has the orders for this location alone, `line` their lines."""

    supplier: Table
    order: Table
    line: Table


def pulled_purchase_tables(metadata: MetaData) -> PulledPurchaseTables:
    """Define the tables in `metadata`."""
    supplier = Table(
        "supplier",
        metadata,
        Column("supplier_id", Text, primary_key=True),
        Column("name", Text, nullable=False),
        Column("email", Text),
        Column("lead_days", Integer),
        CheckConstraint(f"lead_days BETWEEN 0 AND {MAX_LEAD_DAYS}", name="supplier_lead"),
    )
    order = Table(
        "purchase_order",
        metadata,
        Column("purchase_order_id", Text, primary_key=True),
        Column("location_id", Text, nullable=False),  # this one
        Column("supplier_id", Text, nullable=False),
        Column("due", Text),  # a date here, as 2026-01-31
        Column("note", Text),
        Column("close_reason", Text),
        Column("created_at", BigInteger, nullable=False),  # by head office's clock
    )
    Index("purchase_order_supplier", order.c.supplier_id, order.c.purchase_order_id)
    line = Table(
        "purchase_order_line",
        metadata,
        Column("purchase_order_id", Text, nullable=False),
        Column("line", Integer, nullable=False),
        Column("item_id", Text, nullable=False),  # the group's code when it was ordered
        Column("unit", Text, nullable=False),
        Column("quantity", BigInteger, nullable=False),
        Column("cost_amount", Text),
        Column("cost_currency", Text),
        Column("closed", Boolean(create_constraint=False), nullable=False),
        PrimaryKeyConstraint("purchase_order_id", "line"),
        ForeignKeyConstraint(
            ["purchase_order_id"], ["purchase_order.purchase_order_id"], name="purchase_order_line_order"
        ),
        CheckConstraint(f"line BETWEEN 1 AND {MAX_ORDER_LINES}", name="purchase_order_line_number"),
        CheckConstraint(f"quantity BETWEEN 1 AND {MAX_QUANTITY}", name="purchase_order_line_quantity"),
        CheckConstraint("(cost_amount IS NULL) = (cost_currency IS NULL)", name="purchase_order_line_cost"),
    )
    Index("purchase_order_line_item", line.c.item_id, line.c.purchase_order_id)
    return PulledPurchaseTables(supplier, order, line)
