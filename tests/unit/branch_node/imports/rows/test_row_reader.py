"""What a row becomes by a map."""

from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from branch_node.commands.event_inputs import EventContent
from branch_node.commands.item_inputs import ItemContent
from branch_node.imports.cells.cell_readers import RowRejected, amount_text
from branch_node.imports.cells.number_reader import NumberReader
from branch_node.imports.mapping.map_parser import parse_map
from branch_node.imports.rows.row_reader import FILTERED, SKIPPED, HeaderError, LookupTable, RowReader
from shared.events import MAX_QUANTITY, BadQuantity, Cost, Definition, EventType, Reference, parse_quantity

MAP = """
source = "till-7"
time_zone = "Asia/Beirut"
type = "ORDER_DEDUCTION"
skip_items = ["POST"]
unknown_items = "create"

[columns]
id = "id"
item = "code"
quantity = "qty"
date = "day"
time = "time"
reference = "invoice"
reference_line = "line"
product = "dish"
note = "note"
unit_cost = "price"
actor = "cashier"
lot = "lot"
expires_on = "best before"

[formats]
date = "%d.%m.%Y"
time = "%H:%M"

[constants]
currency = "USD"
area = "bar"

[where]
store = "3"

[[rules]]
when = { invoice = { starts = "A" } }
reject = "a bad debt moved no goods"

[[rules]]
when = { invoice = { starts = ["C", "R"] }, qty = { below = 0 } }
type = "CUSTOMER_RETURN"
sign = "absolute"
reference_kind = "credit"

[[rules]]
when = { qty = { below = 0 }, price = { equals = "0" } }
type = "ADJUSTMENT"
reason = "written-off"
note = "by the till"

[[rules]]
when = { invoice = { equals = "COUNT" } }
type = "STOCKTAKE"

[[rules]]
when = { note = { ends = "test" } }
skip = true

[new_items]
unit_column = "unit"
name_column = "name"
"""
ROW = {
    "id": "17", "store": "3", "code": "milk", "qty": "2", "day": "31.01.2026", "time": "8:05", "invoice": "I-1",
    "line": "4",
    "dish": "latte", "note": "", "price": "1.25", "cashier": "c9", "lot": "", "best before": "2026-02-28", "unit": "l",
    "name": " Milk, whole ",
}  # fmt: skip
READER = RowReader(parse_map(MAP.encode(), "map"), list(ROW))


def row(**cells: str) -> list[str]:
    named = {name.replace("_", " "): text for name, text in cells.items()}
    assert named.keys() <= ROW.keys()
    return list((ROW | named).values())


def read(**cells: str) -> EventContent | str:
    return READER.read(READER.add_lookups(row(**cells)))


def test_a_sale() -> None:
    assert read() == EventContent(
        type=EventType.ORDER_DEDUCTION,
        item_id="milk",
        quantity=2_000,
        occurred_at=1_769_839_500_000_000,  # 2026-01-31T08:05+02:00
        reference=Reference(id="I-1", kind="order", line=4, product="latte"),
        cost=Cost(amount="2.5", currency="USD"),
        source="till-7",
        person="c9",
        expires_on="2026-02-28",
        area="bar",
    )


def test_blanks_around_cells_are_not_of_them() -> None:
    spaced = [f"  {text} " for text in row()]
    assert READER.read(spaced) == read()
    assert READER.own_id(spaced) == "17"


def test_which_rows_are_which() -> None:
    assert read(store="5") == FILTERED
    assert read(store="5", code="POST") == FILTERED
    assert read(code="POST", qty="-1") == SKIPPED
    assert read(note="a till test") == SKIPPED
    returned = read(invoice="C1", qty="-1.5")
    assert isinstance(returned, EventContent)
    assert (returned.type, returned.quantity) == (EventType.CUSTOMER_RETURN, 1_500)
    assert returned.reference == Reference(id="C1", kind="credit", line=4, product="latte")
    assert returned.cost == Cost(amount="1.875", currency="USD")
    written_off = read(qty="-3", price="0")
    assert isinstance(written_off, EventContent)
    assert (written_off.type, written_off.quantity, written_off.reason, written_off.note) == (
        EventType.ADJUSTMENT, -3_000, "written-off", "by the till",
    )  # fmt: skip
    counted = read(invoice="COUNT", qty="0")
    assert isinstance(counted, EventContent)
    assert (counted.counted, counted.quantity) == (0, None)


