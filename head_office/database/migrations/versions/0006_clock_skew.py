"""By how much each branch's clock differed from head office's at its last hello."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("contact", sa.Column("skew", sa.BigInteger))
