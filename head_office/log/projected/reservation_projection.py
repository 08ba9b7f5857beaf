"""The reservations kept beside the log at head office: read, written, and folded again from the lines of the log.

Works inside the transaction of the Connection it is given. The rules are `shared.reservations`'.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from psycopg import Cursor
from sqlalchemy import Connection, text

from head_office.database.log_segments import read_lines
from head_office.database.packed_arrays import bigints, texts
from head_office.database.schema import RESERVATION, RESERVATION_LINE
from shared.chain import understand
from shared.events import Event, EventNotUnderstood
from shared.reservations import (
    NotOfAReservation,
    Reservation,
    ReservationFold,
    ReservationState,
    ReservedLine,
    reservation_of,
)

FOLDED_AT_ONCE: Final = 200
"""How many reservations are folded from the log at a time: that bounds the memory."""

_COLUMNS: Final = tuple(column.name for column in RESERVATION.columns if column.name != "location_id")
_LINE_COLUMNS: Final = tuple(column.name for column in RESERVATION_LINE.columns if column.name != "location_id")
# LATERAL … OFFSET 0 makes each of them one index probe a reservation, whatever the planner knows of the tables.
_PROBE: Final = """
SELECT found.* FROM unnest(CAST(:ids AS text[])) AS wanted CROSS JOIN LATERAL (
    SELECT {} FROM {} WHERE location_id = :location_id AND reservation_id = wanted {} OFFSET 0
) AS found ORDER BY {}
"""
_STORED: Final = text(_PROBE.format(", ".join(_COLUMNS), "reservation", "", "reservation_id"))
_STORED_LINES: Final = text(
    _PROBE.format(", ".join(_LINE_COLUMNS), "reservation_line", "", 'reservation_id, item_id COLLATE "C"')
)
_SEQUENCES: Final = text(_PROBE.format("sequence", "event", "AND type <> 'RESERVATION_REFUSED'", "sequence"))
_IDS: Final = text(
    f"""
    (SELECT DISTINCT reservation_id FROM event WHERE location_id = :location_id AND reservation_id > :after
        AND type <> 'RESERVATION_REFUSED' ORDER BY reservation_id LIMIT {FOLDED_AT_ONCE})
    UNION (SELECT reservation_id FROM reservation WHERE location_id = :location_id AND reservation_id > :after
        ORDER BY reservation_id LIMIT {FOLDED_AT_ONCE})
    UNION (SELECT DISTINCT reservation_id FROM reservation_line WHERE location_id = :location_id
        AND reservation_id > :after ORDER BY reservation_id LIMIT {FOLDED_AT_ONCE})
    ORDER BY reservation_id LIMIT {FOLDED_AT_ONCE}
    """
)
_UPSERT: Final = f"""
INSERT INTO reservation (location_id, {", ".join(_COLUMNS)})
SELECT %s, * FROM unnest(%s::text[], %s::text[], %s::text[], %s::bigint[], %s::text[], %s::bigint[], %s::bigint[],
    %s::bigint[])
ON CONFLICT (location_id, reservation_id) DO UPDATE SET
    {", ".join(f"{name} = excluded.{name}" for name in _COLUMNS if name != "reservation_id")}
"""
_UPSERT_LINES: Final = f"""
INSERT INTO reservation_line (location_id, {", ".join(_LINE_COLUMNS)})
SELECT %s, * FROM unnest(%s::text[], %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[])
ON CONFLICT (location_id, reservation_id, item_id) DO UPDATE SET
    {", ".join(f"{name} = excluded.{name}" for name in _LINE_COLUMNS if name not in {"reservation_id", "item_id"})}
