"""The Idempotency-Keys of what was done with a subscription, so that a request that comes twice has one effect."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "subscription_request",
        sa.Column("subscription_id", sa.Text, nullable=False),
        sa.Column("request_key", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("subscription_id", "request_key"),
    )
    op.create_index("subscription_request_number", "subscription_request", ["subscription_id", "number"], unique=True)
    # Kept beside the secret until now, and gone with it.
    op.drop_column("subscription_secret", "rotation_key")
