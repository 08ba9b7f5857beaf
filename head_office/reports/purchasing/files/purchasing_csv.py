"""The purchasing report as CSV."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from head_office.reports.purchasing.files.report_cells import CellKind, row_values
from head_office.reports.purchasing.purchasing_records import COLUMNS, PurchasingReport
from shared.events import quantity_text
from shared.runtime.text.csv_writer import CsvCell, csv_rows


def purchasing_csv(report: PurchasingReport) -> Iterator[bytes]:
    """The report in parts, in UTF-8 with a byte order mark: the header, then a line for each row."""
    return csv_rows(COLUMNS, ([_cell(kind, value) for kind, value in row_values(row)] for row in report.rows))


def _cell(kind: CellKind, value: Any) -> CsvCell:
    if value is None:
        return None
    match kind:
        case CellKind.QUANTITY:
            return Decimal(quantity_text(value))
        case CellKind.TENTHS:
            return Decimal(quantity_text(value * 100))
        case CellKind.NUMBER:
            return int(value)
        case _:
            return str(value)
