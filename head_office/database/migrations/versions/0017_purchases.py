"""Suppliers, orders to them, and what the logs say was delivered against their lines.

A log that was received before may have such deliveries: any reference was taken. So the table is filled from the lines.
"""

import json
from typing import Any

import sqlalchemy as sa
import zstandard
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

MOST = 10**12


def upgrade() -> None:
    op.create_table(
        "supplier",
        sa.Column("supplier_id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("email", sa.Text),
        sa.Column("lead_days", sa.Integer),
        sa.CheckConstraint("lead_days BETWEEN 0 AND 366", name="supplier_lead"),
    )
    op.create_table(
        "purchase_order",
        sa.Column("purchase_order_id", sa.Text, primary_key=True),
        sa.Column("location_id", sa.Text, nullable=False),
        sa.Column("supplier_id", sa.Text, nullable=False),
        sa.Column("due", sa.Text),
        sa.Column("note", sa.Text),
        sa.Column("close_reason", sa.Text),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("content_digest", sa.Text, nullable=False),
        sa.Column("request_key", sa.Text),
    )
    op.create_index("purchase_order_location", "purchase_order", ["location_id", "purchase_order_id"])
    op.create_index("purchase_order_supplier", "purchase_order", ["supplier_id", "purchase_order_id"])
    op.create_index(
        "purchase_order_request",
        "purchase_order",
        ["request_key"],
        unique=True,
        postgresql_where=sa.text("request_key IS NOT NULL"),
    )
    op.create_table(
        "purchase_order_line",
        sa.Column("purchase_order_id", sa.Text, nullable=False),
        sa.Column("line", sa.Integer, nullable=False),
        sa.Column("location_id", sa.Text, nullable=False),
        sa.Column("item_id", sa.Text, nullable=False),
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("quantity", sa.BigInteger, nullable=False),
        sa.Column("cost_amount", sa.Text),
        sa.Column("cost_currency", sa.Text),
        sa.Column("closed", sa.Boolean, nullable=False),
        sa.Column("awaited", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("purchase_order_id", "line"),
        sa.ForeignKeyConstraint(["purchase_order_id"], ["purchase_order.purchase_order_id"]),
        sa.CheckConstraint("line BETWEEN 1 AND 200", name="purchase_order_line_number"),
        sa.CheckConstraint(f"quantity BETWEEN 1 AND {MOST}", name="purchase_order_line_quantity"),
        sa.CheckConstraint("(cost_amount IS NULL) = (cost_currency IS NULL)", name="purchase_order_line_cost"),
        sa.CheckConstraint("NOT (closed AND awaited)", name="purchase_order_line_closed"),
    )
    op.create_index("purchase_order_line_item", "purchase_order_line", ["item_id", "purchase_order_id"])
    op.create_index(
        "purchase_order_line_awaited",
        "purchase_order_line",
        ["location_id", "item_id"],
        postgresql_where=sa.text("awaited = true"),
    )
    op.create_table(
        "purchase_order_number",
        sa.Column("single", sa.Boolean, primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.CheckConstraint("single", name="purchase_order_number_is_one_row"),
    )
    op.execute("INSERT INTO purchase_order_number VALUES (true, 0)")
    op.create_table(
        "delivered_line",
        sa.Column("location_id", sa.Text, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("purchase_order_id", sa.Text, nullable=False),
        sa.Column("line", sa.Integer, nullable=False),
        sa.Column("item_id", sa.Text, nullable=False),
        sa.Column("received", sa.BigInteger, nullable=False),
        sa.Column("returned", sa.BigInteger, nullable=False),
        sa.Column("occurred_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("location_id", "sequence"),
        sa.CheckConstraint("line BETWEEN 1 AND 1000", name="delivered_line_number"),
        sa.CheckConstraint(
            f"received BETWEEN 0 AND {MOST} AND returned BETWEEN 0 AND {MOST} AND (received = 0) <> (returned = 0)",
            name="delivered_line_one_way",
        ),
    )
    op.create_index("delivered_line_order", "delivered_line", ["location_id", "purchase_order_id", "line"])
    _fill_deliveries(op.get_bind())
    # What was known at a moment is read by location.
    op.create_index("catalogue_entry_location", "catalogue_entry", ["kind", "location_id", "subject", "version"])


SEGMENTS_AT_ONCE = 16
PURCHASES = "('PURCHASE_RECEIVED', 'PURCHASE_RETURNED')"
# Only segments with a purchase that was folded need be unpacked. The index of types has no deductions.
_SEGMENTS = f"""
    SELECT location_id, first_sequence, frame, bought.sequences FROM log_segment CROSS JOIN LATERAL (
        SELECT array_agg(sequence) AS sequences FROM event
        WHERE event.location_id = log_segment.location_id AND type IN {PURCHASES} AND type <> 'ORDER_DEDUCTION'
            AND sequence BETWEEN first_sequence AND last_sequence
    ) AS bought
    WHERE (location_id, first_sequence) > (:location_id, :first_sequence) AND bought.sequences IS NOT NULL
    ORDER BY location_id, first_sequence LIMIT {SEGMENTS_AT_ONCE}
"""
_INSERT = """
    INSERT INTO delivered_line
    VALUES (:location_id, :sequence, :purchase_order_id, :line, :item_id, :received, :returned, :occurred_at)
"""


def _fill_deliveries(connection: sa.Connection) -> None:
    place = {"location_id": "", "first_sequence": 0}
    while segments := connection.execute(sa.text(_SEGMENTS), place).all():
        rows = [row for segment in segments for row in _deliveries(segment)]
        if rows:
            connection.execute(sa.text(_INSERT), rows)
        place = {"location_id": segments[-1].location_id, "first_sequence": segments[-1].first_sequence}


def _deliveries(segment: sa.Row[Any]) -> list[dict[str, object]]:
    rows = []
    lines = zstandard.ZstdDecompressor().decompress(bytes(segment.frame)).split(b"\n")
    for sequence in segment.sequences:
        line = lines[sequence - segment.first_sequence]
        if b'"purchase-order"' not in line:
            continue
        event = json.loads(line)
        reference = event.get("reference", {})
        if reference.get("kind") != "purchase-order" or "line" not in reference or "\0" in reference["id"]:
            continue
        received = event["type"] == "PURCHASE_RECEIVED"
        rows.append(
            {
                "location_id": segment.location_id,
                "sequence": sequence,
                "purchase_order_id": reference["id"],
                "line": reference["line"],
                "item_id": event["item_id"],
                "received": event["quantity"] if received else 0,
                "returned": 0 if received else event["quantity"],
                "occurred_at": event["occurred_at"],
            }
        )
    return rows
