"""An order to a supplier as it is answered, at head office and at a branch, with what the log says was delivered.

Quantities are JSON numbers in base units; a line without a cost, an order without a due date or note have null there.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from shared.event_record import Moment, Number, moment_text
from shared.events import Cost, quantity_json
from shared.purchases.purchase_orders import (
    NOTHING_DELIVERED,
    Delivered,
    PurchaseOrder,
    PurchaseOrderLine,
    PurchaseOrderState,
    open_quantity,
    over_quantity,
    state_of,
)


class PurchaseOrderLineRecord(msgspec.Struct, kw_only=True):
    """One line of an order: `open` is still to come, `over` came beyond what was ordered."""

    line: int
    item_id: str
    unit: str
    quantity: Number
    received: Number
    returned: Number
    open: Number
    over: Number
    closed: bool
    cost: Cost | None


class PurchaseOrderRecord(msgspec.Struct, kw_only=True):
    """An order to a supplier."""

    purchase_order_id: str
    location_id: str
    supplier_id: str
    state: PurchaseOrderState
    due: str | None
    note: str | None
    close_reason: str | None
    created_at: Moment
    lines: list[PurchaseOrderLineRecord]


def purchase_order_record(order: PurchaseOrder, delivered: Mapping[int, Delivered]) -> PurchaseOrderRecord:
    """Make the record of an order with what was delivered by line."""
    return PurchaseOrderRecord(
        purchase_order_id=order.purchase_order_id,
        location_id=order.location_id,
        supplier_id=order.supplier_id,
        state=state_of(order, delivered),
        due=order.due,
        note=order.note,
        close_reason=order.close_reason,
        created_at=moment_text(order.created_at),
        lines=[_line(line, delivered.get(line.line, NOTHING_DELIVERED)) for line in order.lines],
    )


def _line(line: PurchaseOrderLine, delivered: Delivered) -> PurchaseOrderLineRecord:
    return PurchaseOrderLineRecord(
        line=line.line,
        item_id=line.item_id,
        unit=line.unit,
        quantity=quantity_json(line.quantity),
        received=quantity_json(delivered.received),
        returned=quantity_json(delivered.returned),
        open=quantity_json(open_quantity(line, delivered)),
        over=quantity_json(over_quantity(line, delivered)),
        closed=line.closed,
        cost=line.cost,
    )
