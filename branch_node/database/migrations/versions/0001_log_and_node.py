"""The log with its projection, immutable; the node's catalogue, keys and place; strict items guarded on append."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
FLAG = sa.Boolean(create_constraint=False)


def upgrade() -> None:
    _log()
    _node()
    on_sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in SQLITE if on_sqlite else POSTGRESQL:
        op.get_bind().exec_driver_sql(statement)


def _log() -> None:
    op.create_table(
        "event",
        sa.Column("location_id", sa.Text, nullable=False),
        sa.Column("sequence", SEQUENCE, nullable=False),
        sa.Column("event_id", sa.LargeBinary(16), nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("item_id", sa.Text),
        sa.Column("on_hand_change", sa.BigInteger),
        sa.Column("counted", sa.BigInteger),
        sa.Column("reserved_change", sa.BigInteger),
        sa.Column("in_transit_change", sa.BigInteger),
        sa.Column("reservation_id", sa.Text),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("transfer_id", sa.Text),
        sa.Column("voided_sequence", sa.BigInteger),
        sa.Column("occurred_at", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
        sa.Column("command_key", sa.Text),
        sa.Column("line", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("sequence"),
        sa.CheckConstraint("sequence > 0", name="event_sequence_positive"),
        sa.CheckConstraint(
            "counted IS NULL OR (counted >= 0 AND on_hand_change IS NULL)", name="event_counts_or_moves"
        ),
        sa.CheckConstraint(
            "on_hand_change BETWEEN -1000000000000 AND 1000000000000 AND on_hand_change <> 0", name="event_bounds"
        ),
        sa.CheckConstraint("voided_sequence < sequence", name="event_voids_an_earlier_one"),
    )
    _index("event_event_id", ["event_id"], unique=True)
    _index("event_command_key", ["command_key"], where="command_key IS NOT NULL", unique=True)
    _index("event_as_of", ["item_id", "occurred_at", "sequence"])
    _index("event_count", ["item_id", "occurred_at", "sequence"], where="counted IS NOT NULL")
    _index("event_reservation", ["item_id", "reservation_id"], where="reservation_id IS NOT NULL")
    _index("event_transfer", ["transfer_id", "sequence"], where="transfer_id IS NOT NULL")
    _index("event_transfer_order", ["sequence"], where="transfer_id IS NOT NULL")
    _index("event_transfer_item", ["item_id", "sequence"], where="transfer_id IS NOT NULL")
    _index("event_transfer_out_once", ["transfer_id", "item_id"], where="type = 'TRANSFER_OUT'", unique=True)
    _index("event_transfer_reversed_once", ["transfer_id", "item_id"], where="type = 'TRANSFER_REVERSED'", unique=True)
    op.create_table(
        "head",
        sa.Column("location_id", sa.Text, primary_key=True),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
    )
    op.create_table(
        "voided",
        sa.Column("location_id", sa.Text, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("by_sequence", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("location_id", "sequence"),
        sa.CheckConstraint("sequence < by_sequence", name="voided_before_its_void"),
    )
    op.create_table(
        "stock",
        sa.Column("location_id", sa.Text, nullable=False),
        sa.Column("item_id", sa.Text, nullable=False),
        sa.Column("on_hand", sa.BigInteger, nullable=False),
        sa.Column("reserved", sa.BigInteger, nullable=False),
        sa.Column("counted_at", sa.BigInteger),
        sa.Column("counted_sequence", sa.BigInteger),
        sa.Column("latest_at", sa.BigInteger, nullable=False),
        sa.Column("latest_sequence", sa.BigInteger, nullable=False),
        sa.Column("recount", FLAG, nullable=False),
        sa.PrimaryKeyConstraint("location_id", "item_id"),
        sa.CheckConstraint("(counted_at IS NULL) = (counted_sequence IS NULL)", name="stock_count_is_whole"),
        sa.CheckConstraint("reserved >= 0", name="stock_reserved_not_negative"),
    )


def _index(name: str, columns: list[str], *, where: str | None = None, unique: bool = False) -> None:
    condition = None if where is None else sa.text(where)
    op.create_index(name, "event", columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


def _node() -> None:
    op.create_table(
        "location",
        sa.Column("location_id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("timezone", sa.Text, nullable=False),
        sa.Column("day_start", sa.Integer, nullable=False),
        sa.Column("replaying", FLAG, nullable=False),
        sa.CheckConstraint("day_start BETWEEN 0 AND 1439", name="location_day_start"),
    )
    op.create_table(
        "item",
        sa.Column("item_id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("category", sa.Text),
        sa.Column("barcode", sa.Text),
        sa.Column("strict", FLAG, nullable=False),
        sa.Column("defined_here", FLAG, nullable=False),
    )
    strict = sa.text("strict")
    op.create_index("item_strict", "item", ["item_id"], sqlite_where=strict, postgresql_where=strict)
    op.create_table(
        "reorder_level",
        sa.Column("item_id", sa.Text, primary_key=True),
        sa.Column("level", sa.BigInteger, nullable=False),
        sa.Column("target", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "api_key",
        sa.Column("key_id", sa.Text, primary_key=True),
        sa.Column("key_hash", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("location_id", sa.Text),
        sa.Column("revoked_at", sa.BigInteger),
        sa.Column("issued_here", FLAG, nullable=False),
    )
    op.create_table(
        "sync_state",
        sa.Column("location_id", sa.Text, primary_key=True),
        sa.Column("catalogue_version", sa.BigInteger, nullable=False),
        sa.Column("catalogue_hash", sa.Text, nullable=False),
        sa.Column("instructions_after", sa.BigInteger, nullable=False),
        sa.Column("acknowledged_epoch", sa.BigInteger),
        sa.Column("acknowledged_sequence", sa.BigInteger),
        sa.Column("acknowledged_hash", sa.LargeBinary(32)),
        sa.Column("acknowledged_at", sa.BigInteger),
        sa.Column("last_contact_at", sa.BigInteger),
        sa.Column("verdict", sa.Text),
        sa.Column("detail", sa.Text),
    )
    op.create_table(
        "transfer_token",
        sa.Column("transfer_id", sa.Text, primary_key=True),
        sa.Column("token", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "sale_order",
        sa.Column("order_id", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("cancelled", FLAG, nullable=False),
        sa.Column("occurred_at", sa.BigInteger, nullable=False),
        sa.Column("stated_at", sa.BigInteger, nullable=False),
        sa.Column("sequences", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("order_id", "source"),
    )
    op.create_table(
        "count_area",
        sa.Column("count_id", sa.Text, nullable=False),
        sa.Column("item_id", sa.Text, nullable=False),
        sa.Column("area", sa.Text, nullable=False),
        sa.Column("counted", sa.BigInteger, nullable=False),
        sa.Column("occurred_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("count_id", "item_id", "area"),
    )


# Where a decrease `e` recorded by hand took a strict item below zero, by what was known then: somewhere from its own
# place up to the next count. The writer refuses such a thing in better words; this stands behind it. It is asked when
# the head moves, once for all that was appended: a trigger on each event would cost every one of them a sixth.
STRICT_BREACH = """
SELECT 1 FROM event AS e
WHERE e.sequence > OLD.sequence AND e.sequence <= NEW.sequence AND e.on_hand_change < 0
  AND EXISTS (SELECT 1 FROM item WHERE item.item_id = e.item_id AND item.strict)
  AND e.type IN (
    'PURCHASE_RETURNED', 'ORDER_DEDUCTION', 'INTERNAL_USE', 'WASTE_RECORDED', 'PRODUCTION_USED', 'ADJUSTMENT')
  AND EXISTS (
    SELECT 1 FROM (
      SELECT m.occurred_at, m.sequence, COALESCE(base.counted, 0)
        + SUM(m.on_hand_change) OVER (ORDER BY m.occurred_at, m.sequence) AS on_hand
      FROM (SELECT 1 AS one) AS single
      LEFT JOIN event AS base ON base.sequence = (
        SELECT c.sequence FROM event AS c
        WHERE c.item_id = e.item_id AND c.counted IS NOT NULL AND c.sequence < e.sequence
          AND (c.occurred_at, c.sequence) < (e.occurred_at, e.sequence)
          AND NOT EXISTS (
            SELECT 1 FROM voided AS v
            WHERE v.location_id = c.location_id AND v.sequence = c.sequence AND v.by_sequence < e.sequence)
        ORDER BY c.occurred_at DESC, c.sequence DESC LIMIT 1)
      JOIN event AS m ON m.item_id = e.item_id AND m.on_hand_change IS NOT NULL AND m.sequence <= e.sequence
        AND (m.occurred_at, m.sequence) > (COALESCE(base.occurred_at, -1), COALESCE(base.sequence, -1))
      WHERE NOT EXISTS (
          SELECT 1 FROM voided AS v
          WHERE v.location_id = m.location_id AND v.sequence = m.sequence AND v.by_sequence < e.sequence)
        AND ((m.occurred_at, m.sequence) <= (e.occurred_at, e.sequence) OR NOT EXISTS (
          SELECT 1 FROM event AS n
          WHERE n.item_id = e.item_id AND n.counted IS NOT NULL AND n.sequence < e.sequence
            AND (n.occurred_at, n.sequence) > (e.occurred_at, e.sequence)
            AND (n.occurred_at, n.sequence) < (m.occurred_at, m.sequence)
            AND NOT EXISTS (
              SELECT 1 FROM voided AS v
              WHERE v.location_id = n.location_id AND v.sequence = n.sequence AND v.by_sequence < e.sequence)))
    ) AS walk
    WHERE (walk.occurred_at, walk.sequence) >= (e.occurred_at, e.sequence) AND walk.on_hand < 0)
