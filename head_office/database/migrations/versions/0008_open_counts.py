"""The counts that a branch had not closed at its last hello."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("contact", sa.Column("open_counts", sa.Text))
