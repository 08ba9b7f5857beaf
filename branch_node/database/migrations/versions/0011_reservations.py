"""Reservations: what the log says of each, and a guard of the database against promising what is not there."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# Where a reservation took an item's available stock below zero: the projection as of the head before, and what was
# appended since up to it, over every code of the item, which are one stock. The writer decides it first; this stands
# behind it, and is asked once a group. It does not ask of a group in which no more of the item became reserved: a
# reservation stated anew for less, or with another expiry, is right whatever the stock is. It reads the group's events
# once, and no others: running sums by item.
GROUP = "e.sequence > OLD.sequence AND e.sequence <= NEW.sequence"
RESERVES = f"EXISTS (SELECT 1 FROM event AS e WHERE e.type = 'STOCK_RESERVED' AND {GROUP})"
AVAILABLE_BREACH = f"""
SELECT 1 FROM (
  SELECT g.item, g.type,
    SUM(g.reserved) OVER (PARTITION BY g.item ORDER BY g.sequence) AS reserved,
    SUM(g.on_hand - g.reserved) OVER (PARTITION BY g.item ORDER BY g.sequence) AS available
  FROM (
    SELECT e.sequence, e.type, COALESCE(i.stands_for, e.item_id) AS item,
      COALESCE(e.reserved_change, 0) AS reserved,
      CASE WHEN c.counted_at IS NULL OR (e.occurred_at, e.sequence) > (c.counted_at, c.counted_sequence)
        THEN COALESCE(e.on_hand_change, 0) ELSE 0 END AS on_hand
    FROM event AS e
    LEFT JOIN item AS i ON i.item_id = e.item_id
    LEFT JOIN stock AS c ON c.location_id = NEW.location_id AND c.item_id = e.item_id
    WHERE {GROUP} AND e.item_id IS NOT NULL
  ) AS g
) AS r
WHERE r.type = 'STOCK_RESERVED' AND r.reserved > 0
  AND r.available + COALESCE((
    SELECT SUM(s.on_hand - s.reserved) FROM stock AS s WHERE s.location_id = NEW.location_id AND s.item_id IN (
      SELECT o.item_id FROM item AS o WHERE o.item_id = r.item AND o.stands_for IS NULL UNION ALL
      SELECT o.item_id FROM item AS o WHERE o.stands_for = r.item)), 0) < 0
"""

APPLIES = "NOT EXISTS (SELECT 1 FROM location WHERE location.replaying)"
SQLITE = [
    f"CREATE TRIGGER head_available AFTER UPDATE OF sequence ON head WHEN {APPLIES} AND {RESERVES} "
    f"BEGIN SELECT RAISE(ABORT, 'larder: available below zero') WHERE EXISTS ({AVAILABLE_BREACH}); END",
]
POSTGRESQL = [
    f"CREATE FUNCTION refuse_unavailable() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF {APPLIES} "
    f"AND {RESERVES} AND EXISTS ({AVAILABLE_BREACH}) THEN "
    "RAISE EXCEPTION 'larder: available below zero' USING ERRCODE = 'check_violation'; END IF; "
    "RETURN NULL; END $$",
    "CREATE TRIGGER head_available AFTER UPDATE OF sequence ON head FOR EACH ROW EXECUTE FUNCTION refuse_unavailable()",
]


def upgrade() -> None:
    op.create_table(
        "reservation",
        sa.Column("reservation_id", sa.Text, primary_key=True),
        sa.Column("order_id", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("stated_at", sa.BigInteger, nullable=False),
        sa.CheckConstraint("state IN ('ACTIVE', 'CONFIRMED', 'RELEASED', 'EXPIRED')", name="reservation_state"),
    )
    op.create_index("reservation_order", "reservation", ["order_id", "source"])
    active = sa.text("state = 'ACTIVE'")
    op.create_index(
        "reservation_active_once",
        "reservation",
        ["source", "order_id"],
        unique=True,
        sqlite_where=active,
        postgresql_where=active,
    )
    op.create_table(
        "reservation_line",
        sa.Column("reservation_id", sa.Text, nullable=False),
        sa.Column("item_id", sa.Text, nullable=False),
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("quantity", sa.BigInteger, nullable=False),
        sa.Column("confirmed", sa.BigInteger, nullable=False),
        sa.Column("released", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("reservation_id", "item_id"),
        sa.CheckConstraint(
            "quantity > 0 AND confirmed >= 0 AND released >= 0 AND confirmed + released <= quantity",
            name="reservation_line_adds_up",
        ),
    )
    op.create_index("reservation_line_item", "reservation_line", ["item_id"])
    for name, columns, condition in (
        ("event_of_reservation", ["reservation_id", "sequence"], "reservation_id IS NOT NULL"),
        ("event_reserved", ["sequence"], "type = 'STOCK_RESERVED'"),
    ):
        where = sa.text(condition)
        op.create_index(name, "event", columns, sqlite_where=where, postgresql_where=where)
    on_sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in SQLITE if on_sqlite else POSTGRESQL:
        op.get_bind().exec_driver_sql(statement)
