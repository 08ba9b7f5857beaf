"""The source file of an import: its fingerprint and its rows, streamed from one private copy. Also lookup files.

CSV in any text encoding, plain, gzip or from standard input, and XLSX. The name leaves out `.gz`, and the fingerprint
is of the unpacked bytes, so a file and its compressed copy are the same file; a workbook's is of its sheet's cells.
"""

from __future__ import annotations

import gzip
import io
import re
import unicodedata
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import IO, Final, NamedTuple, Self

from branch_node.imports.files.csv_records import CsvRecords, RecordShape, SourceRecord
from branch_node.imports.files.disk_file import STDIN, DiskFile
from branch_node.imports.files.file_copy import FileCopy, Fingerprint, Prefix
from branch_node.imports.files.file_kinds import FileFault, FileRefused
from branch_node.imports.files.file_layout import FileLayout
from branch_node.imports.files.sheet_records import DELIMITER, sheet_records
from branch_node.imports.mapping.map_words import nearest
from branch_node.imports.rows.row_columns import HeaderError, LookupTable, missing_column
from shared.runtime.text.printable import printable_line
from shared.runtime.text.text_faults import code_fault

__all__ = [
    "STDIN",
    "FileLayout",
    "FileRefused",
    "Fingerprint",
    "Prefix",
    "Progress",
    "ReadingPosition",
    "SourceFile",
    "SourceRecord",
    "naming",
    "read_lookup",
    "shown",
]

MAX_LOOKUP_ROWS: Final = 300_000
_SEPARATOR: Final = re.compile(r'"?sep=(.)"?[\r\n]*', re.IGNORECASE)

Progress = Callable[[int], None]
"""Called with the number of bytes read so far (on disk, so compressed ones of a compressed file)."""


class ReadingPosition(NamedTuple):
    """Where reading begins or has ended: the byte of the unpacked content, and the number of the line there, from 1."""

    offset: int
    line: int


