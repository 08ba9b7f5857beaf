"""What a person types at a branch, read strictly and refused in words beside the field."""

from zoneinfo import ZoneInfo

import pytest

from branch_node.model import Item
from branch_node.pages.page_forms import (
    FIELDS,
    MAX_NOTE,
    FormKind,
    FormRefusal,
    find_item,
    nearest_items,
    read_record,
    read_void,
    refused_by,
    search_items,
)
from branch_node.problems import BUSY, KEY_REUSED, STRICT_ITEM
from shared.events import EventType
from shared.runtime.pages.forms import Form

BEIRUT = ZoneInfo("Asia/Beirut")
ITEMS = {
    item.item_id: item
    for item in (
        Item(item_id="milk", name="Whole milk", unit="l", category="Dairy", barcode="5281000001"),
        Item(item_id="milk-2", name="Skimmed milk", unit="l", category="Dairy"),
        Item(item_id="beans", name="Coffee beans", unit="kg"),
        Item(item_id="beans-old", name="COFFEE BEANS", unit="kg"),
        Item(item_id="halloumi", name="حلوم بلدي", unit="kg"),
    )
}


def read(kind: FormKind, **fields: str):
    given = {"item": "milk", "quantity": "2.5", "reason": "broken"} | fields
    return read_record(kind, Form(given), ITEMS, BEIRUT)


def refusal(kind: FormKind = FormKind.WASTE, **fields: str) -> FormRefusal:
    with pytest.raises(FormRefusal) as refused:
        read(kind, **fields)
    return refused.value


@pytest.mark.parametrize(
    ("kind", "fields", "recorded"),
    [
        (FormKind.DEDUCTION, {}, EventType.ORDER_DEDUCTION),
        (FormKind.DEDUCTION, {"type": "INTERNAL_USE"}, EventType.INTERNAL_USE),
        (FormKind.DEDUCTION, {"type": "PURCHASE_RECEIVED"}, EventType.ORDER_DEDUCTION),
        (FormKind.WASTE, {"type": "ADJUSTMENT"}, EventType.WASTE_RECORDED),
        (FormKind.DELIVERY, {}, EventType.PURCHASE_RECEIVED),
        (FormKind.COUNT, {}, EventType.STOCKTAKE),
    ],
)
def test_each_form_records_its_own_type(kind: FormKind, fields: dict[str, str], recorded: EventType) -> None:
    entry = read(kind, **fields)
    assert (entry.type, entry.item_id, entry.source) == (recorded, "milk", "page")
    assert (entry.counted, entry.quantity) == ((2_500, None) if kind is FormKind.COUNT else (None, 2_500))
    assert entry.reason == ("broken" if kind is FormKind.WASTE else None)


def test_what_else_was_typed_is_kept() -> None:
    entry = read(FormKind.WASTE, unit="l", note="وقعت <b>", when="2026-01-31T12:00")
    assert (entry.unit, entry.note, entry.occurred_at) == ("l", "وقعت <b>", 1_769_853_600_000_000)


def test_a_count_may_be_zero_and_nothing_else() -> None:
    assert read(FormKind.COUNT, quantity="0").counted == 0
    assert "quantity" in refusal(FormKind.DELIVERY, quantity="0").faults


@pytest.mark.parametrize(("typed", "read_as"), [("2,5", 2_500), ("0,125", 125), ("1234,5", 1_234_500)])
def test_a_decimal_comma_is_a_point(typed: str, read_as: int) -> None:
    assert read(FormKind.DELIVERY, quantity=typed).quantity == read_as


def test_a_comma_that_may_mean_thousands_is_asked_about() -> None:
    fault = refusal(quantity="1,250").faults["quantity"]
    assert fault.detail == "1,250 can be read in two ways."
    assert fault.hint == "Write 1250 or 1.250."


@pytest.mark.parametrize(
    "typed",
    ["", "two", "-1", "+1", "1.2345", "1e3", "NaN", "٢", "1,2,3", "1.5,2", "1 000", '"', "1" * 26, "0x10", "\u200b1"],
)
def test_what_is_no_quantity_is_told_beside_its_field(typed: str) -> None:
    refused = refusal(quantity=typed)
    assert set(refused.faults) == {"quantity"}
    assert refused.view(Form({"quantity": typed})).focus == "quantity"
    assert refused.view(Form({"quantity": typed})).values["quantity"] == typed


