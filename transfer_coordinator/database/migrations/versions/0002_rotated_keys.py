"""The text of a key before its last rotation, which is good for a while."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("known_key", sa.Column("previous_hash", sa.Text))
    op.add_column("known_key", sa.Column("previous_until", sa.BigInteger))
