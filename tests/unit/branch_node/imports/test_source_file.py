"""The file of an import: fingerprint, rows with their lines, rejects."""

import csv
import errno
import gzip
import hashlib
import io
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from branch_node.imports.reject_files import Rejects
from branch_node.imports.source_file import (
    STDIN,
    FileLayout,
    FileRefused,
    Fingerprint,
    ReadingPosition,
    SourceFile,
    SourceRecord,
    read_lookup,
)


def a_file(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def records(path: Path, delimiter: str | None = None) -> list[SourceRecord]:
    with SourceFile(path, delimiter) as file:
        return list(file.records(lambda _: None))


def fingerprint(path: Path) -> Fingerprint:
    with SourceFile(path) as file:
        return file.fingerprint(lambda _: None)


def test_the_same_rows_however_they_are_kept(tmp_path: Path) -> None:
    plain = b'id,name\n1,caf\xc3\xa9\n2,"two\nlines"\n\n3,x\n'
    expected = [
        SourceRecord(1, ["id", "name"], None), SourceRecord(2, ["1", "café"], None),
        SourceRecord(3, ["2", "two\nlines"], None),
        SourceRecord(6, ["3", "x"], None),
    ]  # fmt: skip
    assert records(a_file(tmp_path / "a.csv", plain)) == expected
    assert records(a_file(tmp_path / "b.csv", b"\xef\xbb\xbf" + plain)) == expected
    assert records(a_file(tmp_path / "c.csv.gz", gzip.compress(plain, mtime=0))) == expected
    assert records(a_file(tmp_path / "d.csv", plain.rstrip(b"\n"))) == expected
    crlf = records(a_file(tmp_path / "e.csv", plain.replace(b"\n", b"\r\n")))
    assert [(each.line, each.cells[0]) for each in crlf] == [(each.line, each.cells[0]) for each in expected]


def test_packing_a_file_does_not_make_it_another(tmp_path: Path) -> None:
    content = b"id\n" + b"1\n" * 50_000
    plain, packed = (
        a_file(tmp_path / "sales.csv", content),
        a_file(tmp_path / "sales.csv.gz", gzip.compress(content, mtime=0)),
    )
    assert fingerprint(plain) == fingerprint(packed) == Fingerprint(len(content), hashlib.sha256(content).hexdigest())
    with SourceFile(plain) as one, SourceFile(packed) as other:
        assert one.name == other.name == "sales.csv"
        assert other.bytes_on_disk < one.bytes_on_disk


def test_progress_ends_at_the_end(tmp_path: Path) -> None:
    path = a_file(tmp_path / "a.csv.gz", gzip.compress(b"1,2\n" * 300_000, mtime=0))
    told: list[int] = []
    with SourceFile(path) as file:
        file.fingerprint(told.append)
        assert told == sorted(told)
        assert told[-1] == file.bytes_on_disk
        told.clear()
        assert sum(1 for _ in file.records(told.append)) == 300_000
        assert len(told) > 15
        assert told == sorted(told)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.csv", b"", "a.csv is empty"),
        ("a.csv.gz", gzip.compress(b"id\n" * 9_999, mtime=0)[:-20], "damaged, perhaps cut short"),
        ("a.csv.gz", gzip.compress(b"id\n" * 9_999, mtime=0)[:-4] + b"\0\0\0\0", "damaged"),
        ("a.csv", b"x" * (3 << 20), "line of more than"),
        ("a\u200b.csv", b"id\n", "zero-width"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, name: str, content: bytes, why: str) -> None:
    with pytest.raises(FileRefused, match=why):
        fingerprint(a_file(tmp_path / name, content))


def grow(path: Path, content: bytes) -> None:
    with path.open("ab") as more:
        more.write(content)


def test_a_file_that_grows_while_it_is_read_is_read_as_it_was(tmp_path: Path) -> None:
    path = a_file(tmp_path / "a.csv", b"id\n1\n")
    with SourceFile(path) as file:
        before = file.fingerprint()
        rows = file.records()
        next(rows)
        grow(path, b"2\n3\n")
        assert [each.cells for each in rows] == [["1"]]
        assert file.fingerprint() == before == Fingerprint(5, hashlib.sha256(b"id\n1\n").hexdigest())
        assert (file.end, file.lines, file.unread_bytes) == (ReadingPosition(5, 3), 2, 4)


@pytest.mark.parametrize("packed", [False, True])
def test_a_last_line_that_is_being_written_is_left_for_next_time(tmp_path: Path, packed: bool) -> None:
    content = b'id,n\n1,x\n2,"a\nb'
    path = a_file(tmp_path / "a.csv", gzip.compress(content, mtime=0) if packed else content)
    with SourceFile(path) as file:
        file.fingerprint()
        grow(path, gzip.compress(b'c"\n') if packed else b'c"\n')
        assert [each.cells for each in file.records()] == [["id", "n"], ["1", "x"]]
        assert file.fingerprint() == Fingerprint(9, hashlib.sha256(b"id,n\n1,x\n").hexdigest())
        assert file.end == ReadingPosition(9, 3)
        assert file.unread_bytes == (6 if packed else 9)
        end = file.end
    with SourceFile(path) as file:
        assert file.sha256_of_first(end.offset) == (hashlib.sha256(b"id,n\n1,x\n").hexdigest(), True)
        assert list(file.records(start=end)) == [SourceRecord(3, ["2", "a\nbc"], None)]


def test_a_file_that_grew_before_it_was_copied_is_cut_at_its_last_line(tmp_path: Path) -> None:
    path = a_file(tmp_path / "a.csv", b"id\n1\n23")
    with SourceFile(path) as file:
        grow(path, b"4\n")
        assert file.fingerprint().size == 5
        assert [each.cells for each in file.records()] == [["id"], ["1"]]
        assert file.unread_bytes == 4
    with SourceFile(a_file(path, b"id")) as file:
        grow(path, b"entity")
        with pytest.raises(FileRefused, match="still being written, and has no whole line yet"):
            file.fingerprint()


def test_a_file_that_is_written_anew_while_it_is_copied(tmp_path: Path) -> None:
    path = a_file(tmp_path / "a.csv", b"id\n1\n")
    with SourceFile(path) as file:
        a_file(path, b"id\n")
        with pytest.raises(FileRefused, match="changed while it was read"):
            file.fingerprint()


def test_quotes_that_are_open_at_the_end_of_every_line_are_bounded(tmp_path: Path) -> None:
    # Each line closes the quote of the one before and opens another, so that no cell is long and no record ends.
    found = records(a_file(tmp_path / "a.csv", b"id,name\n" + b'1","\n' * 1_500 + b"2,x\n"))
    assert [each.line for each in found] == list(range(1, 1_503))
    faults = [each.fault for each in found]
    assert faults[1] == "not CSV: a record of more than 1000 lines, so a quote is not closed"
    assert None not in faults[1:-1]
    assert found[-1] == SourceRecord(1_502, ["2", "x"], None)


def test_a_cell_of_many_lines_is_read(tmp_path: Path) -> None:
    cell = "a\n" * 999
    assert records(a_file(tmp_path / "a.csv", f'id,name\n1,"{cell}"\n'.encode()))[1].cells == ["1", cell]


def test_an_unclosed_quote_costs_one_line(tmp_path: Path) -> None:
    path = a_file(tmp_path / "a.csv", b'id,n\n1,"open\n2,b\n3,c"d\n4,"d"\n5,"e"x\n6,"last')
    found = records(path)
    assert [each.line for each in found] == [1, 2, 3, 4, 5, 6, 7]
    assert [each.line for each in found if each.fault] == [2, 6, 7]
    assert found[1].cells == ['1,"open']
    assert [each.cells[0] for each in found if not each.fault] == ["id", "2", "3", "4"]


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\x85\u2028\u2029"), max_size=6)
rows = st.lists(st.lists(cells, min_size=2, max_size=4), max_size=12)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows, st.sampled_from([",", ";", "\t", "|"]), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_what_was_written_is_read_with_its_lines(
    tmp_path: Path, written: list[list[str]], delimiter: str, end: str, packed: bool
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end)
    lines: list[int] = []
    for each in written:
        lines.append(text.getvalue().count("\n") + 1)
        writer.writerow(each)
    content = text.getvalue().encode()
    path = a_file(tmp_path / "a.csv", gzip.compress(content, mtime=0) if packed else content)
    rows = [(line, each) for line, each in zip(lines, written, strict=True) if any(cell.strip() for cell in each)]
    if not content:
        return
    # As where the map names the columns: what is left out of a header is another test's. The encoding is given, as
    # zero bytes in cells can make the whole file look like UTF-16.
    layout = FileLayout(header=["a", "b", "c", "d"], encoding="utf-8")
    with SourceFile(path, delimiter, layout) as file:
        assert [(each.line, each.cells) for each in file.records()] == rows


HEADER = b"id,name\n"
lines = st.lists(st.lists(cells, min_size=2, max_size=2), max_size=8)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines, lines, st.sampled_from(["utf-8", "utf-16", "utf-16-be", "utf-8-sig"]), st.sampled_from(["\n", "\r\n", "\r"])
)
def test_a_beginning_and_its_continuation_are_the_whole(
    tmp_path: Path, first: list[list[str]], second: list[list[str]], encoding: str, end: str
) -> None:
    def text(rows: list[list[str]]) -> str:
        out = io.StringIO(newline="")
        csv.writer(out, lineterminator=end).writerows(rows)
        return out.getvalue()

    whole = (f"id,name{end}" + text(first + second)).encode(encoding)
    begin = (f"id,name{end}" + text(first)).encode(encoding)
    layout = FileLayout(encoding=None if encoding == "utf-16" else encoding)
    assert whole.startswith(begin)
    # With its last line end, without, or with a half of it.
    unit = len("\n".encode("utf-16-le")) if "16" in encoding else 1
    for left_out in range(len(end) + 1):
        path = a_file(tmp_path / "a.csv", begin[: len(begin) - left_out * unit])
        with SourceFile(path, ",", layout) as file:
            one = list(file.records())
            known, position = file.fingerprint(), file.end
        path = a_file(tmp_path / "other.csv", whole)
        with SourceFile(path, ",", layout) as file:
            if left_out < len(end) or second:
                assert file.sha256_of_first(known.size) == (known.sha256, True)
            both = one + list(file.records(start=position))
            assert both == list(file.records())
            assert file.fingerprint() == Fingerprint(len(whole), hashlib.sha256(whole).hexdigest())


