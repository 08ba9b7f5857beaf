"""The reorder levels of the locations. Works inside the transaction of the Connection it is given."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import structs
from sqlalchemy import BigInteger, Connection, Row, delete, func, literal, select, tuple_

from head_office.catalogue.catalogue_history import Change, entries_at, lock, publish
from head_office.catalogue.items import known_items
from head_office.catalogue.locations import check_locations
from head_office.database.arrays import array
from head_office.database.office_schema import CATALOGUE_ENTRY, REORDER_LEVEL
from head_office.problems import LEVEL_NOT_FOUND
from shared.catalogue_messages import CatalogueLevel, level_change
from shared.levels.level_columns import level_of
from shared.levels.reorder_levels import ReorderLevel, level_faults
from shared.runtime.database.row_writes import upsert
from shared.runtime.problems import invalid_request

_PLACE: Final = tuple_(REORDER_LEVEL.c.location_id, REORDER_LEVEL.c.item_id)
_decode_entry: Final = msgspec.json.Decoder(CatalogueLevel).decode


class LocationLevel(NamedTuple):
    """The reorder level of an item at a location."""

    location_id: str
    item_id: str
    level: ReorderLevel


class LevelChange(NamedTuple):
    """The reorder level that an item is to have at a location; None: none."""

    location_id: str
    item_id: str
    level: ReorderLevel | None


def put_levels(connection: Connection, changes: Sequence[LevelChange]) -> None:
    """Set or remove reorder levels, all or none, at most 1,000 of different places. What changes nothing is no version.

    Raises Problem 422: `unknown-location`, `unknown-item`, `invalid-request`.
    """
    for each in changes:
        for field, message in level_faults(each.level) if each.level is not None else ():
            invalid_request(field, message)
    lock(connection)
    check_locations(connection, (each.location_id for each in changes))
    known_items(connection, (each.item_id for each in changes))
    present = {each[:2]: each.level for each in _levels_at(connection, {each[:2] for each in changes})}
    changed = [each for each in changes if present.get(each[:2]) != each.level]
    rows = [
        {"location_id": each.location_id, "item_id": each.item_id, **structs.asdict(each.level)}
        for each in changed
        if each.level is not None
    ]
    upsert(connection, REORDER_LEVEL, rows)
    gone = [each[:2] for each in changed if each.level is None]
    if gone:
        connection.execute(delete(REORDER_LEVEL).where(_PLACE.in_(gone)))
    publish(connection, [Change(level_change(*each), each.location_id) for each in changed])


def _levels_at(connection: Connection, places: Collection[tuple[str, str]]) -> list[LocationLevel]:
    query = select(REORDER_LEVEL).where(_PLACE.in_(sorted(places)))
    return [_location_level(row) for row in connection.execute(query)]


def _location_level(row: Row[Any]) -> LocationLevel:
    return LocationLevel(row.location_id, row.item_id, level_of(row))


def read_level(connection: Connection, location_id: str, item_id: str) -> ReorderLevel:
    """Read the reorder level of an item at a location. Raises Problem 404 `level-not-found`."""
    found = _levels_at(connection, [(location_id, item_id)])
    if not found:
        raise LEVEL_NOT_FOUND(
            f"{item_id} has no reorder level at {location_id}", item_id=item_id, location_id=location_id
        )
    return found[0].level


def list_levels(connection: Connection, location_id: str, after: str = "", limit: int = 1_000) -> list[LocationLevel]:
    """List the reorder levels of one location, in the order of their items."""
    query = (
        select(REORDER_LEVEL)
        .where(REORDER_LEVEL.c.location_id == location_id, REORDER_LEVEL.c.item_id > after)
        .order_by(REORDER_LEVEL.c.item_id)
        .limit(limit)
    )
    return [_location_level(row) for row in connection.execute(query)]


def levels_known(connection: Connection, location_ids: Collection[str], known_at: int | None) -> list[LocationLevel]:
    """The reorder levels of these locations by location and item, now (None) or as they were known at a moment.

    A moment is microseconds UTC; at one, the catalogue's history is read, so what is answered never changes.
    """
    places = array(sorted(location_ids))
    if known_at is None:
        query = (
            select(REORDER_LEVEL)
            .where(REORDER_LEVEL.c.location_id == func.any(places))
            .order_by(REORDER_LEVEL.c.location_id, REORDER_LEVEL.c.item_id)
        )
        return [_location_level(row) for row in connection.execute(query)]
    then = entries_at("reorder_level", literal(known_at, BigInteger)).where(
        CATALOGUE_ENTRY.c.location_id == func.any(places)
    )
    levels = (
        LocationLevel(row.location_id, row.subject, level)
        for row in connection.execute(then)
        if (level := _decode_entry(row.content).reorder_level()) is not None
    )
    return sorted(levels, key=lambda each: each[:2])
