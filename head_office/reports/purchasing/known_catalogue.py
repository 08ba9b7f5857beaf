"""The catalogue as a purchasing report needs it: locations, items, mappings, levels, suppliers, as known at a moment.

Works inside the transaction of the Connection it is given.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Final

import msgspec
from sqlalchemy import BigInteger, ColumnElement, Connection, FromClause, func, literal, select

from head_office.catalogue.catalogue_history import entries_at
from head_office.catalogue.item_codes import ItemCodes, items_known, mappings
from head_office.catalogue.location_levels import levels_known
from head_office.catalogue.locations import BusinessDay
from head_office.catalogue.purchases.purchase_history import suppliers_known
from head_office.database.arrays import BIGINT, TEXT, Kind, unnest
from head_office.database.office_schema import CATALOGUE_ENTRY, REORDER_LEVEL
from head_office.database.schema import LOCATION
from head_office.reports.known_at import SettledMoment
from shared.catalogue_messages import CatalogueItem, CatalogueLocation
from shared.levels.level_columns import LEVEL_COLUMNS
from shared.purchases.suppliers import Supplier

_decode_location: Final = msgspec.json.Decoder(CatalogueLocation).decode


class KnownCatalogue:
    """The catalogue as it was known at a moment; None: as it is. Each part is read once, when it is asked for."""

    def __init__(self, connection: Connection, known_at: SettledMoment | None) -> None:
        self._connection = connection
        self._known_at = known_at
        self._items: dict[str, CatalogueItem | None] = {}

    @property
    def _moment(self) -> ColumnElement[int] | None:
        return None if self._known_at is None else literal(self._known_at, BigInteger)

    @cached_property
    def locations(self) -> Mapping[str, CatalogueLocation]:
        """The locations that were known, by id."""
        if self._moment is not None:
            rows = self._connection.execute(entries_at("location", self._moment))
            found = [_decode_location(row.content) for row in rows]
        else:
            names = CatalogueLocation.__struct_fields__
            rows = self._connection.execute(select(*(LOCATION.c[name] for name in names)))
            found = [CatalogueLocation(**row._mapping) for row in rows]
        return {each.location_id: each for each in found}

    def days(self, location_ids: Collection[str]) -> dict[str, BusinessDay]:
        """When the business days of these locations begin."""
        wanted = ((place, self.locations[place]) for place in location_ids)
        return {place: BusinessDay(each.timezone, each.day_start) for place, each in wanted}

    @cached_property
    def suppliers(self) -> Mapping[str, Supplier]:
        """The suppliers by id."""
        return suppliers_known(self._connection, self._known_at)

    def items(self, item_ids: Collection[str]) -> Mapping[str, CatalogueItem | None]:
        """The given items by id, None for one that the catalogue did not have."""
        missing = set(item_ids) - self._items.keys()
        if missing:
            found = items_known(self._connection, missing, self._known_at)
            self._items.update({item_id: found.get(item_id) for item_id in missing})
        return self._items

    def mappings(self) -> FromClause:
        """The mappings as a table of (location_id, alias, item_id)."""
        return mappings(self._moment)

    @cached_property
    def _mapped(self) -> Mapping[tuple[str, str], str]:
        table = self.mappings()
        rows = self._connection.execute(select(table.c.location_id, table.c.alias, table.c.item_id))
        return {(row.location_id, row.alias): row.item_id for row in rows}

    @cached_property
    def _aliases(self) -> Mapping[tuple[str, str], list[str]]:
        found: dict[tuple[str, str], list[str]] = {}
        for (location_id, alias), item_id in sorted(self._mapped.items()):
            found.setdefault((location_id, item_id), []).append(alias)
        return found

    @cached_property
    def codes(self) -> ItemCodes:
        """Which item a code stands for at a location."""
        return ItemCodes(self._mapped)

    def codes_at(self, location_id: str, item_id: str) -> list[str]:
        """The codes of an item in a location's log, its own first unless that stands for another item there."""
        aliases = self._aliases.get((location_id, item_id), [])
        own = self._mapped.get((location_id, item_id), item_id) == item_id
        return [item_id, *(each for each in aliases if each != item_id)] if own else aliases

    def level_counts(self) -> Mapping[str, int]:
        """How many reorder levels each location has, or had at some time before the moment, where it has any."""
        if self._moment is None:
            place, count = REORDER_LEVEL.c.location_id, func.count()
            query = select(place, count.label("levels")).group_by(place)
        else:
            entry = CATALOGUE_ENTRY.c
            place, count = entry.location_id, func.count(entry.subject.distinct())
            known = (entry.kind == "reorder_level", entry.known_from <= self._moment)
            query = select(place, count.label("levels")).where(*known).group_by(place)
        return {row.location_id: row.levels for row in self._connection.execute(query)}

    def levels(self, location_ids: Collection[str]) -> FromClause:
        """The reorder levels of these locations, or of more, as a table with the columns of `reorder_level`."""
        if self._known_at is None:
            return REORDER_LEVEL
        found = levels_known(self._connection, location_ids, self._known_at)
        columns: list[tuple[str, Kind]] = [("location_id", TEXT), ("item_id", TEXT)]
        columns += [(name, TEXT if name == "supplier_id" else BIGINT) for name in LEVEL_COLUMNS]
        rows = [(*each[:2], *msgspec.structs.astuple(each.level)) for each in found]
        return unnest("reorder_level", columns, rows)
