"""The purchasing report as an XLSX workbook: texts that never run, figures that a spreadsheet reckons with."""

from __future__ import annotations

import datetime
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from functools import partial
from typing import IO, Any, Final

import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from head_office.reports.purchasing.files.report_cells import (
    KINDS,
    LOCATION_KINDS,
    CellKind,
    file_day,
    location_values,
    row_values,
)
from head_office.reports.purchasing.purchasing_records import PurchasingReport

MOST_SHEET_ROWS: Final = 1_048_575
"""The rows that a sheet can hold below its header."""
_PART: Final = 1 << 16
_OPTIONS: Final = {
    # A row is on disk as soon as the next one begins.
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
}
_WIDTHS: Final = {
    "location_id": 14, "item_id": 18, "name": 34, "unit": 7, "supplier_id": 14, "supplier_name": 28, "next_due": 12,
    "reorder_point": 13, "order_quantity": 14, "suggested_reorder_point": 14, "flags": 16, "location_state": 14,
    "state": 14, "as_of": 28, "known_at": 28, "received_at": 28,
}  # fmt: skip
_WIDTH: Final = 11
# The first day that a spreadsheet can count from; a date before it stays text.
_FIRST_DAY: Final = datetime.date(1900, 3, 1)


def purchasing_workbook(report: PurchasingReport) -> Iterator[bytes]:
    """Write the workbook to a temporary file without a name and return its parts, which can be read once."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 closed by what reads it
    folder = tempfile.mkdtemp(prefix="larder-report-")
    try:
        _write(report, file, folder)
    except BaseException:
        file.close()
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return _parts(file)


def _parts(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        file.seek(0)
        yield from iter(partial(file.read, _PART), b"")


def _write(report: PurchasingReport, file: IO[bytes], folder: str) -> None:
    with xlsxwriter.Workbook(file, {**_OPTIONS, "tmpdir": folder}) as workbook:
        # Without it the moment of writing would stand in the file.
        workbook.set_properties({"title": "Purchasing report", "created": file_day(report)})
        formats = _Formats(workbook)
        rows = (row_values(row) for row in report.rows)
        _sheet(workbook, formats, "Purchasing", KINDS, rows, count=len(report.rows), kept_columns=3)
        places = (location_values(report, location) for location in report.locations)
        _sheet(workbook, formats, "Locations", LOCATION_KINDS, places, count=len(report.locations), kept_columns=2)


class _Formats:
    """The formats of the cells. A quantity has one with decimals only where it has some."""

    def __init__(self, workbook: xlsxwriter.Workbook) -> None:
        self.header: Format = workbook.add_format(
            {"bold": True, "bg_color": "#E7ECEA", "bottom": 1, "text_wrap": True, "valign": "top"}
        )
        self.whole: Format = workbook.add_format({"num_format": "#,##0"})
        self.decimal: Format = workbook.add_format({"num_format": "#,##0.0##"})
        self.date: Format = workbook.add_format({"num_format": "yyyy-mm-dd"})
        # Shown as text also once somebody edits the cell.
        self.text: Format = workbook.add_format({"num_format": "@"})


def _sheet(
    workbook: xlsxwriter.Workbook,
    formats: _Formats,
    name: str,
    kinds: Any,
    rows: Iterable[Iterable[tuple[CellKind, Any]]],
    *,
    count: int,
    kept_columns: int,
) -> None:
    sheet = workbook.add_worksheet(name)
    sheet.freeze_panes(1, kept_columns)
    sheet.autofilter(0, 0, count, len(kinds) - 1)
    sheet.set_landscape()
    sheet.set_paper(9)  # A4
    sheet.fit_to_pages(1, 0)
    sheet.repeat_rows(0)
    for place, column in enumerate(kinds):
        sheet.set_column(place, place, _WIDTHS.get(column, _WIDTH))
    sheet.set_row(0, 30)
    for place, column in enumerate(kinds):
        sheet.write_string(0, place, column, formats.header)
    for number, row in enumerate(rows, 1):
        for place, (kind, value) in enumerate(row):
            if value is not None:
                _write_cell(sheet, formats, (number, place), kind, value)


def _write_cell(sheet: Worksheet, formats: _Formats, place: tuple[int, int], kind: CellKind, value: Any) -> None:
    match kind:
        case CellKind.QUANTITY:
            sheet.write_number(*place, value / 1_000, formats.decimal if value % 1_000 else formats.whole)
        case CellKind.TENTHS:
            sheet.write_number(*place, value / 10, formats.decimal if value % 10 else formats.whole)
        case CellKind.NUMBER:
            sheet.write_number(*place, value, formats.whole)
        case CellKind.DATE if (day := datetime.date.fromisoformat(value)) >= _FIRST_DAY:
            sheet.write_datetime(*place, day, formats.date)
        case _:
            sheet.write_string(*place, value, formats.text)
