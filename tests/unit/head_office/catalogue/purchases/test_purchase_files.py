"""Rows of files as suppliers, levels and orders: what is read, and every fault with its line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from head_office.catalogue.purchases.purchase_files import (
    ORDER_COLUMNS,
    read_level_rows,
    read_order_rows,
    read_supplier_rows,
)
from shared.events import quantity_text
from shared.runtime.text.csv_table import TableRow


def rows(*cells: dict[str, str]) -> Iterator[TableRow]:
    yield from (TableRow(line, each) for line, each in enumerate(cells, 2))


LINE = {"location_id": "BEY-01", "supplier_id": "farm", "item_id": "milk", "quantity": "1"}


@pytest.mark.parametrize(
    ("cells", "faults"),
    [
        ([LINE | {"due": "2026-12-01"}, LINE | {"due": "2026-12-02"}], {3: "due"}),
        ([LINE | {"purchase_order_id": "a"}, LINE | {"purchase_order_id": "a", "supplier_id": "mill"}], {3: "line 2"}),
        ([LINE, LINE | {"quantity": "x"}, LINE | {"quantity": "0"}], {3: "quantity", 4: "quantity"}),
        ([LINE, LINE | {"cost": "1"}], {3: "currency: it is empty"}),
        ([LINE, LINE | {"currency": "USD"}], {3: "cost: it is empty"}),
        ([LINE, LINE | {"cost": "-1", "currency": "USD"}], {3: "cost"}),
        ([LINE | {"quantity": "1,000"}], {2: "two ways"}),
        ([{"item_id": "milk", "quantity": "1"}], {2: "it is empty"}),
        ([{k: v for k, v in LINE.items() if k != "item_id"}], {2: "item_id: it is empty"}),
        ([LINE] * 201, {2: "lines"}),
        ([LINE | {"due": "soon"}], {2: "due"}),
        ([LINE | {"note": "\u0007"}], {2: "note"}),
        ([LINE | {"purchase_order_id": "x" * 65}], {2: "purchase_order_id"}),
    ],
)
def test_a_fault_of_an_order_is_named_with_its_line(cells: list[dict[str, str]], faults: dict[int, str]) -> None:
    read = read_order_rows(rows(*cells), None)
    assert read.values == []
    assert {each.line for each in read.rejected} == set(faults)
    for line, said in faults.items():
        assert any(said in each.reason for each in read.rejected if each.line == line), read.rejected


codes = st.sampled_from(["a", "b"])
order_rows = st.lists(
    st.tuples(st.none() | codes, codes, codes, st.sampled_from(["milk", "rice"]), st.integers(1, 10**12)), max_size=12
)


@given(order_rows)
def test_every_row_is_one_line_of_its_order(given_rows: list[Any]) -> None:
    """Rows that agree on their order's location and supplier are found again, in the order of the file."""
    agreed: dict[str, tuple[str, str]] = {}
    cells: list[dict[str, str]] = []
    expected: dict[tuple[str | None, str, str], list[tuple[int, str, int]]] = {}
    for line, (code, at, of, item, quantity) in enumerate(given_rows, 2):
        place, supplier = (at, of) if code is None else agreed.setdefault(code, (at, of))
        row = {"location_id": place, "supplier_id": supplier, "item_id": item, "quantity": quantity_text(quantity)}
        cells.append(row if code is None else row | {"purchase_order_id": code})
        expected.setdefault((code, place, supplier), []).append((line, item, quantity))
    read = read_order_rows(rows(*cells), " file x")
    assert read.rejected == []
    found = {
        (each.value.purchase_order_id, each.value.location_id, each.value.supplier_id): [
            (line, part.item_id, part.quantity) for line, part in zip(each.lines, each.value.lines, strict=True)
        ]
        for each in read.values
    }
    assert found == expected
    keys = [each.value.request_key for each in read.values if each.value.purchase_order_id is None]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ({"name": "A"}, "supplier_id: it is empty"),
        ({"supplier_id": "a"}, "name: it is empty"),
        ({"supplier_id": "a", "name": "A", "lead_days": "two"}, "lead_days"),
        ({"supplier_id": "a", "name": "A", "lead_days": "367"}, "lead_days"),
        ({"supplier_id": "a\u200b", "name": "A", "email": "xyz"}, "mail address"),
    ],
)
def test_a_fault_of_a_supplier_is_named(cells: dict[str, str], said: str) -> None:
    read = read_supplier_rows(rows(cells))
    (rejected,) = read.rejected
    assert read.values == []
    assert rejected.line == 2
    assert said in rejected.reason


def test_what_stands_in_a_file_twice_is_named() -> None:
    supplier = {"supplier_id": "a", "name": "A"}
    assert [each.line for each in read_supplier_rows(rows(supplier, supplier)).rejected] == [3]
    level = {"location_id": "A", "item_id": "milk", "reorder_point": "0", "order_up_to": "1"}
    read = read_level_rows(rows(level, level | {"item_id": "rice"}, level | {"order_up_to": "2"}))
    assert [each.line for each in read.rejected] == [4]
    assert "line 2" in read.rejected[0].reason
    assert [each.value.item_id for each in read.values] == ["milk", "rice"]


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ({"reorder_point": "1"}, "exactly one"),
        ({"reorder_point": "1", "order_up_to": "1"}, "above the reorder point"),
        ({"reorder_point": "1,000", "order_up_to": "5000"}, "two ways"),
        ({"order_up_to": "1"}, "reorder_point: it is empty"),
        ({"reorder_point": "-1", "order_up_to": "1", "pack_size": "0"}, "pack_size"),
    ],
)
def test_a_fault_of_a_level_is_named(cells: dict[str, str], said: str) -> None:
    read = read_level_rows(rows({"location_id": "A", "item_id": "milk"} | cells))
    (rejected,) = read.rejected
    assert said in rejected.reason


def test_the_example_has_the_columns() -> None:
    header = ORDER_COLUMNS.example.splitlines()[0].split(",")
    assert set(header) <= {*ORDER_COLUMNS.required, *ORDER_COLUMNS.optional}
