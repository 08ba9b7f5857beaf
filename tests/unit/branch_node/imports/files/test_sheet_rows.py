# Times of cells have no zone.
# ruff: noqa: DTZ001
"""Workbooks: what cells say, as records with the numbers of their rows."""

import re
import tracemalloc
import zipfile
from collections.abc import Sequence
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook, load_workbook
from openpyxl.utils.datetime import CALENDAR_MAC_1904

from branch_node.imports.files import workbook_bounds
from branch_node.imports.files.cell_texts import number_text, shows_days_only
from branch_node.imports.source_file import FileLayout, FileRefused, SourceFile, SourceRecord

SHEET = "xl/worksheets/sheet1.xml"


def a_workbook(path: Path, rows: Sequence[Sequence[Any]], formats: dict[str, str] | None = None) -> Path:
    book = Workbook()
    for row in rows:
        book.worksheets[0].append(list(row))
    for place, code in (formats or {}).items():
        book.worksheets[0][place].number_format = code
    book.save(path)
    return path


def changed(path: Path, part: str, old: str, new: str) -> Path:
    """The workbook with a text of one part replaced."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    text = parts[part].decode()
    assert old in text
    parts[part] = text.replace(old, new).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def with_shared_texts(path: Path) -> Path:
    """The workbook with its texts in a part of their own, as spreadsheet programs save them."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name).decode() for name in archive.namelist()}
    texts: list[str] = []

    def share(cell: re.Match[str]) -> str:
        texts.append(f"<si>{cell[1]}</si>")
        return f't="s"><v>{len(texts) - 1}</v></c>'

    parts[SHEET] = re.sub(r't="inlineStr"><is>(.*?)</is></c>', share, parts[SHEET], flags=re.DOTALL)
    space = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    parts["xl/sharedStrings.xml"] = f'<sst xmlns="{space}">{"".join(texts)}</sst>'
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/sharedStrings"
    relation = f'<Relationship Type="{kind}" Target="/xl/sharedStrings.xml" Id="rIdTexts"/></Relationships>'
    contents = "[Content_Types].xml"
    content = "application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
    entry = f'<Override PartName="/xl/sharedStrings.xml" ContentType="{content}"/></Types>'
    parts[contents] = parts[contents].replace("</Types>", entry)
    relations = "xl/_rels/workbook.xml.rels"
    parts[relations] = parts[relations].replace("</Relationships>", relation)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def records(path: Path, **layout: Any) -> list[SourceRecord]:
    with SourceFile(path, ";", FileLayout(**layout), folder=path.parent) as file:
        return list(file.records())


def test_cells_are_read_as_they_say(tmp_path: Path) -> None:
    path = a_workbook(
        tmp_path / "a.xlsx",
        [
            ["id", "n", "what"],
            [1, 1.5, "a, \"b\"\nc"],
            [1.0, 0.1 + 0.2, True],
            [123456789012345678, 1e-7, "001"],
            [None, None, None],
            [-0.0, 1e20, datetime(2025, 3, 31, 23, 59, 58, 500_000)],
            [2, datetime(2025, 3, 31), time(8, 30)],
            [3, datetime(2025, 3, 31), date(2025, 3, 31)],
        ],
        {"B7": "dd.mm.yyyy hh:mm", "B8": '"on" d/m/yy'},
    )  # fmt: skip
    assert records(path) == [
        SourceRecord(1, ["id", "n", "what"], None),
        SourceRecord(2, ["1", "1.5", 'a, "b"\nc'], None),
        SourceRecord(3, ["1", "0.3", "TRUE"], None),
        SourceRecord(4, ["123456789012346000", "0.0000001", "001"], None),
        SourceRecord(6, ["0", "100000000000000000000", "\x1d2025-03-31T23:59:58.500000"], None),
        SourceRecord(7, ["2", "\x1d2025-03-31T00:00:00", "\x1d08:30:00"], None),
        SourceRecord(8, ["3", "\x1d2025-03-31", "\x1d2025-03-31"], None),
    ]
    assert records(path, decimal=",")[1].cells == ["1", "1,5", 'a, "b"\nc']


