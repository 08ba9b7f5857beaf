"""The variance report as a table: a row for each count, or the sums of an item or of a location."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from head_office.reports.report_records import variance_out
from head_office.reports.tables.table_report import TablePage, TableReport, TableScope, cell
from head_office.reports.variance.variance_sums import VarianceBy, VarianceSum, VarianceSumCursor, variance_sums
from head_office.reports.variances import VarianceCursor, variances
from shared.event_record import Number
from shared.events import quantity_json
from shared.runtime.http.cursor import Cursor
from shared.runtime.text.csv_writer import CsvCell

_COUNT_CURSOR: Final[Cursor[VarianceCursor]] = Cursor(VarianceCursor)
_SUM_CURSOR: Final[Cursor[VarianceSumCursor]] = Cursor(VarianceSumCursor)


class ItemVarianceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of an item in one unit: variance = counted - expected = surplus - shrinkage.

    `short`, `over`: how many counts found less, or more, than expected. `incomplete`: an event in quarantine may have
    come before one of them.
    """

    item_id: str
    unit: str | None
    locations: int
    counts: int
    short: int
    over: int
    counted: Number
    expected: Number
    variance: Number
    shrinkage: Number
    surplus: Number
    incomplete: bool


class LocationVarianceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of a location of items that are kept in one unit; else as of an item. Units are never added."""

    location_id: str
    unit: str | None
    items: int
    counts: int
    short: int
    over: int
    counted: Number
    expected: Number
    variance: Number
    shrinkage: Number
    surplus: Number
    incomplete: bool


class CountTable(TableReport):
    """A row for each count, with its event; in the file the event's id stands for it."""

    columns = (
        *("location_id", "item_id", "recorded_as", "unit", "counted", "expected", "expected_when_posted"),
        *("variance", "incomplete", "occurred_at", "event_id"),
    )

    def page(self, scope: TableScope, after: str | None, limit: int) -> TablePage:
        found = variances(
            scope.connection,
            location_ids=scope.location_ids,
            item_id=scope.item_id,
            begin=scope.begin,
            end=scope.end,
            known_at=scope.known_at,
            after=_COUNT_CURSOR.read(after),
            limit=limit,
        )
        following = None if found.next is None else _COUNT_CURSOR.write(found.next)
        return TablePage([variance_out(row) for row in found.rows], following, found.cut)

    def cells_of(self, row: Mapping[str, Any]) -> list[CsvCell]:
        members = {**row, "event_id": row["event"].event_id}
        return [cell(members[name]) for name in self.columns]


class VarianceSumTable(TableReport):
    """A row for each item, or each location, in each of its units."""

    def __init__(self, by: VarianceBy) -> None:
        self._by = by
        record = ItemVarianceRecord if by is VarianceBy.ITEM else LocationVarianceRecord
        self.columns = record.__struct_fields__

    def page(self, scope: TableScope, after: str | None, limit: int) -> TablePage:
        found = variance_sums(
            scope.connection,
            self._by,
            location_ids=scope.location_ids,
            item_id=scope.item_id,
            begin=scope.begin,
            end=scope.end,
            known_at=scope.known_at,
            after=_SUM_CURSOR.read(after),
            limit=limit,
        )
        following = None if found.next is None else _SUM_CURSOR.write(found.next)
        return TablePage([self._record(row) for row in found.rows], following, found.cut)

    def _record(self, row: VarianceSum) -> ItemVarianceRecord | LocationVarianceRecord:
        figures: dict[str, Any] = {
            "unit": row.unit or None,
            "counts": row.counts,
            "short": row.short,
            "over": row.over,
            "counted": quantity_json(row.counted),
            "expected": quantity_json(row.expected),
            "variance": quantity_json(row.variance),
            "shrinkage": quantity_json(row.shrinkage),
            "surplus": quantity_json(row.surplus),
            "incomplete": row.incomplete,
        }
        if self._by is VarianceBy.ITEM:
            return ItemVarianceRecord(item_id=row.subject, locations=row.among, **figures)
        return LocationVarianceRecord(location_id=row.subject, items=row.among, **figures)


def variance_table(by: VarianceBy) -> TableReport:
    """The table of the variance report."""
    return CountTable() if by is VarianceBy.COUNT else VarianceSumTable(by)
