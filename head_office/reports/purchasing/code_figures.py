"""The stock of the codes of some locations as of a moment, known at one: from the projection as far as it holds.

A row of the projection is the figure of every cut after which no event of its code came, as of every moment after which
none occurs; the others are folded from the log. So a report of now costs a look at the projection, one of long ago a
fold, and both say the same. Quantities are thousandths. Works inside the transaction of the Connection it is given.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Select,
    and_,
    case,
    cast,
    exists,
    func,
    select,
    union_all,
)

from head_office.database.arrays import BIGINT, TEXT, array, unnest
from head_office.database.schema import ITEM_UNIT, LOG, OPEN_LINE, RESERVATION, RESERVATION_LINE, STOCK
from head_office.reports.purchasing.cut_changes import CutChanges, changed_codes
from shared.projection import balances
from shared.stock import BEGINNING
from shared.stock_expressions import EventScope


def code_figures(connection: Connection, changes: CutChanges, location_ids: Collection[str]) -> FromClause:
    """A table of (location_id, code, unit, on_hand, reserved, recount) at the cut; codes without events are left out.

    `unit` is None where no event known then fixed it.
    """
    changed = sorted(changed_codes(connection, changes, location_ids))
    kept = _kept(changes, location_ids, changed)
    return (union_all(kept, _folded(changes, changed)) if changed else kept).subquery("code")


def _kept(changes: CutChanges, location_ids: Collection[str], changed: Collection[tuple[str, str]]) -> Select[Any]:
    """What the projection says of all codes but the changed ones, less the reservations that have expired by then."""
    places, line = changes.places(location_ids), RESERVATION_LINE.c
    of_reservation = and_(
        RESERVATION.c.location_id == line.location_id, RESERVATION.c.reservation_id == line.reservation_id
    )
    expired = (
        select(
            line.location_id,
            line.item_id,
            cast(func.sum(line.quantity - line.confirmed - line.released), BigInteger).label("quantity"),
        )
        .select_from(
            RESERVATION_LINE.join(RESERVATION, of_reservation).join(places, places.c.location_id == line.location_id)
        )
        .where(OPEN_LINE, RESERVATION.c.expires_at <= places.c.moment)
        .group_by(line.location_id, line.item_id)
        .subquery("expired")
    )
    query = (
        select(
            STOCK.c.location_id,
            STOCK.c.item_id.label("code"),
            ITEM_UNIT.c.unit,
            STOCK.c.on_hand,
            (STOCK.c.reserved - func.coalesce(expired.c.quantity, 0)).label("reserved"),
            STOCK.c.recount,
        )
        .select_from(STOCK.outerjoin(ITEM_UNIT, _same_code(ITEM_UNIT)).outerjoin(expired, _same_code(expired)))
        .where(STOCK.c.location_id == func.any(array(sorted(location_ids))))
    )
    if changed:
        others = unnest("other", (("location_id", TEXT), ("item_id", TEXT)), list(changed))
        query = query.where(~exists().where(_same_code(others)))
    return query


def _same_code(table: FromClause) -> ColumnElement[bool]:
    return and_(table.c.location_id == STOCK.c.location_id, table.c.item_id == STOCK.c.item_id)


def _folded(changes: CutChanges, changed: Collection[tuple[str, str]]) -> Select[Any]:
    rows = [(*code, changes.cut.sequences[code[0]], changes.as_of[code[0]]) for code in changed]
    columns = (("location_id", TEXT), ("item_id", TEXT), ("known_through", BIGINT), ("moment", BIGINT))
    pairs = unnest("changed", columns, rows)
    unknown = changes.cut.unknown()
    scope = EventScope(pairs.c.moment, pairs.c.known_through, unknown)
    found = balances(LOG, pairs, scope).add_columns(pairs.c.known_through).subquery("found")
    of_code = and_(ITEM_UNIT.c.location_id == found.c.location_id, ITEM_UNIT.c.item_id == found.c.item_id)
    fixed = ITEM_UNIT.c.sequence <= found.c.known_through
    if unknown is not None:
        fixed &= ~unknown(ITEM_UNIT.c.location_id, ITEM_UNIT.c.sequence)
    return (
        select(
            found.c.location_id,
            found.c.item_id.label("code"),
            case((fixed, ITEM_UNIT.c.unit)).label("unit"),
            found.c.on_hand,
            found.c.reserved,
            found.c.recount,
        )
        .select_from(found.outerjoin(ITEM_UNIT, of_code))
        .where(found.c.latest_at != BEGINNING.occurred_at)
    )
