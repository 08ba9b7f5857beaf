"""The rows of a workbook's sheet as lines of CSV, one a row, so that a sheet is identified and read as a CSV file is.

A line's number is the row's. Marks in the cells, which no text of a cell can hold, say what CSV cannot: that a cell is
a date or a time, has a line break, a decimal point, or a fault. `sheet_records` takes them out again. So equal cells
are equal bytes, however the workbook was saved, and a longer sheet begins with the bytes of a shorter one.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from branch_node.imports.files.csv_records import SourceRecord
from branch_node.imports.files.file_kinds import FileFault
from branch_node.imports.files.number_formats import MOMENT, POINT, FormatKind, moment_text, number_text
from branch_node.imports.files.workbook import Attributes, Workbook, XmlReader

DELIMITER: Final = ","
_FAULT: Final = "\x1c"
_BREAK: Final = "\x1f"
_MARKS: Final = re.compile("[\x1c\x1e\x1f]")
_MAX_ROWS: Final = 1_048_576
_MAX_COLUMNS: Final = 16_384
_BATCH: Final = 1 << 20
_LETTERS: Final = re.compile("[A-Z]{1,3}")
_ESCAPED: Final = re.compile("_x([0-9A-Fa-f]{4})_")
_LINE_ENDS: Final = re.compile("\r\n?|\n")
_NO_VALUE: Final = "="


class _Rows(XmlReader):
    """Writes the rows of a sheet as they are read; trailing empty cells and rows are left out."""

    def __init__(self, workbook: Workbook, write: Callable[[bytes], int]) -> None:
        super().__init__()
        self._texts, self._from_1904 = workbook.texts, workbook.from_1904
        self._shown = workbook.shown
        self._write = write
        self._out = io.StringIO(newline="")
        self._csv = csv.writer(self._out, delimiter=DELIMITER, lineterminator="\n")
        self._columns: dict[str, int] = {}
        self._row = self._written = 0
        self._cells: list[str] = []
        self._column = 0
        self._type, self._style = "n", 0
        self._value: str | None = None
        self._inline: list[str] | None = None
        self._formula = self._phonetic = False

    def starts(self) -> Mapping[str, Callable[[Attributes], None]]:
        return {
            "c": self._begin_cell,
            "v": self._begin_value,
            "row": self._begin_row,
            "f": self._begin_formula,
            "is": self._begin_inline,
            "t": self._begin_run,
            "rPh": self._begin_phonetic,
        }

    def ends(self) -> Mapping[str, Callable[[], None]]:
        return {
            "c": self._end_cell,
            "v": self._end_value,
            "row": self._end_row,
            "t": self._end_run,
            "rPh": self._end_phonetic,
        }

    def finish(self) -> None:
        """Write what waits."""
        self._write(self._out.getvalue().encode())
        self._out.seek(0)
        self._out.truncate()

    def _begin_row(self, attributes: Attributes) -> None:
        number = attributes.get("r")
        row = self._row + 1 if number is None else int(number) if number.isdecimal() and len(number) < 8 else 0
        if not self._row < row <= _MAX_ROWS:
            raise FileFault("is a damaged workbook: its rows are not in order")
        self._row, self._cells, self._column = row, [], 0

    def _begin_value(self, _: Attributes) -> None:
        self.begin_text()

    def _end_value(self) -> None:
        self._value = self.end_text()

    def _begin_formula(self, _: Attributes) -> None:
        self._formula = True

    def _begin_inline(self, _: Attributes) -> None:
        self._inline = []

    def _begin_run(self, _: Attributes) -> None:
        if self._inline is not None and not self._phonetic:
            self.begin_text()

    def _end_run(self) -> None:
        if self._inline is not None and not self._phonetic:
            self._inline.append(self.end_text())

    def _begin_phonetic(self, _: Attributes) -> None:
        self._phonetic = True

    def _end_phonetic(self) -> None:
        self._phonetic = False

    def _begin_cell(self, attributes: Attributes) -> None:
        place = attributes.get("r")
        if place is None:
            self._column += 1
        else:
            letters = place.rstrip("0123456789")
            column = self._columns.get(letters)
            if column is None:
                column = self._columns[letters] = _column_number(letters)
            self._column = column
        if not len(self._cells) < self._column <= _MAX_COLUMNS:
            raise FileFault("is a damaged workbook: its cells are not in order")
        self._type = attributes.get("t", "n")
        style = attributes.get("s", "0")
        self._style = int(style) if style.isdecimal() else 0
        self._value = self._inline = None
        self._formula = False

    def _end_cell(self) -> None:
        text = self._cell_text()
        if text:
            missing = self._column - 1 - len(self._cells)
            if missing:
                self._cells.extend([""] * missing)
            self._cells.append(text)

    def _cell_text(self) -> str:
        value, kind = self._value, self._type
        if kind == "inlineStr":
            return _cleaned("".join(self._inline or ()))
        if value is None or (value == "" and kind != "str"):
            return _FAULT + _NO_VALUE if self._formula else ""
        if kind == "s":
            try:
                return _cleaned(self._texts.text(int(value)))
            except (ValueError, IndexError) as error:
                raise FileFault("is a damaged workbook: a cell's text is not there") from error
        if kind == "n":
            return self._number(value.strip())
        if kind == "str":
            return _cleaned(value)
        if kind == "b":
            return "TRUE" if value.strip() in ("1", "true") else "FALSE"
        if kind == "d":
            return MOMENT + value.strip().removesuffix("Z")
        return _FAULT + _cleaned(value)

    def _number(self, value: str) -> str:
        shown = self._shown[self._style] if self._style < len(self._shown) else FormatKind.NUMBER
        is_number = shown is FormatKind.NUMBER
        text = number_text(value) if is_number else moment_text(value, shown, from_1904=self._from_1904)
        return _FAULT + _cleaned(value) if text is None else text

    def _end_row(self) -> None:
        if not self._cells:
            return
        out = self._out
        if self._row > self._written + 1:
            out.write("\n" * (self._row - self._written - 1))
        # A row of one cell is written in quotes where it must be, so that it is no blank line.
        self._csv.writerow(self._cells)
        self._written = self._row
        if out.tell() >= _BATCH:
            self.finish()


def write_rows(
    workbook: Workbook, sheet: str | None, write: Callable[[bytes], int], progress: Callable[[float], None]
) -> None:
    """Write the rows of a sheet, by default the first, as lines of CSV in UTF-8. Raises FileFault."""
    rows = _Rows(workbook, write)
    workbook.read_sheet(workbook.sheet(sheet), rows, progress)
    rows.finish()


def sheet_records(records: Iterable[SourceRecord], decimal: str) -> Iterator[SourceRecord]:
    """The records of lines that `write_rows` has written, with `decimal` in their numbers, and with their faults."""
    for record in records:
        line, cells, fault = record
        if any(map(_MARKS.search, cells)):
            fault = fault or next((_fault(line, *each) for each in enumerate(cells) if each[1][:1] == _FAULT), None)
            cells = [cell.lstrip(_FAULT).replace(POINT, decimal).replace(_BREAK, "\n") for cell in cells]
            yield SourceRecord(line, cells, fault)
        else:
            yield record


def _fault(line: int, column: int, cell: str) -> str:
    place = f"{_column_letters(column + 1)}{line}"
    if cell == _FAULT + _NO_VALUE:
        return f"the cell {place} is a formula without a value: open the workbook in a spreadsheet program and save it"
    return f"the cell {place} holds {cell[1:][:40]}, which is no value"


def _cleaned(text: str) -> str:
    """A text without what the marks are, and with one kind of line break."""
    if text.isprintable() and "_x" not in text:
        return text
    text = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)
    text = _LINE_ENDS.sub("\n", text)
    text = re.sub("[\x1c-\x1f\ud800-\udfff]", "", text)
    return text.replace("\n", _BREAK)


def _column_number(letters: str) -> int:
    if not _LETTERS.fullmatch(letters):
        raise FileFault("is a damaged workbook: a cell has no place")
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number


def _column_letters(number: int) -> str:
    letters = ""
    while number:
        number, place = divmod(number - 1, 26)
        letters = chr(65 + place) + letters
    return letters
