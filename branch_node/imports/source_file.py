"""The source file of an import: its fingerprint and its rows, streamed. Also lookup files.

CSV in UTF-8, with or without byte order mark, LF or CRLF, plain or gzip. The name in the rows' keys leaves out `.gz`,
and the fingerprint is of the unpacked bytes, so a file and its compressed copy are the same file.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import os
import unicodedata
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Final, NamedTuple, Self, cast

from branch_node.imports.row_reader import LookupTable
from shared.events import code_fault

MAX_LOOKUP_ROWS: Final = 300_000
_CHUNK: Final = 1 << 20
_BOM: Final = b"\xef\xbb\xbf"

Progress = Callable[[int], None]
"""Called with the number of bytes read so far (on disk, so compressed ones of a compressed file)."""


class FileRefused(Exception):
    """The file cannot be imported as it is; the text gives the reason and what to do."""


class Fingerprint(NamedTuple):
    """The identity of a file's content: the size in bytes and the SHA-256, in hex, of the unpacked bytes."""

    size: int
    sha256: str


class SourceRecord(NamedTuple):
    """One row: the number of its first line in the file, its cells, and its fault as CSV, or None."""

    line: int
    cells: list[str]
    fault: str | None


class SourceFile:
    """A CSV opened for reading, twice over the same descriptor: once for the fingerprint, once for the rows."""

    def __init__(self, path: Path, delimiter: str = ",") -> None:
        self.path = path
        self._delimiter = delimiter
        # Unbuffered, as the duplicated descriptors share its position.
        self._disk = path.open("rb", buffering=0)
        self._begin = os.fstat(self._disk.fileno())
        self.bytes_on_disk = self._begin.st_size
        magic = self._disk.read(3)
        self._packed = magic[:2] == b"\x1f\x8b"
        if magic[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise FileRefused(f"{path} is UTF-16: save it as CSV in UTF-8")
        self.name = _logical_name(path, packed=self._packed)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._disk.close()

    def fingerprint(self, progress: Progress) -> Fingerprint:
        """Read the whole file, which also verifies a compressed one. Raises FileRefused."""
        digest, size = hashlib.sha256(), 0
        with self._unpacked() as unpacked:
            while chunk := self._read(unpacked):
                if len(chunk) == _CHUNK and b"\n" not in chunk and b"\r" not in chunk:
                    raise FileRefused(f"{self.path} has a line of more than {_CHUNK} bytes: it is no CSV file")
                digest.update(chunk)
                size += len(chunk)
                progress(self._disk.tell())
        return Fingerprint(size, digest.hexdigest())

    def records(self, progress: Progress) -> Iterator[SourceRecord]:
        """The rows in order, including the header; empty lines are skipped. Raises FileRefused."""
        with self._unpacked() as unpacked:
            try:
                if unpacked.read(3) != _BOM:
                    unpacked.seek(0)
                # A byte that is not UTF-8 becomes a lone surrogate, which every check of a text refuses.
                text = io.TextIOWrapper(unpacked, encoding="utf-8", errors="surrogateescape", newline="")
                yield from _records(_Lines(text, lambda: progress(self._disk.tell())), self._delimiter)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise FileRefused(f"{self.path} is damaged: {error}") from error
        now = os.fstat(self._disk.fileno())
        if (now.st_size, now.st_mtime_ns) != (self._begin.st_size, self._begin.st_mtime_ns):
            raise FileRefused(f"{self.path} changed while it was read: import a copy that is not written to")

    def _unpacked(self) -> IO[bytes]:
        self._disk.seek(0)
        # A duplicate, so that closing the reader does not close the file.
        disk: IO[bytes] = os.fdopen(os.dup(self._disk.fileno()), "rb")
        return cast("IO[bytes]", _GzipSource(disk)) if self._packed else disk

    def _read(self, unpacked: IO[bytes]) -> bytes:
        try:
            return unpacked.read(_CHUNK)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise FileRefused(f"{self.path} is damaged, perhaps cut short: {error}") from error


class _GzipSource(gzip.GzipFile):
    """A gzip reader that closes its underlying file."""

    def __init__(self, disk: IO[bytes]) -> None:
        super().__init__(fileobj=disk, mode="rb")
        self._disk = disk

    def close(self) -> None:
        super().close()
        self._disk.close()


def _logical_name(path: Path, *, packed: bool) -> str:
    name = path.name
    if packed and name.lower().endswith(".gz"):
        name = name[:-3]
    name = unicodedata.normalize("NFC", name)
    fault = code_fault(name)
    if fault is not None:
        raise FileRefused(f"{path} has a name that cannot be part of a row's key ({fault}): rename it")
    return name


class _Lines:
    """The lines of a text; those of the current record are kept, so that a malformed record can be unread."""

    def __init__(self, text: IO[str], progress: Callable[[], None]) -> None:
        self._text = text
        self._progress = progress
        self.consumed: list[str] = []
        self._unread: list[str] = []

    def __iter__(self) -> Iterator[str]:
        consumed, unread_lines = self.consumed, self._unread
        while True:
            if unread_lines:
                line = unread_lines.pop()
                consumed.append(line)
                yield line
                continue
            for number, line in enumerate(self._text):
                consumed.append(line)
                yield line
                if not number & 0x3FF:
                    self._progress()
                if unread_lines:
                    break
            else:
                return

    def unread(self) -> str:
        """Unread all lines of the record but its first, which is returned."""
        first = self.consumed[0]
        self._unread.extend(reversed(self.consumed[1:]))
        self.consumed.clear()
        return first


def _records(lines: _Lines, delimiter: str) -> Iterator[SourceRecord]:
    number = 1
    rows = csv.reader(iter(lines), delimiter=delimiter, strict=True)
    consumed = lines.consumed
    while True:
        try:
            for cells in rows:
                if cells:
                    yield SourceRecord(number, cells, None)
                number += len(consumed)
                consumed.clear()
            return
        except csv.Error as error:
            # An unclosed quote consumes the lines after it: only the first is rejected, the others are read again.
            yield SourceRecord(number, [lines.unread().rstrip("\r\n")], f"not CSV: {error}")
            number += 1
            rows = csv.reader(iter(lines), delimiter=delimiter, strict=True)


def read_lookup(path: Path, key: str, delimiter: str) -> LookupTable:
    """A lookup file, whole, by its column `key`. Raises FileRefused: unreadable, a key twice, too many rows."""
    try:
        with SourceFile(path, delimiter) as file:
            records = file.records(lambda _: None)
            header = next(records, None)
            if header is None or key not in header.cells:
                raise FileRefused(f"{path} has no column {key!r}")
            place, rows = header.cells.index(key), dict[str, Sequence[str]]()
            for record in records:
                if record.fault is not None or len(record.cells) != len(header.cells):
                    raise FileRefused(f"{path} line {record.line}: {record.fault or 'not as many cells as the header'}")
                if rows.setdefault(record.cells[place].strip(), record.cells) is not record.cells:
                    raise FileRefused(f"{path} line {record.line}: the key {record.cells[place][:64]!r} a second time")
                if len(rows) > MAX_LOOKUP_ROWS:
                    raise FileRefused(f"{path} has more than {MAX_LOOKUP_ROWS} rows: split it and the file it is for")
            return LookupTable(header.cells, rows, path.name)
    except OSError as error:
        raise FileRefused(f"{path} cannot be read: {error.strerror}") from error