def test_errors_and_formulas_without_a_value_cost_their_row(tmp_path: Path) -> None:
    path = a_workbook(tmp_path / "a.xlsx", [["id", "n"], [1, "=1+1"], [2, "=1/0"], [3, "=1+2"]])
    changed(path, SHEET, "<f>1/0</f><v />", "<f>1/0</f><v>#DIV/0!</v>")
    changed(path, SHEET, '<c r="B3"><f>', '<c r="B3" t="e"><f>')
    changed(path, SHEET, "<f>1+2</f><v />", "<f>1+2</f><v>3</v>")
    _, missing, error, good = records(path)
    assert missing.fault == (
        "the cell B2 is a formula without a value: open the workbook in a spreadsheet program and save it"
    )
    assert (error.line, error.cells, error.fault) == (
        3, ["2", "#DIV/0!"], "the cell B3 holds #DIV/0!, which is no value"
    )  # fmt: skip
    assert good == SourceRecord(4, ["3", "3"], None)


def test_sheets_by_name(tmp_path: Path) -> None:
    book = Workbook()
    book.worksheets[0].title = "Notes"
    book.worksheets[0].sheet_state = "hidden"
    book.create_sheet("Sales").append(["id"])
    book.create_sheet("Empty")
    book.save(tmp_path / "a.xlsx")
    assert (
        records(tmp_path / "a.xlsx") == records(tmp_path / "a.xlsx", sheet="sales") == [SourceRecord(1, ["id"], None)]
    )
    with pytest.raises(
        FileRefused, match=r"'Sale', as the map's sheet says; it has Notes, Sales, Empty; the nearest is Sales$"
    ):
        records(tmp_path / "a.xlsx", sheet="Sale")
    with pytest.raises(FileRefused, match="has nothing in its sheet"):
        records(tmp_path / "a.xlsx", sheet="Empty")


def test_days_from_1904_and_the_day_that_never_was(tmp_path: Path) -> None:
    book = Workbook()
    book.epoch = CALENDAR_MAC_1904
    book.worksheets[0].append([datetime(2025, 3, 31, 12), "x"])
    book.save(tmp_path / "a.xlsx")
    assert records(tmp_path / "a.xlsx", header=["at", "x"])[0].cells[0] == "\x1d2025-03-31T12:00:00"
    path = a_workbook(tmp_path / "b.xlsx", [[59], [60], [61]], dict.fromkeys(("A1", "A2", "A3"), "yyyy-mm-dd"))
    # The 29 February 1900 that spreadsheets count is none: the library gives the day before.
    assert [each.cells[0] for each in records(path, header=["at"])] == [
        "\x1d1900-02-28", "\x1d1900-02-28", "\x1d1900-03-01",
    ]  # fmt: skip


def test_merged_cells_and_formatted_empty_ones_at_the_end(tmp_path: Path) -> None:
    book = Workbook()
    sheet = book.worksheets[0]
    for row in (["Sales of May"], ["id", "n"], [1, 2], [2, 3]):
        sheet.append(row)
    sheet.merge_cells("A1:F1")
    sheet.merge_cells("B3:B4")
    sheet["H9"].number_format = "0.00"
    book.save(tmp_path / "a.xlsx")
    assert records(tmp_path / "a.xlsx", header_line=2) == [
        SourceRecord(2, ["id", "n"], None),
        SourceRecord(3, ["1", "2"], None),
        SourceRecord(4, ["2", ""], None),
    ]


def test_marks_in_texts_are_taken_out(tmp_path: Path) -> None:
    path = a_workbook(tmp_path / "a.xlsx", [["id", "n"], ["mark", "two"]])
    changed(path, SHEET, "mark", "_x001D_2025_x001C_-_x001E_01_x000D__x000A_b _x005F_x")
    assert records(path)[1].cells == ["2025-01\nb _x", "two"]
    assert records(with_shared_texts(path))[1].cells == ["2025-01\nb _x", "two"]


def test_a_shared_text_of_several_runs_without_what_says_how_it_is_spoken(tmp_path: Path) -> None:
    path = with_shared_texts(a_workbook(tmp_path / "a.xlsx", [["id"], ["mark"]]))
    runs = "<r><t>one</t></r><r><rPr><b/></rPr><t> two</t></r><rPh sb='0' eb='1'><t>spoken</t></rPh>"
    assert records(changed(path, "xl/sharedStrings.xml", "<t>mark</t>", runs))[1].cells == ["one two"]


