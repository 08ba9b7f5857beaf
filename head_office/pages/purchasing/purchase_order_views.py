"""The views of orders to suppliers: their states in words, their figures, names beside their codes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shared.purchases.purchase_order_record import PurchaseOrderLineRecord, PurchaseOrderRecord
from shared.purchases.purchase_orders import PurchaseOrderState
from shared.runtime.clock import parse_rfc3339

STATE_WORDS: Final = {
    PurchaseOrderState.OPEN: "open",
    PurchaseOrderState.RECEIVED: "received",
    PurchaseOrderState.CLOSED: "closed",
}


@dataclass(frozen=True)
class OrderLineView:
    """A line of an order; figures as decimal texts."""

    line: int
    item_id: str
    name: str
    unit: str
    quantity: str
    received: str
    returned: str
    open: str
    over: str
    closed: bool
    cost: str | None

    @property
    def is_open(self) -> bool:
        return self.open != "0"


@dataclass(frozen=True)
class OrderView:
    """An order. `created_at` in microseconds UTC; `overdue` where it is open after its due date."""

    purchase_order_id: str
    location_id: str
    location: str
    supplier_id: str
    supplier: str
    state: str
    is_open: bool
    overdue: bool
    due: str | None
    note: str | None
    close_reason: str | None
    created_at: int
    lines: tuple[OrderLineView, ...]

    @property
    def open_lines(self) -> int:
        """How many lines are still to come."""
        return sum(line.is_open for line in self.lines)

    @property
    def over_lines(self) -> int:
        """Of how many lines more was received than was ordered."""
        return sum(line.over != "0" for line in self.lines)


@dataclass(frozen=True)
class OrderNames:
    """OrderNames by code; what has none is shown by its code."""

    locations: Mapping[str, str]
    suppliers: Mapping[str, str]
    items: Mapping[str, str]


def order_view(record: PurchaseOrderRecord, names: OrderNames, today: str) -> OrderView:
    """Make the view of an order. `today`: the date at its location."""
    is_open = record.state is PurchaseOrderState.OPEN
    return OrderView(
        purchase_order_id=record.purchase_order_id,
        location_id=record.location_id,
        location=names.locations.get(record.location_id, record.location_id),
        supplier_id=record.supplier_id,
        supplier=names.suppliers.get(record.supplier_id, record.supplier_id),
        state=STATE_WORDS[record.state],
        is_open=is_open,
        overdue=is_open and record.due is not None and record.due < today,
        due=record.due,
        note=record.note,
        close_reason=record.close_reason,
        created_at=parse_rfc3339(record.created_at)[0],
        lines=tuple(_line(line, names) for line in record.lines),
    )


def _line(line: PurchaseOrderLineRecord, names: OrderNames) -> OrderLineView:
    cost = line.cost
    return OrderLineView(
        line=line.line,
        item_id=line.item_id,
        name=names.items.get(line.item_id, line.item_id),
        unit=line.unit,
        quantity=_text(line.quantity),
        received=_text(line.received),
        returned=_text(line.returned),
        open=_text(line.open),
        over=_text(line.over),
        closed=line.closed,
        cost=None if cost is None else f"{cost.amount} {cost.currency}",
    )


def _text(number: object) -> str:
    """The decimal text of a figure of a record, which is raw JSON."""
    return bytes(number).decode("ascii")  # type: ignore[call-overload,no-any-return]
