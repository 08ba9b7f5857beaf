"""The state of a reservation, as it follows from its events alone, and the one JSON form that it is answered in. Pure.

A reservation promises items to an order until it expires. Its events carry its id, its source, the order as their
reference, and the revision of the order that it was stated by. Quantities are thousandths of the items' base units,
times microseconds UTC. Rules: INTERFACES A1.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Final, TypeVar

import msgspec

from shared.event_record import Moment, Number, moment_text
from shared.events import Event, EventType, quantity_json

ORDER_REFERENCE: Final = "order"
"""The kind of reference by which the events of orders and of reservations name their order."""

UNAVAILABLE: Final = "unavailable"
"""The reason of a RESERVATION_REFUSED where too little was available: unmet demand. Others were refused whatever was.
"""

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

    def state_at(self, now: int) -> ReservationState:
        """Its state at a moment: one that has expired by then is EXPIRED, whether or not its event is there."""
        return ReservationState.EXPIRED if self.active and self.expires_at <= now else self.state

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


MOST_OF_A_LINE: Final = 10**18
"""What a line can hold at most, in thousandths: beyond it a sum would soon no longer fit 64 bits."""


class NotOfAReservation(ValueError):
    """An event that cannot be the next one of its reservation, with the reason."""


class ReservationFold:
    """The fold of one reservation, event by event in the order of their sequences, from nothing or from a state.

    It knows nothing of commands, so the state is the same wherever the events are cut into parts.
    """

    __slots__ = ("_created_at", "_expires_at", "_last", "_lines", "_open", "_order_id", "_revision", "_stated_at")

    def __init__(self, before: Reservation | None = None) -> None:
        self._lines = {} if before is None else {line.item_id: line for line in before.lines}
        self._open = sum(line.open for line in self._lines.values())
        self._order_id = "" if before is None else before.order_id
        self._revision = 0 if before is None else before.revision
        self._created_at = 0 if before is None else before.created_at
        self._expires_at = 0 if before is None else before.expires_at
        self._stated_at = 0 if before is None else before.stated_at
        self._last: Event | Reservation | None = before

    def add(self, event: Event) -> None:
        """Take over the next event. Raises NotOfAReservation, and is unchanged then."""
        reference = event.reference
        if event.reservation_id is None or reference is None or reference.kind != ORDER_REFERENCE:
            raise NotOfAReservation("it is of a reservation and names no order")
        if event.type is not EventType.STOCK_RESERVED and event.type not in _ENDED_BY:
            raise NotOfAReservation(f"a {event.type} changes no reservation")
        if self._last is None and event.type is not EventType.STOCK_RESERVED:
            raise NotOfAReservation(f"the reservation {event.reservation_id} would begin with it")
        item_id = event.item_id or ""
        line = self._lines.get(item_id) or ReservedLine(item_id=item_id, unit=event.unit or "", quantity=0)
        changed = self._changed(line, event)
        self._open += changed.open - line.open
        self._lines[item_id] = changed
        if self._last is None:
            self._created_at = event.occurred_at
        if event.type is EventType.STOCK_RESERVED:
            self._expires_at = event.expires_at or self._expires_at
        revision = reference.revision or 1
        if revision > self._revision:
            self._revision, self._stated_at = revision, event.sequence - event.line + 1
        self._order_id, self._last = reference.id, event

    @staticmethod
    def _changed(line: ReservedLine, event: Event) -> ReservedLine:
        quantity = event.quantity or 0
        if event.type is EventType.STOCK_RESERVED:
            if line.quantity + quantity > MOST_OF_A_LINE:
                raise NotOfAReservation(f"what is reserved of {line.item_id} is out of bounds")
            return msgspec.structs.replace(line, quantity=line.quantity + quantity)
        if quantity > line.open:
            left = f"which has {line.open} of {line.item_id} left"
            raise NotOfAReservation(f"it takes {quantity} from the reservation {event.reservation_id}, {left}")
        if event.type is EventType.RESERVATION_CONFIRMED:
            return msgspec.structs.replace(line, confirmed=line.confirmed + quantity)
        if event.reason == RESTATED:
            return msgspec.structs.replace(line, quantity=line.quantity - quantity)
        return msgspec.structs.replace(line, released=line.released + quantity)

    def reservation(self) -> Reservation | None:
        """The reservation after the events so far; None before the first one."""
        last = self._last
        if last is None or isinstance(last, Reservation):
            return last
        return Reservation(
            reservation_id=last.reservation_id or "",
            order_id=self._order_id,
            source=last.source,
            revision=self._revision,
            state=ReservationState.ACTIVE if self._open else _ENDED_BY[last.type],
            created_at=self._created_at,
            expires_at=self._expires_at,
            stated_at=self._stated_at,
            lines=tuple(self._lines[item_id] for item_id in sorted(self._lines) if self._lines[item_id].quantity),
        )


def advance_reservation(before: Reservation | None, events: Iterable[Event]) -> Reservation:
    """The reservation after further events of it, in order, of which there is at least one.

    Raises NotOfAReservation where they cannot follow.
    """
    fold = ReservationFold(before)
    for event in events:
        fold.add(event)
    after = fold.reservation()
    if after is None:
        raise NotOfAReservation("there are no events")
    return after


def reservation_of(events: Iterable[Event]) -> Reservation | None:
    """The reservation that events of one reservation id make, given in order of sequence; None where there are none."""
    fold = ReservationFold()
    for event in events:
        fold.add(event)
    return fold.reservation()


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


R = TypeVar("R", bound=ReservationRecord)


def reservation_record(reservation: Reservation, now: int | None = None) -> ReservationRecord:
    """A reservation as it is answered; one that has expired by `now` is EXPIRED, whether or not its event is there."""
    return reservation_record_as(ReservationRecord, reservation, now)


def reservation_record_as(kind: type[R], reservation: Reservation, now: int | None = None, **added: Any) -> R:
    """As `reservation_record`, of a subclass of ReservationRecord with the fields that it adds."""
    state = reservation.state if now is None else reservation.state_at(now)
    expired = reservation.active and state is ReservationState.EXPIRED
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
    return kind(
        reservation_id=reservation.reservation_id,
        order_id=reservation.order_id,
        revision=reservation.revision,
        source=reservation.source,
        state=state,
        created_at=moment_text(reservation.created_at),
        expires_at=moment_text(reservation.expires_at),
        lines=lines,
        **added,
    )
