"""The state of a reservation, as it follows from its events alone, and the one JSON form that it is answered in. Pure.

A reservation promises items to an order until it expires. Its events carry its id, its source, the order as their
reference, and the revision of the order that it was stated by. Quantities are thousandths of the items' base units,
times microseconds UTC. Rules: INTERFACES A1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from itertools import groupby
from typing import Final

import msgspec

from shared.event_record import Moment, Number, moment_text
from shared.events import Event, EventType, quantity_json

ORDER_REFERENCE: Final = "order"
"""The kind of reference by which the events of orders and of reservations name their order."""

RESTATED: Final = "restated"
"""The reason of a RESERVATION_RELEASED after which the same command states the reservation anew.

Of a STOCK_RESERVED, too, where nobody stated the order anew: its expiry moves with a clock that was settled.
"""


class ReservationState(StrEnum):
    """ACTIVE while any of it is open; then by how the last of it went."""

    ACTIVE = "ACTIVE"
    CONFIRMED = "CONFIRMED"
    RELEASED = "RELEASED"
    EXPIRED = "EXPIRED"


class ReservedLine(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One item of a reservation. `released`: given back or expired; what was stated anew is neither."""

    item_id: str
    unit: str
    quantity: int
    confirmed: int = 0
    released: int = 0

    @property
    def open(self) -> int:
        """What is still reserved."""
        return self.quantity - self.confirmed - self.released


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """A reservation after its newest command.

    `revision` is that of the order's newest statement, `stated_at` the sequence of the first event of the command that
    recorded it. Lines are in order of item code, one an item.
    """

    reservation_id: str
    order_id: str
    source: str
    revision: int
    state: ReservationState
    created_at: int
    expires_at: int
    stated_at: int
    lines: tuple[ReservedLine, ...]

    @property
    def active(self) -> bool:
        return self.state is ReservationState.ACTIVE

    def line(self, item_id: str) -> ReservedLine | None:
        """Its line of an item, if it has one."""
        return next((each for each in self.lines if each.item_id == item_id), None)

    @property
    def open_lines(self) -> list[ReservedLine]:
        return [each for each in self.lines if each.open]


_ENDED_BY: Final = {
    EventType.RESERVATION_CONFIRMED: ReservationState.CONFIRMED,
    EventType.RESERVATION_RELEASED: ReservationState.RELEASED,
    EventType.RESERVATION_EXPIRED: ReservationState.EXPIRED,
}


class NotOfAReservation(ValueError):
    """Events that cannot be those of one reservation, with the reason."""


def advance_reservation(before: Reservation | None, events: Sequence[Event]) -> Reservation:
    """The reservation after the events that one command recorded for it, in order, of which there is at least one.

    Raises NotOfAReservation where they cannot follow.
    """
    lines = {} if before is None else {line.item_id: line for line in before.lines}
    first = events[0]
    reference, created_at = first.reference, first.occurred_at if before is None else before.created_at
    if reference is None or first.reservation_id is None:
        raise NotOfAReservation(f"the event {first.sequence} names no order or no reservation")
    if before is None and first.type is not EventType.STOCK_RESERVED:
        raise NotOfAReservation(f"the reservation {first.reservation_id} begins with a {first.type}")
    expires_at = 0 if before is None else before.expires_at
    for event in events:
        item_id, quantity = event.item_id or "", event.quantity or 0
        line = lines.get(item_id) or ReservedLine(item_id=item_id, unit=event.unit or "", quantity=0)
        if event.type is EventType.STOCK_RESERVED:
            expires_at = event.expires_at or expires_at
            changed = msgspec.structs.replace(line, quantity=line.quantity + quantity)
        elif quantity > line.open:
            raise NotOfAReservation(f"{event.type} takes {quantity} of {item_id}, of which {line.open} are open")
        elif event.type is EventType.RESERVATION_CONFIRMED:
            changed = msgspec.structs.replace(line, confirmed=line.confirmed + quantity)
        elif event.reason == RESTATED:
            changed = msgspec.structs.replace(line, quantity=line.quantity - quantity)
        else:
            changed = msgspec.structs.replace(line, released=line.released + quantity)
        lines[item_id] = changed
    is_open = any(line.open for line in lines.values())
    revision = reference.revision or 1
    return Reservation(
        reservation_id=first.reservation_id,
        order_id=reference.id,
        source=first.source,
        revision=revision if before is None else max(revision, before.revision),
        state=ReservationState.ACTIVE if is_open else _ENDED_BY[events[-1].type],
        created_at=created_at,
        expires_at=expires_at,
        stated_at=before.stated_at
        if before is not None and revision <= before.revision
        else first.sequence - first.line + 1,
        lines=tuple(lines[item_id] for item_id in sorted(lines) if lines[item_id].quantity),
    )


def reservation_of(events: Iterable[Event]) -> Reservation | None:
    """The reservation that events of one reservation id make, given in order of sequence; None where there are none."""
    state: Reservation | None = None
    for _, command in groupby(events, key=lambda event: event.sequence - event.line):
        state = advance_reservation(state, list(command))
    return state


class ReservedLineRecord(msgspec.Struct, kw_only=True):
    """One item of a reservation: `quantity` = `confirmed` + `released` (given back or expired) + `open`."""

    item_id: str
    unit: str
    quantity: Number
    confirmed: Number
    released: Number
    open: Number


class ReservationRecord(msgspec.Struct, kw_only=True):
    """A reservation. `state` is ACTIVE while any of it is open, then CONFIRMED, RELEASED or EXPIRED."""

    reservation_id: str
    order_id: str
    revision: int
    source: str
    state: ReservationState
    created_at: Moment
    expires_at: Moment
    lines: list[ReservedLineRecord]


def reservation_record(reservation: Reservation, now: int | None = None) -> ReservationRecord:
    """A reservation as it is answered; one that has expired by `now` is EXPIRED, whether or not its event is there."""
    expired = now is not None and reservation.active and reservation.expires_at <= now
    lines = [
        ReservedLineRecord(
            item_id=line.item_id,
            unit=line.unit,
            quantity=quantity_json(line.quantity),
            confirmed=quantity_json(line.confirmed),
            released=quantity_json(line.released + (line.open if expired else 0)),
            open=quantity_json(0 if expired else line.open),
        )
        for line in reservation.lines
    ]
    return ReservationRecord(
        reservation_id=reservation.reservation_id,
        order_id=reservation.order_id,
        revision=reservation.revision,
        source=reservation.source,
        state=ReservationState.EXPIRED if expired else reservation.state,
        created_at=moment_text(reservation.created_at),
        expires_at=moment_text(reservation.expires_at),
        lines=lines,
    )
