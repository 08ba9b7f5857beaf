"""Texts of a key before rotations, which are good for a while."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("known_key", sa.Column("earlier_texts", sa.Text, nullable=False, server_default=sa.text("''")))
