"""Events found by their type, all but the deductions, which are most of them."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    where = sa.text("type <> 'ORDER_DEDUCTION'")
    op.create_index("event_type", "event", ["location_id", "type", "sequence"], postgresql_where=where)
