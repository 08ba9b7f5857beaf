"""Which line of an order to a supplier a delivery, or a return to the supplier, may name; and as which item.

An order that was not pulled yet is no reason to refuse what happened: it is recorded, and counts once both are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from branch_node.model import Item, View
from branch_node.problems import PURCHASE_ORDER_LINE_DIFFERS, UNIT_DIFFERS, UNKNOWN_ITEM
from shared.events import EventType, Reference
from shared.purchases.delivered_lines import DELIVERIES, PURCHASE_ORDER
from shared.purchases.purchase_orders import PurchaseOrder, PurchaseOrderLine
from shared.runtime.problems import INVALID_REQUEST, Problem, invalid_request, named_faults

_OTHER_UNIT: Final = "Record it without the reference to the order, and tell head office that the units differ."


def names_an_order(kind: EventType, reference: Reference | None) -> bool:
    """Whether an event of this type with this reference is to count for an order to a supplier."""
    return reference is not None and reference.kind == PURCHASE_ORDER and kind in DELIVERIES


def supplier_of(view: View, item: Item, reference: Reference) -> str | None:
    """The supplier of the order that a delivery of an item refers to; None where it was not pulled.

    Raises 422: `invalid-request` where no line is named, or one that the order has not, `purchase-order-line-differs`
    where the line is of another item, `unit-differs` where the item is kept in another unit than it was ordered in.
    """
    if reference.line is None:
        invalid_request(
            "reference.line", "a delivery names the line of the order, from 1; without one it counts nowhere"
        )
    order = view.purchase_order(reference.id)
    if order is None:
        return None
    line = line_of_order(order, reference.line)
    if line is None:
        raise no_such_lines(order, [("reference.line", reference.line)])
    if line.item_id != (item.stands_for or item.item_id):
        raise PURCHASE_ORDER_LINE_DIFFERS(
            f"line {line.line} of {order.purchase_order_id} is of {line.item_id}, not of {item.item_id}",
            purchase_order_id=order.purchase_order_id,
            line_item_id=line.item_id,
            errors=[{"field": "item_id", "message": f"the order's line is of {line.item_id}"}],
        )
    if item.unit != line.unit:
        raise _unit_differs(item, line)
    return order.supplier_id


def line_of_order(order: PurchaseOrder, number: int) -> PurchaseOrderLine | None:
    """The line of an order with this number, if it has one."""
    return next((line for line in order.lines if line.line == number), None)


def no_such_lines(order: PurchaseOrder, named: Sequence[tuple[str, int]]) -> Problem:
    """422 `invalid-request` for lines that an order has not, each given as (path of the field, number)."""
    there = f"its lines are 1 to {len(order.lines)}" if len(order.lines) > 1 else "its only line is 1"
    errors = [
        {"field": field, "message": f"{order.purchase_order_id} has no line {number}: {there}"}
        for field, number in named
    ]
    more = f" (and {len(errors) - 1} more, see 'errors')" if len(errors) > 1 else ""
    return INVALID_REQUEST(f"{errors[0]['field']}: {errors[0]['message']}{more}", **named_faults(errors))


def item_delivered(view: View, line: PurchaseOrderLine) -> Item:
    """The item of an order's line, under the code by which it has a stock here.

    That is the code it was ordered by, unless this log knows the item by another code alone: a count is of one code,
    and one of the usual code would leave the delivery standing under the other. A code that stands for another item
    here is none of the line's. Raises 422 `unknown-item` or `unit-differs`.
    """
    known = [item for item in map(view.item, view.codes(line.item_id)) if item is not None]
    if not known:
        raise UNKNOWN_ITEM(f"no code stands for the item {line.item_id!r} here", item_id=line.item_id)
    fitting = [item for item in known if item.unit == line.unit]
    if not fitting:
        raise _unit_differs(known[0], line)
    if len(fitting) == 1:
        return fitting[0]
    return next((item for item in fitting if view.newest_events.of(item.item_id)), fitting[0])


def _unit_differs(item: Item, line: PurchaseOrderLine) -> Problem:
    return UNIT_DIFFERS(
        f"{item.item_id} is kept in {item.unit} here, and was ordered in {line.unit}",
        hint=_OTHER_UNIT,
        item_id=item.item_id,
        unit=item.unit,
    )
