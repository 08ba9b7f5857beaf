"""What a person types of a delivery, read strictly and refused in words beside the field."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branch_node.commands.purchases.receive_inputs import ReceiveContent
from branch_node.pages.deliveries.delivery_forms import (
    LINES_SHOWN,
    MOST_DELIVERY_FIELDS,
    MOST_ROWS,
    RowPlace,
    delivery_refused,
    form_rows,
    read_delivery,
    refused_view,
    without_quantities,
)
from branch_node.pages.page_forms import MAX_NOTE, FormRefusal
from branch_node.problems import BUSY, FUTURE_DATE, UNIT_DIFFERS, UNKNOWN_ITEM
from shared.events import MAX_QUANTITY, quantity_text
from shared.runtime.pages.forms import Form, parse_form
from shared.runtime.problems import Problem

BEIRUT = ZoneInfo("Asia/Beirut")


def read(**fields: str) -> ReceiveContent:
    return read_delivery("PO-1", Form({name.replace("_", "-"): text for name, text in fields.items()}), BEIRUT)


def refusal(**fields: str) -> FormRefusal:
    with pytest.raises(FormRefusal) as refused:
        read(**fields)
    return refused.value


def test_rows_with_a_quantity_are_lines_of_the_delivery_in_the_order_of_the_page() -> None:
    content = read(
        quantity_10_1="1", quantity_2_2="0,5", quantity_2_1="4", quantity_3_1="", quantity_4_1="0", lot_2_2="B",
        expires_2_1="2026-12-24", cost_10_1="12,50", currency=" usd", note="DN 77", when="2026-01-31T12:00",
    )  # fmt: skip
    assert [(each.line, each.quantity, each.lot) for each in content.lines] == [
        (2, 4_000, None),
        (2, 500, "B"),
        (10, 1_000, None),
    ]
    assert content.lines[0].expires_on == "2026-12-24"
    cost = content.lines[2].cost
    assert cost is not None
    assert (cost.amount, cost.currency) == ("12.50", "USD")
    assert {each.note for each in content.lines} == {"DN 77"}
    assert (content.purchase_order_id, content.source, content.occurred_at) == ("PO-1", "page", 1_769_853_600_000_000)


ROWS = st.dictionaries(
    st.builds(RowPlace, st.integers(1, 200), st.integers(1, 20)),
    st.tuples(st.integers(0, MAX_QUANTITY), st.none() | st.text("AB12", min_size=1, max_size=9)),
    min_size=1,
    max_size=MOST_ROWS,
)


@given(ROWS)
def test_what_is_typed_is_what_is_read(rows: dict[RowPlace, tuple[int, str | None]]) -> None:
    """Of every row with a quantity above zero, in the order of lines and rows, whatever order the fields come in."""
    fields = {}
    for row, (quantity, lot) in rows.items():
        fields[row.field("quantity")] = quantity_text(quantity)
        if quantity and lot:
            fields[row.field("lot")] = lot
    wanted = [(row.line, quantity, lot) for row, (quantity, lot) in sorted(rows.items()) if quantity]
    if not wanted:
        with pytest.raises(FormRefusal):
            read_delivery("PO-1", Form(fields), BEIRUT)
        return
    content = read_delivery("PO-1", Form(fields), BEIRUT)
    assert [(each.line, each.quantity, each.lot) for each in content.lines] == wanted


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=20), st.text(max_size=300))
def test_any_form_is_read_or_refused_in_words(fields: dict[str, str], typed: str) -> None:
    form = Form(fields | {"quantity-1-1": typed, "lot-1-1": typed, "cost-1-1": typed, "when": typed, "note": typed})
    rows = form_rows(form, [1, 2])
    assert rows[0] == RowPlace(1, 1)
    try:
        read_delivery("PO-1", form, BEIRUT)
    except FormRefusal as refused:
        view = refused_view(refused, form, rows)
        assert view.refused or view.faults
        assert all(fault.detail for fault in view.faults.values())


@pytest.mark.parametrize("typed", ["two", "-1", "+1", "1.2345", "1e3", "NaN", "٢", "1,2,3", "1,250", "1 000", "1" * 26])
def test_what_is_no_quantity_is_told_beside_its_field(typed: str) -> None:
    assert set(refusal(quantity_2_1=typed, quantity_1_1="1").faults) == {"quantity-2-1"}


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({}, {""}),
        ({"quantity_1_1": "", "quantity_2_1": "0"}, {"quantity-1-1"}),
        ({"lot_1_1": "A"}, {"quantity-1-1"}),
        ({"quantity_1_1": "0", "cost_1_1": "1"}, {"quantity-1-1"}),
        ({"quantity_1_1": "1", "cost_1_1": "1"}, {"currency"}),
        ({"quantity_1_1": "1", "cost_1_1": "1", "currency": "dollars"}, {"currency"}),
        ({"quantity_1_1": "1", "cost_1_1": "1,250", "currency": "USD"}, {"cost-1-1"}),
        ({"quantity_1_1": "1", "cost_1_1": "-1", "currency": "USD"}, {"cost-1-1"}),
        ({"quantity_1_1": "1", "cost_1_1": "1.1234567", "currency": "USD"}, {"cost-1-1"}),
        ({"quantity_1_1": "1", "expires_1_1": "24.12.2026"}, {"expires-1-1"}),
        ({"quantity_1_1": "1", "expires_1_1": "1999-12-31"}, {"expires-1-1"}),
        ({"quantity_1_1": "1", "lot_1_1": "x" * 65}, {"lot-1-1"}),
        ({"quantity_1_1": "1", "lot_1_1": "x\u200b"}, {"lot-1-1"}),
        ({"quantity_1_1": "1", "note": "x" * (MAX_NOTE + 1)}, {"note"}),
        ({"quantity_1_1": "1", "note": "x\u0007"}, {"note"}),
        ({"quantity_1_1": "1", "when": "yesterday"}, {"when"}),
        ({"quantity_1_1": "1", "currency": "not asked for"}, set()),
    ],
)
def test_what_is_wrong_is_told_beside_its_field(fields: dict[str, str], wrong: set[str]) -> None:
    if wrong:
        assert set(refusal(**fields).faults) == wrong
    else:
        assert read(**fields).lines


def test_a_full_form_with_a_long_note_is_read() -> None:
    rows = {row.field("quantity"): "1" for row in form_rows(Form({}), range(1, MOST_ROWS + 1))}
    assert len(read_delivery("PO-1", Form(rows | {"note": "\U0001f95b" * MAX_NOTE}), BEIRUT).lines) == MOST_ROWS


# Rows


def test_a_form_shows_a_row_for_each_line_and_for_what_was_added() -> None:
    form = Form({"quantity-2-1": "1", "lot-2-2": "", "quantity-9-1": "1", "again": "2"})
    assert form_rows(form, [1, 2, 3]) == [(1, 1), (2, 1), (2, 2), (2, 3), (3, 1)]
    assert form_rows(Form({"again": "9"}), [1]) == form_rows(Form({"again": "x"}), [1]) == [(1, 1)]


def test_a_form_never_has_more_rows_than_fields_are_read() -> None:
    form = Form({"quantity-1-99": "", "quantity-2-99": ""})
    rows = form_rows(form, range(1, LINES_SHOWN + 1))
    assert len(rows) == MOST_ROWS
    fields = [row.field(name) for row in rows for name in ("quantity", "lot", "expires", "cost")]
    fields += ["csrf", "key", "from", "currency", "note", "when", "again", "empty"]
    raw = "&".join(f"{name}=" for name in fields).encode()
    assert parse_form(raw, MOST_DELIVERY_FIELDS).keys() == set(fields)
    with pytest.raises(Problem):
        parse_form(raw)


def test_emptying_leaves_all_but_the_quantities() -> None:
    form = Form({"quantity-1-1": "1", "lot-1-1": "A", "note": "n", "key": "k"})
    assert dict(without_quantities(form)) == {"quantity-1-1": "", "lot-1-1": "A", "note": "n", "key": "k"}


# Refusals of the command


@pytest.mark.parametrize(
    ("problem", "field"),
    [
        (UNIT_DIFFERS("milk is kept in l here", item_id="milk"), "quantity-3-1"),
        (UNKNOWN_ITEM("there is no item 'milk'", item_id="milk"), "quantity-3-1"),
        (UNKNOWN_ITEM("there is no item 'tea'", item_id="tea"), None),
        (FUTURE_DATE("it lies ahead"), "when"),
        (BUSY("too many"), None),
    ],
)
def test_a_refusal_is_told_at_the_line_that_it_is_of(problem: Problem, field: str | None) -> None:
    place = RowPlace(3, 1)
    view = refused_view(delivery_refused(problem, {"milk": place}), Form({}), [RowPlace(1, 1), place])
    assert set(view.faults) == ({field} if field else set())
    assert (view.refused is None) == (field is not None)
    assert view.focus == field


def test_the_first_field_on_the_page_has_the_focus_and_a_field_elsewhere_is_told_above() -> None:
    faults: Any = refusal(quantity_1_1="x", quantity_2_1="x", when="x").faults
    rows = [RowPlace(2, 1)]
    view = refused_view(FormRefusal(dict(reversed(faults.items()))), Form({}), rows)
    assert list(view.faults) == ["quantity-2-1", "when"]
    assert view.focus == "quantity-2-1"
    assert view.refused == faults["quantity-1-1"]
