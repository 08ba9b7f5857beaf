"""How the node's time began and was settled, and which events were recorded while it was wrong."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "clock_run",
        sa.Column("first_sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("correction", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "clock_settlement",
        sa.Column("location_id", sa.Text, primary_key=True),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("settled_at", sa.BigInteger, nullable=False),
        sa.Column("settled_by", sa.Text, nullable=False),
        sa.Column("verified_sequence", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "wrong_stretch",
        sa.Column("first_sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("last_sequence", sa.BigInteger, nullable=False),
        sa.Column("correction", sa.BigInteger, nullable=False),
    )
