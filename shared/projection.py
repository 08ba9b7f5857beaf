"""The stock projection in a database: its table, its rows, and the fold of a balance by SQL as of any moment.

The same SQL for branch and head office, SQLite and PostgreSQL, built from `shared.stock_expressions`; `shared.stock`
names the test that holds it to the fold. Works inside the transaction of the Connection it is given, never commits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Connection,
    FromClause,
    MetaData,
    PrimaryKeyConstraint,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    exists,
    func,
    literal,
    or_,
    select,
)

from shared import stock_expressions as expressions
from shared.event_log import LogTables
from shared.runtime.database.row_writes import upsert_rows
from shared.stock import BEGINNING, Movement, Place, Standing
from shared.stock_expressions import EVERYTHING, EventScope

MOVEMENT_COLUMNS = (
    "sequence", "occurred_at", "type", "on_hand_change", "counted", "reserved_change", "reservation_id", "expires_at",
    "voided_sequence",
)  # fmt: skip


def stock_table(metadata: MetaData) -> Table:
    """Define the projection: one row an item and location. Quantities in thousandths, times in microseconds UTC."""
    return Table(
        "stock",
        metadata,
        Column("location_id", Text, nullable=False),
        Column("item_id", Text, nullable=False),
        Column("on_hand", BigInteger, nullable=False),
        Column("reserved", BigInteger, nullable=False),
        Column("counted_at", BigInteger),
        Column("counted_sequence", BigInteger),
        Column("latest_at", BigInteger, nullable=False),
        Column("latest_sequence", BigInteger, nullable=False),
        Column("recount", Boolean(create_constraint=False), nullable=False),
        PrimaryKeyConstraint("location_id", "item_id"),
        CheckConstraint("(counted_at IS NULL) = (counted_sequence IS NULL)", name="stock_count_is_whole"),
        CheckConstraint("reserved >= 0", name="stock_reserved_not_negative"),
    )


def standing_of(row: Any) -> Standing:
    last_count = None if row.counted_at is None else Place(row.counted_at, row.counted_sequence)
    return Standing(row.on_hand, row.reserved, last_count, Place(row.latest_at, row.latest_sequence), bool(row.recount))


def load_standings(
    connection: Connection, stock: Table, location_id: str, item_ids: Iterable[str] | None = None
) -> dict[str, Standing]:
    """Read what stands of the given items of a location (None: all); items without events are left out."""
    query = select(stock).where(stock.c.location_id == location_id)
    if item_ids is not None:
        query = query.where(stock.c.item_id.in_(list(item_ids)))
    return {row.item_id: standing_of(row) for row in connection.execute(query)}


STOCK_COLUMNS = (
    "location_id", "item_id", "on_hand", "reserved", "counted_at", "counted_sequence", "latest_at", "latest_sequence",
    "recount",
)  # fmt: skip


def store_standings(connection: Connection, stock: Table, location_id: str, standings: Mapping[str, Standing]) -> None:
    """Upsert what stands of the given items, in one statement."""
    rows = []
    for item_id, standing in sorted(standings.items()):
        counted_at, counted_sequence = standing.last_count or (None, None)
        figures = (standing.on_hand, standing.reserved, counted_at, counted_sequence, *standing.latest)
        rows.append((location_id, item_id, *figures, standing.recount))
    upsert_rows(connection, stock, STOCK_COLUMNS, rows)


def movements_of(connection: Connection, tables: LogTables, location_id: str, item_id: str) -> list[Movement]:
    """Read every movement of one item at one location, in order of place."""
    event = tables.event
    query = (
        select(*(event.c[name] for name in MOVEMENT_COLUMNS))
        .where(event.c.location_id == location_id, event.c.item_id == item_id)
        .order_by(event.c.occurred_at, event.c.sequence)
    )
    return [Movement(**row._mapping) for row in connection.execute(query)]


def balances(
    tables: LogTables, pairs: FromClause, scope: EventScope, *, expired_by: ColumnElement[int] | None = None
) -> Select[Any]:
    """Select the balance of every (location_id, item_id) in `pairs`, folded by SQL from the log.

    `scope` may refer to columns of `pairs`. Reservations expired by `expired_by`, or by the scope's moment where it is
    not given, do not count; without both every reservation counts. Columns: location_id, item_id, on_hand, reserved,
    counted_at, counted_sequence, latest_at, latest_sequence, recount.
    """
    event = tables.event

    def known_of(alias: FromClause) -> list[ColumnElement[bool]]:
        """The conditions for an event to be of the pair, and known."""
        return [
            alias.c.location_id == pairs.c.location_id,
            alias.c.item_id == pairs.c.item_id,
            *expressions.known(alias, scope),
        ]

    def standing_of_pair(alias: FromClause) -> list[ColumnElement[bool]]:
        return [*known_of(alias), expressions.stands(alias, tables.voided, scope, pairs)]

    count, counted = event.alias("c"), event.alias("counted_event")
    last_count = (
        select(count.c.sequence)
        .where(*standing_of_pair(count), expressions.is_count(count))
        .order_by(*expressions.newest_first(count))
        .limit(1)
        .correlate(pairs)
        .scalar_subquery()
    )
    base = select(pairs.c.location_id, pairs.c.item_id, last_count.label("counted_sequence")).subquery("base")
    move = event.alias("m")
    moved = (
        select(expressions.moved(move))
        .where(*standing_of_pair(move), expressions.after_count(move, counted))
        .correlate(pairs, counted)
        .scalar_subquery()
    )
    reserving = event.alias("p")
    reserved = expressions.reserved(
        reserving,
        *standing_of_pair(reserving),
        expired_by=scope.moment if expired_by is None else expired_by,
        outer=pairs,
    )
    arrival, reversal, sent = event.alias("arrival"), event.alias("reversal"), event.alias("sent")
    # That the events name a transfer lets the databases use the partial index of events with one.
    received = exists().where(
        *standing_of_pair(arrival), arrival.c.transfer_id.is_not(None), expressions.received_late(arrival, counted)
    )
    returned = exists().where(
        *known_of(reversal), reversal.c.transfer_id.is_not(None), expressions.returned_late(reversal, sent, counted)
    )
    recount = or_(received.correlate(pairs, counted), returned.correlate(pairs, counted))
    last = event.alias("last")
    latest_sequence = (
        select(last.c.sequence)
        .where(*known_of(last))
        .order_by(*expressions.newest_first(last))
        .limit(1)
        .correlate(pairs)
        .scalar_subquery()
    )
    latest_at = select(func.max(last.c.occurred_at)).where(*known_of(last)).correlate(pairs).scalar_subquery()
    return select(
        pairs.c.location_id,
        pairs.c.item_id,
        expressions.on_hand(counted, moved).label("on_hand"),
        reserved.label("reserved"),
        counted.c.occurred_at.label("counted_at"),
        counted.c.sequence.label("counted_sequence"),
        func.coalesce(latest_at, BEGINNING.occurred_at).label("latest_at"),
        func.coalesce(latest_sequence, BEGINNING.sequence).label("latest_sequence"),
        and_(counted.c.sequence.is_not(None), recount).label("recount"),
    ).select_from(
        pairs.join(base, and_(base.c.location_id == pairs.c.location_id, base.c.item_id == pairs.c.item_id)).outerjoin(
            counted,
            and_(counted.c.location_id == base.c.location_id, counted.c.sequence == base.c.counted_sequence),
        )
    )


@lru_cache(maxsize=8)
def _refold_query(tables: LogTables) -> Select[Any]:
    event = tables.event
    pairs = (
        select(event.c.location_id, event.c.item_id)
        .where(
            event.c.location_id == bindparam("location_id"),
            event.c.item_id.in_(bindparam("item_ids", expanding=True)),
        )
        .distinct()
        .subquery("pairs")
    )
    return balances(tables, pairs, EVERYTHING)


def refold(connection: Connection, tables: LogTables, location_id: str, item_ids: Iterable[str]) -> dict[str, Standing]:
    """Fold what stands of the given items from the log by SQL; items without events are left out."""
    rows = connection.execute(_refold_query(tables), {"location_id": location_id, "item_ids": list(item_ids)})
    return {row.item_id: standing_of(row) for row in rows}


def moment_literal(micros: int) -> ColumnElement[int]:
    """Make a BIGINT parameter of a moment (microseconds UTC): PostgreSQL would take a small one for INTEGER."""
    return literal(micros, BigInteger)
