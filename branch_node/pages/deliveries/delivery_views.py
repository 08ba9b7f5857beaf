"""What the pages of orders to suppliers show, as text and figures. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from branch_node.model import Item
from branch_node.pages.deliveries.delivery_forms import RowPlace
from shared.events import Cost, Event, EventType, parse_quantity
from shared.purchases.purchase_order_record import PurchaseOrderLineRecord, PurchaseOrderRecord
from shared.purchases.purchase_orders import PurchaseOrderState
from shared.runtime.clock import parse_rfc3339
from shared.runtime.pages.words import holds_words

_STATES: Final = {
    PurchaseOrderState.OPEN: "open",
    PurchaseOrderState.RECEIVED: "received",
    PurchaseOrderState.CLOSED: "closed",
}


@dataclass(frozen=True)
class OrderedLineView:
    """One line of an order, quantities in thousandths. `closed`: head office waits for nothing more of it."""

    line: int
    item_id: str
    name: str
    unit: str
    quantity: int
    received: int
    returned: int
    open: int
    over: int
    closed: bool
    cost: str | None


@dataclass(frozen=True)
class SupplierOrderView:
    """An order to a supplier; `due` is a date, as 2026-01-31, `due_words` how far it is, `late` whether it is past.

    `supplier` is its name, or its code where head office has removed it. `created_at` in microseconds UTC.
    """

    purchase_order_id: str
    supplier: str
    supplier_id: str
    state: str
    due: str | None
    due_words: str
    late: bool
    note: str | None
    close_reason: str | None
    created_at: int
    lines: tuple[OrderedLineView, ...]
    open_lines: tuple[OrderedLineView, ...]
    currency: str

    @property
    def address(self) -> str:
        """The address of its page. A slash in the id is encoded as well."""
        return f"/deliveries/{quote(self.purchase_order_id, safe='')}"

    @property
    def is_open(self) -> bool:
        """Whether anything of it is still to come."""
        return bool(self.open_lines)

    @property
    def over_lines(self) -> tuple[OrderedLineView, ...]:
        """The lines of which more came than was ordered."""
        return tuple(line for line in self.lines if line.over)

    @property
    def partly_closed(self) -> bool:
        """Whether head office waits for nothing more of a line that did not come in full."""
        return any(line.closed and line.received < line.quantity for line in self.lines)


def supplier_order_view(
    record: PurchaseOrderRecord, items: Mapping[str, Item], suppliers: Mapping[str, str], today: datetime.date
) -> SupplierOrderView:
    """The view of an order on a date here."""
    lines = tuple(_line(each, items) for each in record.lines)
    costs = [each.cost for each in record.lines if each.cost is not None]
    is_open = record.state is PurchaseOrderState.OPEN
    days = None if record.due is None else (datetime.date.fromisoformat(record.due) - today).days
    return SupplierOrderView(
        purchase_order_id=record.purchase_order_id,
        supplier=suppliers.get(record.supplier_id, record.supplier_id),
        supplier_id=record.supplier_id,
        state=_STATES[record.state],
        due=record.due,
        due_words=_due_words(days) if is_open and days is not None else "",
        late=is_open and days is not None and days < 0,
        note=record.note,
        close_reason=record.close_reason,
        created_at=parse_rfc3339(record.created_at)[0],
        lines=lines,
        open_lines=tuple(line for line in lines if line.open),
        currency=costs[0].currency if costs else "",
    )


def _line(record: PurchaseOrderLineRecord, items: Mapping[str, Item]) -> OrderedLineView:
    item = items.get(record.item_id)
    return OrderedLineView(
        line=record.line,
        item_id=record.item_id,
        name=item.name if item else record.item_id,
        unit=record.unit,
        quantity=parse_quantity(record.quantity),
        received=parse_quantity(record.received),
        returned=parse_quantity(record.returned),
        open=parse_quantity(record.open),
        over=parse_quantity(record.over),
        closed=record.closed,
        cost=cost_text(record.cost),
    )


def cost_text(cost: Cost | None) -> str | None:
    """A cost with its currency: `30.00 USD`."""
    return None if cost is None else f"{cost.amount} {cost.currency}"


def _due_words(days: int) -> str:
    if days < 0:
        return "1 day late" if days == -1 else f"{-days} days late"
    return ("today", "tomorrow")[days] if days < 2 else f"in {days} days"


def holds(order: SupplierOrderView, text: str) -> bool:
    """Whether every word of a search text stands in an order's id, its supplier, or the items still to come."""
    parts = [order.purchase_order_id, order.supplier, order.supplier_id]
    parts += [part for line in order.open_lines for part in (line.item_id, line.name)]
    return holds_words(text, parts)


@dataclass(frozen=True)
class DeliveredRow:
    """One event that received of an order's line, or returned of it: quantity in thousandths, time in microseconds UTC.

    `expires_on` is a date, as 2026-01-31.
    """

    event_id: str
    sequence: int
    line: int
    name: str
    unit: str
    quantity: int
    returned: bool
    lot: str | None
    expires_on: str | None
    cost: str | None
    note: str | None
    occurred_at: int
    voided_by: int | None


def delivered_row(event: Event, items: Mapping[str, Item], voided_by: int | None) -> DeliveredRow:
    """The row of an event that refers to an order's line."""
    item_id = event.item_id or ""
    return DeliveredRow(
        event_id=event.event_id,
        sequence=event.sequence,
        line=0 if event.reference is None else event.reference.line or 0,
        name=items[item_id].name if item_id in items else item_id,
        unit=event.unit or "",
        quantity=event.quantity or 0,
        returned=event.type is EventType.PURCHASE_RETURNED,
        lot=event.lot,
        expires_on=event.expires_on,
        cost=cost_text(event.cost),
        note=event.note,
        occurred_at=event.occurred_at,
        voided_by=voided_by,
    )


@dataclass(frozen=True)
class LineForm:
    """A line of an order in the form of a delivery, with its rows there."""

    line: OrderedLineView
    rows: tuple[RowPlace, ...]


def line_forms(lines: Iterable[OrderedLineView], rows: Sequence[RowPlace]) -> list[LineForm]:
    """The lines with their rows, in the order of the lines."""
    return [LineForm(line, tuple(row for row in rows if row.line == line.line)) for line in lines]


def first_rows(lines: Iterable[OrderedLineView], items: Mapping[str, Item]) -> dict[str, RowPlace]:
    """The first row of each line, by every code of its item."""
    found: dict[str, RowPlace] = {}
    for line in lines:
        item = items.get(line.item_id)
        meant = line.item_id if item is None else item.stands_for or item.item_id
        for code in {line.item_id, meant, *(each.item_id for each in items.values() if each.stands_for == meant)}:
            found.setdefault(code, RowPlace(line.line, 1))
    return found
