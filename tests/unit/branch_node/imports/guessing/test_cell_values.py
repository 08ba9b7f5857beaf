"""What texts of cells can be: numbers, times, barcodes."""

from __future__ import annotations

import pytest

from branch_node.imports.guessing.cell_values import Notation, is_barcode, is_datum, number_in, times_of
from branch_node.imports.guessing.column_profile import profile
from branch_node.imports.guessing.column_roles import notation_of
from branch_node.imports.guessing.column_words import begins_totals, fields_of, kind_of_text


@pytest.mark.parametrize(
    ("texts", "role", "formats"),
    [
        (["2026-01-31", "2026-02-01"], "date", ("%Y-%m-%d",)),
        (["31.01.2026", "1.2.2026"], "date", ("%d.%m.%Y",)),
        (["01/02/2026", "13/02/2026"], "date", ("%d/%m/%Y",)),
        (["01/02/2026", "02/13/2026"], "date", ("%m/%d/%Y",)),
        (["31. Jan. 2026", "3. März 2026"], "date", ("%d. %b %Y",)),
        (["18:05", "07:30"], "time", ("%H:%M",)),
        (["6:05 PM", "7:30 AM"], "time", ("%I:%M %p",)),
        (["2026-01-31T18:05:00Z"], "moment", ("%Y-%m-%dT%H:%M:%S%z",)),
        (["2026-01-31 00:00:00"], "date", ("%Y-%m-%d 00:00:00",)),
        (["31.01.2026 18:05", "31.01.2026 18:05:30"], "moment", ("%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S")),
        (["\x1d2026-01-31", "\x1d2026-02-01"], "date", ()),
        (["\x1d2026-01-31T18:05:00"], "moment", ()),
    ],
)
def test_times(texts: list[str], role: str, formats: tuple[str, ...]) -> None:
    found = times_of(texts)
    assert found is not None
    assert (found.role, found.formats, found.other) == (role, formats, None)


@pytest.mark.parametrize(
    "texts", [["milk"], ["12"], ["12.5", "3"], ["2026-01-31", "milk"], ["2026-13-31"], ["1/2/1850"]]
)
def test_no_times(texts: list[str]) -> None:
    assert times_of(texts) is None


def test_day_and_month_that_fit_both_ways() -> None:
    first, other = times_of(["01/02/2026"]), times_of(["01/02/2026"], month_first=True)
    assert first is not None
    assert other is not None
    assert (first.formats, first.other) == (("%d/%m/%Y",), "%m/%d/%Y")
    assert (other.formats, other.other) == (("%m/%d/%Y",), "%d/%m/%Y")


@pytest.mark.parametrize(
    ("text", "good"),
    [("4006381333931", True), ("4006381333932", False), ("96385074", True), ("036000291452", True), ("1234567", False)],
)
def test_barcodes(text: str, good: bool) -> None:
    assert is_barcode(text) is good


def test_numbers() -> None:
    comma = Notation(",", ".")
    assert number_in("1.234,50", comma) == 1234.5
    assert number_in("-2", comma) == -2
    assert number_in("0.250", comma) is None
    assert number_in("1.234,50", Notation(".", ",")) is None
    assert number_in("€ 1,50", Notation(",", None)) == 1.5
    assert number_in("milk", comma) is None
    assert is_datum("31.01.2026")
    assert not is_datum("Artikel 2")


@pytest.mark.parametrize(
    ("texts", "comma_first", "notation", "ambiguous"),
    [
        (["1", "2.5"], False, Notation(".", None), None),
        (["1", "2,5"], False, Notation(",", None), None),
        (["1,234", "0,250"], False, Notation(",", None), None),
        (["1.234,5"], False, Notation(",", "."), None),
        (["1 234,5"], True, Notation(",", " "), None),
        (["1,234"], False, Notation(".", ","), "1,234"),
        (["1,234"], True, Notation(",", None), "1,234"),
    ],
)
def test_notations(texts: list[str], comma_first: bool, notation: Notation, ambiguous: str | None) -> None:
    column = profile("qty", 0, texts, month_first=False)
    assert notation_of(column, [], comma_first=comma_first) == (notation, ambiguous)


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("Menge", "quantity"), ("transaction_qty", "quantity"), ("Quantité", "quantity"), ("الكمية", "quantity"),
        ("StockCode", "item"), ("Artikel-Nr.", "item"), ("Código", "code"), ("الصنف", "item"), ("InvoiceDate", "date"),
        ("Uhrzeit", "time"), ("Einkaufspreis", "cost"), ("Prix", "price"), ("Belegnr", "reference"),
        ("Caissier", "actor"), ("Best before", "expires_on"), ("Währung", "currency"), ("Eenheid", "unit"),
    ],
)  # fmt: skip
def test_names_of_columns(name: str, field: str) -> None:
    assert field in fields_of(name)


def test_kinds_and_totals() -> None:
    assert kind_of_text("Storno") == (True, kind_of_text("refund")[1])
    assert kind_of_text("Sale of goods")[1] == "ORDER_DEDUCTION"
    assert kind_of_text("milk") == (False, None)
    assert begins_totals("Summe:")
    assert begins_totals("Grand total")
    assert not begins_totals("Summer hat")
