"""The purchasing report as a file of a chosen format.

Nothing but the report decides the bytes: no clock, no time zone, no locale. So a report asked for again as of and known
at the same moments is the same file.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final, NamedTuple

from head_office.problems import REPORT_TOO_LARGE
from head_office.reports.purchasing.files.purchasing_csv import purchasing_csv
from head_office.reports.purchasing.files.purchasing_pdf import MOST_PDF_ROWS, purchasing_pdf
from head_office.reports.purchasing.files.purchasing_workbook import MOST_SHEET_ROWS, purchasing_workbook
from head_office.reports.purchasing.files.report_cells import file_stem
from head_office.reports.purchasing.purchasing_records import PurchasingReport
from shared.runtime.text.csv_writer import CSV_MEDIA_TYPE


class FileFormat(StrEnum):
    """The files that a report can be asked for as. The value is the ending of the file's name."""

    CSV = "csv"
    XLSX = "xlsx"
    PDF = "pdf"


MEDIA_TYPES: Final = {
    FileFormat.CSV: CSV_MEDIA_TYPE,
    FileFormat.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    FileFormat.PDF: "application/pdf",
}
"""The media type of each format."""


class RenderedFile(NamedTuple):
    """A file to answer, keep or send: its name in ASCII, its media type, and its parts, which can be read once."""

    name: str
    media_type: str
    content: Iterable[bytes]


def render(report: PurchasingReport, file_format: FileFormat) -> RenderedFile:
    """Render the report. CSV is written as it is read; the others are finished when this returns, XLSX on disk.

    Raises Problem 422 `report-too-large` where the format cannot hold so many rows.
    """
    match file_format:
        case FileFormat.CSV:
            content = purchasing_csv(report)
        case FileFormat.XLSX:
            _check(len(report.rows), MOST_SHEET_ROWS, "a sheet of an XLSX workbook")
            content = purchasing_workbook(report)
        case FileFormat.PDF:
            _check(len(report.rows) + len(report.changes or ()), MOST_PDF_ROWS, "a PDF")
            content = purchasing_pdf(report)
    return RenderedFile(f"{file_stem(report)}.{file_format}", MEDIA_TYPES[file_format], content)


def _check(rows: int, most: int, where: str) -> None:
    if rows > most:
        raise REPORT_TOO_LARGE(f"the report has {rows} rows, and {where} holds at most {most}")
