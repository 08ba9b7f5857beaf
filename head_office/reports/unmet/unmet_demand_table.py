"""The report of unmet demand as a table: a row for each refused line of an order, or the sums of an item."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from head_office.reports.known_at import take_cut
from head_office.reports.tables.table_report import TablePage, TableReport, TableScope
from head_office.reports.unmet.unmet_demand import UnmetDemand, UnmetDemandCursor, unmet_demand
from head_office.reports.unmet.unmet_demand_sums import (
    UnmetDemandBy,
    UnmetDemandKey,
    UnmetDemandSum,
    unmet_demand_sums,
)
from shared.event_record import Moment, Number, moment_text
from shared.events import quantity_json
from shared.runtime.http.cursor import Cursor, page_of

_LINE_CURSOR: Final[Cursor[UnmetDemandCursor]] = Cursor(UnmetDemandCursor)
_SUM_CURSOR: Final[Cursor[UnmetDemandKey]] = Cursor(UnmetDemandKey)


class UnmetDemandRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A line of an order that was refused because too little of its item was available.

    `short`: how much of what was asked for was not there.
    """

    occurred_at: Moment
    location_id: str
    order_id: str
    source: str
    item_id: str
    unit: str
    asked: Number
    available: Number
    short: Number


class ItemUnmetDemandRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The refused lines of an item at a location. `orders`: different ones; one that asked again counts in the rest."""

    location_id: str
    item_id: str
    unit: str
    refusals: int
    orders: int
    asked: Number
    short: Number
    last_at: Moment


class UnmetDemandTable(TableReport):
    """A row for each refused line, in the order they occurred."""

    columns = UnmetDemandRecord.__struct_fields__

    def __init__(self, source: str | None) -> None:
        self._source = source

    def page(self, scope: TableScope, after: str | None, limit: int) -> TablePage:
        place = _LINE_CURSOR.read(after)
        cut = take_cut(scope.connection, scope.known_at, scope.location_ids)
        found = unmet_demand(scope, cut, source=self._source, after=place, limit=limit + 1)
        rows, following = page_of(found, limit, lambda row: _LINE_CURSOR.write(row.cursor))
        return TablePage([_line_record(row) for row in rows], following, cut)


class UnmetDemandSumTable(TableReport):
    """A row for each item at each location, in each of its units."""

    columns = ItemUnmetDemandRecord.__struct_fields__

    def __init__(self, source: str | None) -> None:
        self._source = source

    def page(self, scope: TableScope, after: str | None, limit: int) -> TablePage:
        place = _SUM_CURSOR.read(after)
        cut = take_cut(scope.connection, scope.known_at, scope.location_ids)
        sums = unmet_demand_sums(scope, cut, source=self._source)
        behind = [row for row in sums if place is None or row.key > place]
        rows, following = page_of(behind, limit, lambda row: _SUM_CURSOR.write(row.key))
        return TablePage([_sum_record(row) for row in rows], following, cut)

    def rows(self, scope: TableScope) -> Iterator[Any]:
        """Every row, by one pass over the refusals."""
        cut = take_cut(scope.connection, scope.known_at, scope.location_ids)
        yield from map(_sum_record, unmet_demand_sums(scope, cut, source=self._source))


def _line_record(row: UnmetDemand) -> UnmetDemandRecord:
    return UnmetDemandRecord(
        occurred_at=moment_text(row.occurred_at, row.utc_offset),
        location_id=row.location_id,
        order_id=row.order_id,
        source=row.source,
        item_id=row.item_id,
        unit=row.unit,
        asked=quantity_json(row.asked),
        available=quantity_json(row.available),
        short=quantity_json(row.short),
    )


def _sum_record(row: UnmetDemandSum) -> ItemUnmetDemandRecord:
    return ItemUnmetDemandRecord(
        location_id=row.key.location_id,
        item_id=row.key.item_id,
        unit=row.key.unit,
        refusals=row.refusals,
        orders=row.orders,
        asked=quantity_json(row.asked),
        short=quantity_json(row.short),
        last_at=moment_text(row.last_at),
    )


def unmet_demand_table(by: UnmetDemandBy, source: str | None) -> TableReport:
    """The table of the report; of orders of one source if it is named."""
    return UnmetDemandTable(source) if by is UnmetDemandBy.EVENT else UnmetDemandSumTable(source)
