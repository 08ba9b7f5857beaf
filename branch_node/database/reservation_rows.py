"""The rows of reservations in the node's database: what the log says of each, kept for look-ups and lists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import BindParameter, ColumnElement, Connection, and_, bindparam, delete, func, select

from branch_node.database.lookups import rows_for_any
from branch_node.database.schema import RESERVATION, RESERVATION_LINE
from shared.reservations import Reservation, ReservationState, ReservedLine
from shared.runtime.database.row_writes import driver_sql, upsert_rows

OrderKey = tuple[str, str]
"""(order id, source)."""

_COLUMNS: Final = tuple(column.name for column in RESERVATION.columns)
_LINE_COLUMNS: Final = tuple(column.name for column in RESERVATION_LINE.columns)


def reservations_where(
    connection: Connection,
    condition: ColumnElement[bool],
    limit: int | None = None,
    order: Sequence[ColumnElement[Any]] = (RESERVATION.c.reservation_id,),
) -> list[Reservation]:
    """Read the reservations for which a condition on their table holds, else in order of id: that of creation."""
    query = select(RESERVATION).where(condition).order_by(*order).limit(limit)
    rows = connection.execute(query).all()
    lines = _lines_of(connection, [row.reservation_id for row in rows])
    return [_reservation(row, lines.get(row.reservation_id, ())) for row in rows]


def active_reservations(connection: Connection) -> list[Reservation]:
    """Read every reservation of which any is open."""
    return reservations_where(connection, RESERVATION.c.state == ReservationState.ACTIVE.value)


def reservation_with_id(connection: Connection, reservation_id: str) -> Reservation | None:
    found = reservations_where(connection, RESERVATION.c.reservation_id == reservation_id)
    return found[0] if found else None


def reservations_of_orders(connection: Connection, orders: Sequence[OrderKey]) -> list[Reservation]:
    """Read all reservations of these orders, ended ones too, in order of creation."""
    # Runs for each group that reserves, and finds nothing of most orders: by the orders' ids alone.
    found, wanted = rows_for_any(connection, _of_orders_sql, [order_id for order_id, _ in orders]), set(orders)
    known = [reservation_id for reservation_id, *order in found if tuple(order) in wanted]
    return reservations_where(connection, RESERVATION.c.reservation_id.in_(known)) if known else []


@lru_cache(maxsize=32)
def _of_orders_sql(places: int, dialect: str) -> str:
    row = RESERVATION.c
    wanted: list[BindParameter[str]] = [bindparam(f"order_{place}") for place in range(places)]
    return driver_sql(select(row.reservation_id, row.order_id, row.source).where(row.order_id.in_(wanted)), dialect)


def reserved_beyond(connection: Connection, moment: int, item_ids: Iterable[str]) -> dict[str, int]:
    """Of what the projection has as reserved of these items, how much has expired by a moment without its event."""
    wanted = list(item_ids)
    if not wanted:
        return {}
    reservation, line = RESERVATION.c, RESERVATION_LINE.c
    still_open = func.sum(line.quantity - line.confirmed - line.released)
    query = (
        select(line.item_id, still_open)
        .join_from(RESERVATION, RESERVATION_LINE, line.reservation_id == reservation.reservation_id)
        .where(
            reservation.state == ReservationState.ACTIVE.value,
            reservation.expires_at <= moment,
            line.item_id.in_(wanted),
        )
        .group_by(line.item_id)
    )
    return {item_id: int(quantity) for item_id, quantity in connection.execute(query)}


def store_reservations(connection: Connection, changed: Iterable[tuple[Reservation | None, Reservation]]) -> None:
    """Write reservations, each given as (as it is stored, None: not yet; as it is now)."""
    rows, lines, gone = [], [], []
    for before, after in changed:
        rows.append(
            (
                after.reservation_id, after.order_id, after.source, after.revision, after.state.value,
                after.created_at, after.expires_at, after.stated_at,
            )
        )  # fmt: skip
        stored = {} if before is None else {line.item_id: line for line in before.lines}
        for line in after.lines:
            if stored.pop(line.item_id, None) != line:
                figures = (line.quantity, line.confirmed, line.released)
                lines.append((after.reservation_id, line.item_id, line.unit, *figures))
        gone += [(after.reservation_id, item_id) for item_id in stored]
    upsert_rows(connection, RESERVATION, _COLUMNS, rows)
    for reservation_id, item_id in gone:
        of_line = and_(RESERVATION_LINE.c.reservation_id == reservation_id, RESERVATION_LINE.c.item_id == item_id)
        connection.execute(delete(RESERVATION_LINE).where(of_line))
    upsert_rows(connection, RESERVATION_LINE, _LINE_COLUMNS, lines)


def _lines_of(connection: Connection, reservation_ids: Sequence[str]) -> dict[str, list[ReservedLine]]:
    found: dict[str, list[ReservedLine]] = {}
    line = RESERVATION_LINE.c
    for first in range(0, len(reservation_ids), _AT_ONCE):
        wanted = list(reservation_ids[first : first + _AT_ONCE])
        query = select(RESERVATION_LINE).where(line.reservation_id.in_(wanted))
        for row in connection.execute(query.order_by(line.reservation_id, line.item_id)):
            values: dict[str, Any] = dict(row._mapping)
            found.setdefault(values.pop("reservation_id"), []).append(ReservedLine(**values))
    return found


_AT_ONCE: Final = 500


def _reservation(row: Any, lines: Sequence[ReservedLine]) -> Reservation:
    values: dict[str, Any] = dict(row._mapping)
    return Reservation(**values | {"state": ReservationState(row.state), "lines": tuple(lines)})
