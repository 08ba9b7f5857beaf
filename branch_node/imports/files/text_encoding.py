"""The text encoding of a file: by its byte order mark, by its map, else UTF-8; and decoding from any place."""

from __future__ import annotations

import codecs
import io
import re
from encodings.aliases import aliases
from typing import IO, Final, NamedTuple

from branch_node.imports.files.file_kinds import FileFault
from shared.runtime.text.nearest_codes import Candidate, nearest_codes
from shared.runtime.text.printable import printable_line

UTF_8: Final = "utf-8"
_ERRORS: Final = "larder-undecodable"
# The longest first: UTF-32's mark begins with that of UTF-16.
_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, UTF_8),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Text encodings of Python that no file is written in: of host names and source code, and one that always fails.
_NO_FILES: Final = frozenset({"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined"})
# Names that say nothing about the byte order, and what they are without a byte order mark.
_ORDERS: Final = {"utf-16": "utf-16-le", "utf-32": "utf-32-le", "utf-8-sig": UTF_8}
# So many bytes of a file without a byte order mark tell whether it is UTF-16.
_JUDGED_BYTES: Final = 4_096
_LEAST_ZEROS: Final = 4
_UNDECODED: Final = re.compile("[\ud800-\udfff]")


def encoding_fault(name: str) -> str | None:
    """Why `name` is no encoding of a text file; None where it is."""
    try:
        codec = codecs.lookup(name)
    except (LookupError, ValueError, UnicodeError):
        names = [Candidate(each) for each in sorted({*aliases, *aliases.values()})]
        near = nearest_codes(name.replace("-", "_"), names)
        known = f"; nearest are {', '.join(near)}" if near else ""
        return f"{printable_line(name)[:40]!r} is no encoding; usual are utf-8, utf-16, cp1252, iso-8859-1{known}"
    if not _is_text(codec) or codec.name in _NO_FILES:
        return f"{name!r} is no encoding of a text file; usual are utf-8, utf-16, cp1252, iso-8859-1"
    return None


def _is_text(codec: codecs.CodecInfo) -> bool:
    """Whether a codec is between texts and bytes, as base64 is not, and writes a line as a line."""
    try:
        return "a,1\n".encode(codec.name).decode(codec.name) == "a,1\n"
    except (LookupError, ValueError, AssertionError, TypeError):
        return False


class TextEncoding(NamedTuple):
    """A codec whose byte order is known, and the size in bytes of the byte order mark at the file's beginning."""

    codec: str
    mark_bytes: int

    @property
    def line_ends(self) -> tuple[bytes, bytes]:
        """Line feed and carriage return, encoded; both have the size of a character's smallest unit."""
        return "\n".encode(self.codec), "\r".encode(self.codec)

    def last_line_end(self, chunk: bytes) -> int:
        """The number of bytes of `chunk`, which begins at a whole unit, up to and with its last line end; 0: none."""
        return max(self._last(chunk, end) for end in self.line_ends)

    def _last(self, chunk: bytes, end: bytes) -> int:
        place = chunk.rfind(end)
        while place > 0 and place % len(end):
            # Two halves of neighbouring units, which only look like a line end.
            place = chunk.rfind(end, 0, place + len(end) - 1)
        return place + len(end) if place >= 0 and not place % len(end) else 0

    def open_text(self, raw: IO[bytes]) -> io.TextIOWrapper:
        """A reader of `raw`, which begins behind the mark or at a line; line ends stay as they are.

        A byte that cannot be decoded becomes a lone surrogate; `undecoded` finds it.
        """
        codecs.register_error(_ERRORS, _lone_surrogates)
        return io.TextIOWrapper(raw, encoding=self.codec, errors=_ERRORS, newline="")

    def encoded_size(self, text: str) -> int:
        """The size in bytes of a text that was read by `open_text`."""
        decoded = _UNDECODED.sub("", text)
        # Each byte that could not be decoded is one lone surrogate.
        return len(decoded.encode(self.codec)) + len(text) - len(decoded)


def find_encoding(head: bytes, given: str | None) -> TextEncoding:
    """The encoding of a file that begins with `head`; `given` by the map. Raises FileFault where they contradict."""
    mark, marked = next(((mark, codec) for mark, codec in _MARKS if head.startswith(mark)), (b"", None))
    if given is None:
        if marked is None and (order := unmarked_utf16(head)):
            raise FileFault(f'is UTF-16 without a byte order mark: say encoding = "{order}" in the map')
        return TextEncoding(marked or UTF_8, len(mark))
    name = codecs.lookup(given).name
    if marked is None:
        return TextEncoding(_ORDERS.get(name, name), 0)
    if marked not in (name, f"{name}-le", f"{name}-be") and (marked, name) != (UTF_8, "utf-8-sig"):
        raise FileFault(
            f'begins with the byte order mark of {marked.upper()}, the map says encoding = "{given}": '
            "take encoding out of the map"
        )
    return TextEncoding(marked, len(mark))


def undecoded(text: str) -> str | None:
    """The bytes of `text`, as `0xE9`, that could not be decoded; None where all could."""
    if text.isascii():
        return None
    found = _UNDECODED.search(text)
    return None if found is None else f"0x{ord(found[0]) & 0xFF:02X}"


def unmarked_utf16(head: bytes) -> str | None:
    """The byte order of a text in UTF-16: its delimiters, digits and line ends are a zero byte each, on one side.

    Of the characters of other scripts few have a zero byte, and those on the other side; a text in another encoding
    has none at all.
    """
    start = head[:_JUDGED_BYTES]
    zeros = {"utf-16-be": start[::2].count(0), "utf-16-le": start[1::2].count(0)}
    fewer, more = sorted(zeros.values())
    if more < _LEAST_ZEROS or 20 * more < len(start) // 2 or 3 * fewer > more:
        return None
    return max(zeros, key=lambda order: zeros[order])


def _lone_surrogates(error: UnicodeError) -> tuple[str, int]:
    """An error handler for decoding: bytes from 0x80 as Python's surrogateescape has them, others as 0xFF."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    # One byte at a time, so that a line end behind a broken character stays one; in units of two or four all of it.
    end = error.end if error.encoding.startswith(("utf-16", "utf-32")) else error.start + 1
    bad = error.object[error.start : end]
    return "".join(chr(0xDC00 + byte) if byte >= 0x80 else "\udcff" for byte in bad), end
