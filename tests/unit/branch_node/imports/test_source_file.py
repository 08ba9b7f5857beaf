"""The file of an import: fingerprint, rows with their lines, rejects."""

import csv
import gzip
import hashlib
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from branch_node.imports.reject_files import Rejects
from branch_node.imports.source_file import FileRefused, Fingerprint, SourceFile, SourceRecord, read_lookup


def a_file(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def records(path: Path, delimiter: str = ",") -> list[SourceRecord]:
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
        assert len(told) > 100
        assert told == sorted(told)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.csv", "id\n1\n".encode("utf-16"), "UTF-16"),
        ("a.csv.gz", gzip.compress(b"id\n" * 9_999, mtime=0)[:-20], "damaged, perhaps cut short"),
        ("a.csv.gz", gzip.compress(b"id\n" * 9_999, mtime=0)[:-4] + b"\0\0\0\0", "damaged"),
        ("a.csv", b"x" * (3 << 20), "line of more than"),
        ("a\u200b.csv", b"id\n", "zero-width"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, name: str, content: bytes, why: str) -> None:
    with pytest.raises(FileRefused, match=why):
        fingerprint(a_file(tmp_path / name, content))


def test_a_file_that_changes_meanwhile(tmp_path: Path) -> None:
    path = a_file(tmp_path / "a.csv", b"id\n1\n")
    with SourceFile(path) as file:
        rows = file.records(lambda _: None)
        next(rows)
        with path.open("ab") as more:
            more.write(b"2\n")
        with pytest.raises(FileRefused, match="changed while it was read"):
            list(rows)


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
    assert [(each.line, each.cells) for each in records(path, delimiter)] == list(zip(lines, written, strict=True))


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
        ["line", "reason", "id", "name"],
        ["3", "why, of all things", "1", 'a "b"\nc'],
    ]
    with Rejects(path) as rejects:
        rejects.begin(["id"])  # and ends without `finish`
    assert "of all things" in path.read_text()
    with Rejects(path) as rejects:
        rejects.begin(["id"])
        assert not rejects.finish()
    assert path.read_text() == "line,reason,id\n"
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


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
    assert (tmp_path / "r.csv").read_bytes() == b"line,reason,id\n2,not UTF-8,caf\xe9\n"


def test_lookups(tmp_path: Path) -> None:
    path = a_file(tmp_path / "orders.csv", b"date,order_id\nmon, 1 \ntue,2\n")
    joined = read_lookup(path, "order_id", ",")
    assert joined.columns == ["date", "order_id"]
    assert joined.rows == {"1": ["mon", " 1 "], "2": ["tue", "2"]}
    for content, why in (
        (b"date,order_id\nmon,1\ntue,1\n", "line 3: the key '1' a second time"),
        (b"date\nmon\n", "no column 'order_id'"),
        (b"date,order_id\nmon\n", "line 2: not as many cells"),
        (b'date,order_id\n"mon,1\n', "line 2: not CSV"),
        (b"", "no column"),
    ):
        with pytest.raises(FileRefused, match=why):
            read_lookup(a_file(path, content), "order_id", ",")
    with pytest.raises(FileRefused, match="cannot be read"):
        read_lookup(tmp_path / "none.csv", "order_id", ",")
