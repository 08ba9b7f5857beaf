"""What the log says of an order that another system told of by events, beside its reservations. Pure.

The events of one told event are one command, whose key begins with `INBOUND_KEYS`: that is how they are known. Rules:
INTERFACES A3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from shared.events import Event, EventType

INBOUND_KEYS: Final = "larder:inbound:"
"""How the keys of these commands begin; no caller may give such a key."""

FINAL: Final = "final"
"""The reason of the events by which the last of an order was shipped: nothing is reserved for it from there on."""

NOTHING_LEFT: Final = "order-shipped"
"""The kind of reference of an EVENT_REVIEWED by which an order that was shipped before is remembered: with a revision
where the order was placed and nothing of it is left to reserve, without where nothing is left to ship."""


class InboundOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order after its newest told event.

    `revision` is the newest that was placed, whatever became of it; 0: none. `covered`: all of what was placed last had
    been shipped before. `cancelled`, `final`: from here on nothing is reserved for it. `deductions`: the sequences of
    what was shipped without a reservation; some may have been voided since.
    """

    order_id: str
    source: str
    revision: int = 0
    covered: bool = False
    cancelled: bool = False
    final: bool = False
    deductions: tuple[int, ...] = ()


class NotOfAnInboundOrder(ValueError):
    """Events that cannot be those of a told event, with the reason."""


def advance_inbound_order(before: InboundOrder | None, events: Sequence[Event]) -> InboundOrder:
    """The order after the events that one told event recorded, in order, of which there is at least one.

    Raises NotOfAnInboundOrder where they name no order.
    """
    first = events[0].reference
    if first is None:
        raise NotOfAnInboundOrder(f"the event {events[0].sequence} names no order")
    state = before or InboundOrder(order_id=first.id, source=events[0].source)
    covered = state.covered
    for event in events:
        if event.type in {EventType.STOCK_RESERVED, EventType.RESERVATION_REFUSED}:
            covered = False
        elif event.type is EventType.EVENT_REVIEWED:
            covered = covered or _revision(event) > 0
    return InboundOrder(
        order_id=state.order_id,
        source=state.source,
        revision=max(state.revision, *map(_revision, events)),
        covered=covered,
        cancelled=state.cancelled or any(event.type is EventType.ORDER_CANCELLED for event in events),
        final=state.final or any(event.reason == FINAL for event in events),
        deductions=(
            *state.deductions,
            *(event.sequence for event in events if event.type is EventType.ORDER_DEDUCTION),
        ),
    )


def _revision(event: Event) -> int:
    return 0 if event.reference is None else event.reference.revision or 0
