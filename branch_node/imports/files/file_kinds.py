"""Why a file is not imported: its kind is another one, told by its first bytes, and what to do instead."""

from __future__ import annotations

import re
from typing import Final

HEAD_BYTES: Final = 4_096
"""How many of a file's first bytes tell its kind."""

ZIP_MAGIC: Final = b"PK\x03\x04"
_EMPTY_ZIP: Final = b"PK\x05\x06"
OLE_MAGIC: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


class FileRefused(Exception):
    """The file cannot be imported as it is; the text gives the reason and what to do."""


class FileFault(Exception):
    """The reason of a FileRefused, to be read behind the file's name: `is a PDF: ...`."""


_PACKED: Final = (
    (b"BZh", "packed with bzip2"),
    (b"\xfd7zXZ\x00", "packed with xz"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a rar archive"),
    (b"\x1f\x8b", "packed with gzip twice"),
    (_EMPTY_ZIP, "an empty zip archive"),
)
_SAVE_AS: Final = "open it in a spreadsheet program and save it as XLSX or as CSV"


def kind_fault(head: bytes) -> str | None:
    """What a file that begins with `head` is instead of a CSV file or a zip, and what to do; None for any other."""
    for magic, kind in _PACKED:
        if head.startswith(magic):
            return f"is {kind}: unpack it and import the file inside"
    if head.startswith(b"%PDF-"):
        return "is a PDF: export the sales as CSV or XLSX from the till instead"
    if head.startswith(OLE_MAGIC):
        return f"is an old Excel workbook (.xls): {_SAVE_AS}"
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1_024].lower()
    if re.match(rb"<(!doctype html|html|head|body|table|meta|style|div)\b", start) or (
        start.startswith(b"<?xml") and b"<html" in start
    ):
        return f"is a web page (HTML), whatever its name says: {_SAVE_AS}"
    if start.startswith(b"<?xml"):
        return f"is XML, whatever its name says: {_SAVE_AS}"
    return None


def ole_fault(directory: bytes) -> str:
    """As `kind_fault`, of an OLE file with this directory: an encrypted workbook, or an old one."""
    if "EncryptedPackage".encode("utf-16-le") in directory:
        return "is protected with a password: open it in a spreadsheet program, remove the password and save it"
    if "WordDocument".encode("utf-16-le") in directory:
        return "is an old Word document: export the sales as CSV or XLSX from the till instead"
    return f"is an old Excel workbook (.xls): {_SAVE_AS}"


def archive_fault(names: list[str], mimetype: bytes) -> str:
    """What a zip that is no XLSX workbook is, by the names in it and the content of its part `mimetype`."""
    if mimetype.startswith(b"application/vnd.oasis.opendocument.spreadsheet"):
        return f"is an OpenDocument spreadsheet (.ods): {_SAVE_AS}"
    if mimetype.startswith(b"application/vnd.oasis.opendocument") or "word/document.xml" in names:
        return "is a text document: export the sales as CSV or XLSX from the till instead"
    if "xl/workbook.bin" in names:
        return f"is a binary Excel workbook (.xlsb): {_SAVE_AS}"
    if any(name.startswith("Index/") and name.endswith(".iwa") for name in names):
        return f"is a Numbers spreadsheet: {_SAVE_AS}"
    return "is a zip archive: unpack it and import the file inside"