def test_beginnings_in_one_pass(tmp_path: Path) -> None:
    content = b"id\r\n1\r\n22"
    with SourceFile(a_file(tmp_path / "a.csv", content)) as file:
        found = file.prefixes([2, 3, 4, 5, 6, 7, 8, len(content), 99])
        assert {size: each.sha256 for size, each in found.items()} == {
            size: hashlib.sha256(content[:size]).hexdigest() for size in (2, 3, 4, 5, 6, 7, 8, 9)
        }
        assert [size for size, each in found.items() if each.ends_line] == [2, 3, 4, 5, 6, 7, 9]
        assert file.sha256_of_first(99) is None


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ("id,n\n1,caf\xe9\n".encode("utf-16"), None),
        ("\ufeffid,n\n1,caf\xe9\n".encode("utf-16-be"), None),
        ("\ufeffid,n\n1,caf\xe9\n".encode("utf-16-be"), "utf-16"),
        ("id,n\n1,caf\xe9\n".encode("utf-16-le"), "utf-16"),
        ("id,n\n1,caf\xe9\n".encode("utf-32"), None),
        ("id,n\n1,caf\xe9\n".encode("cp1252"), "cp1252"),
        ("id,n\n1,caf\xe9\n".encode("cp037"), "cp037"),
        ("\ufeffid,n\n1,caf\xe9\n".encode(), "utf8"),
        ("id,n\n1,caf\xe9\n".encode("gb18030"), "gb18030"),
    ],
)
def test_encodings(tmp_path: Path, content: bytes, encoding: str | None) -> None:
    with SourceFile(a_file(tmp_path / "a.csv", content), layout=FileLayout(encoding=encoding)) as file:
        assert [each.cells for each in file.records()] == [["id", "n"], ["1", "caf\xe9"]]


