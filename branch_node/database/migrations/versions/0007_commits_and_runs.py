"""How many commits recorded no event; several runs of the clock may begin before one event."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("location", sa.Column("eventless_commits", sa.BigInteger, nullable=False, server_default="0"))
    op.execute("CREATE TABLE clock_run_before AS SELECT * FROM clock_run")
    op.drop_table("clock_run")
    op.create_table(
        "clock_run",
        sa.Column("first_sequence", sa.BigInteger, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("correction", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("first_sequence", "number", name="clock_run_key"),
    )
    op.execute(
        "INSERT INTO clock_run (first_sequence, number, started_at, kind, correction) "
        "SELECT first_sequence, 0, started_at, kind, correction FROM clock_run_before"
    )
    op.drop_table("clock_run_before")