REJECTED = {
    "bad debt": ({"invoice": "A1"}, "bad debt"),
    "below zero": ({"qty": "-1"}, "no rule of the map says what it is"),
    "nothing": ({"qty": "0"}, "of nothing"),
    "no quantity": ({"qty": " "}, "is no number such as 12.5"),
    "no number": ({"qty": "two"}, "is no number such as 12.5"),
    "four decimals": ({"qty": "1.2345"}, "4 decimals"),
    "grouped digits": ({"qty": "1,000"}, "is no number such as 12.5"),
    "infinite": ({"qty": "1e400"}, "is no number such as 12.5"),
    "NaN": ({"qty": "NaN"}, "is no number such as 12.5"),
    "Arabic digits": ({"qty": "٣"}, "is no number such as 12.5"),
    "too much": ({"qty": "1000000000.001"}, "outside the range"),
    "no item": ({"code": " "}, "there is no item"),
    "no such day": ({"day": "31.02.2026"}, "no such day"),
    "another format": ({"day": "2026-01-31"}, "is not written %d.%m.%Y"),
    "no time": ({"time": ""}, "there is no time"),
    "an hour that never was": ({"day": "29.03.2026", "time": "00:30"}, "that time never was"),
    "a twice-shown hour": ({"day": "24.10.2026", "time": "23:30"}, "it was twice"),
    "a line of 0": ({"line": "0"}, "no number from 1"),
    "an endless line": ({"line": "9" * 5000}, "no number from 1"),
    "a long reference": ({"invoice": "x" * 201}, "at most 200"),
    "an invisible reference": ({"invoice": "a\u200bb"}, "zero-width"),
    "a note of no text": ({"note": "a\x00b"}, "U+0000"),
    "a byte that is no UTF-8": ({"note": "caf\udce9"}, "U+DCE9"),
    "a long note": ({"note": "x" * 1001}, "at most 1000"),
    "a price below zero": ({"price": "-1"}, "below zero"),
    "a price that is no number": ({"price": "$1"}, "no number"),
    "an endless price": ({"price": "9" * 16}, "more than 15 digits"),
    "no such best before": ({"best_before": "2026-02-30"}, "not a date such as"),
    "a best before of long ago": ({"best_before": "1999-12-31"}, "not a date such as"),
    "a code that no address can have": ({"code": ".."}, "cannot be an item's code"),
    "a code that looks like another": ({"code": "mi\u200blk"}, "zero-width"),
    "a lot that is read backwards": ({"lot": "a\u202eb"}, "unprintable"),
    "a long cashier": ({"cashier": "x" * 32}, "at most 31"),
}


@pytest.mark.parametrize(("cells", "why"), REJECTED.values(), ids=REJECTED.keys())
def test_what_cannot_be_recorded_says_why(cells: dict[str, str], why: str) -> None:
    with pytest.raises(RowRejected) as refused:
        read(**cells)
    assert why in str(refused.value)


def test_own_ids_and_new_items() -> None:
    assert READER.own_id(row(id="A/1:2")) == "A/1:2"
    for wrong in ("", "x" * 201, "a\nb"):
        with pytest.raises(RowRejected):
            READER.own_id(row(id=wrong))
    assert READER.new_item("milk", row()) == ItemContent(
        item_id="milk", definition=Definition(name="Milk, whole", unit="l")
    )
    assert READER.new_item("milk", row(name="")) == ItemContent(
        item_id="milk", definition=Definition(name="milk", unit="l")
    )
    with pytest.raises(RowRejected, match="gives no unit"):
        READER.new_item("tea", row(unit=""))
    with pytest.raises(RowRejected, match="zero-width"):
        READER.new_item("mi\u200blk", row())


