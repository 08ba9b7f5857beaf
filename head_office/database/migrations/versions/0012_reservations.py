"""What the logs say of each reservation. No branch could record one before, so there is nothing to fill in."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "reservation",
        sa.Column("location_id", sa.Text, nullable=False),
        sa.Column("reservation_id", sa.Text, nullable=False),
        sa.Column("order_id", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("stated_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("location_id", "reservation_id"),
        sa.CheckConstraint("state IN ('ACTIVE', 'CONFIRMED', 'RELEASED', 'EXPIRED')", name="reservation_state"),
    )
    op.create_index("reservation_made", "reservation", ["reservation_id", "location_id"])
    op.create_index("reservation_order", "reservation", ["order_id", "source"])
    op.create_index(
        "reservation_active",
        "reservation",
        ["reservation_id", "location_id"],
        postgresql_where=sa.text("state = 'ACTIVE'"),
    )
    op.create_table(
        "reservation_line",
        sa.Column("location_id", sa.Text, nullable=False),
        sa.Column("reservation_id", sa.Text, nullable=False),
        sa.Column("item_id", sa.Text, nullable=False),
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("quantity", sa.BigInteger, nullable=False),
        sa.Column("confirmed", sa.BigInteger, nullable=False),
        sa.Column("released", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("location_id", "reservation_id", "item_id"),
        sa.CheckConstraint(
            "quantity > 0 AND confirmed >= 0 AND released >= 0 AND confirmed + released <= quantity",
            name="reservation_line_adds_up",
        ),
    )
    op.create_index("reservation_line_item", "reservation_line", ["item_id", "location_id"])
    op.create_index(
        "reservation_line_open",
        "reservation_line",
        ["location_id", "item_id"],
        postgresql_where=sa.text("quantity > confirmed + released"),
    )
    op.create_index(
        "event_of_reservation",
        "event",
        ["location_id", "reservation_id", "sequence"],
        postgresql_where=sa.text("reservation_id IS NOT NULL"),
    )
