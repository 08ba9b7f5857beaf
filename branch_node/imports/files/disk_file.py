"""A file on disk, or standard input: the bytes that were there when it was opened, copied once, whatever their kind."""

from __future__ import annotations

import gzip
import io
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Final, Protocol

from branch_node.imports.files.file_copy import CHUNK, FileCopy, Spool
from branch_node.imports.files.file_kinds import HEAD_BYTES, OLE_MAGIC, ZIP_MAGIC, FileFault, kind_fault, ole_fault
from branch_node.imports.files.file_layout import FileLayout
from branch_node.imports.files.text_encoding import UTF_8, TextEncoding, find_encoding

STDIN: Final = Path("-")
"""The path that stands for standard input."""

_GZIP_MAGIC: Final = b"\x1f\x8b"


class DiskFile:
    """A file opened for reading, of which only the bytes count that are there now. Raises FileFault, OSError.

    `size` is their number, packed ones of a packed file; of a pipe it is 0 until it is copied. `stdin` is read instead
    of the file where it is given, and takes the place of standard input.
    """

    def __init__(self, path: Path, stdin: IO[bytes] | None = None) -> None:
        self._is_stdin = path == STDIN or stdin is not None
        if not self._is_stdin and path.is_dir():
            raise FileFault("is a folder: give a file in it")
        self._disk = (stdin or sys.stdin.buffer) if self._is_stdin else path.open("rb")
        begin = None if self._is_stdin else os.fstat(self._disk.fileno())
        # None for a pipe: it is read to its end, and cannot be looked at twice.
        self._begin = begin if begin is not None and stat.S_ISREG(begin.st_mode) else None
        self.size = 0 if self._begin is None else self._begin.st_size
        self._head = self._disk.read(HEAD_BYTES if self._begin is None else min(HEAD_BYTES, self.size))
        self.is_packed = self._head.startswith(_GZIP_MAGIC)
        self.is_workbook = False

    def beginning(self, most: int) -> bytes:
        """The first bytes, unpacked, at most `most`; call it once, and not `copy`. Raises FileFault."""
        source = _Source(self._disk, self._head, None if self._begin is None else self.size)
        unpacked: _ChunkReader = gzip.GzipFile(fileobj=source, mode="rb") if self.is_packed else source
        found = bytearray()
        while len(found) < most and (chunk := unpacked.read(min(CHUNK, most - len(found)))):
            found += chunk
        if not found:
            raise FileFault("is empty")
        return bytes(found)

    def close(self) -> None:
        if not self._is_stdin:
            self._disk.close()

    def has_grown(self) -> bool:
        return self._begin is not None and self._size_now() > self._begin.st_size

    def unread_bytes(self, copy: FileCopy) -> int:
        """How many bytes there are now that `copy` leaves out; those that were packed meanwhile are not counted."""
        if self._begin is None or self.is_packed or self.is_workbook:
            return copy.cut_away
        return max(self._size_now() - copy.size, 0)

    def _size_now(self) -> int:
        return os.fstat(self._disk.fileno()).st_size

    def copy(self, layout: FileLayout, folder: Path | None, progress: Callable[[int], None]) -> FileCopy:
        """Copy the text, or the rows of a workbook's sheet; call it once. A last line being written is left out."""
        source = _Source(self._disk, self._head, None if self._begin is None else self.size)
        unpacked: _ChunkReader = gzip.GzipFile(fileobj=source, mode="rb") if self.is_packed else source
        first = unpacked.read(CHUNK)
        if not first:
            raise FileFault("is empty")
        if first.startswith(OLE_MAGIC):
            raise FileFault(ole_fault(_directory(first, unpacked)))
        fault = kind_fault(first[:HEAD_BYTES])
        if fault is not None:
            raise FileFault(fault)
        self.is_workbook = first.startswith(ZIP_MAGIC)
        self.layout = layout = layout.for_file(first)
        encoding = TextEncoding(UTF_8, 0) if self.is_workbook else find_encoding(first, layout.encoding)
        copy = FileCopy(Spool(folder), encoding)
        try:
            if self.is_workbook:
                self._copy_sheet(_chunks(first, unpacked), copy, layout, folder, progress)
            else:
                _copy_text(_chunks(first, unpacked), copy, lambda: progress(source.place))
            self._check_end(copy)
        except BaseException:
            copy.close()
            raise
        self.size = self.size or source.place
        return copy

    def _copy_sheet(
        self,
        chunks: Iterable[bytes],
        copy: FileCopy,
        layout: FileLayout,
        folder: Path | None,
        progress: Callable[[int], None],
    ) -> None:
        # openpyxl takes 0.2 seconds and 20 MB to load: an import of a CSV does not pay for it.
        from branch_node.imports.files.sheet_rows import write_rows
        from branch_node.imports.files.workbook import Workbook

        raw = Spool(folder)
        try:
            for chunk in chunks:
                raw.write(chunk)
            size = self.size or raw.size
            with Workbook(raw.as_file()) as workbook:
                write_rows(
                    workbook,
                    layout.sheet,
                    copy.write,
                    lambda share: progress(int(share * size)),
                    *(() if layout.most_rows is None else (layout.most_rows,)),
                )
        finally:
            raw.close()
        if copy.size == 0:
            raise FileFault('has nothing in its sheet; the map can say sheet = "Name"')

    def _check_end(self, copy: FileCopy) -> None:
        """Leave out a last line that is still being written."""
        if self._begin is None:
            return
        now, begin = os.fstat(self._disk.fileno()), self._begin
        if now.st_size < begin.st_size or (now.st_size == begin.st_size and now.st_mtime_ns != begin.st_mtime_ns):
            raise FileFault("changed while it was read: import a copy that is not written to")
        if now.st_size > begin.st_size and copy.lines_end < copy.size:
            if copy.lines_end == 0:
                raise FileFault("is still being written, and has no whole line yet: import it later")
            copy.cut_last_line()


