"""Orders to suppliers: their lines, what of them was delivered by the log, and the state that follows. Pure.

Head office keeps the orders, as part of its catalogue; a branch pulls its own. What arrived is in the branch's log
alone, so both services compute it the same way: `received` from the deliveries that stand. Quantities are thousandths
of the item's base unit, times microseconds UTC. Source: INTERFACES A4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from shared.events import Code, Cost, Day, Id, Position, Quantity, Text

MAX_ORDER_LINES: Final = 200

NUMBERED: Final = "PO-"
"""How the ids begin that head office gives by itself: PO-000001 and so on."""


class PurchaseOrderState(StrEnum):
    """OPEN while a line is open; else CLOSED where `close` took a rest, else RECEIVED."""

    OPEN = "OPEN"
    RECEIVED = "RECEIVED"
    CLOSED = "CLOSED"


class PurchaseOrderLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One item that is ordered. `line` counts from 1 without gaps; `cost` is that of the whole line.

    `unit` is the item's base unit when it was ordered. `closed`: nothing more of it is waited for.
    """

    line: Position
    item_id: Id
    unit: Code
    quantity: Quantity
    cost: Cost | None = None
    closed: bool = False


class PurchaseOrder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One order to a supplier for one location, as it was last stated. `due` is a date there; `close_reason` a text.

    `created_at` in microseconds UTC, by head office's clock.
    """

    purchase_order_id: Id
    location_id: Id
    supplier_id: Id
    lines: tuple[PurchaseOrderLine, ...]
    created_at: int
    due: Day | None = None
    note: Text | None = None
    close_reason: Text | None = None


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in the log of one order's line: received from the supplier, and returned to it."""

    received: int = 0
    returned: int = 0


NOTHING_DELIVERED: Final = Delivered()


def open_quantity(line: PurchaseOrderLine, delivered: Delivered) -> int:
    """How much of a line is still to come. What was returned opens nothing."""
    return 0 if line.closed else max(line.quantity - delivered.received, 0)


def over_quantity(line: PurchaseOrderLine, delivered: Delivered) -> int:
    """How much more than ordered was delivered of a line."""
    return max(delivered.received - line.quantity, 0)


def state_of(order: PurchaseOrder, delivered: Mapping[int, Delivered]) -> PurchaseOrderState:
    """The state of an order with what was delivered by line."""
    lines = [(line, delivered.get(line.line, NOTHING_DELIVERED)) for line in order.lines]
    if any(open_quantity(*each) for each in lines):
        return PurchaseOrderState.OPEN
    if any(line.closed and line.quantity > of_line.received for line, of_line in lines):
        return PurchaseOrderState.CLOSED
    return PurchaseOrderState.RECEIVED


def closed_order(order: PurchaseOrder, lines: Sequence[int] | None, reason: str | None) -> PurchaseOrder:
    """The order with these lines closed (None: all); the same where they were closed before.

    A reason that was given before stands where none is given now.
    """
    wanted = {line.line for line in order.lines} if lines is None else set(lines)
    if all(line.closed for line in order.lines if line.line in wanted):
        return order
    return msgspec.structs.replace(
        order,
        lines=tuple(
            msgspec.structs.replace(line, closed=True) if line.line in wanted else line for line in order.lines
        ),
        close_reason=order.close_reason if reason is None else reason,
    )
