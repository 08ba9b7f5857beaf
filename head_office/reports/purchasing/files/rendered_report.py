"""The purchasing report as a file: a stand-in until the module of this name comes."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

import msgspec

from head_office.reports.purchasing.purchasing_records import PurchasingReport


class FileFormat(StrEnum):
    """The formats of the report as a file."""

    CSV = "csv"
    XLSX = "xlsx"
    PDF = "pdf"


class RenderedFile(NamedTuple):
    """A file: its name, media type, and its bytes in parts."""

    name: str
    media_type: str
    content: Iterable[bytes]


def render(report: PurchasingReport, file_format: FileFormat) -> RenderedFile:
    """Render a report."""
    body = msgspec.json.encode([{name: getattr(row, name) for name in row.__struct_fields__} for row in report.rows])
    return RenderedFile(
        f"purchasing-{report.date}.{file_format}", f"application/x-stand-in-{file_format}", [b"stand-in ", body]
    )