class _ChunkReader(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Source(io.RawIOBase):
    """The bytes of a file that were there when it was opened: the head, read already, and up to `size` in all."""

    def __init__(self, disk: IO[bytes], head: bytes, size: int | None) -> None:
        super().__init__()
        self.place = 0
        self._disk, self._head = disk, head
        self._left = None if size is None else size - len(head)

    def read(self, size: int = -1, /) -> bytes:
        if size < 0:
            raise io.UnsupportedOperation("read in chunks")
        chunk, self._head = self._head[:size], self._head[size:]
        wanted = size - len(chunk)
        if self._left is not None:
            wanted = min(wanted, self._left)
        more = self._disk.read(wanted) if wanted else b""
        if self._left is not None:
            self._left -= len(more)
        self.place += len(chunk) + len(more)
        return chunk + more


def _chunks(first: bytes, unpacked: _ChunkReader) -> Iterator[bytes]:
    chunk = first
    while chunk:
        yield chunk
        chunk = unpacked.read(CHUNK)


def _copy_text(chunks: Iterable[bytes], copy: FileCopy, report: Callable[[], None]) -> None:
    for chunk in chunks:
        if len(chunk) == CHUNK and not copy.encoding.last_line_end(chunk):
            raise FileFault(f"has a line of more than {CHUNK} bytes: it is no CSV file")
        copy.write(chunk)
        report()


def _directory(first: bytes, unpacked: _ChunkReader) -> bytes:
    """The part of an OLE file that holds its directory, as far as its first sector is to be found."""
    sector = int.from_bytes(first[48:52], "little")
    place = (sector + 1) << min(int.from_bytes(first[30:32], "little"), 12)
    content, passed = first, 0
    while content and place >= passed + len(content):
        passed += len(content)
        content = unpacked.read(CHUNK)
    begin = place - passed
    return (content + unpacked.read(HEAD_BYTES))[begin : begin + HEAD_BYTES]