def test_everything_wrong_is_told_at_once_and_the_first_has_the_focus() -> None:
    refused = refusal(item="tea", quantity="", reason="", note="x" * (MAX_NOTE + 1), when="yesterday")
    assert [name for name in FIELDS if name in refused.faults] == ["item", "quantity", "reason", "note", "when"]
    assert refused.view(Form({})).focus == "item"


def test_a_code_that_cannot_be_is_refused_by_the_same_rules_as_the_api() -> None:
    assert refusal(reason="bro\u200bken").faults["reason"].detail.startswith("It holds a control")
    assert refusal(note="\u0007").faults["note"].detail == "It holds the character U+0007, which is no text."


def test_a_time_that_did_not_happen() -> None:
    assert "put forward" in refusal(when="2026-03-29T00:30").faults["when"].detail


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("milk", "milk"),
        ("MILK", "milk"),
        ("whole MILK", "milk"),
        ("beans", "beans"),
        ("حلوم بلدي", "halloumi"),
        ("coffee beans", None),
        ("mil", None),
        ("", None),
    ],
)
def test_an_item_is_found_by_code_or_name(typed: str, found: str | None) -> None:
    item = find_item(typed, ITEMS)
    assert (item.item_id if item else None) == found


def test_items_that_may_have_been_meant() -> None:
    assert [item.item_id for item in nearest_items("mil", ITEMS)] == ["milk-2", "milk"]
    assert [item.item_id for item in nearest_items("coffee beans", ITEMS)][:2] == ["beans", "beans-old"]
    assert [item.item_id for item in nearest_items("halumi", ITEMS)] == ["halloumi"]
    assert nearest_items("zzzz", ITEMS) == []


def test_the_search_wants_every_word() -> None:
    assert [item.item_id for item in search_items("dairy whole", ITEMS.values())] == ["milk"]
    assert [item.item_id for item in search_items("5281", ITEMS.values())] == ["milk"]
    assert len(search_items("", ITEMS.values())) == len(ITEMS)


def test_a_void_needs_a_reason() -> None:
    event_id = "0190a1b2-0000-7000-8000-000000000001"
    assert read_void(event_id, Form({"reason": "mistake", "note": "typo"})).reason == "mistake"
    for fields in ({}, {"reason": "x" * 65}, {"reason": "\u202e"}, {"reason": "mistake", "note": "x" * 1_001}):
        with pytest.raises(FormRefusal):
            read_void(event_id, Form(fields))


def test_refusals_of_the_writer_go_where_they_belong() -> None:
    assert set(refused_by(STRICT_ITEM("gin would be below zero")).faults) == {"quantity"}
    busy = refused_by(BUSY("1024 requests wait already"))
    assert not busy.faults
    assert busy.refused is not None
    assert "counts once" in busy.refused.hint
    reused = refused_by(KEY_REUSED("it belongs to event 3"))
    assert reused.refused is not None
    assert reused.refused.detail == "It belongs to event 3."


def test_a_delivery_names_its_order_and_line_and_other_forms_do_not() -> None:
    fields = {"order": "PO-000001", "line": "2"}
    reference = read(FormKind.DELIVERY, **fields).reference
    assert reference is not None
    assert (reference.kind, reference.id, reference.line) == ("purchase-order", "PO-000001", 2)
    assert read(FormKind.WASTE, **fields).reference is None
    assert read(FormKind.DELIVERY).reference is None


@pytest.mark.parametrize(
    ("order", "line", "field"),
    [
        ("PO-1", "", "line"),
        ("", "1", "order"),
        ("PO-1", "0", "line"),
        ("PO-1", "1001", "line"),
        ("PO-1", "1.5", "line"),
        ("PO-1", "٢", "line"),
        ("PO\u200b1", "1", "order"),
        ("x" * 201, "1", "order"),
    ],
)
def test_an_order_or_line_that_cannot_be_is_told_beside_its_field(order: str, line: str, field: str) -> None:
    assert set(refusal(FormKind.DELIVERY, order=order, line=line).faults) == {field}
