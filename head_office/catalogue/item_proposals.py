"""Item proposals: codes in the branches' logs that wait for head office to accept or map each.

A code of a location is settled by a mapping there, or by an item of the group of that code in the same unit. All others
are proposals, each of its location alone: items that a branch defined itself, and codes that have events only. Works
inside the transaction of the Connection it is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, FromClause, Row, Select, and_, exists, func, or_, select, tuple_

from head_office.catalogue import items
from head_office.catalogue.catalogue_history import Change, lock, publish
from head_office.database.awaited_lines import renew_lines_of_items
from head_office.database.log_segments import read_lines_of
from head_office.database.office_schema import ITEM, ITEM_ALIAS
from head_office.database.schema import EVENT, ITEM_UNIT
from head_office.problems import NOT_WAITING, UNIT_DIFFERS, UNIT_FIXED
from shared.catalogue_messages import CatalogueAlias, CatalogueItem
from shared.chain import understand
from shared.events import EventType
from shared.runtime.database.row_writes import upsert
from shared.runtime.problems import INVALID_REQUEST


class ItemProposal(NamedTuple):
    """A code of a location as its log defined it last. `name` is None where only its events are known.

    `unit` is that of its events, else of its definition; `sequence` and `occurred_at` are of the event that defined it,
    or that recorded it first.
    """

    location_id: str
    item_id: str
    name: str | None
    unit: str
    category: str | None
    barcode: str | None
    strict: bool
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


def accept(connection: Connection, location_id: str, item_id: str, name: str | None = None) -> CatalogueItem:
    """Add a code of a branch to the group's items as the branch defined it; the item. `name` stands for the branch's.

    Raises Problem: 404 `not-waiting`, 409 `unit-fixed` where the group has the code in another unit, 422
    `invalid-request` where there is no name.
    """
    lock(connection)
    proposal = _read(connection, location_id, item_id)
    name = proposal.name if name is None else name
    if name is None:
        raise INVALID_REQUEST(
            f"name: nobody defined {item_id}, so it needs a name",
            errors=[{"field": "name", "message": "nobody defined the item, so it needs a name"}],
        )
    for group in items.read_many(connection, [item_id]):
        raise UNIT_FIXED(
            f"{item_id} is an item of the group in {group.unit}, at {location_id} it is in {proposal.unit}: "
            "map it to an item of its own",
            item_id=item_id,
            units=sorted({group.unit, proposal.unit}),
        )
    item = CatalogueItem(
        item_id=item_id,
        name=name,
        unit=proposal.unit,
        category=proposal.category,
        barcode=proposal.barcode,
        strict_at=(location_id,) if proposal.strict else (),
    )
    items.put(connection, [item])
    return item


def map_to(connection: Connection, location_id: str, alias: str, item_id: str) -> Alias:
    """Map a code of a branch to an item of the group. The branch goes on recording under its own code.

    Raises Problem: 404 `not-waiting`, 422 `unknown-item` or `unit-differs`.
    """
    lock(connection)
    proposal = _read(connection, location_id, alias, mapped_too=True)
    target = items.known_items(connection, [item_id])[item_id]
    if proposal.unit != target.unit:
        raise UNIT_DIFFERS(f"{alias} is measured in {proposal.unit}, {item_id} in {target.unit}")
    mapped = Alias(location_id, alias, item_id)
    before = list_aliases(connection, only=(location_id, alias))
    if mapped not in before:
        upsert(connection, ITEM_ALIAS, [mapped._asdict()])
        publish(connection, [Change(CatalogueAlias(**mapped._asdict()), location_id)])
        # What was delivered under the code is of another item from now on.
        renew_lines_of_items(connection, location_id, [alias, item_id, *(each.item_id for each in before)])
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
    found: list[ItemProposal] = []
    while len(found) < limit:
        rows = connection.execute(_unsettled(after, limit, only, mapped_too)).all()
        # The unit of a definition is in its line only.
        described = zip(rows, _described(connection, rows), strict=True)
        found += [each for row, each in described if row.mapped or each.unit != row.group_unit]
        if len(rows) < limit:
            break
        after = rows[-1].location_id, rows[-1].item_id
    return found[:limit]


def _unsettled(after: tuple[str, str], limit: int, only: tuple[str, str] | None, mapped_too: bool) -> Select[Any]:
    """Codes with events or a definition that are neither mapped nor, by their events, in the unit of the group's."""
    defined = (
        select(EVENT.c.location_id, EVENT.c.item_id, func.max(EVENT.c.sequence).label("sequence"))
        .where(EVENT.c.type == EventType.ITEM_DEFINED.value, EVENT.c.item_id.is_not(None))
        .group_by(EVENT.c.location_id, EVENT.c.item_id)
        .cte("defined")
    )
    recorded = select(ITEM_UNIT.c.location_id, ITEM_UNIT.c.item_id)
    code = recorded.union(select(defined.c.location_id, defined.c.item_id)).subquery("code")
    mapped = (
        exists().where(ITEM_ALIAS.c.location_id == code.c.location_id, ITEM_ALIAS.c.alias == code.c.item_id)
    ).label("mapped")
    at = tuple_(code.c.location_id, code.c.item_id)
    unsettled = or_(ITEM.c.unit.is_(None), ITEM_UNIT.c.unit.is_(None), ITEM.c.unit != ITEM_UNIT.c.unit)
    query = (
        select(
            code.c.location_id,
            code.c.item_id,
            ITEM_UNIT.c.unit,
            ITEM.c.unit.label("group_unit"),
            defined.c.sequence.label("defined"),
            func.coalesce(defined.c.sequence, ITEM_UNIT.c.sequence).label("sequence"),
            EVENT.c.occurred_at,
            mapped,
        )
        .select_from(
            code.outerjoin(defined, _same_code(defined, code))
            .outerjoin(ITEM_UNIT, _same_code(ITEM_UNIT, code))
            .outerjoin(ITEM, ITEM.c.item_id == code.c.item_id)
            .join(
                EVENT,
                and_(
                    EVENT.c.location_id == code.c.location_id,
                    EVENT.c.sequence == func.coalesce(defined.c.sequence, ITEM_UNIT.c.sequence),
                ),
            )
        )
        .where(at > tuple_(*after), or_(mapped.element, unsettled) if mapped_too else and_(~mapped.element, unsettled))
        .order_by(code.c.location_id, code.c.item_id)
        .limit(limit)
    )
    if only is not None:
        query = query.where(code.c.location_id == only[0], code.c.item_id == only[1])
    return query


def _same_code(one: FromClause, other: FromClause) -> ColumnElement[bool]:
    return and_(one.c.location_id == other.c.location_id, one.c.item_id == other.c.item_id)


def _described(connection: Connection, rows: Sequence[Row[Any]]) -> list[ItemProposal]:
    """The definitions stand in the canonical lines only."""
    lines = read_lines_of(connection, [(row.location_id, row.defined) for row in rows if row.defined is not None])
    found: list[ItemProposal] = []
    for row in rows:
        line = lines.get((row.location_id, row.defined))
        definition = None if line is None else understand(line).definition
        if definition is None:
            found.append(
                ItemProposal(
                    row.location_id, row.item_id, None, row.unit, None, None, False, row.sequence, row.occurred_at
                )
            )
        else:
            unit = definition.unit if row.unit is None else row.unit
            named = (definition.name, unit, definition.category, definition.barcode, bool(definition.strict))
            found.append(ItemProposal(row.location_id, row.item_id, *named, row.sequence, row.occurred_at))
    return found
