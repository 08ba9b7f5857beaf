"""Orders of other systems: what the log says of each, and the sources that may tell of them with their secrets."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

FLAG = sa.Boolean(create_constraint=False)


def upgrade() -> None:
    op.create_table(
        "inbound_order",
        sa.Column("order_id", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("covered", FLAG, nullable=False),
        sa.Column("cancelled", FLAG, nullable=False),
        sa.Column("final", FLAG, nullable=False),
        sa.Column("deductions", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("order_id", "source"),
    )
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
    newest = sa.text("expires_at IS NULL")
    op.create_index(
        "inbound_secret_newest",
        "inbound_secret",
        ["source"],
        unique=True,
        sqlite_where=newest,
        postgresql_where=newest,
    )
