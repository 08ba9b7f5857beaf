"""The records of a workbook's sheet, from the lines of CSV that `sheet_rows.py` has written.

Marks in the cells, which no text of a cell can hold, say what CSV cannot: that a cell is a date or a time, has a line
break, a decimal point, or a fault. All but those of dates and times are taken out here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from branch_node.imports.files.cell_texts import POINT
from branch_node.imports.files.csv_records import SourceRecord

DELIMITER: Final = ","
FAULT: Final = "\x1c"
"""Begins a cell that has no value; behind it what it shows, or NO_VALUE."""

BREAK: Final = "\x1f"
"""Stands for a line break."""

NO_VALUE: Final = "="
"""Stands for a formula that was never computed."""

_MARKS: Final = re.compile("[\x1c\x1e\x1f]")


def sheet_records(records: Iterable[SourceRecord], decimal: str) -> Iterator[SourceRecord]:
    """The records of lines that `write_rows` has written, with `decimal` in their numbers, and with their faults."""
    for record in records:
        line, cells, fault = record
        if any(map(_MARKS.search, cells)):
            fault = fault or next((_fault(line, *each) for each in enumerate(cells) if each[1][:1] == FAULT), None)
            cells = [cell.lstrip(FAULT).replace(POINT, decimal).replace(BREAK, "\n") for cell in cells]
            yield SourceRecord(line, cells, fault)
        else:
            yield record


def _fault(line: int, column: int, cell: str) -> str:
    # Loaded with the workbook that has the fault, not with every import of a CSV.
    from openpyxl.utils import get_column_letter

    place = f"{get_column_letter(column + 1)}{line}"
    if cell == FAULT + NO_VALUE:
        return f"the cell {place} is a formula without a value: open the workbook in a spreadsheet program and save it"
    return f"the cell {place} holds {cell[1:][:40]}, which is no value"
