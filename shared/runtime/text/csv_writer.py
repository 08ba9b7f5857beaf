"""CSV as Larder writes it: a spreadsheet that opens it runs no cell, and every cell can be read back as it was.

A spreadsheet takes a cell that begins with `=`, `+`, `-` or `@` for a formula, also in their full-width forms; some
look past blanks, or drop a tab or the end of a line at the beginning. An apostrophe before it makes it text.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from typing import IO, Final

APOSTROPHE: Final = "'"
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
    """Writes rows, each in one line that ends with a line feed; the one writer of CSV in the product."""

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
