"""The flags of a figure: an event in quarantine may change it; the item is recorded in different units."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import BigInteger, Connection, func, literal, select, union

from head_office.database.arrays import array
from head_office.database.office_schema import ITEM, ITEM_ALIAS
from head_office.database.schema import ITEM_UNIT, QUARANTINE
from head_office.reports.known_at import Cut


def incomplete(connection: Connection, cut: Cut, as_of: int | None) -> set[tuple[str, str | None]]:
    """Find the figures that events in quarantine may change: (location, code there), None for all of a location."""
    known = cut.table()
    query = (
        select(QUARANTINE.c.location_id, QUARANTINE.c.item_id)
        .select_from(QUARANTINE.join(known, known.c.location_id == QUARANTINE.c.location_id))
        .where(QUARANTINE.c.sequence <= known.c.sequence, cut.quarantined())
        .distinct()
    )
    if as_of is not None:
        moment = QUARANTINE.c.occurred_at
        query = query.where(moment.is_(None) | (moment <= literal(as_of, BigInteger)))
    return {(row.location_id, row.item_id) for row in connection.execute(query)}


def unit_conflicts(connection: Connection, item_ids: Collection[str]) -> set[str]:
    """Find the items of the group that have different units, at two locations or at one and in the catalogue."""
    if not item_ids:
        return set()
    names = array(sorted(item_ids))
    aliased = (ITEM_ALIAS.c.location_id == ITEM_UNIT.c.location_id) & (ITEM_ALIAS.c.alias == ITEM_UNIT.c.item_id)
    own = (
        select(ITEM_UNIT.c.item_id, ITEM_UNIT.c.unit)
        .select_from(ITEM_UNIT.outerjoin(ITEM_ALIAS, aliased))
        .where(ITEM_UNIT.c.item_id == func.any(names), ITEM_ALIAS.c.item_id.is_(None))
    )
    mapped = (
        select(ITEM_ALIAS.c.item_id, ITEM_UNIT.c.unit)
        .select_from(ITEM_ALIAS.join(ITEM_UNIT, aliased))
        .where(ITEM_ALIAS.c.item_id == func.any(names))
    )
    listed = select(ITEM.c.item_id, ITEM.c.unit).where(ITEM.c.item_id == func.any(names))
    units = union(own, mapped, listed).subquery("units")
    several = select(units.c.item_id).group_by(units.c.item_id).having(func.count() > 1)
    return set(connection.execute(several).scalars())
