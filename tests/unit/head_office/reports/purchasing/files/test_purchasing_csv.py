"""The purchasing report as CSV, read back with the csv module."""

from __future__ import annotations

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from head_office.reports.purchasing.files.rendered_report import FileFormat, render
from head_office.reports.purchasing.purchasing_records import COLUMNS, PurchasingReport
from shared.runtime.text.csv_writer import text_cell
from tests.unit.head_office.reports.purchasing.files.sample_reports import FORMULAS, large, report, row

texts = st.text(st.characters(exclude_categories=["Cs", "Cn"]), max_size=12)


def read(made: PurchasingReport) -> list[dict[str, str]]:
    written = b"".join(render(made, FileFormat.CSV).content)
    assert written.startswith(b"\xef\xbb\xbf")
    assert written.endswith(b"\r\n")
    found = csv.DictReader(io.StringIO(written.decode("utf-8-sig"), newline=""), strict=True)
    rows = list(found)
    assert tuple(found.fieldnames or ()) == COLUMNS
    return rows


def test_a_row_is_written_as_it_is() -> None:
    (found,) = read(report([row()]))
    assert found == {
        "location_id": "BEY-01", "item_id": "tomato", "name": "Tomatoes", "unit": "kg", "supplier_id": "ACME",
        "supplier_name": "Acme Foods", "on_hand": "1234567.5", "reserved": "0.5", "available": "-4.635",
        "in_transit": "3", "on_order": "12.5", "next_due": "2026-12-01", "projected": "10.865", "reorder_point": "20",
        "order_up_to": "50", "order_quantity": "", "pack_size": "6", "to_order": "42", "packs": "7",
        "daily_usage": "1.333", "days_left": "12.5", "lead_days": "3", "suggested_reorder_point": "6.665",
        "flags": "negative recount", "location_state": "FRESH",
    }  # fmt: skip


def test_what_would_run_is_text_and_what_is_negative_stays_a_number() -> None:
    rows = [
        row(location_id=text, item_id=text, name=text, unit=text, supplier_id=text, supplier_name=text)
        for text in FORMULAS[:7]
    ]
    for found, text in zip(read(report(rows)), FORMULAS, strict=False):
        written = {found[name] for name in ("location_id", "item_id", "name", "unit", "supplier_id", "supplier_name")}
        assert written == {"'" + text}
        assert found["available"] == "-4.635"


@given(st.lists(st.tuples(texts, texts, st.integers(-(10**15), 10**15)), max_size=4))
def test_any_text_and_figure_comes_back(cells: list[tuple[str, str, int]]) -> None:
    found = read(report([row(name=name, supplier_name=supplier, on_hand=figure) for name, supplier, figure in cells]))
    assert [(each["name"], each["supplier_name"], round(float(each["on_hand"]) * 1000)) for each in found] == [
        (text_cell(name), text_cell(supplier), figure) for name, supplier, figure in cells
    ]


def test_a_report_without_rows_is_its_header() -> None:
    assert read(report([])) == []


def test_what_is_no_character_is_replaced() -> None:
    (found,) = read(report([row(name="a\ud800b\uffffc")]))
    assert found["name"] == "a\ufffdb\ufffdc"


def test_every_row_is_there() -> None:
    assert [each["item_id"] for each in read(large(5_000))] == [f"item-{number:06d}" for number in range(5_000)]
