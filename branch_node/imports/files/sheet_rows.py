"""The rows of a workbook's sheet as lines of CSV, one a row, so that a sheet is identified and read as a CSV file is.

A line's number is the row's. Equal cells are equal bytes, however the workbook was saved, and a longer sheet begins
with the bytes of a shorter one. `sheet_records.py` has the marks in the cells.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from branch_node.imports.files.cell_texts import moment_text, number_text
from branch_node.imports.files.file_kinds import FileFault
from branch_node.imports.files.sheet_records import BREAK, DELIMITER, FAULT, NO_VALUE
from branch_node.imports.files.workbook import Cell, Workbook
from branch_node.imports.files.workbook_bounds import MAX_TEXT

_MAX_ROWS: Final = 1_048_576
_MAX_COLUMNS: Final = 16_384
_BATCH: Final = 1 << 20
_ESCAPED: Final = re.compile("_x([0-9A-Fa-f]{4})_")
_LINE_ENDS: Final = re.compile("\r\n?|\n")
# A formula that has no value behind it, or an empty one.
_NEVER_COMPUTED: Final = re.compile(
    rb"(?:</(?:[\w.-]+:)?f\s*>|<(?:[\w.-]+:)?f(?:\s[^<>]*)?/>)\s*"
    rb"(?:<(?:[\w.-]+:)?v\s*/>|<(?:[\w.-]+:)?v\s*></(?:[\w.-]+:)?v\s*>)?\s*</(?:[\w.-]+:)?c\s*>"
)


def write_rows(
    workbook: Workbook,
    sheet: str | None,
    write: Callable[[bytes], int],
    progress: Callable[[float], None],
    most_rows: int = _MAX_ROWS,
) -> None:
    """Write the rows of a sheet, by default the first, as lines of CSV in UTF-8; trailing empty cells and rows are
    left out, and those below the row `most_rows`. Raises FileFault.
    """
    chosen = workbook.sheet(sheet)
    out = io.StringIO(newline="")
    lines = csv.writer(out, delimiter=DELIMITER, lineterminator="\n")

    def flush() -> None:
        write(out.getvalue().encode())
        out.seek(0)
        out.truncate()

    last = written = 0
    for number, cells in _rows_with_formulas(workbook, chosen, progress):
        if not last < number <= _MAX_ROWS:
            raise FileFault("is a damaged workbook: its rows are not in order")
        if number > most_rows:
            break
        last = number
        texts = _row_texts(workbook, chosen, cells)
        if not texts:
            continue
        if number > written + 1:
            out.write("\n" * (number - written - 1))
        # A row of one cell is written in quotes where it must be, so that it is no blank line.
        lines.writerow(texts)
        written = number
        if out.tell() >= _BATCH:
            flush()
    flush()


def _rows_with_formulas(
    workbook: Workbook, sheet: Any, progress: Callable[[float], None]
) -> Iterator[tuple[int, list[Cell]]]:
    """The rows; a formula without a value, which the library gives as an empty cell, has the data type f."""
    rows = workbook.rows(sheet, progress)
    if not workbook.has_text(sheet, lambda xml: _NEVER_COMPUTED.search(xml) is not None):
        yield from rows
        return
    # Seldom, as a spreadsheet program computes what it saves; so the sheet is read twice only then.
    for (number, cells), (_, formulas) in zip(rows, workbook.rows(sheet, formulas=True), strict=True):
        for cell, formula in zip(cells, formulas, strict=True):
            if cell["value"] is None and cell["data_type"] != "str" and formula["data_type"] == "f":
                cell["data_type"] = "f"
        yield number, cells


def _row_texts(workbook: Workbook, sheet: Any, cells: Sequence[Cell]) -> list[str]:
    texts: list[str] = []
    last = 0
    for cell in cells:
        column = cell["column"]
        if not last < column <= _MAX_COLUMNS:
            raise FileFault("is a damaged workbook: its cells are not in order")
        last = column
        text = _cell_text(workbook, sheet, cell)
        if text:
            missing = column - 1 - len(texts)
            if missing:
                texts.extend([""] * missing)
            texts.append(text)
    return texts


def _cell_text(workbook: Workbook, sheet: Any, cell: Cell) -> str:
    value, kind = cell["value"], cell["data_type"]
    if kind == "f":
        return FAULT + NO_VALUE
    if value is None:
        return ""
    if kind == "n":
        return number_text(value) or FAULT + str(value)
    if kind == "b":
        return "TRUE" if value else "FALSE"
    if kind == "d":
        days_only = isinstance(value, datetime) and workbook.shows_days_only(sheet, cell)
        return moment_text(value, days_only=days_only) or f"{FAULT}{value}"
    text = str(value)
    if len(text) > MAX_TEXT:
        raise FileFault(f"has a cell of more than {MAX_TEXT} characters")
    return FAULT + _cleaned(text) if kind == "e" else _cleaned(text)


def _cleaned(text: str) -> str:
    """A text without what the marks are, and with one kind of line break."""
    if text.isprintable() and "_x" not in text:
        return text
    text = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)
    text = _LINE_ENDS.sub("\n", text)
    text = re.sub("[\x1c-\x1f\ud800-\udfff]", "", text)
    return text.replace("\n", BREAK)
