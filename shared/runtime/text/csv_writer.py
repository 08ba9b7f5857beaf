"""CSV as Larder writes it: a spreadsheet that opens it runs no cell, and every cell can be read back as it was.

A spreadsheet takes a cell that begins with `=`, `+`, `-` or `@` for a formula, also in their full-width forms; some
look past blanks, or drop a tab or the end of a line at the beginning. An apostrophe before it makes it text.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import IO, Final

APOSTROPHE: Final = "'"
CSV_MEDIA_TYPE: Final = "text/csv; charset=utf-8"
CsvCell = str | int | Decimal | None
"""A cell of `csv_rows`: a text, a number, or nothing."""
# Of a report the rows are handed on in parts of about so many characters.
_PART: Final = 1 << 16
# Blanks, and marks without width, that may be dropped before the cell is looked at.
_BLANKS: Final = r"[\s\0\ufeff\u200b-\u200f\u2060]*"
# Separators of thousands are an apostrophe, a typographic one, or a blank that does not break, too.
_NUMBER: Final = r"(?:\d[\d.,' \u2019\xa0\u202f]*+|[.,]\d++)(?:[eE][+-]?\d++)?+%?\s*+\Z"
_ALWAYS: Final = frozenset("=+-@\t\r")
# Apostrophes of its own before it count as well, so that the one that is put before it can be told from them.
_RUN: Final = re.compile(rf"'*+{_BLANKS}(?:[=@＝＠\t\r\n\0]|[+\-＋－](?!{_NUMBER}))")


def neutralised(cell: str) -> str:
    """The cell as it is written: with an apostrophe before what a spreadsheet would run, else as it is."""
    return APOSTROPHE + cell if _RUN.match(cell) else cell


def restored(cell: str) -> str:
    """The cell that `neutralised` wrote, as it was before. Only for files that are known to be of a `CsvWriter`."""
    return cell[1:] if cell.startswith(APOSTROPHE) and _RUN.match(cell, 1) else cell


def text_cell(text: str) -> str:
    """A text as `csv_rows` writes it: one that reads as a number gets the apostrophe; figures are no texts there."""
    return APOSTROPHE + text if text[:1] in _ALWAYS else neutralised(text)


def csv_rows(header: Sequence[str], rows: Iterable[Sequence[CsvCell]]) -> Iterator[bytes]:
    """A report as a CSV file, in parts: UTF-8 with a byte order mark, the header, then the rows; lines end with CRLF.

    A text that begins with `=`, `+`, `-`, `@`, a tab or a carriage return gets an apostrophe before it; numbers stay
    numbers and are written in full, without exponent; None is nothing. `rows` is read as the parts are taken.
    """
    part = io.StringIO(newline="")
    part.write("\ufeff")
    writer = csv.writer(part, lineterminator="\r\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow([_cell(cell) for cell in row])
        if part.tell() >= _PART:
            yield part.getvalue().encode()
            part.seek(0)
            part.truncate()
    yield part.getvalue().encode()


def _cell(cell: CsvCell) -> str | int | None:
    if isinstance(cell, str):
        return text_cell(cell)
    return f"{cell:f}" if isinstance(cell, Decimal) else cell


class CsvWriter:
    """Writes rows, each in one line that ends with a line feed; for rows that come as text, figures among it."""

    def __init__(self, file: IO[str], delimiter: str = ",") -> None:
        self._file = file
        # With this end of line, the module quotes cells with a carriage return, which would end their line unquoted.
        self._writer = csv.writer(self, delimiter=delimiter, lineterminator="\r\n")

    def write_row(self, cells: Iterable[object]) -> None:
        """Write a row: texts neutralised, None as nothing."""
        self._writer.writerow([neutralised(cell) if isinstance(cell, str) else cell for cell in cells])

    def write(self, line: str) -> None:
        """Take a line of the `csv` module, which calls it once for each row."""
        self._file.write(line.removesuffix("\r\n") + "\n")
