"""Rebuild of the projections from the log, and comparison with the stored ones.

Set-based and linear: an event is read a few times at most, whatever the number of items. The rules of stock are built
from `shared.stock_expressions`. Works inside the transaction of the Connection it is given.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
from psycopg import Cursor
from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Select,
    and_,
    false,
    func,
    literal_column,
    or_,
    select,
    text,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import distinct_on

from head_office.database.awaited_lines import count_awaited, renew_location
from head_office.database.packed_arrays import register_packed_arrays
from head_office.database.schema import EVENT, HEAD, VOIDED
from head_office.log.ingest import lock_head
from head_office.log.projected.delivery_projection import compared_deliveries, correct_deliveries
from head_office.log.projected.marked_events import MarkedEvents, marked_events
from head_office.log.projected.order_answer_projection import (
    LoggedAnswer,
    answers_in,
    correct_answers,
    earliest_answers,
    stored_answers,
)
from head_office.log.projected.reservation_projection import (
    FOLDED_AT_ONCE,
    LoggedReservation,
    logged_reservations,
    store_reservations,
)
from shared.stock_expressions import (
    EVERYTHING,
    after_count,
    is_count,
    moved,
    newest_first,
    on_hand,
    received_late,
    reserved_sum,
    returned_late,
    stands,
    voids_in,
)
from shared.transfers import SIGNS, SUM_OF

_LOCATIONS: Final[ColumnElement[Any]] = literal_column(":locations")


def _sql(statement: Select[Any]) -> str:
    """The text of a statement, its constants written out and `:locations` left as its parameter."""
    return str(statement.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True}))  # type: ignore[no-untyped-call]


def _stock() -> Select[Any]:
    """Select what stands of every item. `latest` is the last place of all its events, voided ones too."""
    pair = (EVENT.c.location_id, EVENT.c.item_id)
    named = (EVENT.c.location_id == func.any(_LOCATIONS), EVENT.c.item_id.is_not(None))
    standing = (
        select(EVENT)
        .where(*named, stands(EVENT, VOIDED, EVERYTHING))
        .cte("standing")
        .prefix_with("NOT MATERIALIZED", dialect="postgresql")
    )
    each = standing.alias("e")
    counts = (
        select(each.c.location_id, each.c.item_id, each.c.occurred_at, each.c.sequence, each.c.counted)
        .ext(distinct_on(each.c.location_id, each.c.item_id))
        .where(is_count(each))
        .order_by(each.c.location_id, each.c.item_id, *newest_first(each))
        .cte("counts")
        .prefix_with("MATERIALIZED", dialect="postgresql")
    )
    latest = (
        select(*pair, EVENT.c.occurred_at, EVENT.c.sequence)
        .ext(distinct_on(*pair))
        .where(*named)
        .order_by(*pair, *newest_first(EVENT))
        .cte("latest")
    )
    sums = (
        select(
            each.c.location_id,
            each.c.item_id,
            moved(each, after_count(each, counts)).label("on_hand"),
            reserved_sum(each).label("reserved"),
            func.bool_or(received_late(each, counts)).label("received_late"),
        )
        .select_from(each.outerjoin(counts, _same_item(counts, each)))
        .group_by(each.c.location_id, each.c.item_id)
        .cte("sums")
    )
    sent = EVENT.alias("sent")
    reversals = (
        select(*pair)
        .where(*named, EVENT.c.transfer_id.is_not(None), _same_item(counts, EVENT), returned_late(EVENT, sent, counts))
        .distinct()
        .cte("reversals")
    )
    return select(
        latest.c.location_id,
        latest.c.item_id,
        on_hand(counts, func.coalesce(sums.c.on_hand, 0)).label("on_hand"),
        func.coalesce(sums.c.reserved, 0).label("reserved"),
        counts.c.occurred_at.label("counted_at"),
        counts.c.sequence.label("counted_sequence"),
        latest.c.occurred_at.label("latest_at"),
        latest.c.sequence.label("latest_sequence"),
        or_(func.coalesce(sums.c.received_late, false()), reversals.c.item_id.is_not(None)).label("recount"),
    ).select_from(
        latest.outerjoin(sums, _same_item(sums, latest))
        .outerjoin(counts, _same_item(counts, latest))
        .outerjoin(reversals, _same_item(reversals, latest))
    )


def _same_item(one: FromClause, other: FromClause) -> ColumnElement[bool]:
    return and_(one.c.location_id == other.c.location_id, one.c.item_id == other.c.item_id)


def _types(name: str | None = None) -> str:
    return ", ".join(f"'{kind}'" for kind, each in SUM_OF.items() if name in {None, each})


def _sum(name: str) -> str:
    # A reversal has no figure of its own; its quantity is that of the event it reverses.
    amount = "abs(coalesce(reversed.in_transit_change, e.in_transit_change))"
    return f"coalesce(sum({amount}) FILTER (WHERE e.type IN ({_types(name)})), 0)::bigint AS {name}"


# The sums of `shared.transfers`; that module names the test which holds them to the rules.
_TRANSFERS: Final = f"""
SELECT e.location_id, e.transfer_id, e.item_id, {", ".join(_sum(name) for name in SIGNS)},
    min(e.occurred_at) AS first_at
FROM event AS e LEFT JOIN event AS reversed ON reversed.location_id = e.location_id
    AND reversed.sequence = e.voided_sequence