def test_columns_that_are_not_there() -> None:
    found = parse_map(MAP.encode(), "map")
    with pytest.raises(HeaderError, match="no column 'store'; it has id, code"):
        RowReader(found, [name for name in ROW if name != "store"])
    with pytest.raises(HeaderError, match="'id' twice"):
        RowReader(found, [*ROW, "id"])


def test_a_reason_that_only_some_rows_give() -> None:
    text = MAP.replace('type = "ORDER_DEDUCTION"', 'type = "WASTE_RECORDED"').replace(
        'note = "note"', 'reason = "note"'
    )
    reader = RowReader(parse_map(text.encode(), "map"), list(ROW))
    assert isinstance(reader.read(row(note="spoiled")), EventContent)
    with pytest.raises(RowRejected, match="needs a reason"):
        reader.read(row(note=""))


def test_a_lookup_lends_its_columns() -> None:
    text = """
source = "pizza"
time_zone = "America/New_York"
type = "ORDER_DEDUCTION"
[columns]
item = "pizza_id"
quantity = "quantity"
date = "orders.date"
time = "orders.time"
reference = "order_id"
[formats]
date = "%Y-%m-%d"
time = "%H:%M:%S"
[lookup.orders]
file = "orders.csv"
key = "order_id"
on = "order_id"
"""
    orders = LookupTable(["order_id", "date", "time"], {"1": ["1", "2015-01-01", "11:38:36"]}, "orders.csv")
    reader = RowReader(parse_map(text.encode(), "map"), ["pizza_id", "order_id", "quantity"], {"orders": orders})
    found = reader.read(reader.add_lookups(["big_meat_s", " 1", "2"]))
    assert isinstance(found, EventContent)
    assert found.occurred_at == 1_420_130_316_000_000
    with pytest.raises(RowRejected, match=r"no '2' in orders\.csv"):
        reader.add_lookups(["big_meat_s", "2", "2"])


@settings(deadline=None)
@given(
    st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**9), max_value=10**9), st.integers(0, 4)
)
def test_quantities_are_exact_however_many_zeros_follow(number: Decimal, zeros: int) -> None:
    text = format(number, "f") + "0" * zeros
    assert NumberReader().quantity(f" {text} ") == number * 1000
    assert NumberReader(",").quantity(text.replace(".", ",")) == number * 1000
    assert NumberReader().number(text) == number


@pytest.mark.parametrize(
    ("text", "thousandths"), [(".5", 500), ("-.25", -250), ("+3", 3_000), ("17.0", 17_000), ("0.000", 0)]
)
def test_ways_to_write_a_number(text: str, thousandths: int) -> None:
    assert NumberReader().quantity(text) == thousandths


@settings(deadline=None)
@given(st.text(max_size=10), st.booleans())
@example("1-", False)
@example("(1)", True)
@example("\u22121", False)
def test_any_text_is_a_number_or_rejected(text: str, comma: bool) -> None:
    numbers = NumberReader("," if comma else ".")
    try:
        found = numbers.quantity(text)
    except RowRejected:
        return
    assert abs(found) <= MAX_QUANTITY
    assert numbers.number(text) * 1000 == found
    try:
        assert parse_quantity(text) == found
    except BadQuantity:
        assert text.strip(" +0-\u2212()").replace(",", ".") != text or "." in text or text != text.strip()


@settings(deadline=None)
@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=0, max_value=10**14))
def test_costs_keep_six_decimals(amount: Decimal) -> None:
    text = amount_text(amount)
    assert abs(Decimal(text) - amount) <= Decimal("0.0000005")
    assert not text.endswith((".", "E"))
    assert text.replace(".", "", 1).isdigit()


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(list(ROW)), st.text(max_size=12), max_size=6))
def test_any_row_is_read_or_rejected(cells: dict[str, str]) -> None:
    changed = list((ROW | cells).values())
    try:
        found = READER.read(READER.add_lookups(changed))
    except RowRejected:
        return
    assert found in (FILTERED, SKIPPED) or isinstance(found, EventContent)
