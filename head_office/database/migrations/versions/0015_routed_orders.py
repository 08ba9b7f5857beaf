"""Orders that other systems tell head office of, what is asked of branches for them, and where logs answer that.

Nothing was asked of a branch before, so no log has an answer yet.
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "order_answer",
        sa.Column("location_id", sa.Text, nullable=False),
        sa.Column("command_key", sa.Text, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("lines", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("location_id", "command_key"),
        sa.CheckConstraint("sequence > 0 AND lines > 0", name="order_answer_extent"),
    )
    op.create_index("order_answer_key", "order_answer", ["command_key", "location_id"])
    op.create_table(
        "routed_order",
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("order_id", sa.Text, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("location_id", sa.Text),
        sa.Column("cancelled", sa.Boolean, nullable=False),
        sa.Column("told_at", sa.BigInteger, nullable=False),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("source", "order_id"),
    )
    op.create_index("routed_order_state", "routed_order", ["state", "source", "order_id"])
    op.create_index("routed_order_location", "routed_order", ["location_id", "source", "order_id"])
    op.create_table(
        "routed_event",
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("order_id", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("command_key", sa.Text, nullable=False),
        sa.Column("event_id", sa.Text, nullable=False),
        sa.Column("event_source", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("location_id", sa.Text),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("told_at", sa.BigInteger, nullable=False),
        sa.Column("answered", sa.Text, nullable=False),
        sa.Column("answered_location", sa.Text),
        sa.Column("answered_short", sa.LargeBinary),
        sa.Column("outcome", sa.Text),
        sa.Column("reason", sa.Text),
        sa.Column("short", sa.LargeBinary),
        sa.Column("settled_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("source", "order_id", "number"),
        sa.CheckConstraint("number > 0", name="routed_event_number"),
        sa.CheckConstraint("(outcome IS NULL) = (settled_at IS NULL)", name="routed_event_settled_is_whole"),
    )
    op.create_index("routed_event_key", "routed_event", ["source", "command_key"], unique=True)
    op.create_table(
        "order_instruction_head",
        sa.Column("location_id", sa.Text, primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "order_instruction",
        sa.Column("location_id", sa.Text, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("command_key", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("order_id", sa.Text, nullable=False),
        sa.Column("event_number", sa.Integer, nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("aside", sa.Boolean, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("asked_at", sa.BigInteger, nullable=False),
        sa.Column("answer", sa.LargeBinary),
        sa.Column("answered_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("location_id", "number"),
        sa.CheckConstraint("(answer IS NULL) = (answered_at IS NULL)", name="order_instruction_answer_is_whole"),
    )
    op.create_index("order_instruction_key", "order_instruction", ["location_id", "command_key"], unique=True)
    op.create_index("order_instruction_order", "order_instruction", ["source", "order_id", "step"])
    op.create_index(
        "order_instruction_open",
        "order_instruction",
        ["location_id", "number"],
        postgresql_where=sa.text("answer IS NULL"),
    )
