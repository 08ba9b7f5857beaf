"""Keys have scopes beyond those of their role, texts that are still good after a rotation, and a last use."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("api_key", sa.Column("scopes", sa.ARRAY(sa.Text), nullable=False, server_default=sa.text("'{}'")))
    op.add_column("api_key", sa.Column("earlier_texts", sa.Text, nullable=False, server_default=sa.text("''")))
    op.add_column("api_key", sa.Column("last_used_at", sa.BigInteger))
