"""The check whether an event that verifies can be folded, given what head office has of its location. Pure.

An event that cannot be folded is quarantined with the reason given here; the rest of its batch goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from shared.events import BY_HAND, Event, EventType
from shared.reservations import NotOfAReservation, Reservation, ReservationFold
from shared.stock import Movement

MAX_BALANCE: Final = 10**18
"""Beyond it a balance (thousandths) would soon no longer fit a bigint: the item's further events are quarantined."""


@dataclass(frozen=True, slots=True)
class Target:
    """The event that a void or a reversal names."""

    event_id: bytes
    type: str
    item_id: str | None
    transfer_id: str | None
    movement: Movement


class FoldedReservation(Protocol):
    """A reservation that further events are folded into."""

    def add(self, event: Event) -> None:
        """Take over an event. Raises NotOfAReservation, and is unchanged then."""

    def reservation(self) -> Reservation | None:
        """The reservation after the events so far; None before the first one."""


@dataclass(slots=True)
class IngestContext:
    """The state of a location that the check needs; every accepted event updates it."""

    location_id: str
    epoch: int
    units: dict[str, str] = field(default_factory=dict)
    new_units: dict[str, tuple[str, int]] = field(default_factory=dict)  # item: (unit, the event that fixed it)
    overflowing: set[str] = field(default_factory=set)  # items whose balance is beyond MAX_BALANCE
    targets: dict[int, Target] = field(default_factory=dict)
    voided: set[int] = field(default_factory=set)
    moved_once: set[tuple[str, str, str]] = field(default_factory=set)  # (type, transfer, item)
    reservations: dict[str, FoldedReservation] = field(default_factory=dict)
    reservations_changed: set[str] = field(default_factory=set)


def quarantine_reason(context: IngestContext, event: Event, sequence: int, previous: bytes) -> str | None:
    """Check the event at `sequence` after the hash `previous`: why it cannot be folded, or None if it is accepted.

    `context` must hold what the event refers to, and is updated by an accepted event.
    """
    if event.sequence != sequence or event.location_id != context.location_id or event.epoch != context.epoch:
        reason = _misplaced(context, event, sequence, previous)
        if reason is not None:
            return reason
    kind, item_id = event.type, event.item_id
    unit = event.unit
    fixed: str | None = ""
    if unit is not None and item_id is not None:
        fixed = context.units.get(item_id)
        if fixed is not None and fixed != unit:
            return f"it is in {unit}, while {item_id} is kept in {fixed} at {context.location_id}"
        if fixed is None and "\x00" in unit:
            return "its unit contains the character U+0000"
        if item_id in context.overflowing:
            return f"the balance of {item_id} is out of bounds"
    check_of_type = _CHECKS.get(kind)
    if check_of_type is not None:
        reason = check_of_type(context, event)
        if reason is not None:
            return reason
    if fixed is None and unit is not None and item_id is not None:
        context.units[item_id] = unit
        context.new_units[item_id] = (unit, sequence)
    return None


def _misplaced(context: IngestContext, event: Event, sequence: int, previous: bytes) -> str | None:
    if event.location_id != context.location_id:
        return f"it names the location {event.location_id}, but stands in the log of {context.location_id}"
    if event.sequence != sequence:
        return f"it names itself event {event.sequence}, but stands at {sequence}"
    parent = event.parent
    if event.type != EventType.EPOCH_OPENED or parent is None or event.epoch < context.epoch:
        return f"it is of epoch {event.epoch}, while the log is in epoch {context.epoch}"
    if (parent.epoch, parent.sequence, parent.hash) != (context.epoch, sequence - 1, previous.hex()):
        return f"it opens epoch {event.epoch} after another event than the one it stands behind"
    context.epoch = event.epoch
    return None


def _void(context: IngestContext, event: Event) -> str | None:
    target = context.targets.get(event.voided_sequence or 0)
    if target is None:
        return f"it voids event {event.voided_sequence}, which is not among those folded"
    if event.voided_sequence in context.voided:
        return f"it voids event {event.voided_sequence}, which is voided already"
    if target.event_id.hex() != (event.voided_event_id or "").replace("-", "").lower():
        return f"event {event.voided_sequence} is not {event.voided_event_id}"
    if target.item_id != event.item_id:
        return f"it voids an event of {target.item_id}, not of {event.item_id}"
    reason = _reversal(event, target) if event.type == EventType.TRANSFER_REVERSED else _voidable(target)
    if reason is not None:
        return reason
    if event.type == EventType.TRANSFER_REVERSED:
        reason = _once(context, event)
        if reason is not None:
            return reason
    context.voided.add(event.voided_sequence or 0)
    return None


def _voidable(target: Target) -> str | None:
    return None if target.type in BY_HAND else f"it voids a {target.type}, which cannot be voided"


def _reversal(event: Event, target: Target) -> str | None:
    if target.type != EventType.TRANSFER_OUT or target.transfer_id != event.transfer_id:
        return f"it reverses event {event.voided_sequence}, which is not what the transfer {event.transfer_id} sent"
    if event.quantity != -(target.movement.on_hand_change or 0):
        return f"it reverses {event.quantity} of {-(target.movement.on_hand_change or 0)} sent: only the whole can be"
    return None


def _once(context: IngestContext, event: Event) -> str | None:
    key = (event.type.value, event.transfer_id or "", event.item_id or "")
    if key in context.moved_once:
        return f"the transfer {event.transfer_id} has a {event.type} of {event.item_id} already"
    context.moved_once.add(key)
    return None


def _reservation(context: IngestContext, event: Event) -> str | None:
    reservation_id = event.reservation_id or ""
    fold = context.reservations.setdefault(reservation_id, ReservationFold())
    try:
        fold.add(event)
    except NotOfAReservation as error:
        return str(error)
    context.reservations_changed.add(reservation_id)
    return None


_CHECKS: Final[dict[EventType, Callable[[IngestContext, Event], str | None]]] = {
    EventType.EVENT_VOIDED: _void,
    EventType.TRANSFER_REVERSED: _void,
    EventType.TRANSFER_OUT: _once,
    EventType.STOCK_RESERVED: _reservation,
    EventType.RESERVATION_RELEASED: _reservation,
    EventType.RESERVATION_EXPIRED: _reservation,
    EventType.RESERVATION_CONFIRMED: _reservation,
}
