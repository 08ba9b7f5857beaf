"""The usage report as a table: by item, by the dish that caused it, or by order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import msgspec

from head_office.reports.known_at import take_cut
from head_office.reports.tables.table_report import TablePage, TableReport, TableScope
from head_office.reports.usage.caused_usage import CausedUsage, CausedUsageKey, UsageBy, caused_usage
from head_office.reports.usage.item_usage import ItemUsageCursor, item_usage
from head_office.reports.usage.usage_figures import FIGURES, UsageFigures
from shared.event_record import Moment, Number, moment_text
from shared.events import quantity_json
from shared.runtime.http.cursor import Cursor, page_of

_ITEM_CURSOR: Final[Cursor[ItemUsageCursor]] = Cursor(ItemUsageCursor)
_CAUSE_CURSOR: Final[Cursor[CausedUsageKey]] = Cursor(CausedUsageKey)


class _Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The figures at the end of every row: `total` is what was used in all, less what customers returned."""

    item_id: str
    unit: str | None
    sold: Number
    internal_use: Number
    production: Number
    waste: Number
    transferred_out: Number
    returned: Number
    total: Number


class ItemUsageRecord(_Figures, frozen=True, kw_only=True):
    """What was used of an item at a location in a period."""

    location_id: str


class ProductUsageRecord(_Figures, frozen=True, kw_only=True):
    """What was used of an item for a dish; `product` is null for what no dish is recorded with."""

    location_id: str
    product: str | None


class OrderUsageRecord(_Figures, frozen=True, kw_only=True):
    """What was used of an item for an order of a source; both are null for what is of no order.

    `first_at`: when the first of it in the period occurred.
    """

    location_id: str
    order_id: str | None
    source: str | None
    first_at: Moment


_TAIL: Final = _Figures.__struct_fields__
COLUMNS_BY: Final[dict[UsageBy, tuple[str, ...]]] = {
    UsageBy.ITEM: ("location_id", *_TAIL),
    UsageBy.PRODUCT: ("location_id", "product", *_TAIL),
    UsageBy.ORDER: ("location_id", "order_id", "source", "first_at", *_TAIL),
}
"""The columns of the file."""


def _figures(item_id: str, unit: str, figures: UsageFigures) -> dict[str, Any]:
    return {
        "item_id": item_id,
        "unit": unit or None,
        **{name: quantity_json(getattr(figures, name)) for name in FIGURES},
        "total": quantity_json(figures.total),
    }


class ItemUsageTable(TableReport):
    """A row for each item at each location, in each of its units."""

    columns = COLUMNS_BY[UsageBy.ITEM]

    def page(self, scope: TableScope, after: str | None, limit: int) -> TablePage:
        place = _ITEM_CURSOR.read(after)
        cut = take_cut(scope.connection, scope.known_at, scope.location_ids)
        found = list(item_usage(scope, cut, after=place, limit=limit + 1))
        rows, following = page_of(
            found, limit, lambda row: _ITEM_CURSOR.write(ItemUsageCursor(row.location_id, row.item_id, row.unit))
        )
        items = [
            ItemUsageRecord(location_id=row.location_id, **_figures(row.item_id, row.unit, row.figures)) for row in rows
        ]
        return TablePage(items, following, cut)


class CausedUsageTable(TableReport):
    """A row for each item of each dish, or of each order. `advance` is called with the number of events read."""

    def __init__(self, by: UsageBy, advance: Callable[[int], object] = lambda _: None) -> None:
        self._record = _product_record if by is UsageBy.PRODUCT else _order_record
        self._read = partial(caused_usage, by=by, advance=advance)
        self.columns = COLUMNS_BY[by]

    def page(self, scope: TableScope, after: str | None, limit: int) -> TablePage:
        place = _CAUSE_CURSOR.read(after)
        cut = take_cut(scope.connection, scope.known_at, scope.location_ids)
        found = list(self._read(scope, cut, after=place, limit=limit + 1))
        rows, following = page_of(found, limit, lambda row: _CAUSE_CURSOR.write(row.key))
        return TablePage([self._record(row) for row in rows], following, cut)

    def rows(self, scope: TableScope) -> Iterator[Any]:
        """Every row, by reading the log once."""
        yield from map(self._record, self._read(scope, take_cut(scope.connection, scope.known_at, scope.location_ids)))


def _product_record(row: CausedUsage) -> ProductUsageRecord:
    key = row.key
    figures = _figures(key.item_id, key.unit, row.figures)
    return ProductUsageRecord(location_id=key.location_id, product=key.name or None, **figures)


def _order_record(row: CausedUsage) -> OrderUsageRecord:
    key = row.key
    return OrderUsageRecord(
        location_id=key.location_id,
        order_id=key.name or None,
        source=key.source or None,
        first_at=moment_text(row.figures.first_at),
        **_figures(key.item_id, key.unit, row.figures),
    )


def usage_table(by: UsageBy, advance: Callable[[int], object] = lambda _: None) -> TableReport:
    """The table of the usage report. `advance` is called with the number of events that are read from the log."""
    return ItemUsageTable() if by is UsageBy.ITEM else CausedUsageTable(by, advance)
