"""The bounds of a workbook, looked at in its zip before a library builds trees of its XML.

The library keeps a row, a shared text and each small part whole in memory; a few kilobytes can unpack to gigabytes.
"""

from __future__ import annotations

import re
import zipfile
from typing import Final

from branch_node.imports.files.file_kinds import FileFault
from shared.runtime.text.printable import printable_line

MAX_UNPACKED: Final = 2 << 30
"""Bytes of all the parts, unpacked."""

MAX_TEXT: Final = 100_000
"""Characters of a cell; a spreadsheet program keeps 32,767."""

MAX_TEXTS: Final = 2_000_000
"""Shared texts: each is kept in memory, some 100 bytes and its characters."""

_MAX_TEXTS_PART: Final = 256 << 20
_MAX_PARTS: Final = 10_000
_MAX_WHOLE_PART: Final = 16 << 20
_MAX_ROW: Final = 8 << 20
_CHUNK: Final = 1 << 16
# A character is up to ten bytes, as in &#x1F600;.
_MAX_TEXT_BYTES: Final = 10 * MAX_TEXT
_STREAMED: Final = re.compile(rb"<(?:[\w.-]+:)?(?:worksheet|sst)[\s/>]")
_STRICT: Final = b"http://purl.oclc.org/ooxml/spreadsheetml/main"
_TEXTS: Final = re.compile(rb"<(?:[\w.-]+:)?sst[\s/>]")
_STEP: Final = re.compile(rb"<(?:[\w.-]+:)?(?:row|si)[\s/>]")
_ROWS_END: Final = re.compile(rb"</(?:[\w.-]+:)?sheetData\s*>")
# A tag or two, cut by the end of a chunk.
_OVERLAP: Final = 200


def check_bounds(archive: zipfile.ZipFile) -> None:
    """Raises FileFault for what needs too much memory, or is in a format that the library reads as an empty sheet."""
    entries = archive.infolist()
    if len(entries) > _MAX_PARTS:
        raise FileFault(f"has more than {_MAX_PARTS} parts: save it as CSV")
    # zipfile gives no more bytes of a part than the size told here, whatever it unpacks to.
    if sum(entry.file_size for entry in entries) > MAX_UNPACKED:
        raise FileFault(f"unpacks to more than {MAX_UNPACKED >> 20} MiB: save it as CSV")
    for entry in entries:
        if entry.filename.lower().endswith((".xml", ".rels")) and "/pivotCache/" not in entry.filename:
            _check_part(archive, entry)


def _check_part(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    with archive.open(entry) as part:
        chunk = part.read(_CHUNK)
        if chunk[:2] in (b"\xfe\xff", b"\xff\xfe"):
            raise FileFault("has its XML in UTF-16: open it in a spreadsheet program and save it")
        if _STRICT in chunk:
            raise FileFault("is of the kind Strict Open XML: save it as the usual Excel workbook (.xlsx)")
        if _STREAMED.search(chunk) is None:
            if entry.file_size > _MAX_WHOLE_PART:
                raise FileFault(f"has more than {_MAX_WHOLE_PART >> 20} MiB in {_shown(entry)}: save it as CSV")
            return
        shared = _TEXTS.search(chunk) is not None
        if shared and entry.file_size > _MAX_TEXTS_PART:
            raise FileFault(f"has more than {_MAX_TEXTS_PART >> 20} MiB of texts: save it as CSV")
        text = row = texts = 0
        before = b""
        while chunk:
            first = chunk.find(b"<")
            text += len(chunk) if first < 0 else first
            if text > _MAX_TEXT_BYTES:
                raise FileFault(f"has a cell of more than {MAX_TEXT} characters")
            if first >= 0:
                text = len(chunk) - chunk.rfind(b"<")
            seen = before + chunk
            row = 0 if _STEP.search(seen) else row + len(chunk)
            if shared:
                # One that the end of a chunk cuts is not counted: there are few of them.
                texts += len(_STEP.findall(chunk))
                if texts > MAX_TEXTS:
                    raise FileFault(f"has more than {MAX_TEXTS} different texts: save it as CSV")
            if row > _MAX_ROW:
                raise FileFault(f"has a row of more than {_MAX_ROW >> 20} MiB: it is no export of a till")
            if _ROWS_END.search(seen):
                # Nothing behind the rows is read.
                return
            before = seen[-_OVERLAP:]
            chunk = part.read(_CHUNK)


def _shown(entry: zipfile.ZipInfo) -> str:
    return printable_line(entry.filename)[:100]
