"""What became of a told order event, as the log of the location says that recorded it. Pure.

The events of one told event are one command; its key is on the first of them. From these alone head office knows how
a branch answered what it was asked, so a branch records an answer to each event that head office asks it to take.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec

from shared.events import Event, EventType
from shared.orders.inbound_orders import FINAL, RESERVED_BEFORE
from shared.reservations import RESTATED, UNAVAILABLE

ALREADY_CANCELLED: Final = "already-cancelled"
"""The reason of an ORDER_CANCELLED that answers an order placed after it was cancelled."""
SUPERSEDED: Final = "superseded"
"""The reason of a RESERVATION_REFUSED where a later revision of the order was placed."""
UNKNOWN_CONTENT: Final = "unknown-order"
"""The reason of an ORDER_CANCELLED that answers the shipment of all that is left of an order nobody knows here."""
OWN_REASONS: Final = frozenset({ALREADY_CANCELLED, UNKNOWN_CONTENT, FINAL, RESTATED})
"""Reasons that say what an event does: of those that another system gives for a cancellation, none may be one."""


class OrderOutcome(StrEnum):
    """What became of a told event. `refused`: the branch that was asked could not record it; its reason says why."""

    RESERVED = "reserved"
    UNAVAILABLE = "unavailable"
    CANCELLED = "cancelled"
    SHIPPED = "shipped"
    SUPERSEDED = "superseded"
    RELEASED = "released"
    NOTED = "noted"
    NOTHING = "nothing"
    RETURNED = "returned"
    IGNORED = "ignored"
    REFUSED = "refused"


class RefusedLine(msgspec.Struct, frozen=True, kw_only=True):
    """An item that could not be had, and how much of it was asked for, in thousandths."""

    item_id: str
    unit: str
    asked: int


class RecordedOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """The answer that the events of a told event give. `reason` of one that was refused; `refused` are its lines."""

    outcome: OrderOutcome
    reservation_id: str | None = None
    reason: str | None = None
    refused: tuple[RefusedLine, ...] = ()


def recorded_outcome(events: Sequence[Event]) -> RecordedOutcome:
    """What the events that one told event recorded, all of them in order, say became of it."""
    kinds = {event.type for event in events}
    first, last = events[0], events[-1]
    reserved = next((event.reservation_id for event in events if event.reservation_id is not None), None)
    if EventType.STOCK_RESERVED in kinds:
        return RecordedOutcome(outcome=OrderOutcome.RESERVED, reservation_id=reserved)
    if first.type is EventType.RESERVATION_REFUSED:
        return _refusal(events)
    if EventType.CUSTOMER_RETURN in kinds:
        return RecordedOutcome(outcome=OrderOutcome.RETURNED)
    if last.type is EventType.ORDER_CANCELLED:
        if first.type is EventType.RESERVATION_RELEASED:
            return RecordedOutcome(outcome=OrderOutcome.RELEASED, reservation_id=reserved)
        if last.reason == UNKNOWN_CONTENT:
            return RecordedOutcome(outcome=OrderOutcome.REFUSED, reason=UNKNOWN_CONTENT)
        if last.reason == ALREADY_CANCELLED:
            return RecordedOutcome(outcome=OrderOutcome.CANCELLED)
        known = last.reference is not None and last.reference.revision is not None
        return RecordedOutcome(outcome=OrderOutcome.NOTHING if known else OrderOutcome.NOTED)
    if first.type is EventType.EVENT_REVIEWED and first.reference is not None:
        kept = first.reference.kind == RESERVED_BEFORE
        return RecordedOutcome(outcome=OrderOutcome.RESERVED if kept else OrderOutcome.SHIPPED)
    if all(event.type is EventType.RESERVATION_RELEASED and event.reason == RESTATED for event in events):
        return RecordedOutcome(outcome=OrderOutcome.SHIPPED)  # stated anew as no more than what was shipped
    return RecordedOutcome(outcome=OrderOutcome.SHIPPED, reservation_id=reserved)


def _refusal(events: Sequence[Event]) -> RecordedOutcome:
    reason = events[0].reason
    if reason == SUPERSEDED:
        return RecordedOutcome(outcome=OrderOutcome.SUPERSEDED)
    lines = tuple(
        RefusedLine(item_id=event.item_id or "", unit=event.unit or "", asked=event.quantity or 0)
        for event in events
        if event.type is EventType.RESERVATION_REFUSED
    )
    if reason == UNAVAILABLE:
        return RecordedOutcome(outcome=OrderOutcome.UNAVAILABLE, refused=lines)
    return RecordedOutcome(outcome=OrderOutcome.REFUSED, reason=reason, refused=lines)
