"""Keys have scopes beyond those of their role, texts that are still good after a rotation, and a last use."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("scopes", "earlier_texts"):
        op.add_column("api_key", sa.Column(name, sa.Text, nullable=False, server_default=sa.text("''")))
    for name, kind in (
        ("label", sa.Text),
        ("issued_at", sa.BigInteger),
        ("last_used_at", sa.BigInteger),
    ):
        op.add_column("api_key", sa.Column(name, kind))
