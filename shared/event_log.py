"""The log in a database, SQLite or PostgreSQL: its tables, append, reads.

Every function works inside the transaction of the Connection it is given and never commits. The lean columns of an
event are the same at a branch and at head office, so that `shared.projection` reads both; a branch keeps the canonical
line in the row, head office in `log_segment`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple, cast

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
    bindparam,
    insert,
    select,
    update,
)

from shared.chain import EMPTY, Head, Sealed
from shared.events import MAX_QUANTITY, Event, effect
from shared.runtime.database.row_writes import driver_sql, insert_rows

APPEND_ONLY = "larder: the log is append-only"
"""The message of both databases where a statement tries to change or delete an event."""

# A SQLite INTEGER PRIMARY KEY is the table itself; a BIGINT one would cost a second b-tree.
_Sequence = BigInteger().with_variant(Integer(), "sqlite")


class LogTables(NamedTuple):
    """The tables of a log; `segment` and `quarantine` are head office's alone and live in its schema."""

    event: Table
    head: Table
    voided: Table


def log_tables(metadata: MetaData, *, consolidated: bool) -> LogTables:
    """Define the log's tables in `metadata`: one location's with the lines in the rows, or every location's without."""
    key = ("location_id", "sequence") if consolidated else ("sequence",)
    only_at_branch: list[Column[object] | Index] = (
        []
        if consolidated
        else cast(
            "list[Column[object] | Index]",
            [
                Column("command_key", Text),
                Column("line", LargeBinary, nullable=False),
                Index("event_event_id", "event_id", unique=True),
                Index(
                    "event_command_key",
                    "command_key",
                    unique=True,
                    sqlite_where=Column("command_key").is_not(None),
                    postgresql_where=Column("command_key").is_not(None),
                ),
            ],
        )
    )
    event = Table(
        "event",
        metadata,
        Column("location_id", Text, nullable=False),
        Column("sequence", _Sequence, nullable=False),
        Column("event_id", LargeBinary(16), nullable=False),
        Column("type", Text, nullable=False),
        Column("item_id", Text),
        Column("on_hand_change", BigInteger),
        Column("counted", BigInteger),
        Column("reserved_change", BigInteger),
        Column("in_transit_change", BigInteger),
        Column("reservation_id", Text),
        Column("expires_at", BigInteger),
        Column("transfer_id", Text),
        Column("voided_sequence", BigInteger),
        Column("occurred_at", BigInteger, nullable=False),
        Column("hash", LargeBinary(32), nullable=False),
        *only_at_branch,
        PrimaryKeyConstraint(*key),
        CheckConstraint("sequence > 0", name="event_sequence_positive"),
        CheckConstraint("counted IS NULL OR (counted >= 0 AND on_hand_change IS NULL)", name="event_counts_or_moves"),
        CheckConstraint(
            f"on_hand_change BETWEEN -{MAX_QUANTITY} AND {MAX_QUANTITY} AND on_hand_change <> 0", name="event_bounds"
        ),
        CheckConstraint("voided_sequence < sequence", name="event_voids_an_earlier_one"),
    )
    scope = (event.c.location_id,) if consolidated else ()
    Index("event_as_of", *scope, event.c.item_id, event.c.occurred_at, event.c.sequence)
    for name, column, columns in (
        ("event_count", event.c.counted, (event.c.item_id, event.c.occurred_at, event.c.sequence)),
        ("event_reservation", event.c.reservation_id, (event.c.item_id, event.c.reservation_id)),
        ("event_transfer", event.c.transfer_id, (event.c.transfer_id, event.c.sequence)),
        ("event_transfer_order", event.c.transfer_id, (event.c.sequence,)),
        ("event_transfer_item", event.c.transfer_id, (event.c.item_id, event.c.sequence)),
    ):
        present = column.is_not(None)
        Index(name, *scope, *columns, sqlite_where=present, postgresql_where=present)
    if not consolidated:
        of_one, reserved = event.c.reservation_id.is_not(None), event.c.type == "STOCK_RESERVED"
        columns = (event.c.reservation_id, event.c.sequence)
        Index("event_of_reservation", *columns, sqlite_where=of_one, postgresql_where=of_one)
        # Nearly always empty, so the trigger's query costs next to nothing.
        Index("event_reserved", event.c.sequence, sqlite_where=reserved, postgresql_where=reserved)
    for kind in ("TRANSFER_OUT", "TRANSFER_REVERSED"):
        is_kind = event.c.type == kind
        Index(
            f"event_{kind.lower()}_once",
            *scope,
            event.c.transfer_id,
            event.c.item_id,
            unique=True,
            sqlite_where=is_kind,
            postgresql_where=is_kind,
        )
    head = Table(
        "head",
        metadata,
        Column("location_id", Text, primary_key=True),
        Column("epoch", BigInteger, nullable=False),
        Column("sequence", BigInteger, nullable=False),
        Column("hash", LargeBinary(32), nullable=False),
    )
    voided = Table(
        "voided",
        metadata,
        Column("location_id", Text, nullable=False),
        Column("sequence", BigInteger, nullable=False),
        Column("by_sequence", BigInteger, nullable=False),
        PrimaryKeyConstraint("location_id", "sequence"),
        CheckConstraint("sequence < by_sequence", name="voided_before_its_void"),
    )
    return LogTables(event, head, voided)


