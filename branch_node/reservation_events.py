"""The events of reservations, made alike wherever one is recorded."""

from __future__ import annotations

from typing import Any, Protocol

from branch_node.model import View, unplaced
from shared.events import Event, EventType, Reference
from shared.reservations import ORDER_REFERENCE


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
