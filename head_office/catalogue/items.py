"""Items of the group. Works inside the transaction of the Connection it is given."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import structs
from sqlalchemy import Connection, Row, select

from head_office.catalogue.catalogue_history import Change, EntryOutcome, lock, outcome_of, publish
from head_office.catalogue.locations import check_locations
from head_office.database.office_schema import ITEM, ITEM_ALIAS
from head_office.database.schema import ITEM_UNIT
from head_office.problems import ITEM_NOT_FOUND, NOTHING_KNOWN, UNIT_FIXED, UNKNOWN_ITEM
from shared.catalogue_messages import CatalogueItem
from shared.runtime.database.row_writes import upsert
from shared.runtime.problems import Problem, invalid_request
from shared.runtime.text.nearest_codes import MOST_COMPARED, Candidate, nearest_codes
from shared.runtime.text.text_faults import code_fault, name_fault


def put(connection: Connection, items: Sequence[CatalogueItem]) -> list[EntryOutcome]:
    """Add or change items, all or none, at most 1,000 with different ids. An unchanged item makes no version.

    Raises Problem: 409 `unit-fixed`, 422 `unknown-location` (of `strict_at`) or `invalid-request`.
    """
    items = [_checked(item) for item in items]
    lock(connection)
    check_locations(connection, (location_id for item in items for location_id in item.strict_at))
    ids = [item.item_id for item in items]
    present = {item.item_id: item for item in read_many(connection, ids)}
    recorded = units_recorded(connection, ids)
    outcomes: list[EntryOutcome] = []
    changed: list[CatalogueItem] = []
    for item in items:
        old = present.get(item.item_id)
        _check_unit(item, old, recorded.get(item.item_id, {}))
        outcomes.append(outcome_of(old, item))
        if outcomes[-1] is not EntryOutcome.UNCHANGED:
            changed.append(item)
    if changed:
        upsert(connection, ITEM, [_row(item) for item in changed])
        publish(connection, [Change(item) for item in changed])
    return outcomes


def read(connection: Connection, item_id: str) -> CatalogueItem:
    """One item. Raises Problem 404 `item-not-found`."""
    found = read_many(connection, [item_id])
    if not found:
        near = _nearest(connection, item_id)
        raise ITEM_NOT_FOUND(f"there is no item {item_id}", item_id=item_id, nearest=near)
    return found[0]


def known_items(connection: Connection, item_ids: Iterable[str]) -> dict[str, CatalogueItem]:
    """The given items by id. Raises Problem 422 `unknown-item` for the first that is not there."""
    wanted = sorted(set(item_ids))
    found = {item.item_id: item for item in read_many(connection, wanted)}
    for missing in sorted(set(wanted) - set(found)):
        raise unknown_item(connection, missing)
    return found


def check_seen(connection: Connection, item_id: str) -> None:
    """Raise Problem 422 `unknown-item` for a code that is neither in the catalogue nor in any event or mapping."""
    if read_many(connection, [item_id]):
        return
    recorded = select(ITEM_UNIT.c.item_id).where(ITEM_UNIT.c.item_id == item_id)
    mapped = select(ITEM_ALIAS.c.alias).where(ITEM_ALIAS.c.alias == item_id)
    if connection.execute(recorded.union_all(mapped).limit(1)).first() is None:
        raise unknown_item(connection, item_id)


def unknown_item(connection: Connection, item_id: str) -> Problem:
    """422 `unknown-item`, with the nearest codes."""
    near = _nearest(connection, item_id)
    return UNKNOWN_ITEM(f"there is no item {item_id}", item_id=item_id, nearest=near)


def nothing_known(connection: Connection, item_id: str, location_id: str | None = None) -> Problem:
    """404 `nothing-known` of an item at a location (None: anywhere), with the nearest codes of one that is no item."""
    where = "" if location_id is None else f" at {location_id}"
    problem = NOTHING_KNOWN(f"nothing is known of {item_id}{where}", item_id=item_id)
    if location_id is not None:
        problem.extras["location_id"] = location_id
    if not read_many(connection, [item_id]):
        problem.extras["nearest"] = _nearest(connection, item_id)
    return problem


def _nearest(connection: Connection, item_id: str) -> list[str]:
    rows = connection.execute(select(ITEM.c.item_id, ITEM.c.name, ITEM.c.barcode).limit(MOST_COMPARED))
    return nearest_codes(item_id, (Candidate(*row) for row in rows))


def read_many(connection: Connection, item_ids: Iterable[str]) -> list[CatalogueItem]:
    """Those of the given items that exist."""
    query = select(ITEM).where(ITEM.c.item_id.in_(sorted(set(item_ids))))
    return [_item(row) for row in connection.execute(query)]


def list_items(connection: Connection, after: str = "", limit: int = 1_000) -> list[CatalogueItem]:
    """Items in the order of their ids."""
    query = select(ITEM).where(ITEM.c.item_id > after).order_by(ITEM.c.item_id).limit(limit)
    return [_item(row) for row in connection.execute(query)]


def units_recorded(connection: Connection, item_ids: Iterable[str]) -> dict[str, dict[str, list[str]]]:
    """item -> unit -> the locations whose logs have events of the item in that unit."""
    wanted = sorted(set(item_ids))
    found: dict[str, dict[str, list[str]]] = {}
    query = (
        select(ITEM_UNIT.c.item_id, ITEM_UNIT.c.unit, ITEM_UNIT.c.location_id)
        .where(ITEM_UNIT.c.item_id.in_(wanted))
        .order_by(ITEM_UNIT.c.location_id)
    )
    for row in connection.execute(query):
        found.setdefault(row.item_id, {}).setdefault(row.unit, []).append(row.location_id)
    return found


def _checked(item: CatalogueItem) -> CatalogueItem:
    for name in ("item_id", "unit", "barcode"):
        value = getattr(item, name)
        if value is not None and (fault := code_fault(value)):
            invalid_request(name, fault)
    for name in ("name", "category"):
        value = getattr(item, name)
        if value is not None and (fault := name_fault(value)):
            invalid_request(name, fault)
    return structs.replace(item, strict_at=tuple(sorted(set(item.strict_at))))


def _check_unit(item: CatalogueItem, old: CatalogueItem | None, recorded: dict[str, list[str]]) -> None:
    """Refuse a unit in which nothing was recorded, once something was; where branches differ, the one that stands."""
    stands = old is not None and old.unit in recorded and item.unit != old.unit
    if stands or (recorded and item.unit not in recorded):
        units = "; ".join(f"{unit} at {', '.join(places[:5])}" for unit, places in sorted(recorded.items()))
        raise UNIT_FIXED(f"{item.item_id} was recorded in {units}", item_id=item.item_id, units=sorted(recorded))


def _row(item: CatalogueItem) -> dict[str, Any]:
    return {
        "item_id": item.item_id,
        "name": item.name,
        "unit": item.unit,
        "category": item.category,
        "barcode": item.barcode,
        "strict_at": list(item.strict_at),
    }


def _item(row: Row[Any]) -> CatalogueItem:
    return CatalogueItem(
        item_id=row.item_id,
        name=row.name,
        unit=row.unit,
        category=row.category,
        barcode=row.barcode,
        strict_at=tuple(row.strict_at),
    )
