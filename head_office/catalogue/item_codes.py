"""The codes of the group's items at its locations, and the items themselves, now or as they were known at a moment.

A mapping says that at a location a code stands for an item of the group; a code without one stands for itself. What was
known at a moment is read from the catalogue's history, so it never changes. Works inside the transaction of the
Connection it is given.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

import msgspec
from sqlalchemy import BigInteger, ColumnElement, Connection, FromClause, cast, func, literal, select
from sqlalchemy.dialects.postgresql import JSONB

from head_office.catalogue import items
from head_office.catalogue.catalogue_history import entries_at
from head_office.database.arrays import array
from head_office.database.office_schema import CATALOGUE_ENTRY, ITEM, ITEM_ALIAS
from shared.catalogue_messages import CatalogueItem

_decode_item: Final = msgspec.json.Decoder(CatalogueItem).decode


def mappings(known_at: ColumnElement[int] | None) -> FromClause:
    """The mappings now, or as they were known at a moment: a table of (location_id, alias, item_id)."""
    if known_at is None:
        return ITEM_ALIAS
    entry = entries_at("alias", known_at).subquery("entry")
    item_id = cast(entry.c.content, JSONB)["item_id"].astext
    return select(entry.c.location_id, entry.c.subject.label("alias"), item_id.label("item_id")).subquery("mapping")


def catalogue_units(known_at: ColumnElement[int] | None) -> FromClause:
    """The items of the catalogue now, or as they were known at a moment: a table of (item_id, unit)."""
    if known_at is None:
        return ITEM
    entry = entries_at("item", known_at).subquery("entry")
    unit = cast(entry.c.content, JSONB)["unit"].astext
    return select(entry.c.subject.label("item_id"), unit.label("unit")).subquery("catalogue_item")


class ItemCodes:
    """The mappings that concern some items. `item_of` and `codes_at` answer for these items only."""

    def __init__(self, mapped: Mapping[tuple[str, str], str]) -> None:
        self._mapped = dict(mapped)

    def item_of(self, location_id: str, code: str) -> str:
        """The item that a code stands for at a location."""
        return self._mapped.get((location_id, code), code)

    def items_of(self, code: str) -> set[str]:
        """The items that a code is mapped to anywhere."""
        return {item for (_, alias), item in self._mapped.items() if alias == code}

    def meant_at(self, location_id: str, code: str) -> str:
        """The item that is meant by a code at a location: itself, unless it only stands for another there."""
        return code if self.codes_at(location_id, code) else self.item_of(location_id, code)

    def codes_at(self, location_id: str, item_id: str) -> list[str]:
        """The codes of an item in a location's log: its own, unless that stands for another item, and its aliases."""
        codes = {alias for (place, alias), item in self._mapped.items() if (place, item) == (location_id, item_id)}
        if self.item_of(location_id, item_id) == item_id:
            codes.add(item_id)
        return sorted(codes, key=lambda code: (code != item_id, code))

    def all_codes(self, item_ids: Iterable[str]) -> list[str]:
        """Every code that stands for one of the items anywhere, and the items themselves."""
        wanted = set(item_ids)
        return sorted(wanted | {alias for (_, alias), item in self._mapped.items() if item in wanted})


def read_codes(
    connection: Connection, item_ids: Collection[str] | None = None, known_at: int | None = None
) -> ItemCodes:
    """Read the mappings in which one of the items is the alias or the item (None: all), now or as known at a moment."""
    mapping = mappings(None if known_at is None else literal(known_at, BigInteger))
    query = select(mapping.c.location_id, mapping.c.alias, mapping.c.item_id)
    if item_ids is not None:
        wanted = array(sorted(set(item_ids)))
        query = query.where((mapping.c.item_id == func.any(wanted)) | (mapping.c.alias == func.any(wanted)))
    return ItemCodes({(row.location_id, row.alias): row.item_id for row in connection.execute(query)})


def items_meant(
    connection: Connection, code: str, location_ids: Collection[str] | None, known_at: int | None = None
) -> list[str]:
    """The items that are meant where one is asked for by any of its codes at some locations (None: in the whole group).

    In the whole group an item of the catalogue is itself; any other code also stands for what it is mapped to anywhere.
    """
    codes = read_codes(connection, [code], known_at)
    if location_ids is not None:
        return sorted({codes.meant_at(place, code) for place in location_ids})
    mapped = codes.items_of(code)
    return [code] if not mapped or items_known(connection, [code], known_at) else sorted({code, *mapped})


def items_known(connection: Connection, item_ids: Iterable[str], known_at: int | None) -> dict[str, CatalogueItem]:
    """Those of the given items that exist, by id, now or as they were known at a moment."""
    wanted = sorted(set(item_ids))
    if known_at is None:
        return {item.item_id: item for item in items.read_many(connection, wanted)}
    query = entries_at("item", literal(known_at, BigInteger)).where(
        CATALOGUE_ENTRY.c.subject == func.any(array(wanted))
    )
    return {row.subject: _decode_item(row.content) for row in connection.execute(query)}
