"""A report that is a table: rows of one shape in a fixed order, answered in pages as JSON or whole as CSV.

Works inside the transaction of the Connection it is given; a whole table is read from that one snapshot, a page at a
time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection

from head_office.problems import REPORT_TOO_LARGE
from head_office.reports.known_at import AsOf, Cut, SettledMoment
from head_office.reports.report_moments import AskedPeriod, ends_at
from shared.runtime.text.csv_writer import CsvCell

MAX_ROWS: Final = 2_000_000
"""Rows of a file at most."""
ROWS_AT_ONCE: Final = 1_000
"""Rows of a file that are read by one page."""


class TableScope(NamedTuple):
    """What a table covers, in one snapshot: locations (None: all), an item by any of its codes (None: all), what
    occurred in [begin, end) (microseconds UTC, None: no bound), known at a moment (None: now)."""

    connection: Connection
    known_at: SettledMoment | None
    location_ids: list[str] | None
    item_id: str | None
    begin: AsOf | None
    end: AsOf | None


def table_scope(
    connection: Connection,
    known_at: SettledMoment | None,
    *,
    location_ids: list[str] | None,
    item_id: str | None,
    over: AskedPeriod,
) -> TableScope:
    """The scope of what was asked for. Raises Problem 422 `invalid-request` where the period ends before it begins."""
    begin, end = ends_at(connection, over, location_ids, known_at)
    return TableScope(connection, known_at, location_ids, item_id, begin, end)


class TablePage(NamedTuple):
    """A page of a table: its rows as they are answered in JSON, the cursor of the next page, and its cut."""

    items: list[Any]
    next: str | None
    cut: Cut


class TableReport(ABC):
    """A table, and how its rows are written. Its rows are msgspec Structs whose fields are the columns of the file."""

    columns: Sequence[str]
    """The names of the columns of the file."""

    @abstractmethod
    def page(self, scope: TableScope, after: str | None, limit: int) -> TablePage:
        """Read a page after a cursor. Raises Problem 400 `bad-cursor`, 422 `report-too-large`."""

    def rows(self, scope: TableScope) -> Iterator[Any]:
        """Every row, in the order of the pages. Raises as `page`."""
        after: str | None = None
        while True:
            page = self.page(scope, after, ROWS_AT_ONCE)
            yield from page.items
            if page.next is None:
                return
            after = page.next

    def cells(self, scope: TableScope) -> Iterator[list[CsvCell]]:
        """The cells of every row of the file. Raises Problem 422 `report-too-large` beyond MAX_ROWS."""
        for number, row in enumerate(self.rows(scope)):
            if number == MAX_ROWS:
                raise REPORT_TOO_LARGE(f"it has more than {MAX_ROWS} rows")
            yield self.cells_of(row)

    def cells_of(self, row: Any) -> list[CsvCell]:
        """The cells of a row: texts, figures as in JSON, true or false, None for nothing."""
        return [cell(getattr(row, name)) for name in self.columns]


def cell(value: Any) -> CsvCell:
    """A member of a row as a cell: figures and truth as JSON writes them."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, msgspec.Raw):
        return Decimal(bytes(value).decode("ascii"))
    return value if value is None or isinstance(value, int) else str(value)
