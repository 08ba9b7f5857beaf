"""What is said of an order to a supplier, as JSON, by HTTP and by a file alike, and what it says. Pure.

For a `CheckedDecoder`, which keeps the rules of the fields. Quantities come as numbers or decimal strings in the item's
base unit.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from head_office.catalogue.purchases.purchase_order_changes import NewOrderLine, NewPurchaseOrder
from shared.checked_fields import CalendarDay, CheckedId, Currency, Money, Note, read_money
from shared.events import Cost, parse_quantity
from shared.levels.level_record import AboveZero
from shared.purchases.purchase_orders import MAX_ORDER_LINES

LineNumber = Annotated[int, msgspec.Meta(ge=1, le=MAX_ORDER_LINES)]


class _Said(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Base of these bodies."""


class LineCostBody(_Said, frozen=True, kw_only=True):
    """What the whole line is to cost."""

    amount: Money
    currency: Currency


class OrderedLineBody(_Said, frozen=True, kw_only=True):
    """An item of the group, and how much of it in its base unit. Several lines may be of one item."""

    item_id: CheckedId
    quantity: AboveZero
    cost: LineCostBody | None = None

    def line(self) -> NewOrderLine:
        """Read a checked line."""
        cost = self.cost
        return NewOrderLine(
            item_id=self.item_id,
            quantity=parse_quantity(bytes(self.quantity)),
            cost=None if cost is None else Cost(amount=read_money(bytes(cost.amount)) or "0", currency=cost.currency),
        )


class PurchaseOrderBody(_Said, frozen=True, kw_only=True):
    """An order to a supplier. Without an id it is given the next one, as PO-000001. `due`: a date at the location."""

    purchase_order_id: CheckedId | None = None
    location_id: CheckedId
    supplier_id: CheckedId
    lines: Annotated[tuple[OrderedLineBody, ...], msgspec.Meta(min_length=1, max_length=MAX_ORDER_LINES)]
    due: CalendarDay | None = None
    note: Note | None = None

    def new_order(self, request_key: str | None) -> NewPurchaseOrder:
        """Read a checked body, sent with this Idempotency-Key."""
        return NewPurchaseOrder(
            purchase_order_id=self.purchase_order_id,
            location_id=self.location_id,
            supplier_id=self.supplier_id,
            lines=tuple(each.line() for each in self.lines),
            due=self.due,
            note=self.note,
            request_key=request_key,
        )


class PurchaseOrderChangeBody(_Said, frozen=True, kw_only=True):
    """What is to be said of an order from here on; null for nothing. What is left out stays."""

    due: CalendarDay | UnsetType | None = UNSET
    note: Note | UnsetType | None = UNSET


class PurchaseOrderClosingBody(_Said, frozen=True, kw_only=True):
    """The lines of which nothing more is waited for (none: all), and why."""

    lines: Annotated[tuple[LineNumber, ...], msgspec.Meta(min_length=1, max_length=MAX_ORDER_LINES)] | None = None
    reason: Note | None = None
