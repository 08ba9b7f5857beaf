"""The state of orders as the log alone gives it. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from branch_node.model import OrderState
from shared.events import Event, EventType
from shared.reservations import ORDER_REFERENCE

CANCEL: Final = "order-cancel"
"""The kind of reference of the events that cancel an order; those that state it have ORDER_REFERENCE."""


class OrderFold(msgspec.Struct, frozen=True):
    """An order after some events of it, in order. `revised_at` is the sequence of the last that stated it, 0 for none.

    The sequences of `state` are all of its deductions so far: those that were voided by `revised_at` are none of its
    newest revision, which `state_without` tells.
    """

    state: OrderState
    revised_at: int

    def state_without(self, voided: dict[int, int]) -> OrderState:
        """The state, given which event voided each of its deductions: sequence of the deduction -> of the void."""
        standing = tuple(each for each in self.state.sequences if not 0 < voided.get(each, 0) <= self.revised_at)
        return msgspec.structs.replace(self.state, sequences=standing)


def order_of_event(event: Event) -> tuple[str, str] | None:
    """The (order id, source) of which an event says something; None where it says nothing of any."""
    reference = event.reference
    if reference is None or reference.revision is None or reference.kind not in {ORDER_REFERENCE, CANCEL}:
        return None
    # A reservation for the order says nothing of what was sold, nor does that none is made any more.
    if event.reservation_id is not None or event.type is EventType.ORDER_CANCELLED:
        return None
    return reference.id, event.source


def advance_order(before: OrderFold | None, event: Event) -> OrderFold:
    """The order after a further event, of which `order_of_event` says that it is of this order."""
    reference = event.reference
    if reference is None or reference.revision is None:
        raise ValueError(f"the event {event.sequence} names no revision of an order")
    deducts, line = event.type is EventType.ORDER_DEDUCTION, event.line
    sequences: tuple[int, ...] = ()
    revised_at, occurred_at, stated_at = 0, event.occurred_at, event.sequence
    if before is not None:
        sequences, revised_at = before.state.sequences, before.revised_at
        occurred_at = event.occurred_at if deducts else before.state.occurred_at
        stated_at = event.sequence if line == 1 else before.state.stated_at
    state = OrderState(
        order_id=reference.id,
        source=event.source,
        revision=reference.revision,
        cancelled=reference.kind == CANCEL,
        occurred_at=occurred_at,
        stated_at=stated_at,
        sequences=(*sequences, event.sequence) if deducts else sequences,
    )
    return OrderFold(state, event.sequence if reference.kind == ORDER_REFERENCE else revised_at)
