"""Reorder levels have a point and either of two ways to order, in the place of level and target.

The catalogue's history stays as it is: its entries are read in both forms.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

MOST = 10**12
RULES = {
    "reorder_level_point": f"reorder_point BETWEEN 0 AND {MOST}",
    "reorder_level_one_way": "(order_up_to IS NULL) <> (order_quantity IS NULL)",
    "reorder_level_up_to": f"order_up_to > reorder_point AND order_up_to <= {MOST}",
    "reorder_level_quantity": f"order_quantity BETWEEN 1 AND {MOST}",
    "reorder_level_pack": f"pack_size BETWEEN 1 AND {MOST}",
    "reorder_level_lead": "lead_days BETWEEN 0 AND 366",
    "reorder_level_supplier": "length(supplier_id) BETWEEN 1 AND 64",
}


def upgrade() -> None:
    op.drop_constraint("reorder_level_up_to_target", "reorder_level")
    # Both zero: a level that was removed, kept as a row.
    op.execute("DELETE FROM reorder_level WHERE target = 0")
    op.alter_column("reorder_level", "level", new_column_name="reorder_point")
    op.alter_column("reorder_level", "target", new_column_name="order_up_to", nullable=True)
    # Where both were equal nothing was to be ordered at the level itself, only below it.
    op.execute("UPDATE reorder_level SET reorder_point = order_up_to - 1 WHERE reorder_point = order_up_to")
    op.add_column("reorder_level", sa.Column("order_quantity", sa.BigInteger))
    op.add_column("reorder_level", sa.Column("supplier_id", sa.Text))
    op.add_column("reorder_level", sa.Column("pack_size", sa.BigInteger))
    op.add_column("reorder_level", sa.Column("lead_days", sa.Integer))
    for name, rule in RULES.items():
        op.create_check_constraint(name, "reorder_level", rule)