"""
_DELETE: Final = """
DELETE FROM {table} USING unnest(%s::text[]) AS gone(reservation_id)
WHERE {table}.location_id = %s AND {table}.reservation_id = gone.reservation_id
"""

Row = tuple[Any, ...]


class ReservationRows(NamedTuple):
    """A reservation as the tables hold it, without the location; `row` is None where only lines are there."""

    row: Row | None
    lines: tuple[Row, ...]

    @property
    def heads(self) -> tuple[Row, ...]:
        """Its row of `reservation`, if it is there."""
        return () if self.row is None else (self.row,)

    def reservation(self) -> Reservation | None:
        """The reservation that the rows stand for."""
        if self.row is None:
            return None
        values = dict(zip(_COLUMNS, self.row, strict=True))
        state = ReservationState(values.pop("state"))
        lines = tuple(ReservedLine(**dict(zip(_LINE_COLUMNS[1:], line[1:], strict=True))) for line in self.lines)
        return Reservation(**values, state=state, lines=lines)


NO_ROWS: Final = ReservationRows(None, ())


def rows_of(reservation: Reservation | None) -> ReservationRows:
    """The rows of a reservation."""
    if reservation is None:
        return NO_ROWS
    each = reservation
    row = (
        each.reservation_id, each.order_id, each.source, each.revision, each.state.value, each.created_at,
        each.expires_at, each.stated_at,
    )  # fmt: skip
    lines = tuple(
        (each.reservation_id, line.item_id, line.unit, line.quantity, line.confirmed, line.released)
        for line in each.lines
    )
    return ReservationRows(row, lines)


def stored_rows(connection: Connection, location_id: str, ids: Collection[str]) -> dict[str, ReservationRows]:
    """Read the rows of those of the given reservations of a location that have any, by id."""
    given = {"location_id": location_id, "ids": list(ids)}
    lines: dict[str, list[Row]] = {}
    for line in connection.execute(_STORED_LINES, given):
        lines.setdefault(line[0], []).append(tuple(line))
    rows = {row[0]: tuple(row) for row in connection.execute(_STORED, given)}
    return {each: ReservationRows(rows.get(each), tuple(lines.get(each, ()))) for each in {*rows, *lines}}


def store_reservations(
    cursor: Cursor[Any], location_id: str, changed: Iterable[tuple[ReservationRows, ReservationRows]]
) -> None:
    """Write reservations, each given as it is stored and as it is now, in a few statements.

    `cursor` has the dumpers of `register_packed_arrays`.
    """
    rows: list[Row] = []
    lines: list[Row] = []
    gone: list[str] = []
    anew: list[str] = []
    for before, after in changed:
        if after.row is None and before.row is not None:
            gone.append(before.row[0])
        elif after.row is not None and after.row != before.row:
            rows.append(after.row)
        kept = set(before.lines)
        if not {line[1] for line in kept} <= {line[1] for line in after.lines}:
            anew.append(before.lines[0][0])
            kept.clear()
        lines += [line for line in after.lines if line not in kept]
    for table, ids in (("reservation_line", anew), ("reservation", gone)):
        if ids:
            cursor.execute(_DELETE.format(table=table), (texts(ids), location_id))
    if rows:
        cursor.execute(_UPSERT, (location_id, *_packed(rows, _TEXT_COLUMNS)))
    if lines:
        cursor.execute(_UPSERT_LINES, (location_id, *_packed(lines, _LINE_TEXT_COLUMNS)))


_TEXT_COLUMNS: Final = {_COLUMNS.index(name) for name in ("reservation_id", "order_id", "source", "state")}
_LINE_TEXT_COLUMNS: Final = {_LINE_COLUMNS.index(name) for name in ("reservation_id", "item_id", "unit")}


def _packed(rows: Sequence[Row], are_text: Collection[int]) -> list[Any]:
    columns = zip(*rows, strict=True)
    return [texts(column) if place in are_text else bigints(column) for place, column in enumerate(columns)]


class LateFold:
    """The fold of a reservation of which events arrive that stand before others of it, as by a retry of quarantine.

    An event is taken if it and all those after it still follow.
    """

    def __init__(self, events: Iterable[Event]) -> None:
        self._events = list(events)

    def add(self, event: Event) -> None:
        """As `ReservationFold.add`, for an event of any sequence."""
        with_it = list(self._events)
        insort(with_it, event, key=lambda each: each.sequence)
        reservation_of(with_it)
        self._events = with_it

    def reservation(self) -> Reservation | None:
        return reservation_of(self._events)


class LoggedReservation(NamedTuple):
    """A reservation as the tables have it and as the log says; and which events do not follow, with the reason."""

    stored: ReservationRows
    folded: ReservationRows
    refused: list[tuple[int, str]]


def logged_reservations(connection: Connection, location_id: str) -> Iterator[LoggedReservation]:
    """Every reservation of a location that has events or rows, in the order of ids.

    Raises wire.BadBatch where a stored frame no longer unpacks.
    """
    after = ""
    while ids := list(connection.execute(_IDS, {"location_id": location_id, "after": after}).scalars()):
        after = ids[-1]
        events = logged_events(connection, location_id, ids)
        stored = stored_rows(connection, location_id, ids)
        for each in ids:
            fold, refused = ReservationFold(), []
            for event in events.get(each, ()):
                try:
                    fold.add(event)
                except NotOfAReservation as error:
                    refused.append((event.sequence, str(error)))
            yield LoggedReservation(stored.get(each, NO_ROWS), rows_of(fold.reservation()), refused)


def logged_events(connection: Connection, location_id: str, ids: Collection[str]) -> dict[str, list[Event]]:
    """The folded events of the given reservations, by id, in order of sequence; a line that is no event is left out."""
    sequences = connection.execute(_SEQUENCES, {"location_id": location_id, "ids": list(ids)}).scalars()
    events: dict[str, list[Event]] = {}
    for _, line in sorted(read_lines(connection, location_id, sequences).items()):
        try:
            event = understand(line)
        except EventNotUnderstood:
            continue  # its row says that it was folded: verification finds that it cannot be
        events.setdefault(event.reservation_id or "", []).append(event)
    return events
