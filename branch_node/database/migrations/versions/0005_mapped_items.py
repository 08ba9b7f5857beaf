"""The group's item that a code of this branch stands for."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("item", sa.Column("stands_for", sa.Text))
    where = sa.text("stands_for IS NOT NULL")
    op.create_index("item_stands_for", "item", ["stands_for"], sqlite_where=where, postgresql_where=where)
