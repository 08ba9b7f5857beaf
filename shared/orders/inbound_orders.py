"""What the log says of an order that another system told of by events, beside its reservations. Pure.

The events of one told event are one command, whose key begins with `INBOUND_KEYS`: that is how they are known. What a
wrong clock dated of them is recorded again by commands whose keys begin with `REDATING_KEYS`. Rules: INTERFACES A3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from shared.events import Event, EventType

INBOUND_KEYS: Final = "larder:inbound:"
"""How the keys of these commands begin; no caller may give such a key."""

REDATING_KEYS: Final = "larder:clock:"
"""How the keys of commands begin that void what a wrong clock dated, and record it again."""

FINAL: Final = "final"
"""The reason of the events by which the last of an order was shipped: nothing is reserved for it from there on."""

NOTHING_LEFT: Final = "order-shipped"
"""The kind of reference of an EVENT_REVIEWED by which an order that was shipped before is remembered: with a revision
where the order was placed and nothing of it is left to reserve, without where nothing is left to ship."""

RESERVED_BEFORE: Final = "order-reserved"
"""The kind of reference of an EVENT_REVIEWED by which a branch answers that the order is reserved as it is placed."""

ASKED_KEYS: Final = ":asked:"
"""What stands between a source and an event in the key of a command that head office asked for."""


def is_asked(command_key: str) -> bool:
    """Whether a command of this key answers head office, which asked for it."""
    return command_key.startswith(INBOUND_KEYS) and ASKED_KEYS in command_key


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


def told_order_of(events: Sequence[Event]) -> tuple[str, str] | None:
    """The (order id, source) of which the events of one command say something new; None where they say nothing."""
    key = events[0].command_key or ""
    if key.startswith(INBOUND_KEYS):
        named = events[:1]
    elif key.startswith(REDATING_KEYS):
        named = [event for event in events if event.type is EventType.ORDER_DEDUCTION][:1]
    else:
        return None
    return next(((event.reference.id, event.source) for event in named if event.reference is not None), None)


def told_by(before: InboundOrder | None, events: Sequence[Event]) -> InboundOrder | None:
    """The order after the events of one command of which `told_order_of` says that they are of this order."""
    if (events[0].command_key or "").startswith(INBOUND_KEYS):
        return advance_inbound_order(before, events)
    return None if before is None else redated_inbound_order(before, events)


def redated_inbound_order(before: InboundOrder, events: Sequence[Event]) -> InboundOrder:
    """The order after some of its deductions were voided and recorded again, at the right moment."""
    voided = {event.voided_sequence for event in events if event.voided_sequence is not None}
    kept = tuple(sequence for sequence in before.deductions if sequence not in voided)
    if len(kept) == len(before.deductions):
        return before
    again = tuple(event.sequence for event in events if event.type is EventType.ORDER_DEDUCTION)
    return msgspec.structs.replace(before, deductions=(*kept, *again))


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
            # What answers a revision that was overtaken, or a parcel, says nothing of what was placed last.
            covered = covered and _revision(event) < state.revision
        elif event.type is EventType.EVENT_REVIEWED:
            covered = covered or (_kind(event) == NOTHING_LEFT and _revision(event) > 0)
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


def _kind(event: Event) -> str | None:
    return None if event.reference is None else event.reference.kind


def _revision(event: Event) -> int:
    return 0 if event.reference is None else event.reference.revision or 0
