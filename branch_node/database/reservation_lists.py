"""The list of reservations, on a read-only connection."""

from __future__ import annotations

from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select, true

from branch_node.database.reservation_rows import reservations_where
from branch_node.database.schema import RESERVATION, RESERVATION_LINE
from branch_node.database.stock.stock_figures import codes_of
from branch_node.records import Page
from shared.reservations import Reservation, ReservationRecord, ReservationState, reservation_record
from shared.runtime.http.cursor import Cursor, page_of

BY_RESERVATION: Final[Cursor[str]] = Cursor(str)
"""The cursor of the list, in the order of ids, which is that of creation."""


class ReservationsWanted(NamedTuple):
    """What the listed reservations have in common; None: any. An item is named by any of its codes."""

    order_id: str | None = None
    source: str | None = None
    item_id: str | None = None
    state: ReservationState | None = None

    def conditions(self, connection: Connection, now: int) -> list[ColumnElement[bool]]:
        """The conditions on a reservation; one that has expired by `now` is EXPIRED, with or without its event."""
        row = RESERVATION.c
        found: list[ColumnElement[bool]] = []
        if self.order_id is not None:
            found.append(row.order_id == self.order_id)
        if self.source is not None:
            found.append(row.source == self.source)
        if self.item_id is not None:
            _, codes = codes_of(connection, self.item_id)
            named = select(RESERVATION_LINE.c.reservation_id).where(RESERVATION_LINE.c.item_id.in_(codes))
            found.append(row.reservation_id.in_(named))
        overdue = and_(row.state == ReservationState.ACTIVE.value, row.expires_at <= now)
        if self.state is ReservationState.EXPIRED:
            found.append(or_(row.state == ReservationState.EXPIRED.value, overdue))
        elif self.state is not None:
            found.append(and_(row.state == self.state.value, ~overdue))
        return found


def list_reservations(
    connection: Connection, wanted: ReservationsWanted, *, now: int, after: str | None, limit: int
) -> Page[ReservationRecord]:
    """List reservations in the order in which they were made."""
    conditions = wanted.conditions(connection, now)
    if after is not None:
        conditions.append(RESERVATION.c.reservation_id > after)
    found = reservations_where(connection, and_(true(), *conditions), limit + 1)
    records = [reservation_record(each, now) for each in found]
    items, following = page_of(records, limit, lambda last: BY_RESERVATION.write(last.reservation_id))
    return Page(items=items, next=following)


def active_by_expiry(
    connection: Connection, wanted: ReservationsWanted, *, now: int, limit: int
) -> tuple[list[Reservation], int]:
    """The reservations that are active at `now`, the one that expires first in front; and how many there are in all."""
    row = RESERVATION.c
    active = and_(*wanted._replace(state=ReservationState.ACTIVE).conditions(connection, now))
    found = reservations_where(connection, active, limit, order=(row.expires_at, row.reservation_id))
    if len(found) < limit:
        return found, len(found)
    return found, connection.execute(select(func.count()).select_from(RESERVATION).where(active)).scalar_one()


def ended_newest_first(
    connection: Connection, wanted: ReservationsWanted, *, now: int, before: str | None, limit: int
) -> list[Reservation]:
    """The reservations that have ended by `now`, the newest in front; `before` an id, those made before it."""
    row = RESERVATION.c
    ended = or_(row.state != ReservationState.ACTIVE.value, row.expires_at <= now)
    conditions = [ended, *wanted._replace(state=None).conditions(connection, now)]
    if before is not None:
        conditions.append(row.reservation_id < before)
    return reservations_where(connection, and_(*conditions), limit, order=(row.reservation_id.desc(),))
