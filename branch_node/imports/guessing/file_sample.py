"""The first rows of a file, whatever its kind, with what was found of its encoding, its delimiter and its header."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Final

import msgspec

from branch_node.imports.files.csv_records import CsvRecords, SourceRecord
from branch_node.imports.files.disk_file import DiskFile
from branch_node.imports.files.file_kinds import ZIP_MAGIC, FileFault
from branch_node.imports.files.file_layout import FileLayout
from branch_node.imports.files.text_encoding import find_encoding, unmarked_utf16
from branch_node.imports.guessing.cell_values import is_datum
from branch_node.imports.guessing.column_words import begins_totals, fields_of
from branch_node.imports.reject_files import Conflicts, Rejects, without_reject_columns
from branch_node.imports.source_file import STDIN, FileRefused, SourceFile, naming, shown

MOST_ROWS: Final = 2_000
MOST_BYTES: Final = 4 << 20
_LAST_ROWS: Final = 20
_MOST_TITLES: Final = 50
_DELIMITERS: Final = (",", ";", "\t", "|")
_JUDGED: Final = 300


class FileSample(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of a file with its columns. `encoding` and `delimiter` are None where the map need not say them.

    `header_line` is None where it is the first one, `named` False where the file has no header and `columns` are made
    up; a map cannot name those at `unusable`, as they have no name of their own. `rows` are at most MOST_ROWS and some
    of the last; `whole`: they are all the rows of the file.
    """

    encoding: str | None
    encoding_is_sure: bool
    delimiter: str | None
    is_workbook: bool
    header_line: int | None
    named: bool
    columns: Sequence[str]
    rows: Sequence[SourceRecord]
    unusable: frozenset[int]
    titles: int
    whole: bool

    @property
    def full_rows(self) -> list[SourceRecord]:
        """The rows that have a cell for each column, and no fault."""
        return [row for row in self.rows if row.fault is None and len(row.cells) == len(self.columns)]


def read_sample(path: Path, *, folder: Path | None = None, stdin: IO[bytes] | None = None) -> FileSample:
    """A sample of a file, or of standard input for `-`. Raises FileRefused."""
    with naming(path):
        disk = DiskFile(path, stdin)
        try:
            head = disk.beginning(MOST_BYTES)
        finally:
            disk.close()
    is_workbook = head.startswith(ZIP_MAGIC)
    whole = len(head) < MOST_BYTES
    encoding, sure = None, True
    delimiter: str | None = None
    if is_workbook:
        content = _whole_workbook(path, head, stdin)
    else:
        with naming(path):
            encoding, sure = _encoding_of(head)
            found = find_encoding(head, encoding)
        if not whole:
            head = head[: found.last_line_end(head)]
        if not head:
            raise FileRefused(f"{shown(path)} has a line of more than {MOST_BYTES} bytes: it is no CSV file")
        content = io.BytesIO(head)
        text = head[found.mark_bytes :].decode(found.codec, errors="replace")
        delimiter = None if text[:5].lower().lstrip('"').startswith("sep=") else _delimiter_of(text)
    # Its own header is not known yet: with none given all its rows are read as they are.
    layout = FileLayout(encoding=encoding, header=[], most_rows=MOST_ROWS + _MOST_TITLES)
    with SourceFile(path, delimiter, layout, folder=folder, stdin=content) as file:
        records = file.records()
        first = list(islice(records, MOST_ROWS + _MOST_TITLES))
        last: list[SourceRecord] = []
        for record in records:
            last.append(record)
            del last[:-_LAST_ROWS]
            whole = False
        # A comma is what a file without `delimiter` has, and `sep=` says another one for itself.
        said = delimiter if delimiter not in (None, ",") else None
        if is_workbook:
            whole = len(first) < MOST_ROWS
    if not first:
        raise FileRefused(f"{shown(path)} has no rows")
    if Conflicts.is_header(first[0].cells):
        raise FileRefused(f"{shown(path)} holds conflicts, which are not to be imported")
    if Rejects.is_header(first[0].cells):
        header, rest = without_reject_columns(first[0], iter(first[1:]))
        first = [header, *rest]
    return _with_header(path, [*first, *last], encoding, sure, said, is_workbook=is_workbook, whole=whole)


def _whole_workbook(path: Path, head: bytes, stdin: IO[bytes] | None) -> IO[bytes] | None:
    """What a workbook is read from: a zip has its list of parts at its end."""
    if path != STDIN:
        return None
    import sys

    return _Again(head, stdin or sys.stdin.buffer)  # type: ignore[return-value]


class _Again:
    """A stream whose first bytes were read already."""

    def __init__(self, head: bytes, rest: IO[bytes]) -> None:
        self._head, self._rest = head, rest

    def read(self, size: int) -> bytes:
        chunk, self._head = self._head[:size], self._head[size:]
        return chunk or self._rest.read(size)


