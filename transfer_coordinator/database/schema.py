"""The coordinator's tables, PostgreSQL only. The database is the coordinator's own.

`transfer` is the saga's row, with its lease and fencing token; `journal` has each decision and requested step, written
before it is sent; `fact` has the events that head office reported. Triggers of the migration keep what no constraint
can: an ended transfer stays as it is, a token only grows, a lease changes its holder under a higher token only, the
requested goods never change, journal and facts are append-only. Times are microseconds UTC, quantities thousandths.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from shared.events import MAX_QUANTITY
from shared.messages import InstructionStep
from transfer_coordinator.saga.saga import ENDED, Mode, State

MIGRATIONS: Final = Path(__file__).parent / "migrations"
VERSION_TABLE: Final = "transfer_coordinator_version"

metadata: Final = MetaData()


def _listed(values: Iterable[str]) -> str:
    return ", ".join(f"'{each}'" for each in values)


_OPEN: Final = text("ended_at IS NULL")

TRANSFER: Final = Table(
    "transfer",
    metadata,
    Column("transfer_id", Text, primary_key=True),
    Column("source", Text, nullable=False),
    Column("destination", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("deadline", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", Text),  # the API key's id; None: adopted from head office's facts
    Column("command_key", Text),  # the caller's Idempotency-Key
    Column("digest", LargeBinary(32)),  # SHA-256 of the request; None: adopted
    Column("cancel_requested_at", BigInteger),
    Column("cancel_requested_by", Text),
    Column("state", Text, nullable=False),
    Column("end_reason", Text),
    Column("ended_at", BigInteger),
    Column("conflict", Text),  # a contradiction in the logs
    Column("asked", ARRAY(Text), nullable=False),  # every step ever requested of a site
    Column("last_step", Text),  # the one requested last, how often without new facts, and when last
    Column("attempts", Integer, nullable=False),
    Column("asked_at", BigInteger),
    Column("token", BigInteger, nullable=False),
    Column("lease_holder", Text),
    Column("lease_expires_at", BigInteger),
    Column("due_at", BigInteger),  # when it has to be processed again
    Column("journal_length", Integer, nullable=False),
    CheckConstraint("source <> destination", name="transfer_goes_somewhere"),
    CheckConstraint(f"mode IN ({_listed(Mode)})", name="transfer_mode"),
    CheckConstraint(f"state IN ({_listed(State)})", name="transfer_state"),
    CheckConstraint(
        f"(state IN ({_listed(sorted(ENDED))})) = (ended_at IS NOT NULL)"
        " AND (ended_at IS NULL) = (end_reason IS NULL) AND (ended_at IS NULL) = (due_at IS NOT NULL)",
        name="transfer_end_is_whole",
    ),
    CheckConstraint("(lease_holder IS NULL) = (lease_expires_at IS NULL)", name="transfer_lease_is_whole"),
    CheckConstraint("ended_at IS NULL OR lease_holder IS NULL", name="transfer_ended_is_nobodys"),
    CheckConstraint("token >= 0 AND (lease_holder IS NULL OR token > 0)", name="transfer_token_fences"),
    CheckConstraint("attempts >= 0 AND journal_length >= 0", name="transfer_counts"),
    CheckConstraint(f"asked <@ ARRAY[{_listed(InstructionStep)}]", name="transfer_asked_steps"),
    CheckConstraint("octet_length(digest) = 32", name="transfer_digest"),
    UniqueConstraint("command_key", name="transfer_command_key"),
    Index("transfer_due", "due_at", postgresql_where=_OPEN),
    Index("transfer_listed", "created_at", "transfer_id"),
    Index("transfer_state_listed", "state", "created_at", "transfer_id"),
    Index("transfer_source", "source", "created_at", "transfer_id"),
    Index("transfer_destination", "destination", "created_at", "transfer_id"),
)

Table(
    "transfer_line",
    metadata,
    Column("transfer_id", Text, ForeignKey("transfer.transfer_id"), nullable=False),
    Column("line", Integer, nullable=False),
    Column("item_id", Text, nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("unit", Text, nullable=False),
    PrimaryKeyConstraint("transfer_id", "line"),
    UniqueConstraint("transfer_id", "item_id", name="transfer_line_item"),
    CheckConstraint("line > 0", name="transfer_line_counts_from_one"),
    CheckConstraint(f"quantity BETWEEN 1 AND {MAX_QUANTITY}", name="transfer_line_quantity"),
)

JOURNAL: Final = Table(
    "journal",
    metadata,
    Column("transfer_id", Text, ForeignKey("transfer.transfer_id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("holder", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("asked", Text),  # the step requested of a site from here on
    Column("note", Text),
    PrimaryKeyConstraint("transfer_id", "number"),
    CheckConstraint("number > 0", name="journal_counts_from_one"),
    CheckConstraint(f"state IN ({_listed(State)})", name="journal_state"),
    CheckConstraint(f"asked IN ({_listed(InstructionStep)})", name="journal_asked"),
)

# Without a foreign key, as there are facts of transfers that could not be adopted yet.
Table(
    "fact",
    metadata,
    Column("transfer_id", Text, nullable=False),
    Column("location_id", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("type", Text, nullable=False),
    Column("item_id", Text),
    Column("quantity", BigInteger),
    Column("reason", Text),
    Column("occurred_at", BigInteger, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("transfer_id", "location_id", "sequence"),
)

# Transfers that could not be adopted, with the reason.
UNADOPTABLE_TRANSFER: Final = Table(
    "stray",
    metadata,
    Column("transfer_id", Text, primary_key=True),
    Column("heard_at", BigInteger, nullable=False),
    Column("why", Text, nullable=False),
)

FEED: Final = Table(
    "feed",
    metadata,
    Column("name", Text, primary_key=True),  # facts or catalogue
    Column("cursor", Text, nullable=False),
    Column("hash", Text, nullable=False),  # the catalogue's chained hash; empty for the facts
    Column("moved_at", BigInteger, nullable=False),
)

KNOWN_LOCATION: Final = Table(
    "known_location",
    metadata,
    Column("location_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
)

KNOWN_ITEM: Final = Table(
    "known_item",
    metadata,
    Column("item_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("unit", Text, nullable=False),
)

KNOWN_KEY: Final = Table(
    "known_key",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("key_hash", Text, nullable=False),  # SHA-256 of the key's whole text, hex
    Column("role", Text, nullable=False),
    Column("location_id", Text),
    Column("revoked_at", BigInteger),
    # A line of `shared.runtime.http.key_rotation`.
    Column("earlier_texts", Text, nullable=False, server_default=text("''")),
)

APPEND_ONLY: Final = ("transfer_line", "journal", "fact")
"""The tables that refuse UPDATE, DELETE and TRUNCATE."""


def now(connection: Connection) -> int:
    """The time in microseconds UTC, from the database's `larder_now()`: the only clock of leases."""
    return int(connection.execute(text("SELECT larder_now()")).scalar_one())