cells = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**14), 10**14),
    st.decimals(-(10**6), 10**6, places=3, allow_nan=False).map(float),
    st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="_=\ufffe\uffff"), max_size=8),
    st.datetimes(datetime(1901, 1, 1), datetime(2100, 1, 1)).map(lambda each: each.replace(microsecond=0)),
)
rows = st.lists(st.lists(cells, max_size=5), max_size=8)


def text_of(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, datetime):
        return f"\x1d{value.isoformat()}"
    return f"{Decimal(repr(value)).normalize():f}" if isinstance(value, int | float) else value


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows, rows)
def test_what_a_workbook_holds_is_read_and_a_longer_one_continues_it(
    tmp_path: Path, first: list[list[Any]], second: list[list[Any]]
) -> None:
    def expected(lines: list[list[Any]]) -> list[tuple[int, list[str]]]:
        texts = [(number, [text_of(each) for each in line]) for number, line in enumerate(lines, 1)]
        return [(number, (each + [""] * 5)[:5]) for number, each in texts if any(map(str.strip, each))]

    known = None
    for name, lines in (("a", [["a"], *first]), ("b", [["a"], *first, *second])):
        path = a_workbook(tmp_path / f"{name}.xlsx", lines)
        with SourceFile(path, layout=FileLayout(header=list("abcde"))) as file:
            found = list(file.records())
            assert [(each.line, each.cells) for each in found] == expected(lines)
            fingerprint = file.fingerprint()
            if known is not None:
                assert file.sha256_of_first(known[0].size) == (known[0].sha256, True)
                assert known[2] + list(file.records(start=known[1])) == found
            known = fingerprint, file.end, found
    load_workbook(path).save(tmp_path / "again.xlsx")
    for again in (tmp_path / "again.xlsx", with_shared_texts(tmp_path / "again.xlsx")):
        with SourceFile(again) as file:
            assert known is not None
            assert file.fingerprint() == known[0]


def test_no_document_type_no_bomb_no_disorder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fresh() -> Path:
        return a_workbook(tmp_path / "a.xlsx", [["id", "n"], [1, 2]])

    entity = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><worksheet'

    def shared() -> Path:
        return with_shared_texts(fresh())

    for make, old, new, why in (
        (fresh, "<worksheet", entity, "declares entities"),
        (fresh, '<row r="2"', '<row r="1"', "rows are not in order"),
        (fresh, '<row r="2"', '<row r="1048577"', "rows are not in order"),
        (fresh, 'r="B2"', 'r="A2"', "cells are not in order"),
        (fresh, 'r="B2"', 'r="XFE2"', "cells are not in order"),
        (fresh, "</sheetData>", "</sheetDat>", "mismatched tag"),
        (shared, "<v>0</v>", "<v>77</v>", "IndexError"),
    ):
        with pytest.raises(FileRefused, match=why):
            records(changed(make(), SHEET, old, new))
    far = changed(fresh(), SHEET, 'r="B2"', 'r="XFD2"')
    assert len(records(far)[1].cells) == 16_384
    monkeypatch.setattr(workbook_bounds, "MAX_UNPACKED", 1_000)
    with pytest.raises(FileRefused, match="unpacks to more than"):
        records(fresh())


LAUGHS = "".join(f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, 10))


@pytest.mark.parametrize("part", ["xl/sharedStrings.xml", SHEET, "xl/workbook.xml", "xl/styles.xml"])
def test_entities_that_multiply_are_refused(tmp_path: Path, part: str) -> None:
    path = with_shared_texts(a_workbook(tmp_path / "a.xlsx", [["id"], ["mark"]]))
    with zipfile.ZipFile(path) as archive:
        root = re.findall("<[a-zA-Z]+", archive.read(part).decode())[0]
    changed(path, part, root + " ", f"<!DOCTYPE x [<!ENTITY a0 'ha'>{LAUGHS}]>{root} ")
    tracemalloc.start()
    try:
        with pytest.raises(FileRefused, match="its XML declares entities"):
            records(path)
        assert tracemalloc.get_traced_memory()[1] < 12_000_000
    finally:
        tracemalloc.stop()


