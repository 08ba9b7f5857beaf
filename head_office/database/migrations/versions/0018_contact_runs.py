"""When each branch was in contact, so that a past report knows who was silent then; so far the last call is known."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "contact_run",
        sa.Column("location_id", sa.Text, nullable=False),
        sa.Column("began_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("location_id", "began_at"),
        sa.CheckConstraint("ended_at >= began_at", name="contact_run_extent"),
    )
    op.create_index(
        "contact_run_open", "contact_run", ["location_id"], unique=True, postgresql_where=sa.text("ended_at IS NULL")
    )
    op.execute(
        "INSERT INTO contact_run (location_id, began_at, verdict)"
        " SELECT location_id, contacted_at, verdict FROM contact"
    )
