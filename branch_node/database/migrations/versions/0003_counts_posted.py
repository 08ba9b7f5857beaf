"""Areas of a count are kept once it is posted, and answers of commands that recorded no event."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("count_area", sa.Column("posted_sequence", sa.BigInteger))
    op.create_table(
        "kept_answer",
        sa.Column("command_key", sa.Text, primary_key=True),
        sa.Column("command_digest", sa.Text, nullable=False),
        sa.Column("answer", sa.LargeBinary, nullable=False),
    )
