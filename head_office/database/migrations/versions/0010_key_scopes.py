"""Keys have scopes beyond those of their role, a text that is still good after a rotation, and a last use."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("api_key", sa.Column("scopes", sa.ARRAY(sa.Text), nullable=False, server_default=sa.text("'{}'")))
    op.add_column("api_key", sa.Column("previous_hash", sa.Text))
    op.add_column("api_key", sa.Column("previous_until", sa.BigInteger))
    op.add_column("api_key", sa.Column("last_used_at", sa.BigInteger))
    whole = "(previous_hash IS NULL) = (previous_until IS NULL)"
    op.create_check_constraint("api_key_previous_is_whole", "api_key", whole)
