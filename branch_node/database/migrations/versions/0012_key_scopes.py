"""Keys have scopes beyond those of their role, a text that is still good after a rotation, and a last use."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("api_key", sa.Column("scopes", sa.Text, nullable=False, server_default=sa.text("''")))
    for name, kind in (
        ("previous_hash", sa.Text),
        ("previous_until", sa.BigInteger),
        ("label", sa.Text),
        ("issued_at", sa.BigInteger),
        ("last_used_at", sa.BigInteger),
    ):
        op.add_column("api_key", sa.Column(name, kind))
