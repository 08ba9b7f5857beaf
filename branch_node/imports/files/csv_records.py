"""CSV records with the numbers of their lines. A malformed record costs one line, never those behind it."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Final, NamedTuple

from branch_node.imports.files.text_encoding import undecoded

MAX_RECORD_LINES: Final = 1_000
"""Lines of one record. Where a quote is not closed the next one may open it again, and so on to the end of the file:
without a bound all of it would be in memory, and be read again for each of its lines."""


class SourceRecord(NamedTuple):
    """One row: the number of its first line in the file, its cells, and its fault as CSV, or None."""

    line: int
    cells: list[str]
    fault: str | None


class _Lines:
    """The lines of texts; those of the current record are kept, so that a malformed record can be unread."""

    def __init__(self, texts: Iterable[Iterable[str]]) -> None:
        # A text is asked for only when the one before it has ended.
        self._lines = chain.from_iterable(texts)
        self.consumed: list[str] = []
        self.ended = False
        self._unread: list[str] = []

    def __iter__(self) -> Iterator[str]:
        consumed, unread_lines = self.consumed, self._unread
        while True:
            if unread_lines:
                line = unread_lines.pop()
                consumed.append(line)
                if len(consumed) > MAX_RECORD_LINES:
                    raise self._too_long()
                yield line
                continue
            for line in self._lines:
                consumed.append(line)
                if len(consumed) > MAX_RECORD_LINES:
                    raise self._too_long()
                yield line
                if unread_lines:
                    break
            else:
                self.ended = True
                return

    @staticmethod
    def _too_long() -> csv.Error:
        return csv.Error(f"a record of more than {MAX_RECORD_LINES} lines, so a quote is not closed")

    def unread(self) -> str:
        """Unread all lines of the record but its first, which is returned."""
        first = self.consumed[0]
        self._unread.extend(reversed(self.consumed[1:]))
        self.consumed.clear()
        self.ended = False
        return first


class RecordShape(NamedTuple):
    """How many cells a record has: cells beyond `width` are left out where they are blank.

    With `pad`, missing ones are added as empty texts.
    """

    width: int
    pad: bool = False


class CsvRecords:
    """The records of texts, one after the other, each a CSV of its own lines. Blank lines are no records.

    `line` is the number of the line behind the last record given, and counts on as the records are read.
    """

    def __init__(
        self,
        texts: Iterable[Iterable[str]],
        delimiter: str,
        *,
        line: int,
        leave_out: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self.line = line
        self.shape: RecordShape | None = None
        self._lines = _Lines(texts)
        self._delimiter = delimiter
        self._leave_out = leave_out

    def __iter__(self) -> Iterator[SourceRecord]:
        """Where the texts end within a quoted cell, `leave_out` is asked: given the lines from the record's first,
        it says whether they are left for next time."""
        lines = self._lines
        consumed = lines.consumed
        rows = self._reader()
        while True:
            try:
                for cells in rows:
                    if cells and ((cells[0] and not cells[0].isspace()) or not _blank(cells)):
                        line = consumed[0]
                        fault = None if line.isascii() and len(consumed) == 1 else _decoding_fault(consumed)
                        shape = self.shape
                        if shape is not None and len(cells) != shape.width:
                            cells = _shaped(cells, shape)  # noqa: PLW2901
                        yield SourceRecord(self.line, cells, fault)
                    self.line += len(consumed)
                    consumed.clear()
                return
            except csv.Error as error:
                if lines.ended and self._leave_out("".join(consumed)):
                    return
                # An unclosed quote consumes the lines after it: only the first is rejected, the others are read again.
                yield SourceRecord(self.line, [lines.unread().rstrip("\r\n")], f"not CSV: {error}")
                self.line += 1
                rows = self._reader()

    def _reader(self) -> Iterator[list[str]]:
        return csv.reader(iter(self._lines), delimiter=self._delimiter, strict=True)


def _blank(cells: Sequence[str]) -> bool:
    return all(not cell or cell.isspace() for cell in cells)


def _decoding_fault(lines: Sequence[str]) -> str | None:
    byte = undecoded("".join(lines))
    return None if byte is None else f"the byte {byte} is no text in the file's encoding; the map can say encoding"


def _shaped(cells: list[str], shape: RecordShape) -> list[str]:
    missing = shape.width - len(cells)
    if missing < 0:
        return cells[: shape.width] if _blank(cells[shape.width :]) else cells
    return cells + [""] * missing if shape.pad else cells