@pytest.mark.parametrize(
    ("content", "encoding", "why"),
    [
        ("\ufeffid\n".encode(), "cp1252", 'byte order mark of UTF-8, the map says encoding = "cp1252"'),
        ("id\n".encode("utf-16"), "utf-8", "byte order mark of UTF-16-LE"),
        ("id,name\n".encode("utf-16-be"), None, 'say encoding = "utf-16-be"'),
        ("المنتج,الكمية,التاريخ\n001,2,٢٠٢٦\n".encode("utf-16-le"), None, 'say encoding = "utf-16-le"'),
        ("商品,数量\n牛奶,2\n".encode("utf-16-be"), None, 'say encoding = "utf-16-be"'),
        ("Āa,Ăb\nĀ,2\n".encode("utf-16-le"), None, 'say encoding = "utf-16-le"'),
    ],
)
def test_encodings_that_contradict(tmp_path: Path, content: bytes, encoding: str | None, why: str) -> None:
    with (
        SourceFile(a_file(tmp_path / "a.csv", content), layout=FileLayout(encoding=encoding)) as file,
        pytest.raises(FileRefused, match=why),
    ):
        file.fingerprint()


@pytest.mark.parametrize(
    ("content", "encoding", "byte"),
    [
        (b"id,n\n1,caf\xe9\n2,b\n", None, "0xE9"),
        (b"id,n\n1,\x81\n2,b\n", "cp1252", "0x81"),
        (b"id,n\n1,\xe9\n2,b\n", "shift_jis", "0xE9"),
        ("id,n\n1,".encode("utf-16") + b"\x3d\xd8" + "\n2,b\n".encode("utf-16-le"), None, "0xFF"),
    ],
)
def test_a_byte_that_cannot_be_decoded_costs_its_row(
    tmp_path: Path, content: bytes, encoding: str | None, byte: str
) -> None:
    with SourceFile(a_file(tmp_path / "a.csv", content), layout=FileLayout(encoding=encoding)) as file:
        header, bad, good = file.records()
    assert bad.fault is not None
    assert byte in bad.fault
    assert (header.fault, good.fault, good.cells) == (None, None, ["2", "b"])