class SourceFile:
    """A file opened for reading. The first use copies it; the copy alone is read, however the file changes meanwhile.

    `delimiter` is None where the map names none: then it is a comma, or what a first line `sep=;` says. `folder` is
    for the copy, which has no name there and needs as many bytes as the file has unpacked. Raises FileRefused.
    """

    def __init__(
        self,
        path: Path,
        delimiter: str | None = None,
        layout: FileLayout | None = None,
        *,
        folder: Path | None = None,
        stdin: IO[bytes] | None = None,
    ) -> None:
        self.path = path
        self._given_delimiter = delimiter
        self._layout = layout or FileLayout()
        self.folder = folder
        with self._naming():
            self._disk = DiskFile(path, stdin)
        # A file's name is judged before it is read.
        self.name = "stdin" if path == STDIN else self._logical_name()
        self._copy: FileCopy | None = None
        self._delimiter = delimiter or ","
        self._first = ReadingPosition(0, 1)
        self._header: SourceRecord | None = None
        self._end: ReadingPosition | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._copy is not None:
            self._copy.close()
        self._disk.close()

    # What it is

    def fingerprint(self, progress: Progress = lambda _: None) -> Fingerprint:
        """The identity of what is read; the first call reads the whole file, and verifies a compressed one.

        Once `records` has ended it may be of less: a last line that was still being written is left out.
        """
        return self._copied(progress).fingerprint()

    def prefixes(self, sizes: Iterable[int]) -> dict[int, Prefix]:
        """By size in bytes, the beginnings of the content, in one pass; sizes that it does not have are left out.

        An earlier file of such a size and SHA-256 is continued by this one where the beginning ends a line.
        """
        with self._naming():
            return self._copied().prefixes(sizes)

    def sha256_of_first(self, size: int) -> Prefix | None:
        """The beginning of `size` bytes; None where the content is shorter."""
        return self.prefixes([size]).get(size)

    @property
    def unread_bytes(self) -> int:
        """How many bytes there are now that were not read, and are left for next time; packed ones are not counted."""
        return self._disk.unread_bytes(self._copied())

    @property
    def bytes_on_disk(self) -> int:
        """The size of the file, which `progress` counts up to; 0 for a pipe until it is copied."""
        return self._disk.size

    # What is in it

    @property
    def delimiter(self) -> str:
        """The delimiter of the file: as given, as its first line says, or a comma."""
        self._copied()
        return self._delimiter

    def header(self) -> SourceRecord | None:
        """The header: names without blanks around them and without empty ones at the end; None for no record at all.

        A name that stands again and that the map does not use gets a number behind it. None too where the map gives it.
        """
        if self._header is None and self._layout.header is None:
            with self._naming():
                self._copied()
                first = next(self._iterate(self._read(self._first, lambda _: None)), None)
                self._header = None if first is None else self._as_header(first)
        return self._header

    def records(
        self, progress: Progress = lambda _: None, *, start: ReadingPosition | None = None
    ) -> Iterator[SourceRecord]:
        """The rows in order, blank ones left out; from the beginning, with the header first, or those from `start`.

        `start` is the `end` of an earlier file that this one continues. Raises FileRefused.
        """
        with self._naming():
            copy = self._copied()
            layout, header = self._layout, self.header()
            width = None if header is None else len(header.cells)
            if layout.header is not None:
                width = len(layout.header)
            reader = self._read(start or self._first, progress)
            records = self._iterate(reader)
            if start is None and header is not None:
                next(records, None)
                yield header
            if width is not None:
                reader.shape = RecordShape(width, pad=self._disk.is_workbook)
            yield from records
            self._end = ReadingPosition(copy.size, reader.line - (copy.lines_end < copy.size))

    @property
    def end(self) -> ReadingPosition:
        """Where `records` has ended, and a file that continues this one is to be read from."""
        if self._end is None:
            raise RuntimeError("the records were not read to their end")
        return self._end

    @property
    def lines(self) -> int:
        """The number of lines up to where `records` has ended, with titles, blank ones and those before its start."""
        copy = self._copied()
        return self.end.line - (copy.lines_end == copy.size)

    # How it is read

    def _read(self, start: ReadingPosition, progress: Progress) -> CsvRecords:
        copy = self._copied()
        offset, line = start
        if copy.is_inside_line_end(offset):
            offset += len(copy.encoding.line_ends[0])
        scale = self.bytes_on_disk / max(copy.size, 1)

        def report(place: int) -> None:
            progress(int(place * scale))

        def texts() -> Iterator[io.TextIOWrapper]:
            whole = max(offset, copy.lines_end)
            yield copy.encoding.open_text(copy.open_bytes(offset, whole, report))
            if whole < copy.size:
                if self._disk.has_grown():
                    # Its last line is still being written.
                    copy.cut_last_line()
                else:
                    yield copy.encoding.open_text(copy.open_bytes(whole, copy.size, report))

        def leave_out(record: str) -> bool:
            if not self._disk.has_grown():
                return False
            # A cell with a line break that is still being written: the file goes on within it.
            copy.cut(copy.size - copy.encoding.encoded_size(record))
            return True

        return CsvRecords(texts(), self._delimiter, line=line, leave_out=leave_out)

    def _iterate(self, records: CsvRecords) -> Iterator[SourceRecord]:
        return sheet_records(records, self._layout.decimal) if self._disk.is_workbook else iter(records)

    def _as_header(self, first: SourceRecord) -> SourceRecord:
        wanted = self._layout.header_line
        if wanted is not None and first.line != wanted:
            raise FileFault(f"has nothing in line {wanted}, where the map's header_line says that its header is")
        return first if first.fault else first._replace(cells=self._layout.header_names(first.cells))

    # The copy

    def _copied(self, progress: Progress = lambda _: None) -> FileCopy:
        if self._copy is None:
            with self._naming():
                self._copy = self._disk.copy(self._layout, self.folder, progress)
                self._layout = self._disk.layout
                if self._disk.is_workbook:
                    self._delimiter = DELIMITER
                self._find_first_line(self._copy)
        return self._copy

    def _find_first_line(self, copy: FileCopy) -> None:
        """Find where the header or the first row is, and which delimiter a first line `sep=;` says."""
        wanted = (self._layout.header_line or 1) - 1
        offset = copy.encoding.mark_bytes
        lines = copy.encoding.open_text(copy.open_bytes(offset, copy.size, lambda _: None))
        number = 0
        for line in islice(lines, max(wanted, 1)):
            said = _SEPARATOR.fullmatch(line) if number == 0 and not self._disk.is_workbook else None
            if said is not None:
                self._take_delimiter(said[1])
            elif number >= wanted:
                break
            offset += copy.encoding.encoded_size(line)
            number += 1
        if number < wanted:
            raise FileFault(f"has {number} lines; the map says header_line = {wanted + 1}")
        self._first = ReadingPosition(offset, number + 1)

    def _take_delimiter(self, said: str) -> None:
        if self._given_delimiter not in (None, said):
            raise FileFault(
                f"says {printable_line('sep=' + said)!r} in its first line, the map says delimiter = "
                f"{self._given_delimiter!r}: take delimiter out of the map"
            )
        if said in '"\r\n\0' or not said.isascii():
            raise FileFault(f"says {printable_line('sep=' + said)!r} in its first line, which is no delimiter")
        self._delimiter = said

    def _logical_name(self) -> str:
        name = self.path.name
        if self._disk.is_packed and name.lower().endswith(".gz"):
            name = name[:-3]
        name = unicodedata.normalize("NFC", name)
        fault = code_fault(name)
        if fault is not None:
            self._disk.close()
            raise FileRefused(f"{shown(self.path)} has a name that cannot be part of a row's key ({fault}): rename it")
        return name

    def _naming(self) -> AbstractContextManager[None]:
        return naming(self.path)