def test_parts_that_need_too_much_memory_are_refused(tmp_path: Path) -> None:
    def fresh() -> Path:
        return a_workbook(tmp_path / "a.xlsx", [["id"], [1]])

    for part, old, new, why in (
        (SHEET, '<c r="A2"', '<c r="A2"/>' * 1_000_000 + '<c r="A2"', "has a row of more than 8 MiB"),
        ("xl/styles.xml", "</styleSheet>", " " * (17 << 20) + "</styleSheet>", "more than 16 MiB in xl/styles.xml"),
    ):
        with pytest.raises(FileRefused, match=why):
            records(changed(fresh(), part, old, new))


def test_more_shared_texts_than_memory_should_hold_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = with_shared_texts(a_workbook(tmp_path / "a.xlsx", [["id"], ["mark"]]))
    changed(path, "xl/sharedStrings.xml", "</sst>", "<si><t>a</t></si>" * 40 + "</sst>")
    monkeypatch.setattr(workbook_bounds, "MAX_TEXTS", 42)
    assert records(path)[1].cells == ["mark"]
    monkeypatch.setattr(workbook_bounds, "MAX_TEXTS", 41)
    with pytest.raises(FileRefused, match="has more than 41 different texts: save it as CSV"):
        records(path)


def test_kinds_of_xml_that_would_be_read_as_an_empty_sheet_are_refused(tmp_path: Path) -> None:
    usual = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    path = a_workbook(tmp_path / "a.xlsx", [["id"]])
    with pytest.raises(FileRefused, match="is of the kind Strict Open XML"):
        records(changed(path, SHEET, usual, "http://purl.oclc.org/ooxml/spreadsheetml/main"))


def test_what_stands_behind_the_rows_and_a_wrong_size_cost_nothing(tmp_path: Path) -> None:
    path = a_workbook(tmp_path / "a.xlsx", [["id", "n"], [1, 2]])
    changed(path, SHEET, "</sheetData>", "</sheetData><mergeCells><mergeCell ref='no place'/></mergeCells>")
    changed(path, SHEET, '<dimension ref="A1:B2"', '<dimension ref="A1"')
    assert [each.cells for each in records(path)] == [["id", "n"], ["1", "2"]]


def test_an_empty_text_of_a_formula_is_a_value(tmp_path: Path) -> None:
    path = a_workbook(tmp_path / "a.xlsx", [["id", "n", "m"], [1, '=""', "=1+1"]])
    changed(path, SHEET, '<c r="B2"><f>""</f><v />', '<c r="B2" t="str"><f>""</f><v></v>')
    changed(path, SHEET, "<f>1+1</f><v />", "<f>1+1</f><v>2</v>")
    assert records(path)[1] == SourceRecord(2, ["1", "", "2"], None)


def test_hours_that_elapsed(tmp_path: Path) -> None:
    path = a_workbook(tmp_path / "a.xlsx", [[0.25], [1.5]], dict.fromkeys(("A1", "A2"), "[h]:mm:ss"))
    assert [each.cells for each in records(path, header=["at"])] == [["\x1d06:00:00"], ["36:00:00"]]


def test_a_bomb_of_texts_is_refused_and_memory_is_bounded(tmp_path: Path) -> None:
    path = a_workbook(tmp_path / "a.xlsx", [["id"]])
    changed(path, SHEET, "</row>", '<c r="B1" t="inlineStr"><is><t>' + "x" * 3_000_000 + "</t></is></c></row>")
    tracemalloc.start()
    try:
        with pytest.raises(FileRefused, match="a cell of more than 100000 characters"):
            records(path)
        assert tracemalloc.get_traced_memory()[1] < 12_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("code", "days_only"),
    [
        ("dd/mm/yyyy", True), ("[$-409]mmm\\-yy;@", True), ("mm", True), ('"sales of" d/m/yy', True),
        ("DD/MM/YYYY", True), ("d.m. h:mm", False), ("h:mm AM/PM", False), ("mm:ss.0", False), ("YYYY-MM-DD HH", False),
    ],
)  # fmt: skip
def test_what_formats_show(code: str, days_only: bool) -> None:
    assert shows_days_only(code) is days_only


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_have_15_digits_and_no_exponent(number: float) -> None:
    text = number_text(number)
    assert text is not None
    plain = text.replace("\x1e", ".")
    assert re.fullmatch(r"-?(0|[1-9][0-9]*)(\.[0-9]*[1-9])?", plain)
    assert float(f"{number:.14e}") == pytest.approx(float(plain), rel=1e-14, abs=0)