def test_blank_lines_are_no_rows_and_empty_columns_at_the_end_are_none(tmp_path: Path) -> None:
    path = a_file(tmp_path / "a.csv", b"id,n,,\n1,a,,\n , ,,\n\n2,b\n,,,\n3,c, ,x\n")
    assert records(path) == [
        SourceRecord(1, ["id", "n"], None),
        SourceRecord(2, ["1", "a"], None),
        SourceRecord(5, ["2", "b"], None),
        SourceRecord(7, ["3", "c", " ", "x"], None),
    ]


def test_titles_before_the_header(tmp_path: Path) -> None:
    path = a_file(tmp_path / "a.csv", b'Sales of "May\n\n id , n\n1,a\n')
    with SourceFile(path, layout=FileLayout(header_line=3)) as file:
        assert list(file.records()) == [SourceRecord(3, ["id", "n"], None), SourceRecord(4, ["1", "a"], None)]
        assert file.lines == 4
        assert list(file.records(start=file.end)) == []
    for line, why in ((2, "nothing in line 2"), (9, "has 4 lines")):
        with (
            SourceFile(path, layout=FileLayout(header_line=line)) as file,
            pytest.raises(FileRefused, match=why),
        ):
            list(file.records())


def test_a_first_line_that_says_the_delimiter(tmp_path: Path) -> None:
    path = a_file(tmp_path / "a.csv", b"\xef\xbb\xbfsep=;\r\nid;n\r\n1;a\r\n")
    with SourceFile(path) as file:
        assert list(file.records()) == [SourceRecord(2, ["id", "n"], None), SourceRecord(3, ["1", "a"], None)]
        assert file.delimiter == ";"
    assert [each.cells for each in records(path, ";")] == [["id", "n"], ["1", "a"]]
    with pytest.raises(FileRefused, match="says 'sep=;' in its first line, the map says delimiter = ','"):
        records(path, ",")


def test_a_name_that_stands_twice_and_is_not_used(tmp_path: Path) -> None:
    path = a_file(tmp_path / "a.csv", b"id,n,n,,,id,x\n")
    with SourceFile(path, layout=FileLayout(used=frozenset({"id"}))) as file:
        (header,) = file.records()
    assert header.cells == ["id", "n", "n (2)", "", "(2)", "id", "x"]


def test_standard_input(tmp_path: Path) -> None:
    content = b"id\n1\n"
    for each in (content, gzip.compress(content)):
        with SourceFile(STDIN, stdin=io.BytesIO(each), folder=tmp_path) as file:
            assert file.name == "stdin"
            assert [each.cells for each in file.records()] == [["id"], ["1"]]
            assert (file.unread_bytes, file.fingerprint().size) == (0, 5)
    with SourceFile(STDIN, stdin=io.BytesIO()) as file, pytest.raises(FileRefused, match="the input is empty"):
        file.fingerprint()


