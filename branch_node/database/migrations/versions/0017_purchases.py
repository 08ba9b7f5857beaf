"""Suppliers, orders to them as pulled, and what the log says was delivered against their lines.

The catalogue is pulled again from its beginning: an older version has passed over suppliers and orders. Deliveries that
the log has already are read from it.
"""

import json

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

MOST = 10**12
PAGE = 2_000


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
    )
    op.create_index("purchase_order_supplier", "purchase_order", ["supplier_id", "purchase_order_id"])
    op.create_table(
        "purchase_order_line",
        sa.Column("purchase_order_id", sa.Text, nullable=False),
        sa.Column("line", sa.Integer, nullable=False),
        sa.Column("item_id", sa.Text, nullable=False),
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("quantity", sa.BigInteger, nullable=False),
        sa.Column("cost_amount", sa.Text),
        sa.Column("cost_currency", sa.Text),
        sa.Column("closed", sa.Boolean(create_constraint=False), nullable=False),
        sa.PrimaryKeyConstraint("purchase_order_id", "line"),
        sa.ForeignKeyConstraint(
            ["purchase_order_id"], ["purchase_order.purchase_order_id"], name="purchase_order_line_order"
        ),
        sa.CheckConstraint("line BETWEEN 1 AND 200", name="purchase_order_line_number"),
        sa.CheckConstraint(f"quantity BETWEEN 1 AND {MOST}", name="purchase_order_line_quantity"),
        sa.CheckConstraint("(cost_amount IS NULL) = (cost_currency IS NULL)", name="purchase_order_line_cost"),
    )
    op.create_index("purchase_order_line_item", "purchase_order_line", ["item_id", "purchase_order_id"])
    delivered = op.create_table(
        "delivered_line",
        sa.Column(
            "sequence",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            primary_key=True,
            nullable=False,
            autoincrement=False,
        ),
        sa.Column("purchase_order_id", sa.Text, nullable=False),
        sa.Column("line", sa.Integer, nullable=False),
        sa.Column("item_id", sa.Text, nullable=False),
        sa.Column("received", sa.BigInteger, nullable=False),
        sa.Column("returned", sa.BigInteger, nullable=False),
        sa.Column("occurred_at", sa.BigInteger, nullable=False),
        sa.CheckConstraint("line BETWEEN 1 AND 1000", name="delivered_line_number"),
        sa.CheckConstraint(
            f"received BETWEEN 0 AND {MOST} AND returned BETWEEN 0 AND {MOST} AND (received = 0) <> (returned = 0)",
            name="delivered_line_one_way",
        ),
    )
    op.create_index("delivered_line_order", "delivered_line", ["purchase_order_id", "line"])
    _fill(delivered)
    op.execute(f"UPDATE sync_state SET catalogue_version = 0, catalogue_hash = '{'0' * 64}'")


def _fill(delivered: sa.Table) -> None:
    connection = op.get_bind()
    page = sa.text(
        "SELECT sequence, line FROM event WHERE sequence > :after"
        " AND type IN ('PURCHASE_RECEIVED', 'PURCHASE_RETURNED') ORDER BY sequence LIMIT :most"
    )
    after = 0
    while found := connection.execute(page, {"after": after, "most": PAGE}).all():
        after = found[-1].sequence
        rows = [row for each in found if (row := _delivery(bytes(each.line))) is not None]
        if rows:
            op.bulk_insert(delivered, rows)


def _delivery(line: bytes) -> dict[str, object] | None:
    if b'"purchase-order"' not in line:
        return None
    event = json.loads(line)
    reference = event.get("reference") or {}
    if reference.get("kind") != "purchase-order" or reference.get("line") is None:
        return None
    received = event["quantity"] if event["type"] == "PURCHASE_RECEIVED" else 0
    return {
        "sequence": event["sequence"],
        "purchase_order_id": reference["id"],
        "line": reference["line"],
        "item_id": event["item_id"],
        "received": received,
        "returned": event["quantity"] - received,
        "occurred_at": event["occurred_at"],
    }
