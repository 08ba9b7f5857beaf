"""The flags of a figure: an event in quarantine may change it; the item is recorded in different units."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, Select, case, func, literal, select, union

from head_office.catalogue.item_codes import catalogue_units, mappings
from head_office.database.arrays import array
from head_office.database.schema import ITEM_UNIT, QUARANTINE
from head_office.reports.known_at import AsOf, Cut, moment_at, unit_within
from shared.events import EventType
from shared.transfers import SUM_OF


def _by(as_of: AsOf) -> ColumnElement[bool]:
    """An event in quarantine occurred by a moment, or acts on what did."""
    return acts_on_the_past() | (QUARANTINE.c.occurred_at <= moment_at(QUARANTINE.c.location_id, as_of))


def acts_on_the_past() -> ColumnElement[bool]:
    """An event in quarantine may change figures from before it occurred: a void, or what cannot be read."""
    kinds = [kind.value for kind in EventType if kind not in {EventType.EVENT_VOIDED, EventType.TRANSFER_REVERSED}]
    return QUARANTINE.c.occurred_at.is_(None) | QUARANTINE.c.type.is_(None) | QUARANTINE.c.type.not_in(kinds)


def _quarantined(cut: Cut, *columns: ColumnElement[Any]) -> Select[Any]:
    """Select of the events that were in quarantine at the cut."""
    known = cut.table()
    within = QUARANTINE.join(known, known.c.location_id == QUARANTINE.c.location_id)
    return select(*columns).select_from(within).where(QUARANTINE.c.sequence <= known.c.sequence, cut.quarantined())


def incomplete(connection: Connection, cut: Cut, as_of: AsOf | None) -> set[tuple[str, str | None]]:
    """Find the figures that events in quarantine may change: (location, code there), None for all of a location."""
    query = _quarantined(cut, QUARANTINE.c.location_id, QUARANTINE.c.item_id).distinct()
    if as_of is not None:
        query = query.where(_by(as_of))
    return {(row.location_id, row.item_id) for row in connection.execute(query)}


class IncompleteCodes:
    """The codes that have events in quarantine, and from when on their figures are incomplete."""

    def __init__(self, since: Mapping[tuple[str, str | None], int | None]) -> None:
        # By (location, code there), None for all of a location; None for figures of any moment.
        self._since = since

    def may_precede(self, location_id: str, item_id: str, occurred_at: int) -> bool:
        """Whether one of the events may change the figure of a code at a moment."""
        pairs = [(location_id, None), (location_id, item_id)]
        return any((self._since[pair] or 0) <= occurred_at for pair in pairs if pair in self._since)

    def rows(self) -> list[tuple[str, str | None, int]]:
        """Each as (location, code there or None for all of it, since when), for a statement to join."""
        return [(location_id, item_id, since or 0) for (location_id, item_id), since in self._since.items()]


def incomplete_since(connection: Connection, cut: Cut) -> IncompleteCodes:
    """Find the codes that have events in quarantine within the cut."""
    since = case((func.bool_or(acts_on_the_past()), None), else_=func.min(QUARANTINE.c.occurred_at))
    pair = (QUARANTINE.c.location_id, QUARANTINE.c.item_id)
    rows = connection.execute(_quarantined(cut, *pair, since.label("since")).group_by(*pair))
    return IncompleteCodes({(row.location_id, row.item_id): row.since for row in rows})


def touched_transfers(connection: Connection, cut: Cut, as_of: AsOf | None) -> set[str | None]:
    """Find the transfers that events in quarantine are of; None among them: one that cannot be read may be of any."""
    found = QUARANTINE.c.transfer_id.is_not(None) | _may_move_goods()
    query = _quarantined(cut, QUARANTINE.c.transfer_id).where(found).distinct()
    if as_of is not None:
        query = query.where(_by(as_of))
    return set(connection.execute(query).scalars())


def _may_move_goods() -> ColumnElement[bool]:
    """An event in quarantine may be one that sends, receives, reverses or loses goods of a transfer."""
    kind = QUARANTINE.c.type
    unknown = kind.is_(None) | kind.not_in([each.value for each in EventType])
    return unknown | kind.in_([each.value for each in SUM_OF])


def transfer_lines_in_quarantine(cut: Cut, as_of: AsOf | None) -> Select[Any]:
    """Select what could be read of the lines of transfers in quarantine; of their quantities nothing is known."""
    columns = (QUARANTINE.c.location_id, QUARANTINE.c.transfer_id, QUARANTINE.c.item_id, QUARANTINE.c.type)
    when = func.coalesce(QUARANTINE.c.occurred_at, QUARANTINE.c.received_at).label("first_at")
    query = _quarantined(cut, *columns, when).where(QUARANTINE.c.transfer_id.is_not(None), _may_move_goods())
    return query if as_of is None else query.where(_by(as_of))


def unit_conflicts(connection: Connection, item_ids: Collection[str], cut: Cut) -> set[str]:
    """Find the items of the group that have different units, at two locations or at one and in the catalogue.

    Within the cut: by the events, the mappings and the catalogue that were known at its moment.
    """
    if not item_ids:
        return set()
    wanted = array(sorted(item_ids))
    known_at = None if cut.known_at is None else literal(cut.known_at, BigInteger)
    mapping, listed = mappings(known_at), catalogue_units(known_at)
    aliased = (mapping.c.location_id == ITEM_UNIT.c.location_id) & (mapping.c.alias == ITEM_UNIT.c.item_id)
    own = (
        select(ITEM_UNIT.c.item_id, ITEM_UNIT.c.unit)
        .select_from(ITEM_UNIT.outerjoin(mapping, aliased))
        .where(ITEM_UNIT.c.item_id == func.any(wanted), mapping.c.item_id.is_(None), *unit_within(cut))
    )
    mapped = (
        select(mapping.c.item_id, ITEM_UNIT.c.unit)
        .select_from(mapping.join(ITEM_UNIT, aliased))
        .where(mapping.c.item_id == func.any(wanted), *unit_within(cut))
    )
    named = select(listed.c.item_id, listed.c.unit).where(listed.c.item_id == func.any(wanted))
    units = union(own, mapped, named).subquery("units")
    several = select(units.c.item_id).group_by(units.c.item_id).having(func.count() > 1)
    return set(connection.execute(several).scalars())