def append_only_ddl(table: str, dialect: str) -> list[str]:
    """The statements that make `table` refuse UPDATE, DELETE and (PostgreSQL) TRUNCATE. For migrations."""
    if dialect == "sqlite":
        return [
            f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{APPEND_ONLY}'); END"
            for verb in ("UPDATE", "DELETE")
        ]
    return [
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{APPEND_ONLY}' USING ERRCODE = 'integrity_constraint_violation'; END $$",
        f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
    ]


class LogEntry(NamedTuple):
    """One event as it is shipped: its sequence, its canonical line, its hash (32 bytes)."""

    sequence: int
    line: bytes
    hash: bytes


LEAN_COLUMNS = (
    "location_id", "sequence", "event_id", "type", "item_id", "on_hand_change", "counted", "reserved_change",
    "in_transit_change", "reservation_id", "expires_at", "transfer_id", "voided_sequence", "occurred_at", "hash",
)  # fmt: skip


def lean_row(event: Event, digest: bytes) -> tuple[object, ...]:
    """The lean columns of a placed event, in the order of LEAN_COLUMNS."""
    does = effect(event)
    return (
        event.location_id,
        event.sequence,
        bytes.fromhex(event.event_id.replace("-", "")),
        event.type._value_,  # the plain text; `value` is a call
        event.item_id,
        does.on_hand_change,
        does.counted,
        does.reserved_change,
        does.in_transit_change,
        event.reservation_id,
        event.expires_at,
        event.transfer_id,
        event.voided_sequence,
        event.occurred_at,
        digest,
    )


@lru_cache(maxsize=64)
def _hold_head_sql(head: Table, dialect: str) -> str:
    here = (head.c.location_id == bindparam("at"), head.c.sequence == bindparam("remembered"))
    return driver_sql(update(head).where(*here).values(epoch=head.c.epoch), dialect)


@lru_cache(maxsize=64)
def _move_head_sql(head: Table, dialect: str) -> str:
    statement = (
        update(head)
        .where(head.c.location_id == bindparam("at"), head.c.sequence == bindparam("remembered"))
        .values(epoch=bindparam("new_epoch"), sequence=bindparam("new_sequence"), hash=bindparam("new_hash"))
    )
    return driver_sql(statement, dialect)


BRANCH_COLUMNS = (*LEAN_COLUMNS, "command_key", "line")


def append(connection: Connection, tables: LogTables, sealed: Sequence[Sealed]) -> None:
    """Append sealed events to a branch's log and move its head from the event before the first to the last one.

    Raises StaleHead where the head is not the event before the first one: another writer has appended.
    """
    if not sealed:
        return
    first, last = sealed[0].event, sealed[-1]
    dialect, before = connection.dialect.name, (first.location_id, first.sequence - 1)
    cursor = connection.connection.cursor()
    try:
        # First, so that of two writers one waits; the head moves last, so that its trigger sees the appended events.
        cursor.execute(_hold_head_sql(tables.head, dialect), before)
        if cursor.rowcount != 1:
            raise StaleHead(first.sequence - 1)
        record_voids(connection, tables, (each.event for each in sealed))
        rows = [(*lean_row(each.event, each.hash), each.event.command_key, each.line) for each in sealed]
        insert_rows(connection, tables.event, BRANCH_COLUMNS, rows)
        cursor.execute(
            _move_head_sql(tables.head, dialect), (last.event.epoch, last.event.sequence, last.hash, *before)
        )
    finally:
        cursor.close()


def record_voids(connection: Connection, tables: LogTables, events: Iterable[Event]) -> None:
    """Insert the event that each void or reversal undoes. A second void of one event violates the primary key."""
    voids = [
        {"location_id": each.location_id, "sequence": each.voided_sequence, "by_sequence": each.sequence}
        for each in events
        if each.voided_sequence is not None
    ]
    if voids:
        connection.execute(insert(tables.voided), voids)


class StaleHead(RuntimeError):
    """The log's head is not at the sequence that the writer expects: another writer has appended."""

    def __init__(self, remembered: int) -> None:
        super().__init__(f"the log's head is no longer at {remembered}")
        self.remembered = remembered


def create_head(connection: Connection, tables: LogTables, location_id: str) -> None:
    """Insert the head of an empty log for `location_id`."""
    connection.execute(
        insert(tables.head).values(location_id=location_id, epoch=EMPTY.epoch, sequence=EMPTY.sequence, hash=EMPTY.hash)
    )


def read_head(connection: Connection, tables: LogTables, location_id: str, *, lock: bool = False) -> Head | None:
    """Read the head of a location's log, None where there is none; `lock` locks its row until the transaction ends."""
    head = tables.head
    query = select(head.c.epoch, head.c.sequence, head.c.hash).where(head.c.location_id == location_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else Head(row.epoch, row.sequence, bytes(row.hash))


def read_after(connection: Connection, tables: LogTables, after: int, limit: int) -> list[LogEntry]:
    """Read up to `limit` entries of a branch's log after the sequence `after`, in order."""
    event = tables.event
    rows = connection.execute(
        select(event.c.sequence, event.c.line, event.c.hash)
        .where(event.c.sequence > after)
        .order_by(event.c.sequence)
        .limit(limit)
    )
    return [LogEntry(row.sequence, bytes(row.line), bytes(row.hash)) for row in rows]


def hash_at(connection: Connection, tables: LogTables, location_id: str, sequence: int) -> bytes | None:
    """Read the hash (32 bytes) of one event of a location; 32 zero bytes at sequence 0, None after the head."""
    if sequence == 0:
        return EMPTY.hash
    event = tables.event
    found = connection.execute(
        select(event.c.hash).where(event.c.location_id == location_id, event.c.sequence == sequence)
    ).scalar_one_or_none()
    return None if found is None else bytes(found)
