"""The sources that may tell head office of orders, with their secrets."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "inbound_source",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("hold_days", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.CheckConstraint("hold_days BETWEEN 1 AND 366", name="inbound_source_hold_days"),
    )
    op.create_table(
        "inbound_secret",
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("secret", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("source", "number"),
        sa.ForeignKeyConstraint(["source"], ["inbound_source.source"], name="inbound_secret_source"),
    )
    op.create_index(
        "inbound_secret_newest",
        "inbound_secret",
        ["source"],
        unique=True,
        postgresql_where=sa.text("expires_at IS NULL"),
    )
