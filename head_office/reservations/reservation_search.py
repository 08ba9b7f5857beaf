"""The reservations of the group, from the logs alone: lists, and one by its id.

Quantities are thousandths, moments microseconds UTC. Works inside the transaction of the Connection it is given.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, and_, exists, func, or_, select, tuple_

from head_office.catalogue.item_codes import items_meant, read_codes
from head_office.database.arrays import TEXT, array, unnest
from head_office.database.office_schema import ITEM_ALIAS
from head_office.database.schema import ACTIVE, RESERVATION, RESERVATION_LINE
from shared.reservations import Reservation, ReservationState, ReservedLine


class ReservationPlace(NamedTuple):
    """The last reservation of a page of the list, after which the next page begins."""

    reservation_id: str
    location_id: str


class LocatedReservation(NamedTuple):
    """A reservation and the location in whose log it is."""

    location_id: str
    reservation: Reservation

    @property
    def place(self) -> ReservationPlace:
        return ReservationPlace(self.reservation.reservation_id, self.location_id)


class ReservationFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What the listed reservations have in common; None: any. `item_id` is any code of an item."""

    location_ids: Collection[str] | None = None
    order_id: str | None = None
    source: str | None = None
    item_id: str | None = None
    state: ReservationState | None = None


def search_reservations(
    connection: Connection,
    wanted: ReservationFilter,
    *,
    now: int,
    after: ReservationPlace | None = None,
    newest_first: bool = False,
    limit: int = 100,
) -> list[LocatedReservation]:
    """List reservations in the order of their ids, which is that of their creation, or the newest first.

    One that has expired by `now` is EXPIRED, whether or not its event has arrived.
    """
    conditions = _conditions(connection, wanted, now)
    place = (RESERVATION.c.reservation_id, RESERVATION.c.location_id)
    if after is not None:
        behind = tuple_(*place) < tuple_(*after) if newest_first else tuple_(*place) > tuple_(*after)
        conditions.append(behind)
    order = [each.desc() for each in place] if newest_first else place
    rows = connection.execute(select(RESERVATION).where(*conditions).order_by(*order).limit(limit)).all()
    return _with_lines(connection, rows)


def reservations_with_id(
    connection: Connection, reservation_id: str, location_ids: Collection[str] | None = None
) -> list[LocatedReservation]:
    """The reservation of an id at the given locations (None: all), in the order of locations.

    An id is a branch's own, so there is one at most, unless a log was copied.
    """
    conditions: list[ColumnElement[bool]] = [RESERVATION.c.reservation_id == reservation_id]
    if location_ids is not None:
        conditions.append(RESERVATION.c.location_id == func.any(array(list(location_ids))))
    query = select(RESERVATION).where(*conditions).order_by(RESERVATION.c.location_id)
    return _with_lines(connection, connection.execute(query).all())


def _conditions(connection: Connection, wanted: ReservationFilter, now: int) -> list[ColumnElement[bool]]:
    row = RESERVATION.c
    found: list[ColumnElement[bool]] = []
    if wanted.location_ids is not None:
        found.append(row.location_id == func.any(array(list(wanted.location_ids))))
    if wanted.order_id is not None:
        found.append(row.order_id == wanted.order_id)
    if wanted.source is not None:
        found.append(row.source == wanted.source)
    if wanted.item_id is not None:
        found.append(_has_item(connection, wanted.item_id, wanted.location_ids))
    if wanted.state is ReservationState.ACTIVE:
        found += [ACTIVE, row.expires_at > now]
    elif wanted.state is ReservationState.EXPIRED:
        found.append(or_(row.state == ReservationState.EXPIRED.value, and_(ACTIVE, row.expires_at <= now)))
    elif wanted.state is not None:
        found.append(row.state == wanted.state.value)
    return found


def _has_item(connection: Connection, code: str, location_ids: Collection[str] | None) -> ColumnElement[bool]:
    """A reservation has a line of an item, which is named by any of its codes."""
    meant = items_meant(connection, code, location_ids)
    codes = read_codes(connection, meant).all_codes(meant)
    line, alias = RESERVATION_LINE.c, ITEM_ALIAS.c
    item = select(alias.item_id).where(alias.location_id == line.location_id, alias.alias == line.item_id)
    return exists().where(
        line.location_id == RESERVATION.c.location_id,
        line.reservation_id == RESERVATION.c.reservation_id,
        line.item_id == func.any(array(codes)),
        func.coalesce(item.correlate(RESERVATION_LINE).scalar_subquery(), line.item_id) == func.any(array(meant)),
    )


def _with_lines(connection: Connection, rows: Sequence[Row[Any]]) -> list[LocatedReservation]:
    if not rows:
        return []
    keys = [(row.location_id, row.reservation_id) for row in rows]
    page = unnest("page", (("location_id", TEXT), ("reservation_id", TEXT)), keys)
    line = RESERVATION_LINE.c
    same = and_(line.location_id == page.c.location_id, line.reservation_id == page.c.reservation_id)
    query = select(RESERVATION_LINE).select_from(page.join(RESERVATION_LINE, same))
    lines: dict[tuple[str, str], list[ReservedLine]] = {}
    for each in connection.execute(query):
        values = dict(each._mapping)
        lines.setdefault((values.pop("location_id"), values.pop("reservation_id")), []).append(ReservedLine(**values))
    return [_located(row, lines.get(key, [])) for row, key in zip(rows, keys, strict=True)]


def _located(row: Row[Any], lines: list[ReservedLine]) -> LocatedReservation:
    values = dict(row._mapping)
    location_id = values.pop("location_id")
    values["state"] = ReservationState(row.state)
    return LocatedReservation(
        location_id, Reservation(**values, lines=tuple(sorted(lines, key=lambda line: line.item_id)))
    )
