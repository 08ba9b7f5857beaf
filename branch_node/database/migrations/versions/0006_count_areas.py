"""Who said an area of a count, when, by which system and with which note."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name, kind in (("actor", sa.Text), ("source", sa.Text), ("note", sa.Text), ("stored_at", sa.BigInteger)):
        op.add_column("count_area", sa.Column(name, kind))
    waiting = sa.text("posted_sequence IS NULL")
    op.create_index("count_area_waiting", "count_area", ["count_id"], sqlite_where=waiting, postgresql_where=waiting)
