"""Levels that head office has removed were kept as levels of zero."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("DELETE FROM reorder_level WHERE target = 0")