"""

STRICT_APPLIES = (
    "EXISTS (SELECT 1 FROM item WHERE item.strict) AND NOT EXISTS (SELECT 1 FROM location WHERE location.replaying)"
)

SQLITE = [
    "CREATE TRIGGER event_no_update BEFORE UPDATE ON event "
    "BEGIN SELECT RAISE(ABORT, 'larder: the log is append-only'); END",
    "CREATE TRIGGER event_no_delete BEFORE DELETE ON event "
    "BEGIN SELECT RAISE(ABORT, 'larder: the log is append-only'); END",
    "CREATE TRIGGER voided_no_update BEFORE UPDATE ON voided "
    "BEGIN SELECT RAISE(ABORT, 'larder: the log is append-only'); END",
    "CREATE TRIGGER voided_no_delete BEFORE DELETE ON voided "
    "BEGIN SELECT RAISE(ABORT, 'larder: the log is append-only'); END",
    f"CREATE TRIGGER head_strict AFTER UPDATE OF sequence ON head WHEN {STRICT_APPLIES} "
    f"BEGIN SELECT RAISE(ABORT, 'larder: strict item below zero') WHERE EXISTS ({STRICT_BREACH}); END",
]

POSTGRESQL = [
    "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
    "RAISE EXCEPTION 'larder: the log is append-only' USING ERRCODE = 'integrity_constraint_violation'; END $$",
    "CREATE TRIGGER event_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON event "
    "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
    "CREATE TRIGGER voided_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON voided "
    "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
    f"CREATE FUNCTION refuse_strict_breach() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF {STRICT_APPLIES} "
    f"AND EXISTS ({STRICT_BREACH}) THEN "
    "RAISE EXCEPTION 'larder: strict item below zero' USING ERRCODE = 'check_violation'; END IF; "
    "RETURN NULL; END $$",
    "CREATE TRIGGER head_strict AFTER UPDATE OF sequence ON head FOR EACH ROW EXECUTE FUNCTION refuse_strict_breach()",
]