WHERE e.location_id = ANY(:locations) AND e.transfer_id IS NOT NULL AND e.item_id IS NOT NULL
    AND e.type IN ({_types()})
GROUP BY e.location_id, e.transfer_id, e.item_id
"""

FROM_THE_LOG: Final = {
    "stock": _sql(_stock()),
    "transfer_line": _TRANSFERS,
    "voided": _sql(voids_in(EVENT, EVENT.c.location_id == func.any(_LOCATIONS))),
}
"""The query, over the log, of the rows of each derived table; parameter `:locations`, columns as in the table."""

PROJECTIONS: Final = ("stock", "transfer_line")
"""The derived tables that are rebuilt by such a query; the others are read from the lines of the log."""


class Rebuilt(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a rebuild: rows of each projection, and how many were wrong, missing or superfluous before."""

    locations: int
    rows: dict[str, int]
    corrected: dict[str, int]


def rebuild(connection: Connection, location_id: str | None = None) -> Rebuilt:
    """Rebuild the projections of a location (None: of all). Holds the heads until the transaction ends.

    A projection without a difference is not written. Raises UnknownLocation.
    """
    everywhere = connection.execute(select(HEAD.c.location_id).order_by(HEAD.c.location_id)).scalars().all()
    locations = list(everywhere) if location_id is None else [location_id]
    for each in locations:
        lock_head(connection, each)
    rows: dict[str, int] = {}
    corrected: dict[str, int] = {}
    for table in PROJECTIONS:
        rows[table], corrected[table] = _rebuild(connection, table, locations)
    for table in ("reservation", "reservation_line", "order_answer", "delivered_line", "awaited_line"):
        rows[table] = corrected[table] = 0
    for each in locations:
        _rebuild_reservations(connection, each, rows, corrected)
        _rebuild_from_lines(connection, each, rows, corrected)
        # After the deliveries, which it follows from.
        corrected["awaited_line"] += renew_location(connection, each)
        rows["awaited_line"] += count_awaited(connection, each)
    return Rebuilt(locations=len(locations), rows=rows, corrected=corrected)


def _rebuild(connection: Connection, table: str, locations: Sequence[str]) -> tuple[int, int]:
    named = {"locations": list(locations)}
    fresh = f"rebuilt_{table}"
    connection.execute(text(f"CREATE TEMPORARY TABLE {fresh} ON COMMIT DROP AS {FROM_THE_LOG[table]}"), named)
    rows = int(connection.execute(text(f"SELECT count(*) FROM {fresh}")).scalar_one())
    differing = text(
        f"SELECT count(*) FROM ((TABLE {fresh} EXCEPT SELECT * FROM {table} WHERE location_id = ANY(:locations))"
        f" UNION ALL (SELECT * FROM {table} WHERE location_id = ANY(:locations) EXCEPT TABLE {fresh})) AS differing"
    )
    corrected = int(connection.execute(differing, named).scalar_one())
    if corrected:
        connection.execute(text(f"DELETE FROM {table} WHERE location_id = ANY(:locations)"), named)
        connection.execute(text(f"INSERT INTO {table} SELECT * FROM {fresh}"))
    connection.execute(text(f"DROP TABLE {fresh}"))
    return rows, corrected


def _rebuild_reservations(
    connection: Connection, location_id: str, rows: dict[str, int], corrected: dict[str, int]
) -> None:
    wrong: list[LoggedReservation] = []
    cursor: Cursor[Any] = connection.connection.cursor(binary=True)  # type: ignore[assignment]
    with cursor:
        register_packed_arrays(cursor)
        for each in logged_reservations(connection, location_id):
            for table, kept, logged in (
                ("reservation", each.stored.heads, each.folded.heads),
                ("reservation_line", each.stored.lines, each.folded.lines),
            ):
                rows[table] += len(logged)
                corrected[table] += len({*kept} ^ {*logged})
            if each.stored == each.folded:
                continue
            wrong.append(each)
            if len(wrong) >= FOLDED_AT_ONCE:
                store_reservations(cursor, location_id, ((one.stored, one.folded) for one in wrong))
                wrong.clear()
        store_reservations(cursor, location_id, ((one.stored, one.folded) for one in wrong))


def _rebuild_from_lines(
    connection: Connection, location_id: str, rows: dict[str, int], corrected: dict[str, int]
) -> None:
    """Answers and deliveries, by one pass over the lines: that is what costs."""
    answers: list[LoggedAnswer] = []

    def with_answers() -> Iterator[MarkedEvents]:
        for frame in marked_events(connection, location_id):
            answers.extend(answers_in(frame.events))
            yield frame

    cursor: Cursor[Any] = connection.connection.cursor(binary=True)  # type: ignore[assignment]
    with cursor:
        register_packed_arrays(cursor)
        for each in compared_deliveries(connection, location_id, with_answers()):
            rows["delivered_line"] += len(each.logged)
            corrected["delivered_line"] += correct_deliveries(connection, cursor, location_id, each.kept, each.logged)
        kept, logged = stored_answers(connection, location_id), earliest_answers(answers)
        rows["order_answer"] += len(logged)
        corrected["order_answer"] += len(kept ^ logged)
        correct_answers(connection, cursor, location_id, kept, logged)
