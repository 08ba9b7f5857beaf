"""Subscriptions: who is sent messages, with which secrets, how far each has come, and what was sent."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "subscription",
        sa.Column("subscription_id", sa.Text, primary_key=True),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("types", sa.Text),
        sa.Column("label", sa.Text),
        sa.Column("location_ids", sa.Text),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("creation_key", sa.Text),
        sa.Column("creation_digest", sa.Text),
        sa.CheckConstraint("state IN ('ACTIVE', 'PAUSED', 'DISABLED')", name="subscription_state"),
        sa.CheckConstraint("(creation_key IS NULL) = (creation_digest IS NULL)", name="subscription_creation_is_whole"),
    )
    op.create_index("subscription_creation", "subscription", ["owner", "creation_key"], unique=True)
    op.create_table(
        "subscription_secret",
        sa.Column("subscription_id", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("secret", sa.Text, nullable=False),
        sa.Column("live_until", sa.BigInteger),
        sa.Column("rotation_key", sa.Text),
        sa.PrimaryKeyConstraint("subscription_id", "number"),
    )
    op.create_table(
        "subscription_cursor",
        sa.Column("subscription_id", sa.Text, nullable=False),
        sa.Column("location_id", sa.Text, nullable=False),
        sa.Column("cursor", sa.Text, nullable=False),
        sa.Column("delivered", sa.BigInteger, nullable=False),
        sa.Column("failing_since", sa.BigInteger),
        sa.Column("next_try_at", sa.BigInteger),
        sa.Column("error", sa.Text),
        sa.Column("claim", sa.BigInteger, nullable=False),
        sa.Column("claimed_until", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("subscription_id", "location_id"),
        sa.CheckConstraint(
            "failing_since IS NOT NULL OR (next_try_at IS NULL AND error IS NULL)", name="cursor_failing"
        ),
    )
    op.create_table(
        "webhook_delivery",
        sa.Column("subscription_id", sa.Text, nullable=False),
        sa.Column("location_id", sa.Text, nullable=False),
        sa.Column("cursor", sa.Text, nullable=False),
        sa.Column("message_id", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("first_tried_at", sa.BigInteger),
        sa.Column("last_tried_at", sa.BigInteger),
        sa.Column("next_try_at", sa.BigInteger),
        sa.Column("refused_for", sa.BigInteger, nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("error", sa.Text),
        sa.Column("number", sa.BigInteger),
        sa.PrimaryKeyConstraint("subscription_id", "location_id", "cursor"),
        sa.CheckConstraint("state IN ('RETRYING', 'DELIVERED', 'DEAD')", name="webhook_delivery_state"),
        sa.CheckConstraint("(state = 'RETRYING') = (next_try_at IS NOT NULL)", name="webhook_delivery_retries"),
        sa.CheckConstraint("(state = 'DELIVERED') = (number IS NOT NULL)", name="webhook_delivery_numbered"),
    )
    for name, columns, where in (
        ("webhook_delivery_number", ["subscription_id", "location_id", "number"], "state = 'DELIVERED'"),
        ("webhook_delivery_retrying", ["subscription_id", "location_id"], "state = 'RETRYING'"),
    ):
        op.create_index(name, "webhook_delivery", columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
    op.create_index("webhook_delivery_message", "webhook_delivery", ["message_id"])
