"""Suppliers, orders to them, and what the logs say was delivered against their lines."""

import sqlalchemy as sa
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
    # What was known at a moment is read by location.
    op.create_index("catalogue_entry_location", "catalogue_entry", ["kind", "location_id", "subject", "version"])
