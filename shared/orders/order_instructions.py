"""What head office asks of a branch for an order that another system told it of: to take one of its events.

The branch records its answer in its log (`shared.orders.order_outcomes`), whatever the answer is. Quantities are
thousandths, times microseconds UTC.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from shared.events import Code, Id, Key, Text
from shared.messages import InstructionPage
from shared.orders.order_event_inputs import MAX_EVENT_LINES, OrderEventKind


class OrderInstructionLine(msgspec.Struct, frozen=True):
    """A quantity of an item, by its code, in its base unit as head office has it. One item stands in one line."""

    item_id: Id
    quantity: Annotated[int, msgspec.Meta(gt=0)]
    unit: Code


class OrderInstruction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event of an order that a location is asked to take. Decoding ignores fields that it does not know.

    `key` is that of the command that records it: `shared.orders.order_event_inputs.asked_key_of`. `number` is given by
    head office, rising per location: the branch's cursor `orders_after` in its long poll. Lines: None where the event
    has none, as a shipment of all that is left. `time`: when it happened. `hold_days`: how long an order is reserved
    that names no expiry.
    """

    number: int = 0
    location_id: Id
    key: Key
    kind: OrderEventKind
    source: Code
    order_id: Key
    revision: Annotated[int, msgspec.Meta(ge=1)] = 1
    lines: Annotated[tuple[OrderInstructionLine, ...], msgspec.Meta(max_length=MAX_EVENT_LINES)] | None = None
    final: bool = False
    time: int | None = None
    expires_at: int | None = None
    reason: Text | None = None
    hold_days: Annotated[int, msgspec.Meta(ge=1, le=366)] = 14


class BranchInstructions(InstructionPage, frozen=True, kw_only=True):
    """The open instructions of a branch, of both kinds.

    `orders` only for a branch that asks with `orders_after`: those with higher numbers that its log has not answered,
    in their order. `orders_next` is its next `orders_after`; like `next` it is below the one given where head office
    was restored.
    """

    orders: list[OrderInstruction] = msgspec.field(default_factory=list)
    orders_next: int = 0
