"""Head office's own tables: the catalogue, API keys, subscriptions, sources of orders, the coordinator's instructions.

They join the MetaData of `schema`. Times are microseconds UTC, quantities thousandths.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)

from head_office.database.schema import EVENT, metadata
from shared.levels.level_columns import level_columns
from shared.orders.source_tables import source_tables
from shared.subscriptions.subscription_tables import subscription_tables

INSTRUCTIONS_CHANNEL: Final = "larder_instructions"
"""NOTIFY channel of new instructions; the payload is the location."""

CATALOGUE_CHANNEL: Final = "larder_catalogue"
"""NOTIFY channel of changes to the catalogue, keys included."""

ITEM: Final = Table(
    "item",
    metadata,
    Column("item_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("category", Text),
    Column("barcode", Text),
    Column("strict_at", ARRAY(Text), nullable=False),  # the locations where the item is strict, sorted
)

ITEM_ALIAS: Final = Table(
    "item_alias",
    metadata,
    Column("location_id", Text, nullable=False),
    Column("alias", Text, nullable=False),  # the item_id under which this location's log knows the item
    Column("item_id", Text, nullable=False),
    PrimaryKeyConstraint("location_id", "alias"),
)

REORDER_LEVEL: Final = Table(
    "reorder_level",
    metadata,
    Column("location_id", Text, nullable=False),
    Column("item_id", Text, nullable=False),
    *level_columns(),
    PrimaryKeyConstraint("location_id", "item_id"),
)

API_KEY: Final = Table(
    "api_key",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("key_hash", Text, nullable=False),  # SHA-256 of the key's whole text, hex
    Column("role", Text, nullable=False),
    Column("location_id", Text),
    Column("label", Text),
    Column("issued_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
    Column("scopes", ARRAY(Text), nullable=False, server_default=text("'{}'")),  # beyond those of the role, sorted
    # A line of `shared.runtime.http.key_rotation`.
    Column("earlier_texts", Text, nullable=False, server_default=text("''")),
    Column("last_used_at", BigInteger),  # here, to within a minute or two
)

CATALOGUE_HEAD: Final = Table(
    "catalogue_head",
    metadata,
    Column("single", Boolean(create_constraint=False), primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
    CheckConstraint("single", name="catalogue_head_is_one_row"),
)

CATALOGUE_ENTRY: Final = Table(
    "catalogue_entry",
    metadata,
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),  # item, key, reorder_level, location, alias, supplier, purchase_order
    # What it is about within its kind and location_id: an item, a key, a location, the alias, a supplier, an order.
    Column("subject", Text, nullable=False),
    # Received at head office at this moment, on the clock of `received_at` of batches; 0: before moments were kept.
    Column("known_from", BigInteger, nullable=False),
    # The recipient: this location's branch; None: every branch.
    Column("location_id", Text),
    # Whether it is published; False for the keys of machines, which only head office checks.
    Column("told", Boolean(create_constraint=False), nullable=False),
    Column("content", Text, nullable=False),  # the member of that kind as JSON
    Column("hash", LargeBinary(32), nullable=False),
    Index("catalogue_entry_subject", "kind", "subject", "version"),
    Index("catalogue_entry_location", "kind", "location_id", "subject", "version"),
)

TRANSFER_TOKEN: Final = Table(
    "transfer_token",
    metadata,
    Column("transfer_id", Text, nullable=False),
    Column("location_id", Text, nullable=False),  # the source's
    Column("token", BigInteger, nullable=False),  # the highest seen; it only grows
    PrimaryKeyConstraint("transfer_id", "location_id"),
)

INSTRUCTION_HEAD: Final = Table(
    "instruction_head",
    metadata,
    Column("location_id", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),  # the last one given
)

Table(
    "instruction",
    metadata,
    Column("location_id", Text, nullable=False),
    Column("transfer_id", Text, nullable=False),
    Column("step", Text, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),  # the Instruction as JSON, its number left out
    # By transfer first: the facts of a transfer are answered with its instructions at every location.
    PrimaryKeyConstraint("transfer_id", "location_id", "step"),
    Index("instruction_number", "location_id", "number", unique=True),
)

SUBSCRIPTIONS: Final = subscription_tables(metadata)

SOURCES: Final = source_tables(metadata)

# Facts are queried by transfer, over all locations.
Index(
    "event_fact",
    EVENT.c.transfer_id,
    EVENT.c.location_id,
    EVENT.c.sequence,
    postgresql_where=EVENT.c.transfer_id.is_not(None),
)
Index(
    "event_item_defined",
    EVENT.c.location_id,
    EVENT.c.sequence,
    postgresql_where=text("type = 'ITEM_DEFINED'"),
)
