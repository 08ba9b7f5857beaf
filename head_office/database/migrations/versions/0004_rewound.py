"""When the database was found to be restored, by location: since then what was known at a moment holds."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("contact", sa.Column("rewound_at", sa.BigInteger))
