"""What a person types about reservations, read strictly and refused in words beside the field."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branch_node.commands.reservations.reservation_decisions import Rest
from branch_node.model import Item
from branch_node.pages.page_forms import FormRefusal
from branch_node.pages.reservation_forms import (
    EXPIRIES,
    MOST_FORM_LINES,
    ending_refused,
    lines_shown,
    read_confirmation,
    read_release,
    read_reservation,
    reservation_refused,
)
from branch_node.pages.reservation_views import reservation_view, whole_order
from branch_node.problems import (
    BUSY,
    INVENTORY_UNAVAILABLE,
    MORE_THAN_OPEN,
    ORDER_CANCELLED,
    ORDER_SUPERSEDED,
    RESERVATION_ENDED,
    TOO_MANY_RESERVATIONS,
)
from shared.events import MAX_QUANTITY, quantity_text
from shared.reservations import Reservation, ReservationState, ReservedLine
from shared.runtime.pages.forms import MAX_FIELDS, Form, parse_form
from shared.runtime.problems import Problem

ITEMS = {
    item.item_id: item
    for item in (
        Item(item_id="milk", name="Whole milk", unit="l"),
        Item(item_id="beans", name="Coffee beans", unit="kg"),
        Item(item_id="halloumi", name="حلوم بلدي", unit="kg"),
    )
}
LINES = {"item-1": "Whole MILK", "quantity-1": "2,5", "item-4": "beans", "quantity-4": "1", "item-5": "milk"}


def read(**fields: str):
    return read_reservation(Form({"order": "4711", **LINES, "quantity-5": "1"} | fields), ITEMS)


def test_a_form_states_a_reservation_of_the_page() -> None:
    content = read()
    assert (content.order_id, content.source, content.revision, content.expires_in) == ("4711", "page", 1, 900)
    assert [(line.item_id, line.quantity) for line in content.lines] == [("milk", 3_500), ("beans", 1_000)]
    content = read(source="webshop", revision="7", expires=EXPIRIES[-1][0])
    assert (content.source, content.revision, content.expires_in) == ("webshop", 7, int(EXPIRIES[-1][0]))


@given(
    st.dictionaries(
        st.integers(1, MOST_FORM_LINES),
        st.tuples(st.sampled_from(sorted(ITEMS)), st.integers(1, MAX_QUANTITY // MOST_FORM_LINES)),
        min_size=1,
    )
)
def test_every_line_that_was_filled_in_counts_once(typed: dict[int, tuple[str, int]]) -> None:
    fields = {"order": "A"}
    for number, (item_id, quantity) in typed.items():
        fields |= {f"item-{number}": item_id, f"quantity-{number}": quantity_text(quantity)}
    content = read_reservation(Form(fields), ITEMS)
    summed: dict[str, int] = {}
    for item_id, quantity in typed.values():
        summed[item_id] = summed.get(item_id, 0) + quantity
    assert {line.item_id: line.quantity for line in content.lines} == summed
    assert lines_shown(Form(fields)) >= max(typed)


NAMES = ["order", "source", "revision", "expires", "rows", *LINES]


def outcome(read: Callable[..., Any], *given: Any) -> Any:
    """What a form is read as, or its refusal."""
    try:
        return read(*given)
    except FormRefusal as refused:
        return refused


@given(st.dictionaries(st.sampled_from(NAMES), st.text(max_size=40)))
def test_whatever_is_typed_is_read_or_refused_at_a_field_of_the_form(fields: dict[str, str]) -> None:
    form = Form(fields)
    assert 1 <= lines_shown(form) <= MOST_FORM_LINES
    content = outcome(read_reservation, form, ITEMS)
    if isinstance(content, FormRefusal):
        named = {"order", "source", "revision", "expires"}
        named |= {f"{what}-{number}" for what in ("item", "quantity") for number in range(1, lines_shown(form) + 1)}
        assert content.faults.keys() <= named
        assert content.faults
        assert content.view(form).focus in content.faults
        return
    assert content.lines
    assert all(line.item_id in ITEMS and line.quantity > 0 for line in content.lines)


@pytest.mark.parametrize(
    ("fields", "field", "told"),
    [
        ({"order": ""}, "order", "Which order?"),
        ({"order": "x" * 101}, "order", "100"),
        ({"item-4": ""}, "item-4", "Which item?"),
        ({"item-4": "beens"}, "item-4", "There is no item “beens” here."),
        ({"quantity-4": "0.0001"}, "quantity-4", "4 decimals; at most 3 are kept."),
        ({"quantity-4": "-1"}, "quantity-4", "Outside the range"),
        ({"source": "web shop"}, "source", "A system's name"),
        ({"revision": "0"}, "revision", "at least 1"),
        ({"revision": "2000000000"}, "revision", "at most 1,000,000,000"),
        ({"revision": "٣"}, "revision", "a whole number"),
        ({"expires": "0"}, "expires", "no length of time"),
        ({"expires": "99999999"}, "expires", "no length of time"),
    ],
)
def test_what_is_wrong_is_told_at_its_field(fields: dict[str, str], field: str, told: str) -> None:
    with pytest.raises(FormRefusal) as refused:
        read(**fields)
    assert refused.value.faults.keys() == {field}
    assert told in refused.value.faults[field].detail


def test_a_whole_form_fits_into_what_a_form_may_have() -> None:
    names = ["csrf", "key", "rows", "order", "expires", "revision", "source", "more"]
    names += [f"{what}-{number}" for what in ("item", "quantity") for number in range(1, MOST_FORM_LINES + 1)]
    assert len(names) <= MAX_FIELDS
    parse_form("&".join(f"{name}=1" for name in names).encode())


def refusal(problem: Problem) -> FormRefusal:
    return reservation_refused(problem, Form({"order": "4711", **LINES, "quantity-5": "1"}), ITEMS)


def test_refusals_of_reserving_are_told_where_they_belong() -> None:
    short = [
        {"item_id": "milk", "unit": "l", "asked": Decimal("3.5"), "available": Decimal(-2)},
        {"item_id": "beans", "unit": "kg", "asked": Decimal(1), "available": Decimal("0.5")},
    ]
    refused = refusal(INVENTORY_UNAVAILABLE("short", short=short))
    assert {name: fault.detail for name, fault in refused.faults.items()} == {
        "quantity-1": "3.5 l wanted, -2 available.",
        "quantity-4": "1 kg wanted, 0.5 available.",
    }
    assert refused.refused is not None
    assert "revision 3 or higher" in refusal(ORDER_SUPERSEDED("x", revision=2)).faults["revision"].hint
    assert "is cancelled" in refusal(ORDER_CANCELLED("x")).faults["order"].detail
    for state, told in (
        ("CONFIRMED", "all of it is confirmed"),
        ("EXPIRED", "it is expired"),
        ("RELEASED", "released"),
    ):
        fault = refusal(RESERVATION_ENDED("x", state=state)).refused
        assert fault is not None
        assert told in fault.detail
    for problem in (TOO_MANY_RESERVATIONS("x"), BUSY("x")):
        assert refusal(problem).refused is not None


# Ending


def test_a_confirmation_is_of_what_was_sent() -> None:
    form = Form({"sent:milk": "2,5", "sent:beans": "", "sent:halloumi": "0", "rest": "keep"})
    content = read_confirmation("r-1", form)
    assert content.lines is not None
    assert [(line.item_id, line.quantity) for line in content.lines] == [("milk", 2_500)]
    assert content.rest is Rest.KEEP
    assert read_confirmation("r-1", Form({})).lines is None
    assert read_confirmation("r-1", Form({})).rest is Rest.RELEASE


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"sent:milk": "x"}, "sent:milk"),
        ({"sent:milk": "1", "sent:beans": "-1"}, "sent:beans"),
        ({"sent:milk": "", "sent:beans": "0"}, "sent:milk"),
    ],
)
def test_a_confirmation_that_cannot_be_read(fields: dict[str, str], field: str) -> None:
    with pytest.raises(FormRefusal) as refused:
        read_confirmation("r-1", Form(fields))
    assert refused.value.faults.keys() == {field}


@given(st.dictionaries(st.text(max_size=5).map(lambda text: f"sent:{text}"), st.text(max_size=8)), st.text(max_size=8))
def test_whatever_is_typed_is_a_confirmation_or_refused(fields: dict[str, str], rest: str) -> None:
    form = Form({**fields, "rest": rest})
    content = outcome(read_confirmation, "r-1", form)
    if isinstance(content, FormRefusal):
        assert content.faults or content.refused
        return
    assert content.lines is None or all(line.quantity > 0 for line in content.lines)


def test_a_release_has_a_code_as_its_reason() -> None:
    assert read_release("r-1", Form({"reason": "cancelled"})).reason == "cancelled"
    assert read_release("r-1", Form({})).reason is None
    with pytest.raises(FormRefusal) as refused:
        read_release("r-1", Form({"reason": "\u200b"}))
    assert "reason" in refused.value.faults


def test_more_than_open_is_told_at_the_item_or_for_the_whole_form() -> None:
    problem = MORE_THAN_OPEN("x", item_id="milk", asked=Decimal(5), open=Decimal(4))
    fault = ending_refused(problem, Form({"sent:milk": "5"})).faults["sent:milk"]
    assert fault.detail == "5 to confirm, and only 4 still reserved."
    refused = ending_refused(problem, Form({"sent:beans": "5"}))
    assert refused.refused == fault
    assert not refused.faults


# Views


def reservation(reservation_id: str, revision: int, **lines: tuple[int, int, int]) -> Reservation:
    return Reservation(
        reservation_id=reservation_id,
        order_id="4711",
        source="webshop",
        revision=revision,
        state=ReservationState.ACTIVE,
        created_at=0,
        expires_at=1_000,
        stated_at=1,
        lines=tuple(
            ReservedLine(item_id=item_id, unit="l", quantity=quantity, confirmed=confirmed, released=released)
            for item_id, (quantity, confirmed, released) in lines.items()
        ),
    )


def test_one_that_has_expired_has_nothing_open() -> None:
    found = reservation("r-1", 1, milk=(5_000, 2_000, 0), beans=(1_000, 0, 1_000))
    before, after = reservation_view(found, ITEMS, 999), reservation_view(found, ITEMS, 1_000)
    assert (before.active, before.state, [line.open for line in before.open_lines]) == (True, "active", [3_000])
    assert (after.active, after.state, after.open_lines) == (False, "expired", ())
    for view in (before, after):
        assert all(line.quantity == line.confirmed + line.released + line.open for line in view.lines)


def test_the_whole_order_counts_what_an_earlier_reservation_confirmed() -> None:
    first = reservation("r-1", 1, milk=(5_000, 2_000, 3_000), beans=(1_000, 0, 1_000))
    second = reservation("r-2", 2, milk=(4_000, 1_000, 0))
    query = whole_order(second, [first, second])
    assert query == "order=4711&source=webshop&revision=3&item-1=milk&quantity-1=6"
    many = reservation("r-3", 1, **{f"item-{number}": (1_000, 0, 0) for number in range(MOST_FORM_LINES + 1)})
    assert whole_order(many, [many]) is None
