"""The events of reservations, made alike wherever one is recorded."""

from __future__ import annotations

from typing import Any, Final, Protocol

from branch_node.model import View, unplaced
from shared.events import MAX_TIME, MIN_TIME, Event, EventType, Reference
from shared.reservations import ORDER_REFERENCE, RESTATED, Reservation

CLOCK: Final = "clock"
"""The actor of reservations that are stated anew because the node's time moved."""


class Reserved(Protocol):
    """What the events of a reservation say of it."""

    @property
    def reservation_id(self) -> str: ...
    @property
    def order_id(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def revision(self) -> int: ...


class ReservableLine(Protocol):
    """An item with its base unit."""

    @property
    def item_id(self) -> str: ...
    @property
    def unit(self) -> str: ...


def reservation_event(
    view: View, kind: EventType, of: Reserved, line: ReservableLine, quantity: int, *, actor: str, **fields: Any
) -> Event:
    """An unplaced event of a reservation: it names the order and the revision by which the order was stated.

    `quantity` is in thousandths; `fields` are further fields of the envelope.
    """
    return unplaced(
        view,
        kind,
        actor=actor,
        source=of.source,
        item_id=line.item_id,
        unit=line.unit,
        quantity=quantity,
        reservation_id=of.reservation_id,
        reference=Reference(id=of.order_id, kind=ORDER_REFERENCE, revision=of.revision),
        **fields,
    )


def timed_anew(view: View, reservation: Reservation, *, expires_at: int, occurred_at: int) -> list[Event]:
    """The events by which what a reservation has open expires at another moment, and is else as it was.

    Times are in microseconds UTC; `expires_at` is taken into the bounds of the log.
    """
    until = min(max(expires_at, MIN_TIME), MAX_TIME)
    return [
        reservation_event(
            view,
            kind,
            reservation,
            line,
            line.open,
            actor=CLOCK,
            reason=RESTATED,
            occurred_at=occurred_at,
            expires_at=until if kind is EventType.STOCK_RESERVED else None,
        )
        for kind in (EventType.RESERVATION_RELEASED, EventType.STOCK_RESERVED)
        for line in reservation.open_lines
    ]
