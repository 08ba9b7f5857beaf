"""Item proposals: items that branches defined themselves, until head office accepts each or maps it to another item.

Works inside the transaction of the Connection it is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, exists, func, select, tuple_

from head_office.catalogue import items
from head_office.catalogue.catalogue_history import Change, lock, publish
from head_office.database.log_segments import read_lines_of
from head_office.database.office_schema import ITEM, ITEM_ALIAS
from head_office.database.schema import EVENT
from head_office.problems import NOT_WAITING, UNIT_DIFFERS
from shared.chain import understand
from shared.events import Definition, EventType
from shared.messages import CatalogueAlias, CatalogueItem
from shared.runtime.database.row_writes import upsert


class ItemProposal(NamedTuple):
    """A branch's own item as its log defined it last; `sequence` and `occurred_at` are of that event."""

    location_id: str
    item_id: str
    definition: Definition
    sequence: int
    occurred_at: int


class Alias(NamedTuple):
    """At this location, `alias` is the group's `item_id`."""

    location_id: str
    alias: str
    item_id: str


def list_waiting(connection: Connection, after: tuple[str, str] = ("", ""), limit: int = 1_000) -> list[ItemProposal]:
    """The open proposals, in the order of (location, item) after the pair given."""
    return _waiting(connection, after, limit, None)


def accept(connection: Connection, location_id: str, item_id: str) -> CatalogueItem:
    """Add a branch's item to the group as the branch defined it; the item.

    Raises Problem: 404 `not-waiting`, 409 `unit-fixed` where other branches recorded it in another unit only.
    """
    lock(connection)
    definition = _read(connection, location_id, item_id).definition
    item = CatalogueItem(
        item_id=item_id,
        name=definition.name,
        unit=definition.unit,
        category=definition.category,
        barcode=definition.barcode,
        strict_at=(location_id,) if definition.strict else (),
    )
    items.put(connection, [item])
    return item


def map_to(connection: Connection, location_id: str, alias: str, item_id: str) -> Alias:
    """Map a branch's item to an item of the group. The branch goes on recording under its own id.

    Raises Problem: 404 `not-waiting`, 422 `unknown-item` or `unit-differs`.
    """
    lock(connection)
    defined = _read(connection, location_id, alias, mapped_too=True).definition
    target = items.known_items(connection, [item_id])[item_id]
    recorded = items.units_recorded(connection, [alias]).get(alias, {})
    units = {unit for unit, places in recorded.items() if location_id in places} or {defined.unit}
    if units != {target.unit}:
        raise UNIT_DIFFERS(f"{alias} is measured in {', '.join(sorted(units))}, {item_id} in {target.unit}")
    mapped = Alias(location_id, alias, item_id)
    if mapped not in list_aliases(connection, only=(location_id, alias)):
        upsert(connection, ITEM_ALIAS, [mapped._asdict()])
        publish(connection, [Change(CatalogueAlias(**mapped._asdict()), location_id)])
    return mapped


def list_aliases(
    connection: Connection,
    after: tuple[str, str] = ("", ""),
    limit: int = 1_000,
    *,
    only: tuple[str, str] | None = None,
) -> list[Alias]:
    """The mappings made, in the order of (location, alias) after the pair given; `only`: that of one pair."""
    query = (
        select(ITEM_ALIAS)
        .where(tuple_(ITEM_ALIAS.c.location_id, ITEM_ALIAS.c.alias) > tuple_(*after))
        .order_by(ITEM_ALIAS.c.location_id, ITEM_ALIAS.c.alias)
        .limit(limit)
    )
    if only is not None:
        query = query.where(ITEM_ALIAS.c.location_id == only[0], ITEM_ALIAS.c.alias == only[1])
    return [Alias(*row) for row in connection.execute(query)]


def _read(connection: Connection, location_id: str, item_id: str, *, mapped_too: bool = False) -> ItemProposal:
    found = _waiting(connection, ("", ""), 1, (location_id, item_id), mapped_too=mapped_too)
    if not found:
        raise NOT_WAITING(f"no item {item_id} of {location_id} waits", location_id=location_id, item_id=item_id)
    return found[0]


def _waiting(
    connection: Connection,
    after: tuple[str, str],
    limit: int,
    only: tuple[str, str] | None,
    *,
    mapped_too: bool = False,
) -> list[ItemProposal]:
    place = tuple_(EVENT.c.location_id, EVENT.c.item_id)
    query = (
        select(EVENT.c.location_id, EVENT.c.item_id, func.max(EVENT.c.sequence).label("sequence"))
        .where(
            EVENT.c.type == EventType.ITEM_DEFINED.value,
            place > tuple_(*after),
            ~exists().where(ITEM.c.item_id == EVENT.c.item_id),
        )
        .group_by(EVENT.c.location_id, EVENT.c.item_id)
        .order_by(EVENT.c.location_id, EVENT.c.item_id)
        .limit(limit)
    )
    if not mapped_too:
        mapped = (ITEM_ALIAS.c.location_id == EVENT.c.location_id, ITEM_ALIAS.c.alias == EVENT.c.item_id)
        query = query.where(~exists().where(*mapped))
    if only is not None:
        query = query.where(EVENT.c.location_id == only[0], EVENT.c.item_id == only[1])
    return _with_definitions(connection, connection.execute(query).all())


def _with_definitions(connection: Connection, rows: Sequence[Any]) -> list[ItemProposal]:
    """The definitions stand in the canonical lines only."""
    lines = read_lines_of(connection, [(row.location_id, row.sequence) for row in rows])
    found: list[ItemProposal] = []
    for row in rows:
        event = understand(lines[row.location_id, row.sequence])
        assert event.definition is not None  # an ITEM_DEFINED in the table was understood, so it has one
        found.append(ItemProposal(row.location_id, row.item_id, event.definition, row.sequence, event.occurred_at))
    return found
