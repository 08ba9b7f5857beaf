"""The deliveries against orders to suppliers, kept beside the log as events arrive, and compared with its lines.

Which event is one, and the table: `shared.purchases.delivered_lines`. Works inside the transaction of the Connection it
is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from psycopg import Cursor
from sqlalchemy import Connection, delete, select

from head_office.database.packed_arrays import bigints, texts
from head_office.database.purchase_tables import DELIVERED_LINE
from head_office.log.projected.marked_events import MarkedEvents
from shared.purchases.delivered_lines import DeliveredLine, delivered_line_of

FRAMES_COMPARED: Final = 64
"""How many frames are compared with the table by one query: that bounds the memory."""

_COLUMNS: Final = DeliveredLine._fields
_INSERT: Final = f"""
INSERT INTO delivered_line (location_id, {", ".join(_COLUMNS)})
SELECT %s, * FROM unnest(%s::bigint[], %s::text[], %s::bigint[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[])
"""
# LATERAL … OFFSET 0 makes each of them one index probe a value, whatever the planner knows of the table.
_AT: Final = """
SELECT found.* FROM unnest(%s::bigint[]) AS wanted CROSS JOIN LATERAL (
    SELECT purchase_order_id, line FROM delivered_line WHERE location_id = %s AND sequence = wanted OFFSET 0
) AS found
"""


def store_deliveries(cursor: Cursor[Any], location_id: str, deliveries: Sequence[DeliveredLine]) -> None:
    """Insert deliveries, in one statement where there are any. `cursor` has the dumpers of `register_packed_arrays`."""
    if deliveries:
        sequences, orders, lines, items, received, returned, occurred = zip(*deliveries, strict=True)
        columns = (bigints(sequences), texts(orders), bigints(lines), texts(items), bigints(received))
        cursor.execute(_INSERT, (location_id, *columns, bigints(returned), bigints(occurred)))


def lines_delivered_at(cursor: Cursor[Any], location_id: str, sequences: Sequence[int]) -> set[tuple[str, int]]:
    """The lines, as (purchase order, line), that the events at these sequences are deliveries of."""
    if not sequences:
        return set()
    return set(cursor.execute(_AT, (bigints(sequences), location_id)).fetchall())


def stored_deliveries(connection: Connection, location_id: str, first: int, last: int | None) -> list[DeliveredLine]:
    """Read the deliveries of a location at the sequences from `first` to `last` (None: to the end) as they are kept."""
    row = DELIVERED_LINE.c
    query = select(*(row[name] for name in _COLUMNS)).where(row.location_id == location_id, row.sequence >= first)
    if last is not None:
        query = query.where(row.sequence <= last)
    return [DeliveredLine(*each) for each in connection.execute(query.order_by(row.sequence))]


class ComparedDeliveries(NamedTuple):
    """The deliveries of some consecutive frames: as they are kept, and as the log says; both in order of sequence."""

    kept: list[DeliveredLine]
    logged: list[DeliveredLine]


def compared_deliveries(
    connection: Connection, location_id: str, frames: Iterable[MarkedEvents]
) -> Iterator[ComparedDeliveries]:
    """Compare what is kept of a location with all frames of its log, some at a time."""
    first, last, waiting = 1, 0, 0
    logged: list[DeliveredLine] = []
    for frame in frames:
        logged += (each for event in frame.events if (each := delivered_line_of(event)) is not None)
        last, waiting = frame.last, waiting + 1
        if waiting == FRAMES_COMPARED:
            yield ComparedDeliveries(stored_deliveries(connection, location_id, first, last), logged)
            first, logged, waiting = last + 1, [], 0
    yield ComparedDeliveries(stored_deliveries(connection, location_id, first, None), logged)


def correct_deliveries(
    connection: Connection,
    cursor: Cursor[Any],
    location_id: str,
    kept: Sequence[DeliveredLine],
    logged: Sequence[DeliveredLine],
) -> int:
    """Make what is kept of some sequences what the log says; how many rows were wrong, missing or superfluous."""
    wrong, missing = set(kept) - set(logged), set(logged) - set(kept)
    if wrong:
        at = DELIVERED_LINE.c
        gone = at.sequence.in_(sorted(each.sequence for each in wrong))
        connection.execute(delete(DELIVERED_LINE).where(at.location_id == location_id, gone))
    store_deliveries(cursor, location_id, sorted(missing))
    return len(wrong) + len(missing)
