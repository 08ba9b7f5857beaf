"""Files of other kinds: one clear word each, and what to do."""

import bz2
import gzip
import io
import lzma
import zipfile
from pathlib import Path

import pytest

from branch_node.imports.source_file import FileLayout, FileRefused, SourceFile


def a_zip(parts: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return out.getvalue()


def an_ole(entry: str) -> bytes:
    """An OLE file of 512-byte sectors whose directory, in sector 9, has one entry."""
    head = bytearray(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 504)
    head[30:32] = (9).to_bytes(2, "little")
    head[48:52] = (9).to_bytes(4, "little")
    return bytes(head) + b"\0" * 9 * 512 + entry.encode("utf-16-le").ljust(512, b"\0")


KINDS = {
    "zip": (a_zip({"sales.csv": b"id\n1\n"}), "is a zip archive: unpack it"),
    "empty zip": (a_zip({}), "is an empty zip archive"),
    "ods": (
        a_zip({"mimetype": b"application/vnd.oasis.opendocument.spreadsheet", "content.xml": b"<a/>"}),
        r"OpenDocument spreadsheet \(.ods\): open it in a spreadsheet program and save it",
    ),
    "docx": (a_zip({"word/document.xml": b"<a/>"}), "is a text document"),
    "xlsb": (a_zip({"xl/workbook.bin": b""}), r"binary Excel workbook \(.xlsb\)"),
    "xls": (an_ole("Workbook"), r"old Excel workbook \(.xls\)"),
    "encrypted": (an_ole("EncryptedPackage"), "protected with a password"),
    "html": (b"\r\n <HTML><table><tr><td>1</td></tr></table>", r"web page \(HTML\), whatever its name says"),
    "html of a till": (b"\xef\xbb\xbf<table border=1>", r"web page \(HTML\)"),
    "xml": (b'<?xml version="1.0"?><?mso-application progid="Excel.Sheet"?><Workbook/>', "is XML"),
    "pdf": (b"%PDF-1.7\n", "is a PDF"),
    "bz2": (bz2.compress(b"id\n"), "packed with bzip2: unpack it"),
    "xz": (lzma.compress(b"id\n"), "packed with xz"),
    "gzip in gzip": (gzip.compress(gzip.compress(b"id\n")), "packed with gzip twice"),
    "empty gzip": (gzip.compress(b""), "is empty"),
    "damaged zip": (a_zip({"a": b"x" * 999})[:-30], "is a damaged workbook or archive"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_another_kind(tmp_path: Path, kind: str) -> None:
    content, why = KINDS[kind]
    path = tmp_path / "sales.csv"
    path.write_bytes(content)
    with SourceFile(path) as file, pytest.raises(FileRefused, match=why):
        file.fingerprint()


def test_a_folder_and_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="is a folder"):
        SourceFile(tmp_path)
    with pytest.raises(FileRefused, match=r"none\.csv cannot be read: No such file"):
        SourceFile(tmp_path / "none.csv")


def test_what_a_file_holds_reaches_no_terminal(tmp_path: Path) -> None:
    path = tmp_path / "a\x1b[2J.csv"
    path.write_bytes(b"id\n")
    with pytest.raises(FileRefused, match=r"a\\x1b\[2J.csv has a name"):
        SourceFile(path)
    path = tmp_path / "a.csv"
    path.write_bytes(b"sep=\x1b\nid\n")
    with SourceFile(path, ";") as file, pytest.raises(FileRefused) as refused:
        file.fingerprint()
    assert "\x1b" not in str(refused.value)


def test_a_header_of_one_name_many_times_is_named_at_once() -> None:
    """A number is tried once for each name, not once for each column before it."""
    names = FileLayout().header_names(["a"] * 20_000)
    assert (names[1], names[-1], len(set(names))) == ("a (2)", "a (20000)", 20_000)
    assert FileLayout().header_names(["a", "a (2)", "a", "a"]) == ["a", "a (2)", "a (3)", "a (4)"]
