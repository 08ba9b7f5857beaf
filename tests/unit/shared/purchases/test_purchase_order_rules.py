"""The rules of orders to suppliers, against what INTERFACES A4 says of them, on any order and any deliveries."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.events import EventType, Reference
from shared.purchases.delivered_lines import DeliveredLine, delivered_by_line, delivered_line_of
from shared.purchases.purchase_order_record import purchase_order_record
from shared.purchases.purchase_orders import (
    Delivered,
    PurchaseOrder,
    PurchaseOrderLine,
    PurchaseOrderState,
    closed_order,
    open_quantity,
    over_quantity,
    state_of,
)
from shared.purchases.suppliers import email_fault
from tests.support.events import NOON, an_event

quantities = st.integers(1, 10_000)
lines = st.lists(st.tuples(quantities, st.booleans()), min_size=1, max_size=5)
orders = st.builds(
    lambda said: PurchaseOrder(
        purchase_order_id="PO-1",
        location_id="BEY-01",
        supplier_id="farm",
        created_at=NOON,
        lines=tuple(
            PurchaseOrderLine(line=number, item_id=f"item-{number}", unit="kg", quantity=quantity, closed=closed)
            for number, (quantity, closed) in enumerate(said, 1)
        ),
    ),
    lines,
)
deliveries = st.dictionaries(
    st.integers(1, 5), st.builds(Delivered, received=st.integers(0, 20_000), returned=st.integers(0, 20_000))
)


@given(orders, deliveries)
def test_what_is_open_and_over_and_the_state_that_follows(order: PurchaseOrder, delivered: Any) -> None:
    rests = []
    for line in order.lines:
        received = delivered.get(line.line, Delivered()).received
        still, over = (
            open_quantity(line, delivered.get(line.line, Delivered())),
            over_quantity(line, delivered.get(line.line, Delivered())),
        )
        assert still == (0 if line.closed else max(line.quantity - received, 0))
        assert over == max(received - line.quantity, 0)
        assert not (still and over)
        rests.append((still, line.closed and received < line.quantity))
    state = state_of(order, delivered)
    assert (state is PurchaseOrderState.OPEN) == any(still for still, _ in rests)
    if state is not PurchaseOrderState.OPEN:
        assert (state is PurchaseOrderState.CLOSED) == any(given_up for _, given_up in rests)


@given(orders, deliveries)
def test_what_is_returned_opens_nothing(order: PurchaseOrder, delivered: dict[int, Delivered]) -> None:
    without = {line: msgspec.structs.replace(each, returned=0) for line, each in delivered.items()}
    assert state_of(order, delivered) is state_of(order, without)


@given(orders, deliveries, st.none() | st.lists(st.integers(1, 5), max_size=5))
def test_closing_gives_up_only_these_lines_and_is_done_once(
    order: PurchaseOrder, delivered: dict[int, Delivered], wanted: list[int] | None
) -> None:
    closed = closed_order(order, wanted, "reason")
    for before, after in zip(order.lines, closed.lines, strict=True):
        assert after.closed == (before.closed or wanted is None or before.line in wanted)
        assert msgspec.structs.replace(after, closed=before.closed) == before
    assert closed_order(closed, wanted, "another") == closed
    rest = closed_order(closed, None, None)
    assert rest.close_reason == closed.close_reason
    if closed.lines == order.lines:
        assert closed == order
    if wanted is None:
        assert state_of(closed, delivered) is not PurchaseOrderState.OPEN


@given(orders, deliveries)
def test_the_record_says_what_the_rules_say(order: PurchaseOrder, delivered: dict[int, Delivered]) -> None:
    record = msgspec.json.decode(msgspec.json.encode(purchase_order_record(order, delivered)))
    assert record["state"] == state_of(order, delivered)
    for line, said in zip(order.lines, record["lines"], strict=True):
        of_line = delivered.get(line.line, Delivered())
        assert [round(said[name] * 1_000) for name in ("quantity", "received", "returned", "open", "over")] == [
            line.quantity,
            of_line.received,
            of_line.returned,
            open_quantity(line, of_line),
            over_quantity(line, of_line),
        ]


@given(st.lists(st.tuples(st.integers(1, 3), quantities, st.booleans()), max_size=20), st.randoms())
def test_deliveries_are_summed_in_any_order(said: list[tuple[int, int, bool]], random: Any) -> None:
    rows = [
        DeliveredLine(place, "PO-1", line, "milk", 0 if back else quantity, quantity if back else 0, NOON)
        for place, (line, quantity, back) in enumerate(said, 1)
    ]
    sums = delivered_by_line(rows)
    random.shuffle(rows)
    assert delivered_by_line(rows) == sums
    for line in range(1, 4):
        of_line = sums.get(line, Delivered())
        assert of_line.received == sum(quantity for each, quantity, back in said if each == line and not back)
        assert of_line.returned == sum(quantity for each, quantity, back in said if each == line and back)


@pytest.mark.parametrize("kind", ["PURCHASE_RECEIVED", "PURCHASE_RETURNED", "ORDER_DEDUCTION"])
@pytest.mark.parametrize("reference", [None, ("purchase-order", 1), ("purchase-order", None), ("delivery", 1)])
def test_a_delivery_is_known_by_its_reference(kind: str, reference: tuple[str, int | None] | None) -> None:
    event = an_event(kind, location_id="BEY-01", epoch=1, sequence=7, recorded_at=NOON, seed=1)
    if reference is not None:
        event = msgspec.structs.replace(event, reference=Reference(id="PO-1", kind=reference[0], line=reference[1]))
    found = delivered_line_of(event)
    if kind == "ORDER_DEDUCTION" or reference != ("purchase-order", 1):
        assert found is None
        return
    assert found is not None
    assert (found.sequence, found.purchase_order_id, found.line) == (7, "PO-1", 1)
    back = event.type is EventType.PURCHASE_RETURNED
    assert (found.received, found.returned) == ((0, event.quantity) if back else (event.quantity, 0))


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("orders@farm.example", True),
        ("a.b+c@d", True),
        ("no", False),
        ("@farm", False),
        ("a@", False),
        ("a b@c", False),
        ("a@b,c@d", False),
        ("a@b;c@d", False),
        ("a@b\n", False),
        ("a@b\u202e", False),
    ],
)
def test_a_mail_address(text: str, good: bool) -> None:
    assert (email_fault(text) is None) == good
