"""Head office's tables, PostgreSQL only: every location's log, what is derived from it, and how it arrived.

The log itself (`event`, `voided`, `log_segment`, `ingest_batch`) is append-only. Every key of a table that grows with
the events contains location_id, so that the tables can be distributed by location. Times are microseconds UTC,
quantities thousandths. The tables of catalogue and instructions join the same MetaData in `office_schema`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Connection,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    literal_column,
    text,
)

from shared.event_log import log_tables
from shared.projection import stock_table
from shared.wire import FRAME_LINES

MIGRATIONS: Final = Path(__file__).parent / "migrations"
VERSION_TABLE: Final = "head_office_version"

FACTS_CHANNEL: Final = "larder_facts"
"""NOTIFY channel of new events of transfers; the payload is the location."""

LOG_CHANNEL: Final = "larder_log"
"""NOTIFY channel of what came to a location's log, or was folded late; the payload is the location."""

metadata: Final = MetaData()

LOCATION: Final = Table(
    "location",
    metadata,
    Column("location_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("timezone", Text, nullable=False),
    Column("day_start", Integer, nullable=False),  # minutes after local midnight
    Column("added_at", BigInteger, nullable=False),
    # When its purchasing report is made each morning, in minutes after local midnight.
    Column("report_time", Integer, nullable=False, server_default=text("360")),
    CheckConstraint("day_start BETWEEN 0 AND 1439", name="location_day_start"),
    CheckConstraint("report_time BETWEEN 0 AND 1439", name="location_report_time"),
)

LOG: Final = log_tables(metadata, consolidated=True)
EVENT: Final = LOG.event
VOIDED: Final = LOG.voided

BY_TYPE: Final = EVENT.c.type != "ORDER_DEDUCTION"
"""What `event_type` finds: the events of any other type. Most are deductions, which are found without it."""
Index("event_type", EVENT.c.location_id, EVENT.c.type, EVENT.c.sequence, postgresql_where=BY_TYPE)

# When the location's last batch was received, and the latest moment at which an event of it occurred.
LOG.head.append_column(Column("received_at", BigInteger))
LOG.head.append_column(Column("occurred_at", BigInteger))
HEAD: Final = LOG.head

LOG_SEGMENT: Final = Table(
    "log_segment",
    metadata,
    Column("location_id", Text, nullable=False),
    Column("first_sequence", BigInteger, nullable=False),
    Column("last_sequence", BigInteger, nullable=False),
    Column("frame", LargeBinary, nullable=False),  # zstd of the canonical lines, joined by newlines
    PrimaryKeyConstraint("location_id", "first_sequence"),
    CheckConstraint(
        f"first_sequence > 0 AND last_sequence BETWEEN first_sequence AND first_sequence + {FRAME_LINES - 1}",
        name="log_segment_extent",
    ),
)

INGEST_BATCH: Final = Table(
    "ingest_batch",
    metadata,
    Column("location_id", Text, nullable=False),
    Column("last_sequence", BigInteger, nullable=False),
    Column("first_sequence", BigInteger, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("location_id", "last_sequence"),
    CheckConstraint("0 < first_sequence AND first_sequence <= last_sequence", name="ingest_batch_extent"),
    Index("ingest_batch_received", "location_id", "received_at"),
    Index("ingest_batch_moment", "received_at"),
)

QUARANTINE: Final = Table(
    "quarantine",
    metadata,
    Column("location_id", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
    Column("reason", Text, nullable=False),
    # What could be read of the event; None where nothing could.
    Column("type", Text),
    Column("item_id", Text),
    Column("transfer_id", Text),
    Column("occurred_at", BigInteger),
    Column("received_at", BigInteger, nullable=False),
    # When a retry folded it: its row is in `event` since then. release_number counts a location's releases from 1.
    Column("released_at", BigInteger),
    Column("release_number", BigInteger),
    PrimaryKeyConstraint("location_id", "sequence"),
    CheckConstraint("(released_at IS NULL) = (release_number IS NULL)", name="quarantine_release_is_whole"),
    Index(
        "quarantine_release",
        "location_id",
        "release_number",
        unique=True,
        postgresql_where=text("release_number IS NOT NULL"),
    ),
    Index("quarantine_released", "released_at", postgresql_where=text("released_at IS NOT NULL")),
)

ITEM_UNIT: Final = Table(
    "item_unit",
    metadata,
    Column("location_id", Text, nullable=False),
    Column("item_id", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),  # the event that fixed it
    PrimaryKeyConstraint("location_id", "item_id"),
    Index("item_unit_item", "item_id"),
)

STOCK: Final = stock_table(metadata)
Index("stock_item", STOCK.c.item_id)

TRANSFER_LINE: Final = Table(
    "transfer_line",
    metadata,
    Column("location_id", Text, nullable=False),
    Column("transfer_id", Text, nullable=False),
    Column("item_id", Text, nullable=False),
    Column("sent", BigInteger, nullable=False),
    Column("reversed", BigInteger, nullable=False),
    Column("received", BigInteger, nullable=False),
    Column("lost", BigInteger, nullable=False),
    Column("first_at", BigInteger, nullable=False),  # the earliest occurred_at of its events
    PrimaryKeyConstraint("location_id", "transfer_id", "item_id"),
    Index("transfer_line_transfer", "transfer_id", "item_id"),
)

# What the logs say of each reservation: `shared.reservations` folds it from the events.
RESERVATION: Final = Table(
    "reservation",
    metadata,
    Column("location_id", Text, nullable=False),
    Column("reservation_id", Text, nullable=False),
    Column("order_id", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),  # of the order's newest statement
    Column("state", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("stated_at", BigInteger, nullable=False),  # the first event of the command that recorded that statement
    PrimaryKeyConstraint("location_id", "reservation_id"),
    CheckConstraint("state IN ('ACTIVE', 'CONFIRMED', 'RELEASED', 'EXPIRED')", name="reservation_state"),
    # The list over all locations, in the order of ids, which is that of creation; and one by its id.
    Index("reservation_made", "reservation_id", "location_id"),
    Index("reservation_order", "order_id", "source"),
)

ACTIVE: Final = RESERVATION.c.state == literal_column("'ACTIVE'")
"""What `reservation_active` finds: few of all reservations."""
Index("reservation_active", RESERVATION.c.reservation_id, RESERVATION.c.location_id, postgresql_where=ACTIVE)

RESERVATION_LINE: Final = Table(
    "reservation_line",
    metadata,
    Column("location_id", Text, nullable=False),
    Column("reservation_id", Text, nullable=False),
    Column("item_id", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("confirmed", BigInteger, nullable=False),
    Column("released", BigInteger, nullable=False),  # given back or expired
    PrimaryKeyConstraint("location_id", "reservation_id", "item_id"),
    CheckConstraint(
        "quantity > 0 AND confirmed >= 0 AND released >= 0 AND confirmed + released <= quantity",
        name="reservation_line_adds_up",
    ),
    Index("reservation_line_item", "item_id", "location_id"),
)

OPEN_LINE: Final = RESERVATION_LINE.c.quantity > RESERVATION_LINE.c.confirmed + RESERVATION_LINE.c.released
"""What `reservation_line_open` finds: few of all lines, so that what is reserved now does not cost the whole past."""
Index(
    "reservation_line_open",
    RESERVATION_LINE.c.location_id,
    RESERVATION_LINE.c.item_id,
    postgresql_where=OPEN_LINE,
)
Index(
    "event_of_reservation",
    EVENT.c.location_id,
    EVENT.c.reservation_id,
    EVENT.c.sequence,
    postgresql_where=EVENT.c.reservation_id.is_not(None),
)

# The commands of a log that answer what head office asked for: an event of an order that another system told it of.
ORDER_ANSWER: Final = Table(
    "order_answer",
    metadata,
    Column("location_id", Text, nullable=False),
    Column("command_key", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),  # of its first event
    Column("lines", Integer, nullable=False),  # its events; a batch may have brought only some of them
    PrimaryKeyConstraint("location_id", "command_key"),
    CheckConstraint("sequence > 0 AND lines > 0", name="order_answer_extent"),
    Index("order_answer_key", "command_key", "location_id"),
)

CONTACT: Final = Table(
    "contact",
    metadata,
    Column("location_id", Text, primary_key=True),
    Column("contacted_at", BigInteger, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("sequence", BigInteger, nullable=False),  # the branch's own head in its last hello
    Column("verdict", Text, nullable=False),
    Column("protocol", Integer, nullable=False),
    Column("schema", Integer, nullable=False),
    Column("software", Text, nullable=False),
    # When this database was last found to have lost events that it had acknowledged: it was restored from a backup.
    Column("rewound_at", BigInteger),
    # By how much the branch's clock was ahead of head office's, in microseconds; None: it did not say.
    Column("skew", BigInteger),
    # The counts that waited for the rest of their areas then, as JSON; None: none.
    Column("open_counts", Text),
)

APPEND_ONLY: Final = ("event", "voided", "log_segment", "ingest_batch", "item_unit", "purchasing_morning")
"""The tables that refuse UPDATE, DELETE and TRUNCATE."""


def now(connection: Connection) -> int:
    """The time in microseconds UTC, from the database's `larder_now()`: the only clock of head office's SQL."""
    return int(connection.execute(text("SELECT larder_now()")).scalar_one())
