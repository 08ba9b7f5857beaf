"""What becomes of rows that no rule of the map matches."""

import pytest

from branch_node.commands.event_inputs import EventContent
from branch_node.imports.cells.cell_readers import RowRejected
from branch_node.imports.mapping.map_parser import parse_map
from branch_node.imports.rows.row_reader import FILTERED, SKIPPED, LookupTable, RowReader

MAP = """\
source = "till-7"
time_zone = "Asia/Beirut"
type = "ORDER_DEDUCTION"
null = ["-"]
{top}
[columns]
item = "code"
quantity = "qty"
occurred_at = "at"
reference = "receipt"
[[rules]]
when = {{ kind = "refund" }}
type = "CUSTOMER_RETURN"
[[rules]]
when = {{ kind = ["void", "training"], qty = {{ above = 0 }} }}
skip = true
[[rules]]
when = {{ receipt = "COUNT" }}
type = "STOCKTAKE"
"""
HEADER = ["code", "qty", "kind", "at", "receipt"]


def read(kind: str, top: str = "", receipt: str = "R-1") -> EventContent | str:
    found = RowReader(parse_map(MAP.format(top=top).encode(), "map"), HEADER)
    return found.read(["milk", "1", kind, "2026-01-31 12:00:00", receipt])


def kind_of(entry: EventContent | str) -> str:
    return entry if isinstance(entry, str) else entry.type.value


def test_a_text_that_no_rule_names_is_a_reject_that_names_the_nearest() -> None:
    assert kind_of(read("refund")) == "CUSTOMER_RETURN"
    assert read("void") == SKIPPED
    with pytest.raises(RowRejected) as refused:
        read("Refund")
    assert "'Refund' in column 'kind'; the nearest is refund; named are refund, training, void" in str(refused.value)
    with pytest.raises(RowRejected, match="'sale' in column 'kind'; named are"):
        read("sale")


def test_an_empty_cell_says_nothing_and_the_maps_own_type_is_known() -> None:
    for kind in ("", " ", "-", "ORDER_DEDUCTION"):
        assert kind_of(read(kind)) == "ORDER_DEDUCTION"
    with pytest.raises(RowRejected, match="WASTE_RECORDED"):
        read("WASTE_RECORDED")


def test_columns_of_data_hold_other_texts() -> None:
    """The receipt is the row's reference: that a rule looks for one says nothing of the others."""
    assert kind_of(read("", receipt="R-77")) == "ORDER_DEDUCTION"
    assert kind_of(read("", receipt="COUNT")) == "STOCKTAKE"


def test_otherwise_is_said() -> None:
    assert kind_of(read("Refund", 'otherwise = "type"')) == "ORDER_DEDUCTION"
    with pytest.raises(RowRejected, match="the nearest is refund"):
        read("Refund", 'otherwise = "reject"')
    with pytest.raises(RowRejected, match="no rule of the map says what this row is"):
        read("", 'otherwise = "reject"')


def test_rows_of_other_stores_need_no_lookup() -> None:
    text = """\
source = "pizza"
time_zone = "America/New_York"
type = "ORDER_DEDUCTION"
[columns]
item = "pizza_id"
quantity = "quantity"
occurred_at = "orders.at"
[where]
store = "3"
"orders.state" = "paid"
[lookup.orders]
file = "orders.csv"
key = "order_id"
on = "order_id"
"""
    orders = LookupTable(
        ["order_id", "at", "state"],
        {"1": ["1", "2015-01-01 11:38", "paid"], "2": ["2", "2015-01-01 11:38", "open"]},
        "orders.csv",
    )
    found = RowReader(
        parse_map(text.encode(), "map"), ["pizza_id", "order_id", "quantity", "store"], {"orders": orders}
    )

    def entry(*cells: str) -> str:
        return kind_of(found.read(found.add_lookups(list(cells))))

    assert entry("big", "1", "2", "3") == "ORDER_DEDUCTION"
    assert entry("big", "2", "2", "3") == FILTERED
    assert entry("big", "9", "2", "4") == FILTERED
    with pytest.raises(RowRejected, match=r"there is no '9' in orders\.csv"):
        entry("big", "9", "2", "3")
