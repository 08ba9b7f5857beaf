"""The tables of suppliers and of orders to them, as they stand now, and of what the logs say was delivered.

They join the MetaData of `schema`. What was known of suppliers and orders at a moment is in `catalogue_entry`. Times
are microseconds UTC, quantities thousandths.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    literal_column,
    text,
)

from head_office.database.schema import metadata
from shared.events import MAX_QUANTITY
from shared.levels.reorder_levels import MAX_LEAD_DAYS
from shared.purchases.delivered_lines import delivered_line_table
from shared.purchases.purchase_orders import MAX_ORDER_LINES

SUPPLIER: Final = Table(
    "supplier",
    metadata,
    Column("supplier_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("email", Text),
    Column("lead_days", Integer),
    CheckConstraint(f"lead_days BETWEEN 0 AND {MAX_LEAD_DAYS}", name="supplier_lead"),
)

PURCHASE_ORDER: Final = Table(
    "purchase_order",
    metadata,
    Column("purchase_order_id", Text, primary_key=True),
    Column("location_id", Text, nullable=False),
    Column("supplier_id", Text, nullable=False),
    Column("due", Text),  # a date at the location, as 2026-01-31
    Column("note", Text),
    Column("close_reason", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("content_digest", Text, nullable=False),  # SHA-256 of what it was created with, hex
    Column("request_key", Text),  # the Idempotency-Key, where head office gave the id
    Index("purchase_order_location", "location_id", "purchase_order_id"),
    Index("purchase_order_supplier", "supplier_id", "purchase_order_id"),
    Index("purchase_order_request", "request_key", unique=True, postgresql_where=text("request_key IS NOT NULL")),
)

PURCHASE_ORDER_LINE: Final = Table(
    "purchase_order_line",
    metadata,
    Column("purchase_order_id", Text, nullable=False),
    Column("line", Integer, nullable=False),
    Column("location_id", Text, nullable=False),  # the order's
    Column("item_id", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("cost_amount", Text),
    Column("cost_currency", Text),
    Column("closed", Boolean(create_constraint=False), nullable=False),
    # False only where nothing of it is open: it is closed, or received in full by the deliveries that stand. Kept as
    # events arrive, so that what is on order does not cost the whole past.
    Column("awaited", Boolean(create_constraint=False), nullable=False),
    PrimaryKeyConstraint("purchase_order_id", "line"),
    ForeignKeyConstraint(["purchase_order_id"], ["purchase_order.purchase_order_id"]),
    CheckConstraint(f"line BETWEEN 1 AND {MAX_ORDER_LINES}", name="purchase_order_line_number"),
    CheckConstraint(f"quantity BETWEEN 1 AND {MAX_QUANTITY}", name="purchase_order_line_quantity"),
    CheckConstraint("(cost_amount IS NULL) = (cost_currency IS NULL)", name="purchase_order_line_cost"),
    CheckConstraint("NOT (closed AND awaited)", name="purchase_order_line_closed"),
    Index("purchase_order_line_item", "item_id", "purchase_order_id"),
)

AWAITED: Final = PURCHASE_ORDER_LINE.c.awaited == literal_column("true")
"""What `purchase_order_line_awaited` finds: few of all lines."""
Index(
    "purchase_order_line_awaited",
    PURCHASE_ORDER_LINE.c.location_id,
    PURCHASE_ORDER_LINE.c.item_id,
    postgresql_where=AWAITED,
)

PURCHASE_ORDER_NUMBER: Final = Table(
    "purchase_order_number",
    metadata,
    Column("single", Boolean(create_constraint=False), primary_key=True),
    Column("number", BigInteger, nullable=False),  # the last one given
    CheckConstraint("single", name="purchase_order_number_is_one_row"),
)

DELIVERED_LINE: Final = delivered_line_table(metadata, consolidated=True)