def shown(path: Path) -> str:
    """The name of a file as it may be printed."""
    return "the input" if path == STDIN else printable_line(str(path))


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Give the reasons of what fails the file's name: raises FileRefused."""
    try:
        yield
    except FileFault as fault:
        raise FileRefused(f"{shown(path)} {fault}") from fault
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FileRefused(f"{shown(path)} is damaged, perhaps cut short or still being written: {error}") from error
    except OSError as error:
        raise FileRefused(f"{shown(path)} cannot be read: {error.strerror or error}") from error


def read_lookup(
    path: Path,
    key: str,
    delimiter: str | None,
    *,
    name: str,
    encoding: str | None = None,
    folder: Path | None = None,
) -> LookupTable:
    """The lookup `name`, its file whole, by its column `key`; `encoding` as the map says.

    Raises HeaderError where there is no such column. Raises FileRefused: unreadable, a key twice, too many rows.
    """
    try:
        source = SourceFile(path, delimiter, FileLayout(encoding=encoding), folder=folder)
    except FileRefused as error:
        near = nearest(path.name, sorted(each.name for each in path.parent.glob("*")))
        raise FileRefused(f"lookup.{name}.file: {error}{printable_line(near)}") from error
    with source as file:
        in_file = shown(path)
        records = file.records()
        header = next(records, None)
        if header is None:
            raise FileRefused(f"{in_file} is empty")
        if key not in header.cells:
            raise HeaderError(f"lookup.{name}.key: {in_file} {missing_column(key, header.cells)}")
        place, rows = header.cells.index(key), dict[str, Sequence[str]]()
        for record in records:
            where = f"{in_file} line {record.line}"
            if record.fault is not None or len(record.cells) != len(header.cells):
                raise FileRefused(f"{where}: {record.fault or 'not as many cells as the header'}")
            if rows.setdefault(record.cells[place].strip(), record.cells) is not record.cells:
                raise FileRefused(f"{where}: the key {record.cells[place][:64]!r} a second time")
            if len(rows) > MAX_LOOKUP_ROWS:
                raise FileRefused(f"{in_file} has more than {MAX_LOOKUP_ROWS} rows: split it and the file it is for")
        return LookupTable(header.cells, rows, path.name)
