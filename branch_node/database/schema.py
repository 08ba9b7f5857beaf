"""The tables of a branch's database, SQLite and PostgreSQL alike. Migrations in `migrations/`, compared in a test.

The log, its head and its voids are `shared.event_log`'s, the projection is `shared.projection`'s. The other
tables are the node's own: location, catalogue, suppliers and orders to them, API keys, sync state, what is derived from
the log (`sale_order`, `reservation`, `inbound_order`, `delivered_line`) and what waits to be recorded in it
(`count_area`). Times are microseconds UTC, quantities thousandths.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)

from branch_node.database.purchases.pulled_purchase_tables import pulled_purchase_tables
from shared.event_log import log_tables
from shared.levels.level_columns import level_columns
from shared.orders.source_tables import source_tables
from shared.projection import stock_table
from shared.purchases.delivered_lines import delivered_line_table
from shared.subscriptions.subscription_tables import subscription_tables

VERSION_TABLE: Final = "branch_version"

metadata: Final = MetaData()

LOG: Final = log_tables(metadata, consolidated=False)
STOCK: Final = stock_table(metadata)
SUBSCRIPTIONS: Final = subscription_tables(metadata)
PURCHASES: Final = pulled_purchase_tables(metadata)
DELIVERED_LINE: Final = delivered_line_table(metadata, consolidated=False)

_Flag = Boolean(create_constraint=False)

LOCATION: Final = Table(
    "location",
    metadata,
    Column("location_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("timezone", Text, nullable=False),
    Column("day_start", Integer, nullable=False),  # minutes after local midnight
    # While a log is replayed into an empty database the trigger for strict items does not fire.
    Column("replaying", _Flag, nullable=False),
    # The commits of the writer that recorded no event: with the log's head it tells whether a COMMIT took effect.
    Column("eventless_commits", BigInteger, nullable=False, server_default="0"),
    CheckConstraint("day_start BETWEEN 0 AND 1439", name="location_day_start"),
)

ITEM: Final = Table(
    "item",
    metadata,
    Column("item_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("category", Text),
    Column("barcode", Text),
    Column("strict", _Flag, nullable=False),
    Column("defined_here", _Flag, nullable=False),  # by this branch, not yet known to head office
    Column("stands_for", Text),  # the group's item that head office mapped this code to
)

# Nearly always empty, so the trigger's query costs next to nothing.
Index("item_strict", ITEM.c.item_id, sqlite_where=text("strict"), postgresql_where=text("strict"))

Index(
    "item_stands_for",
    ITEM.c.stands_for,
    sqlite_where=text("stands_for IS NOT NULL"),
    postgresql_where=text("stands_for IS NOT NULL"),
)

REORDER_LEVEL: Final = Table(
    "reorder_level",
    metadata,
    Column("item_id", Text, nullable=False),
    Column("set_here", _Flag, nullable=False),  # by this branch; it acts only where head office has none
    *level_columns(),
    PrimaryKeyConstraint("item_id", "set_here"),
)

API_KEY: Final = Table(
    "api_key",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("key_hash", Text, nullable=False),  # SHA-256 of the key's whole text, hex
    Column("role", Text, nullable=False),
    Column("location_id", Text),
    Column("revoked_at", BigInteger),
    Column("issued_here", _Flag, nullable=False),
    Column("scopes", Text, nullable=False, server_default=text("''")),  # beyond those of the role, with blanks between
    # A line of `shared.runtime.http.key_rotation`.
    Column("earlier_texts", Text, nullable=False, server_default=text("''")),
    Column("label", Text),
    Column("issued_at", BigInteger),
    Column("last_used_at", BigInteger),  # here, to within a minute or two
)

SYNC_STATE: Final = Table(
    "sync_state",
    metadata,
    Column("location_id", Text, primary_key=True),
    Column("catalogue_version", BigInteger, nullable=False),
    Column("catalogue_hash", Text, nullable=False),
    Column("instructions_after", BigInteger, nullable=False),
    # The last head that head office acknowledged to this node, and when.
    Column("acknowledged_epoch", BigInteger),
    Column("acknowledged_sequence", BigInteger),
    Column("acknowledged_hash", LargeBinary(32)),
    Column("acknowledged_at", BigInteger),
    Column("last_contact_at", BigInteger),
    Column("verdict", Text),  # head office's last hello verdict
    Column("detail", Text),
)

TRANSFER_TOKEN: Final = Table(
    "transfer_token",
    metadata,
    Column("transfer_id", Text, primary_key=True),
    Column("token", BigInteger, nullable=False),  # the highest seen; it only grows
)

SALE_ORDER: Final = Table(
    "sale_order",
    metadata,
    Column("order_id", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("cancelled", _Flag, nullable=False),
    Column("occurred_at", BigInteger, nullable=False),
    Column("stated_at", BigInteger, nullable=False),  # first event of the command that recorded this revision
    # Sequences of the order's deductions, as JSON; some may have been voided by hand since.
    Column("sequences", Text, nullable=False),
    PrimaryKeyConstraint("order_id", "source"),
)

COUNT_AREA: Final = Table(
    "count_area",
    metadata,
    Column("count_id", Text, nullable=False),
    Column("item_id", Text, nullable=False),
    Column("area", Text, nullable=False),  # '' where none was named
    Column("counted", BigInteger, nullable=False),
    Column("occurred_at", BigInteger, nullable=False),
    Column("posted_sequence", BigInteger),  # of the count's event; NULL while the area waits for the rest of its count
    Column("actor", Text),  # who said it, by which system, with which note; NULL in rows older than these columns
    Column("source", Text),
    Column("note", Text),
    Column("stored_at", BigInteger),
    PrimaryKeyConstraint("count_id", "item_id", "area"),
)

# Posted areas stay, and are many; those that wait are read at each hello.
Index(
    "count_area_waiting",
    COUNT_AREA.c.count_id,
    sqlite_where=text("posted_sequence IS NULL"),
    postgresql_where=text("posted_sequence IS NULL"),
)

# Answers of commands that had an effect without an event, which would carry their key.
KEPT_ANSWER: Final = Table(
    "kept_answer",
    metadata,
    Column("command_key", Text, primary_key=True),
    Column("command_digest", Text, nullable=False),
    Column("answer", LargeBinary, nullable=False),  # JSON
)

# The imports of files. One that was undone stays, so that its file can be imported again.
IMPORT_RUN: Final = Table(
    "import_run",
    metadata,
    Column("import_id", Text, primary_key=True),
    Column("source", Text, nullable=False),
    Column("file", Text, nullable=False),  # its name, without .gz
    Column("size", BigInteger, nullable=False),  # of the unpacked content, in bytes
    Column("sha256", Text, nullable=False),  # likewise, hex
    Column("known_by", Text, nullable=False),  # what makes a row's key: 'line', or the column of ids and its scope
    Column("lineage", Text, nullable=False),  # of the first of the files that continue each other
    Column("begins_at", BigInteger, nullable=False),  # bytes of the file it continues, which are not read again
    Column("begins_line", BigInteger, nullable=False),  # the number of the line there
    Column("end_line", BigInteger, nullable=False),  # the number of the line at the file's end, once it is imported
    Column("rows", BigInteger, nullable=False),  # likewise, with those before `begins_at`
    Column("recorded", BigInteger, nullable=False),  # events of its rows, also those voided since
    Column("rejected", BigInteger, nullable=False),
    Column("conflicting", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("began_at", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    CheckConstraint("state IN ('IMPORTED', 'INCOMPLETE', 'UNDOING', 'UNDONE')", name="import_run_state"),
)

Index(
    "import_run_content",
    IMPORT_RUN.c.source,
    IMPORT_RUN.c.size,
    IMPORT_RUN.c.sha256,
    unique=True,
    sqlite_where=text("state <> 'UNDONE'"),
    postgresql_where=text("state <> 'UNDONE'"),
)

# What the log says of each reservation, kept for look-ups: `shared.reservations` folds it from the events.
RESERVATION: Final = Table(
    "reservation",
    metadata,
    Column("reservation_id", Text, primary_key=True),
    Column("order_id", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),  # of the order's newest statement
    Column("state", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("stated_at", BigInteger, nullable=False),  # the first event of the command that recorded that statement
    CheckConstraint("state IN ('ACTIVE', 'CONFIRMED', 'RELEASED', 'EXPIRED')", name="reservation_state"),
)

Index("reservation_order", RESERVATION.c.order_id, RESERVATION.c.source)
_active = text("state = 'ACTIVE'")
# At most one at a time for an order.
Index(
    "reservation_active_once",
    RESERVATION.c.source,
    RESERVATION.c.order_id,
    unique=True,
    sqlite_where=_active,
    postgresql_where=_active,
)

RESERVATION_LINE: Final = Table(
    "reservation_line",
    metadata,
    Column("reservation_id", Text, nullable=False),
    Column("item_id", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("confirmed", BigInteger, nullable=False),
    Column("released", BigInteger, nullable=False),  # given back or expired
    PrimaryKeyConstraint("reservation_id", "item_id"),
    CheckConstraint(
        "quantity > 0 AND confirmed >= 0 AND released >= 0 AND confirmed + released <= quantity",
        name="reservation_line_adds_up",
    ),
)

Index("reservation_line_item", RESERVATION_LINE.c.item_id)

# What the log says of each order that another system told of: `shared.orders.inbound_orders` folds it from the events.
INBOUND_ORDER: Final = Table(
    "inbound_order",
    metadata,
    Column("order_id", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("covered", _Flag, nullable=False),
    Column("cancelled", _Flag, nullable=False),
    Column("final", _Flag, nullable=False),
    Column("deductions", Text, nullable=False),  # sequences, as JSON; some may have been voided since
    PrimaryKeyConstraint("order_id", "source"),
)

# The systems that may tell of orders, with their secrets.
SOURCES: Final = source_tables(metadata)

# The events of each import, as stretches of the log that hold no others but definitions of items.
IMPORT_SPAN: Final = Table(
    "import_span",
    metadata,
    Column("first_sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("last_sequence", BigInteger, nullable=False),
    Column("import_id", Text, nullable=False),
)

Index("import_span_import", IMPORT_SPAN.c.import_id)

# The ids of rows that an older version recorded under keys with the name of their file.
IMPORT_NAMED_ROW: Final = Table(
    "import_named_row",
    metadata,
    Column("source", Text, nullable=False),
    Column("row_id", Text, nullable=False),  # as part of a key
    Column("sequence", BigInteger, nullable=False),
    PrimaryKeyConstraint("source", "row_id", "sequence"),
)

# How the node's time began, at each start of its process and at each settlement, since head office's time last verified
# it. A start within minutes of the last event is no new run.
CLOCK_RUN: Final = Table(
    "clock_run",
    metadata,
    Column("first_sequence", BigInteger, nullable=False),  # of its first event, or of the first after it
    Column("number", Integer, nullable=False),  # among those with one first event, of which all but the last hold none
    Column("started_at", BigInteger, nullable=False),  # by the node's time
    Column("kind", Text, nullable=False),  # 'start', 'jump' or 'settlement'
    Column("correction", BigInteger, nullable=False),  # of a settlement: from the run before to this one
    PrimaryKeyConstraint("first_sequence", "number", name="clock_run_key"),
)

CLOCK_SETTLEMENT: Final = Table(
    "clock_settlement",
    metadata,
    Column("location_id", Text, primary_key=True),
    Column("sequence", BigInteger, nullable=False),  # the log's head at the last settlement
    Column("settled_at", BigInteger, nullable=False),  # the settled time
    Column("settled_by", Text, nullable=False),  # 'head-office', or the manager's actor
    # The log's head when head office's time last settled it: up to there it is known what was dated wrongly.
    Column("verified_sequence", BigInteger, nullable=False),
)

WRONG_STRETCH: Final = Table(
    "wrong_stretch",
    metadata,
    Column("first_sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("last_sequence", BigInteger, nullable=False),
    Column("correction", BigInteger, nullable=False),  # what is to be added to the node's time of these events
)
