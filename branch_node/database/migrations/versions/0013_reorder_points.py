"""Reorder levels have a point and either of two ways to order, in the place of level and target; some are set here.

The catalogue is pulled again from its beginning: an older version has understood only a part of a newer level.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

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
    connection = op.get_bind()
    before = connection.execute(
        sa.text("SELECT item_id, level, target FROM reorder_level WHERE target BETWEEN 1 AND :most"), {"most": MOST}
    ).all()
    op.drop_table("reorder_level")
    made = op.create_table(
        "reorder_level",
        sa.Column("item_id", sa.Text, nullable=False),
        sa.Column("set_here", sa.Boolean(create_constraint=False), nullable=False),
        sa.Column("reorder_point", sa.BigInteger, nullable=False),
        sa.Column("order_up_to", sa.BigInteger),
        sa.Column("order_quantity", sa.BigInteger),
        sa.Column("supplier_id", sa.Text),
        sa.Column("pack_size", sa.BigInteger),
        sa.Column("lead_days", sa.Integer),
        *(sa.CheckConstraint(rule, name=name) for name, rule in RULES.items()),
        sa.PrimaryKeyConstraint("item_id", "set_here"),
    )
    # Where both were equal nothing was to be ordered at the level itself, only below it.
    rows = [
        {
            "item_id": row.item_id,
            "set_here": False,
            "reorder_point": max(min(row.level, row.target - 1), 0),
            "order_up_to": row.target,
        }
        for row in before
    ]
    if rows:
        op.bulk_insert(made, rows)
    op.execute(f"UPDATE sync_state SET catalogue_version = 0, catalogue_hash = '{'0' * 64}'")
