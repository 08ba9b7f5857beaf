"""A private copy of a file's bytes: what is fingerprinted is, by construction, what is read."""

from __future__ import annotations

import errno
import hashlib
import io
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Final, NamedTuple, Self, cast

from branch_node.imports.files.file_kinds import FileFault
from branch_node.imports.files.text_encoding import TextEncoding

if TYPE_CHECKING:
    from hashlib import _Hash

CHUNK: Final = 1 << 20
IN_MEMORY: Final = 4 << 20
"""Bytes of a copy that are kept in memory; beyond, it is a file without a name in the folder given."""

MAX_BYTES: Final = 64 << 30
"""Bytes of a copy at most: a compressed file may unpack to any size."""


class Fingerprint(NamedTuple):
    """The identity of a file's content: the size in bytes and the SHA-256, in hex, of the unpacked bytes."""

    size: int
    sha256: str


class Prefix(NamedTuple):
    """The first bytes of a file: their SHA-256 in hex, and whether they end at the end of a line."""

    sha256: str
    ends_line: bool


class Spool:
    """Bytes that are written once, in order, and then read from any place. Raises FileFault for a full disk."""

    def __init__(self, folder: Path | None) -> None:
        self.size = 0
        self._folder = folder
        try:
            # Without a name from the beginning, so that nothing is left behind, however the process ends.
            self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY, dir=None if folder is None else str(folder))  # noqa: SIM115
        except OSError as error:
            raise self._refused(error) from error

    def write(self, chunk: bytes) -> int:
        try:
            self._file.write(chunk)
        except OSError as error:
            raise self._refused(error) from error
        self.size += len(chunk)
        return len(chunk)

    def read_at(self, place: int, size: int) -> bytes:
        """Up to `size` bytes from `place`; fewer only at the end."""
        self._file.seek(place)
        return self._file.read(size)

    def as_file(self) -> IO[bytes]:
        """The whole as a file to seek in; not while `read_at` is used."""
        self._file.seek(0)
        return cast("IO[bytes]", self._file)

    def close(self) -> None:
        self._file.close()

    def _refused(self, error: OSError) -> FileFault:
        where = "the folder for temporary files" if self._folder is None else str(self._folder)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return FileFault(f"cannot be read: the disk is full; free as many bytes as it has, unpacked, in {where}")
        return FileFault(f"cannot be read: {where} cannot be written to ({error.strerror or error})")


class _Stretch(io.RawIOBase):
    """The bytes of a spool from `place` to before `end`, with a position of its own."""

    def __init__(self, spool: Spool, place: int, end: int, progress: Callable[[int], None]) -> None:
        super().__init__()
        self._spool, self._place, self._end, self._progress = spool, place, end, progress

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    # The buffer is any writable object of bytes.
    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        chunk = self._spool.read_at(self._place, min(len(buffer), self._end - self._place))
        buffer[: len(chunk)] = chunk
        self._place += len(chunk)
        self._progress(self._place)
        return len(chunk)


class FileCopy:
    """A copy of a text file, and how much of it counts: `cut` takes the end off, which is left for next time.

    Bounded memory, whatever the file's size. Close it, or use it as a context.
    """

    def __init__(self, spool: Spool, encoding: TextEncoding) -> None:
        self.encoding = encoding
        self._spool = spool
        self._digest = hashlib.sha256()
        self._lines_end, self._lines_digest = 0, self._digest.copy()
        self._fingerprint: Fingerprint | None = None
        self._cut_away = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._spool.close()

    def write(self, chunk: bytes) -> int:
        """Append a chunk, which is of whole megabytes but for the last: so no character's unit is cut in two."""
        begin = self._spool.size
        if begin + len(chunk) > MAX_BYTES:
            raise FileFault(f"has more than {MAX_BYTES >> 30} GiB unpacked: split it")
        self._spool.write(chunk)
        lines = self.encoding.last_line_end(chunk)
        if lines:
            self._digest.update(memoryview(chunk)[:lines])
            self._lines_end, self._lines_digest = begin + lines, self._digest.copy()
        self._digest.update(memoryview(chunk)[lines:])
        return len(chunk)

    @property
    def size(self) -> int:
        """The number of bytes that count."""
        return self._spool.size - self._cut_away

    @property
    def lines_end(self) -> int:
        """The number of bytes up to and with the last line end; below `size` where the last line has none."""
        return self._lines_end

    @property
    def cut_away(self) -> int:
        """The number of bytes that were copied and are left for next time."""
        return self._cut_away

    def fingerprint(self) -> Fingerprint:
        """The identity of the bytes that count."""
        if self._fingerprint is None:
            self._fingerprint = Fingerprint(self.size, self._digest.hexdigest())
        return self._fingerprint

    def cut_last_line(self) -> None:
        """Leave out the last line, which has no line end."""
        self._cut_away = self._spool.size - self._lines_end
        self._fingerprint = Fingerprint(self._lines_end, self._lines_digest.hexdigest())

    def cut(self, end: int) -> None:
        """Leave out what is behind the byte `end`, the end of a line."""
        sha256 = self.prefixes([end])[end].sha256
        self._cut_away = self._spool.size - end
        self._lines_end = end
        self._fingerprint = Fingerprint(end, sha256)

    def prefixes(self, sizes: Iterable[int]) -> dict[int, Prefix]:
        """By size in bytes, the beginnings of the bytes that count; sizes that it does not have are left out.

        One pass up to the largest. The end of a line is before or behind the line end itself, so that a file whose
        last line had none is continued by one that goes on with it. The whole file ends a line in any case.
        """
        found: dict[int, Prefix] = {}
        digest, place = hashlib.sha256(), 0
        for size in sorted({each for each in sizes if 0 <= each <= self.size}):
            place = self._digest_up_to(digest, place, size)
            found[size] = Prefix(digest.hexdigest(), self._ends_line(size))
        return found

    def _digest_up_to(self, digest: _Hash, place: int, end: int) -> int:
        while place < end:
            chunk = self._spool.read_at(place, min(CHUNK, end - place))
            digest.update(chunk)
            place += len(chunk)
        return end

    def _ends_line(self, place: int) -> bool:
        ends = self.encoding.line_ends
        unit = len(ends[0])
        if place % unit:
            return False
        before = self._spool.read_at(max(0, place - unit), unit) if place else b""
        return place == self.size or before in ends or self._spool.read_at(place, unit) in ends

    def is_inside_line_end(self, place: int) -> bool:
        """Whether `place` is between the carriage return and the line feed of one line end."""
        feed, carriage_return = self.encoding.line_ends
        unit = len(feed)
        return place >= unit and self._spool.read_at(place - unit, 2 * unit) == carriage_return + feed

    def open_bytes(self, begin: int, end: int, progress: Callable[[int], None]) -> IO[bytes]:
        """A reader of its own from `begin` to before `end`; `progress` is called with how far it has come."""
        raw = _Stretch(self._spool, begin, end, progress)
        return cast("IO[bytes]", io.BufferedReader(raw, 1 << 16))
