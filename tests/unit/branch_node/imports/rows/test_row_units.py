"""Quantities in other units than the items are kept in: exact, or a reject that names the unit."""

from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branch_node.commands.event_inputs import EventContent
from branch_node.imports.cells.cell_readers import RowRejected
from branch_node.imports.mapping.map_parser import parse_map
from branch_node.imports.rows.import_catalogue import ItemsCatalogue
from branch_node.imports.rows.row_reader import RowReader
from branch_node.imports.rows.row_units import converted
from branch_node.model import Item
from shared.events import Cost, Entered, EventType

BASE = """\
source = "till-7"
time_zone = "Asia/Beirut"
type = "ORDER_DEDUCTION"
{top}
[columns]
item = "code"
quantity = "qty"
occurred_at = "at"
unit_cost = "price"
{columns}
[constants]
currency = "USD"
[units.kg]
g = 0.001
lb = 0.45359237
case = 24
[item_units.cola]
case = 12
"""
KNOWN = BASE.format(top="", columns='unit = "unit"')
CREATING = BASE.format(top='unknown_items = "create"', columns="") + '[new_items]\nunit_column = "unit"\n'
HEADER = ["code", "qty", "unit", "at", "price"]
CATALOGUE = ItemsCatalogue(
    [Item(item_id=code, name=code, unit=unit) for code, unit in (("rice", "kg"), ("cola", "piece"), ("salt", "g"))]
)


def reader(text: str, catalogue: ItemsCatalogue = CATALOGUE) -> RowReader:
    return RowReader(parse_map(text.encode(), "map"), HEADER, catalogue=catalogue)


def row(code: str, quantity: str, unit: str, price: str = "") -> list[str]:
    return [code, quantity, unit, "2026-01-31 12:00:00", price]


def read(found: RowReader, cells: Sequence[str]) -> EventContent:
    entry = found.read(cells)
    assert isinstance(entry, EventContent)
    return entry


@pytest.mark.parametrize(
    ("code", "quantity", "unit", "thousandths", "entered"),
    [
        ("rice", "1", "kg", 1_000, None),
        ("rice", "500", "g", 500, Entered(factor=1, quantity=500_000, unit="g")),
        ("rice", "2", "case", 48_000, Entered(factor=24_000, quantity=2_000, unit="case")),
        ("rice", "100000", "lb", 45_359_237, None),  # a factor of more than three decimals is in no event
        ("cola", "1.5", "case", 18_000, Entered(factor=12_000, quantity=1_500, unit="case")),
        ("salt", "0.5", "g", 500, None),
    ],
)
def test_units_with_factors(code: str, quantity: str, unit: str, thousandths: int, entered: Entered | None) -> None:
    entry = read(reader(KNOWN), row(code, quantity, unit))
    assert (entry.quantity, entry.entered) == (thousandths, entered)


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        (row("rice", "1", "stone"), "how many kg one 'stone' is: give it in [units.kg] or [item_units.rice]"),
        (row("cola", "1", "kg"), "cola is kept in piece"),
        (row("salt", "1", "kg"), "salt is kept in g"),
        (row("rice", "1", ""), "the row gives no unit; rice is kept in kg"),
        (row("rice", "1.5", "g"), "1.5 g come to 0.0015 base units; at most 3 decimals"),
        (row("rice", "1", "lb"), "at most 3 decimals"),
        (row("rice", "1000000000", "case"), "out of range"),
        (row("rice", "", "g"), "there is no quantity"),
        (row("rice", "-1", "case"), "below zero, and no rule"),
        (row("tea", "1", "kg"), "there is no item 'tea'"),
    ],
)
def test_units_that_cannot_be_converted(cells: list[str], why: str) -> None:
    with pytest.raises(RowRejected) as refused:
        reader(KNOWN).read(cells)
    assert why in str(refused.value)


def test_a_price_is_that_of_the_rows_unit() -> None:
    entry = read(reader(KNOWN), row("rice", "500", "g", "0.02"))
    assert (entry.quantity, entry.cost) == (500, Cost(amount="10", currency="USD"))


def test_a_count_in_cases() -> None:
    entry = read(reader(KNOWN.replace("ORDER_DEDUCTION", "STOCKTAKE")), row("cola", "2", "case"))
    assert (entry.type, entry.counted, entry.quantity) == (EventType.STOCKTAKE, 24_000, None)
    assert entry.entered == Entered(factor=12_000, quantity=2_000, unit="case")
    assert read(reader(KNOWN.replace("ORDER_DEDUCTION", "STOCKTAKE")), row("cola", "0", "case")).counted == 0


def test_the_first_row_of_a_new_item_says_its_unit() -> None:
    found = reader(CREATING)
    entries = [read(found, row("flour", "1", "kg")), read(found, row("flour", "500", "g"))]
    assert [entry.quantity for entry in entries] == [1_000, 500]
    assert found.new_item("flour", row("flour", "500", "g")).definition.unit == "kg"
    with pytest.raises(RowRejected, match="one 'sack' is"):
        found.read(row("flour", "1", "sack"))
    with pytest.raises(RowRejected, match="gives no unit to define it with"):
        found.read(row("oats", "1", ""))


def test_a_row_that_is_rejected_defines_no_unit() -> None:
    found = reader(CREATING)
    with pytest.raises(RowRejected, match="is not written"):
        found.read(["flour", "1", "g", "soon", ""])
    assert read(found, row("flour", "1", "kg")).quantity == 1_000
    assert found.new_item("flour", row("flour", "1", "kg")).definition.unit == "kg"


def test_a_unit_for_all_new_items() -> None:
    text = BASE.format(top='unknown_items = "create"', columns='unit = "unit"') + '[new_items]\nunit = "kg"\n'
    found = reader(text)
    assert read(found, row("flour", "500", "g")).quantity == 500
    assert found.new_item("flour", row("flour", "500", "g")).definition.unit == "kg"


def test_an_empty_unit_can_be_declared() -> None:
    found = reader(KNOWN.replace("case = 24", '"" = 1'))
    entry = read(found, row("rice", "2", ""))
    assert (entry.quantity, entry.entered) == (2_000, None)


@settings(deadline=None)
@given(
    st.decimals(-(10**9), 10**9, places=3),
    st.decimals(Decimal("0.000001"), 10**6, places=6),
)
def test_a_conversion_is_exact_or_refused(number: Decimal, factor: Decimal) -> None:
    try:
        quantity, entered = converted(number, factor, "x")
    except RowRejected:
        product = number * factor * 1000
        assert product != int(product) or abs(product) > 10**12
        return
    assert quantity == number * factor * 1000
    if entered is not None:
        assert entered.quantity * entered.factor == quantity * 1000