def test_a_large_copy_has_no_name_and_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "node").mkdir()
    content = b"id\n" + b"1\n" * 4_000_000
    path = a_file(tmp_path / "a.csv", content)
    with SourceFile(path, folder=tmp_path / "node") as file:
        assert file.fingerprint().sha256 == hashlib.sha256(content).hexdigest()
        assert list((tmp_path / "node").iterdir()) == []
    written = tempfile.SpooledTemporaryFile.write

    def full(self: Any, chunk: bytes) -> int:
        if self.tell() > 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return written(self, chunk)

    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "write", full)
    with SourceFile(path, folder=tmp_path) as file, pytest.raises(FileRefused, match="the disk is full"):
        file.fingerprint()
    monkeypatch.undo()
    with (
        SourceFile(path, folder=tmp_path / "none") as file,
        pytest.raises(FileRefused, match="none cannot be written to"),
    ):
        file.fingerprint()


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_any_bytes_are_rows_or_refused_and_no_line_is_lost(tmp_path: Path, content: bytes) -> None:
    path = a_file(tmp_path / "a.csv", content)
    try:
        found = records(path)
    except FileRefused:
        return
    lines = [each.line for each in found]
    assert lines == sorted(set(lines))


def test_rejects_are_put_in_place_whole(tmp_path: Path) -> None:
    path = tmp_path / "sales.csv.rejects.csv"
    with Rejects(path) as rejects:
        rejects.begin(["id", "name"])
        rejects.add(3, "why, of all things", ["1", 'a "b"\nc'])
        assert not path.exists()
        assert rejects.finish()
    assert list(csv.reader(path.open(newline=""))) == [
        ["reject_line", "reject_reason", "id", "name"],
        ["3", "why, of all things", "1", 'a "b"\nc'],
    ]
    with Rejects(path) as rejects:
        rejects.begin(["id"])  # and ends without `finish`
    assert "of all things" in path.read_text()
    with Rejects(path) as rejects:
        rejects.begin(["id"])
        assert not rejects.finish()
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    with Rejects(path) as rejects:
        rejects.begin(["id"])
        rejects.add(4, "again", ["2"])
        assert rejects.finish()
    assert (rejects.path.name, "of all things" in path.read_text()) == ("sales.csv.rejects-2.csv", True)
    with Rejects(path, keep=False) as rejects:
        rejects.begin(["id"])
        rejects.add(4, "a dry run", ["2"])
        assert not rejects.finish()
    assert len(list(tmp_path.iterdir())) == 2


def test_no_rejects_leave_no_file_and_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with Rejects(tmp_path / "r.csv") as rejects:
        rejects.begin(["id"])
        assert not rejects.finish()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileRefused, match="give --rejects PATH"):
        Rejects(tmp_path / "no such folder" / "r.csv")


def test_a_row_of_other_bytes_comes_back_as_it_was(tmp_path: Path) -> None:
    path = a_file(tmp_path / "a.csv", b"id\ncaf\xe9\n")
    _, bad = records(path)
    assert bad.cells == ["caf\udce9"]
    with Rejects(tmp_path / "r.csv") as rejects:
        rejects.begin(["id"])
        rejects.add(bad.line, "not UTF-8", bad.cells)
        rejects.finish()
    assert (tmp_path / "r.csv").read_bytes() == b"reject_line,reject_reason,id\n2,not UTF-8,caf\xe9\n"


def test_lookups(tmp_path: Path) -> None:
    path = a_file(tmp_path / "orders.csv", b"date,order_id\nmon, 1 \ntue,2\n")
    joined = read_lookup(path, "order_id", ",", name="orders")
    assert joined.columns == ["date", "order_id"]
    assert joined.rows == {"1": ["mon", " 1 "], "2": ["tue", "2"]}
    for content, why in (
        (b"date,order_id\nmon,1\ntue,1\n", "line 3: the key '1' a second time"),
        (b"date,order_id\nmon\n", "line 2: not as many cells"),
        (b'date,order_id\n"mon,1\n', "line 2: not CSV"),
        (b"", "is empty"),
    ):
        with pytest.raises(FileRefused, match=why):
            read_lookup(a_file(path, content), "order_id", ",", name="orders")
    with pytest.raises(
        FileRefused, match=r"^lookup\.orders\.file: .*order\.csv cannot be read: .*; the nearest is orders\.csv$"
    ):
        read_lookup(tmp_path / "order.csv", "order_id", ",", name="orders")
