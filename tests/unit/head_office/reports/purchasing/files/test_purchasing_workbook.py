"""The purchasing report as XLSX, read back with openpyxl."""

from __future__ import annotations

import datetime
import io
import tempfile
import zipfile
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl.workbook import Workbook
from openpyxl.worksheet.worksheet import Worksheet

from head_office.reports.purchasing.files.rendered_report import FileFormat, render
from head_office.reports.purchasing.files.report_cells import LOCATION_KINDS
from head_office.reports.purchasing.purchasing_records import COLUMNS, LocationState, PurchasingReport
from shared.runtime.text.text_faults import name_fault
from tests.unit.head_office.reports.purchasing.files.sample_reports import (
    ARABIC,
    FORMULAS,
    changed,
    large,
    location,
    report,
    row,
)

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(lambda n: not name_fault(n))


def written(made: PurchasingReport) -> bytes:
    return b"".join(render(made, FileFormat.XLSX).content)


def opened(made: PurchasingReport) -> Workbook:
    return openpyxl.load_workbook(io.BytesIO(written(made)))


def sheet_of(book: Workbook, name: str) -> Worksheet:
    sheet = book[name]
    assert isinstance(sheet, Worksheet)
    return sheet


def values(made: PurchasingReport, sheet: str = "Purchasing") -> list[dict[str, object]]:
    header, *rows = sheet_of(opened(made), sheet).iter_rows(values_only=True)
    return [dict(zip(map(str, header), each, strict=True)) for each in rows]


def test_a_row_is_written_as_figures_texts_and_a_date() -> None:
    (found,) = values(report([row()]))
    assert found == {
        "location_id": "BEY-01", "item_id": "tomato", "name": "Tomatoes", "unit": "kg", "supplier_id": "ACME",
        "supplier_name": "Acme Foods", "on_hand": 1234567.5, "reserved": 0.5, "available": -4.635, "in_transit": 3,
        "on_order": 12.5, "next_due": datetime.datetime(2026, 12, 1), "projected": 10.865,  # noqa: DTZ001 a cell's
        "reorder_point": 20, "order_up_to": 50, "order_quantity": None, "pack_size": 6, "to_order": 42, "packs": 7,
        "daily_usage": 1.333, "days_left": 12.5, "lead_days": 3, "suggested_reorder_point": 6.665,
        "flags": "negative recount", "location_state": "FRESH",
    }  # fmt: skip
    assert tuple(found) == COLUMNS


def test_the_locations_have_a_sheet_that_says_only_what_is_so_for_ever() -> None:
    places = [location("BEY-02", ARABIC, LocationState.INCOMPLETE), location("BEY-01", None)]
    found = values(report([], places), "Locations")
    assert found == [
        {
            "location_id": "BEY-02", "name": ARABIC, "state": "INCOMPLETE", "as_of": "2026-11-29T05:00:00.123456Z",
            "known_at": "2026-11-29T05:00:00.123456Z", "sequence": 42, "received_at": "2026-11-29T04:00:00.123456Z",
            "quarantined": 3,
        },
        {
            "location_id": "BEY-01", "name": None, "state": "FRESH", "as_of": "2026-11-29T05:00:00.123456Z",
            "known_at": "2026-11-29T05:00:00.123456Z", "sequence": 42, "received_at": "2026-11-29T04:00:00.123456Z",
            "quarantined": 0,
        },
    ]  # fmt: skip
    assert tuple(found[0]) == tuple(LOCATION_KINDS)


def test_both_sheets_are_ready_to_work_with() -> None:
    book = opened(large(20))
    assert book.sheetnames == ["Purchasing", "Locations"]
    for name, corner, filtered in (("Purchasing", "D2", "A1:Y21"), ("Locations", "C2", "A1:H4")):
        sheet = sheet_of(book, name)
        assert sheet.freeze_panes == corner
        assert sheet.auto_filter.ref == filtered
        assert sheet.print_title_rows == "$1:$1"
        assert all(cell.font.bold for cell in sheet[1])
    sheet = sheet_of(book, "Purchasing")
    assert sheet.column_dimensions["C"].width > 30
    on_hand, to_order, next_due = COLUMNS.index("on_hand"), COLUMNS.index("to_order"), COLUMNS.index("next_due")
    assert sheet[2][on_hand].number_format == "#,##0"  # -5
    assert sheet[3][on_hand].number_format == "#,##0.0##"  # -4.001
    assert sheet[2][to_order].number_format == "#,##0"
    assert sheet[2][next_due].number_format == "yyyy-mm-dd"


def test_the_only_date_of_the_file_is_the_moment_the_report_is_known_at() -> None:
    book = opened(report([row()]))
    assert book.properties.created == book.properties.modified == datetime.datetime(2026, 11, 29, 5)  # noqa: DTZ001 as read
    late = location("BEY-02", None, known_at=1_795_932_000_000_000)
    book = opened(changed(report([row()], [late, location("BEY-01", None)])))
    assert book.properties.created == datetime.datetime(2026, 11, 29, 6)  # noqa: DTZ001 as read


@pytest.mark.parametrize("text", FORMULAS)
def test_no_text_becomes_a_formula_or_a_link(text: str) -> None:
    told = row(location_id=text, item_id=text, name=text, unit=text, supplier_id=text, supplier_name=text)
    made = report([told], [location(text, text)])
    with zipfile.ZipFile(io.BytesIO(written(made))) as parts:
        for name in parts.namelist():
            content = parts.read(name)
            assert b"<f>" not in content
            assert b"<hyperlink" not in content
    book = opened(made)
    for cell in [*sheet_of(book, "Purchasing")[2][:6], *sheet_of(book, "Locations")[2][:2]]:
        # A carriage return is told from a line feed by an escape, which openpyxl leaves.
        assert cell.value in {text, text.replace("\r", "_x000D_")}
        assert cell.number_format == "@"


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(names, st.integers(-(10**12), 10**12)), max_size=10))
def test_any_name_and_figure_comes_back(cells: list[tuple[str, int]]) -> None:
    found = values(report([row(name=name, on_hand=figure) for name, figure in cells]))
    assert [(each["name"], round(float(str(each["on_hand"])) * 1_000)) for each in found] == cells


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=20))
def test_any_text_at_all_is_a_file(text: str) -> None:
    assert len(values(report([row(name=text, item_id=text)]))) == 1


def test_nothing_is_left_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    parts = render(large(2_000), FileFormat.XLSX).content
    assert list(tmp_path.iterdir()) == []
    assert len(list(parts)) > 1
    with pytest.raises(ValueError, match="not a date"):
        render(report([row(next_due="not a date")]), FileFormat.XLSX)
    assert list(tmp_path.iterdir()) == []


def test_a_date_before_the_first_that_a_sheet_knows_is_text() -> None:
    (found,) = values(report([row(next_due="1899-12-31")]))
    assert found["next_due"] == "1899-12-31"
