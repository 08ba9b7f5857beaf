"""Items by the names that other systems use: a code of the group, a barcode, a code of a branch's own."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from head_office.catalogue.item_codes import read_codes
from head_office.catalogue.items import read_many, unknown_item
from head_office.database.arrays import array
from head_office.database.office_schema import ITEM
from head_office.database.schema import ITEM_UNIT
from head_office.problems import UNKNOWN_ITEM


class NamedItem(NamedTuple):
    """An item of the group; `unit` is None where only logs of branches have it."""

    item_id: str
    unit: str | None


def items_named(connection: Connection, names: Collection[str]) -> dict[str, NamedItem]:
    """The items that texts name, by text: by code, else by barcode, else by a code that branches record it under.

    Raises Problem 422 `unknown-item` for the first that names none, or several.
    """
    found = {each.item_id: NamedItem(each.item_id, each.unit) for each in read_many(connection, names)}
    for name, items in _by_barcode(connection, set(names) - found.keys()).items():
        found[name] = _only(name, items)
    rest = sorted(set(names) - found.keys())
    if rest:
        codes = read_codes(connection, rest)
        mapped = {name: sorted(codes.items_of(name)) for name in rest}
        known = {
            each.item_id: each for each in read_many(connection, {item for each in mapped.values() for item in each})
        }
        recorded = _recorded(connection, rest)
        for name in rest:
            items = [NamedItem(each, known[each].unit if each in known else None) for each in mapped[name]]
            if not items and name in recorded:
                items = [NamedItem(name, None)]
            if not items:
                raise unknown_item(connection, name)
            found[name] = _only(name, items)
    return found


def _only(name: str, items: list[NamedItem]) -> NamedItem:
    if len(items) > 1:
        several = sorted(each.item_id for each in items)
        detail = f"{name} stands for {' and '.join(several)}: name the one that is meant"
        raise UNKNOWN_ITEM(detail, item_id=name, nearest=several)
    return items[0]


def _by_barcode(connection: Connection, names: Collection[str]) -> dict[str, list[NamedItem]]:
    query = select(ITEM.c.barcode, ITEM.c.item_id, ITEM.c.unit).where(ITEM.c.barcode == func.any(array(sorted(names))))
    found: dict[str, list[NamedItem]] = {}
    for row in connection.execute(query.order_by(ITEM.c.item_id)):
        found.setdefault(row.barcode, []).append(NamedItem(row.item_id, row.unit))
    return found


def _recorded(connection: Connection, names: Collection[str]) -> set[str]:
    query = select(ITEM_UNIT.c.item_id).where(ITEM_UNIT.c.item_id == func.any(array(sorted(names)))).distinct()
    return set(connection.execute(query).scalars())
