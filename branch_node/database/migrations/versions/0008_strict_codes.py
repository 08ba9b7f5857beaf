"""The trigger for strict items passes over items with several codes: the writer looks at the sum over them."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

BEFORE = "item.item_id = e.item_id AND item.strict)"
AFTER = (
    "item.item_id = e.item_id AND item.strict AND item.stands_for IS NULL"
    " AND NOT EXISTS (SELECT 1 FROM item AS code WHERE code.stands_for = item.item_id))"
)


def upgrade() -> None:
    connection = op.get_bind()
    on_sqlite = connection.dialect.name == "sqlite"
    query = (
        "SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name = 'head_strict'"
        if on_sqlite
        else "SELECT pg_get_functiondef('refuse_strict_breach'::regproc)"
    )
    definition = connection.execute(sa.text(query)).scalar_one()
    if definition.count(BEFORE) != 1:
        raise ValueError("the trigger for strict items is not the one that the first migration made")
    if on_sqlite:
        op.execute("DROP TRIGGER head_strict")
    connection.exec_driver_sql(definition.replace(BEFORE, AFTER).replace("%", "%%"))
