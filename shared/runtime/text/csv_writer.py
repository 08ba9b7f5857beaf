"""CSV as Larder writes it: a spreadsheet that opens it runs no cell, and every cell can be read back as it was.

A spreadsheet takes a cell that begins with `=`, `+`, `-` or `@` for a formula, also in their full-width forms; some
look past blanks, or drop a tab or the end of a line at the beginning. An apostrophe before it makes it text.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Final

APOSTROPHE: Final = "'"
BYTE_ORDER_MARK: Final = "\ufeff"
CSV_BLOCK: Final = 64 * 1024
"""Characters that `csv_rows` collects before it gives them out."""
# Blanks, and marks without width, that may be dropped before the cell is looked at.
_BLANKS: Final = r"[\s\0\ufeff\u200b-\u200f\u2060]*"
# Separators of thousands are an apostrophe, a typographic one, or a blank that does not break, too.
_NUMBER: Final = r"(?:\d[\d.,' \u2019\xa0\u202f]*+|[.,]\d++)(?:[eE][+-]?\d++)?+%?\s*+\Z"
# Apostrophes of its own before it count as well, so that the one that is put before it can be told from them.
_RUN: Final = re.compile(rf"'*+{_BLANKS}(?:[=@＝＠\t\r\n\0]|[+\-＋－](?!{_NUMBER}))")


def neutralised(cell: str) -> str:
    """The cell as it is written: with an apostrophe before what a spreadsheet would run, else as it is."""
    return APOSTROPHE + cell if _RUN.match(cell) else cell


def restored(cell: str) -> str:
    """The cell that `neutralised` wrote, as it was before. Only for files that are known to be of a `CsvWriter`."""
    return cell[1:] if cell.startswith(APOSTROPHE) and _RUN.match(cell, 1) else cell


class CsvWriter:
    """Writes rows, each in one line that ends with `line_end`; the one writer of CSV in the product."""

    def __init__(self, file: IO[str], delimiter: str = ",", line_end: str = "\n") -> None:
        self._file = file
        self._line_end = line_end
        # With this end of line, the module quotes cells with a carriage return, which would end their line unquoted.
        self._writer = csv.writer(self, delimiter=delimiter, lineterminator="\r\n")

    def write_row(self, cells: Iterable[object]) -> None:
        """Write a row: texts neutralised, None as nothing."""
        self._writer.writerow([neutralised(cell) if isinstance(cell, str) else cell for cell in cells])

    def write(self, line: str) -> None:
        """Take a line of the `csv` module, which calls it once for each row."""
        self._file.write(line.removesuffix("\r\n") + self._line_end)


def csv_rows(header: Sequence[str], rows: Iterable[Iterable[object]]) -> Iterator[bytes]:
    """A CSV file for a person's spreadsheet, in parts: UTF-8 with its mark, CRLF; texts neutralised, None empty."""
    written = io.StringIO(newline="")
    written.write(BYTE_ORDER_MARK)
    writer = CsvWriter(written, line_end="\r\n")
    writer.write_row(header)
    for cells in rows:
        writer.write_row(cells)
        if written.tell() >= CSV_BLOCK:
            yield written.getvalue().encode("utf-8")
            written.seek(0)
            written.truncate()
    yield written.getvalue().encode("utf-8")