def _encoding_of(head: bytes) -> tuple[str | None, bool]:
    """The encoding that the map has to say, None for UTF-8 and what a byte order mark says; whether it is sure."""
    try:
        found = find_encoding(head, None)
    except FileFault:
        return unmarked_utf16(head), True
    whole = head if len(head) < MOST_BYTES else head[: found.last_line_end(head)]
    try:
        whole.decode(found.codec)
    except UnicodeDecodeError:
        if found.mark_bytes:
            return None, True
    else:
        return None, True
    text = whole.decode(found.codec, errors="replace")
    bad = text.count("\ufffd")
    if sum(not each.isascii() for each in text) > 10 * bad:
        # Some bytes are damaged; their rows are rejected, where another encoding would spoil all others.
        return None, False
    return max(_OLD, key=lambda name: _known_words(whole, name)), False


# What tills of Windows and DOS write; the first where the header's words do not tell.
_OLD: Final = ("cp1252", "iso-8859-1", "cp1256", "cp850")


def _known_words(content: bytes, encoding: str) -> int:
    """How many words that name columns the first lines have in an encoding; -1 where it does not fit."""
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        return -1
    return sum(sum(fields_of(line).values()) for line in text.splitlines()[:5])


def _delimiter_of(text: str) -> str:
    """The character that cuts most rows into the same number of cells."""
    lines = list(islice(io.StringIO(text, newline=""), _JUDGED))

    def score(delimiter: str) -> tuple[float, int]:
        widths = Counter(
            len(record.cells) if record.fault is None else 0 for record in CsvRecords([lines], delimiter, line=1)
        )
        wide = Counter({width: count for width, count in widths.items() if width > 1})
        if not wide:
            return 0.0, 1
        ((width, count),) = wide.most_common(1)
        return round(count / max(widths.total(), 1), 3), width

    return max(_DELIMITERS, key=score)


def _with_header(
    path: Path,
    records: Sequence[SourceRecord],
    encoding: str | None,
    sure: bool,
    delimiter: str | None,
    *,
    is_workbook: bool,
    whole: bool,
) -> FileSample:
    width = _usual_width(records)
    if width < 2:
        raise FileRefused(
            f"{shown(path)} has one column only, as far as is seen: say its delimiter in a map; "
            "larder branch import --example-map prints one"
        )
    titles = 0
    for record in records[:_MOST_TITLES]:
        if record.fault is None and _filled(record.cells, width):
            break
        titles += 1
    else:
        titles = 0
    first = records[titles]
    if first.fault is not None:
        raise FileRefused(f"{shown(path)} line {first.line}: {first.fault}")
    named = _is_header(first.cells, records[titles + 1 :])
    if named:
        columns = FileLayout().header_names(first.cells)
        rows, line = records[titles + 1 :], first.line if titles else None
        names = [text.strip() for text in first.cells]
        unusable = frozenset(
            place for place in range(len(columns)) if not names[place] or names.count(names[place]) > 1
        )
    else:
        columns = [f"column {number}" for number in range(1, width + 1)]
        rows, line, unusable = records, None, frozenset()
    rows = [
        row if row.fault else row._replace(cells=_shaped_row(row.cells, len(columns), pad=is_workbook)) for row in rows
    ]
    return FileSample(
        encoding=encoding,
        encoding_is_sure=sure,
        delimiter=delimiter,
        is_workbook=is_workbook,
        header_line=line,
        named=named,
        columns=columns,
        rows=[*rows[:MOST_ROWS], *rows[MOST_ROWS:][-_LAST_ROWS:]],
        unusable=unusable,
        titles=titles,
        whole=whole and len(rows) <= MOST_ROWS,
    )


def _usual_width(records: Sequence[SourceRecord]) -> int:
    widths = Counter(len(_without_blank_end(record.cells)) for record in records if record.fault is None)
    # A title is one cell, and a file of few rows may have as many titles.
    full = Counter(len(record.cells) for record in records if record.fault is None and len(record.cells) > 1)
    # Rows may end in empty cells: a column counts where the header names it.
    named = [len(_without_blank_end(record.cells)) for record in records[:_MOST_TITLES] if record.fault is None]
    usual = (full or widths or Counter({0: 1})).most_common(1)[0][0]
    return usual if usual in named else max((width for width in named if width <= usual), default=usual)


def _filled(cells: Sequence[str], width: int) -> bool:
    """Whether a row may be the header or a row of data: most of its columns have something in them."""
    filled = sum(bool(cell.strip()) for cell in cells[:width])
    return filled >= max(2, (width * 2 + 2) // 3)


def _is_header(cells: Sequence[str], rows: Sequence[SourceRecord]) -> bool:
    """Whether a row names the columns: it holds no number and no time, or words that columns are named by."""
    names = [cell.strip() for cell in cells]
    filled = [name for name in names if name]
    if len(set(filled)) < len(filled) and not any(fields_of(name) for name in filled):
        return False
    if any(is_datum(name) for name in filled):
        return False
    if not rows:
        return any(fields_of(name) for name in filled)
    return not begins_totals(filled[0] if filled else "") or len(filled) > 2


def _without_blank_end(cells: Sequence[str]) -> Sequence[str]:
    end = len(cells)
    while end and not cells[end - 1].strip():
        end -= 1
    return cells[:end]


def _shaped_row(cells: Sequence[str], width: int, *, pad: bool) -> list[str]:
    kept = list(cells)
    while len(kept) > width and not kept[-1].strip():
        kept.pop()
    return kept + [""] * (width - len(kept)) if pad else kept
