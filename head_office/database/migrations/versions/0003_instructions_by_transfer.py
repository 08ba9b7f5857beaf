"""Instructions found by their transfer: what was asked is told with the facts."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute("ALTER TABLE instruction DROP CONSTRAINT instruction_pkey")
    op.execute("ALTER TABLE instruction ADD PRIMARY KEY (transfer_id, location_id, step)")
