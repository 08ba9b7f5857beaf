"""What reserving, confirming and releasing record: all or none, from the state and the stock alone. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final, Protocol

import msgspec

from shared.events import EventType
from shared.reservations import RESTATED, Reservation, ReservedLine

REST: Final = "rest"
"""The reason of a RESERVATION_RELEASED of what a confirmation left open."""


class Rest(StrEnum):
    """What becomes of what a confirmation leaves open."""

    RELEASE = "release"
    KEEP = "keep"


class AskedLine(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A quantity of an item, in thousandths of its base unit."""

    item_id: str
    unit: str
    quantity: int


class Shortage(msgspec.Struct, frozen=True, kw_only=True):
    """An item of which less is available than is asked for."""

    item_id: str
    unit: str
    asked: int
    available: int


class InventoryUnavailable(Exception):
    """Not everything that is asked for is available; `short` names each item of which there is too little."""

    def __init__(self, short: Sequence[Shortage]) -> None:
        super().__init__("not everything is available")
        self.short = tuple(short)


class MoreThanOpen(Exception):
    """More of an item is to be confirmed than is open."""

    def __init__(self, item_id: str, asked: int, open_quantity: int) -> None:
        super().__init__(f"{asked} of {item_id} asked, {open_quantity} open")
        self.item_id = item_id
        self.asked = asked
        self.open_quantity = open_quantity


class ReservationDraft(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One event of a reservation to record, before it has its envelope."""

    type: EventType
    item_id: str
    unit: str
    quantity: int
    reason: str | None = None


class Stock(Protocol):
    """The stock that a reservation is decided on."""

    def stands_for(self, item_id: str) -> str:
        """The item that a code stands for: codes of one item share its stock."""

    def available(self, item_id: str) -> int:
        """What is available of an item over all its codes: on hand minus reserved, in thousandths."""


def reserve(
    asked: Sequence[AskedLine], current: Reservation | None, served: Mapping[str, int], stock: Stock
) -> list[ReservationDraft]:
    """State an order's reservation, or state it anew in place of `current`: everything of it or nothing.

    `asked` is the whole order, one line an item. What is `served` of a line (see `served_of`) is not
    reserved again. What `current` has open is given back first, and is there to be reserved again. No drafts: nothing
    is left to reserve, and nothing was. Raises InventoryUnavailable, with what is asked beyond what `current` holds.
    """
    wanted = [
        msgspec.structs.replace(line, quantity=needed)
        for line in asked
        if (needed := line.quantity - served.get(line.item_id, 0)) > 0
    ]
    held = [] if current is None else current.open_lines
    short = _short(wanted, held, stock)
    if short:
        raise InventoryUnavailable(short)
    given_back = [_draft(EventType.RESERVATION_RELEASED, line, line.open, RESTATED) for line in held]
    return [*given_back, *(_draft(EventType.STOCK_RESERVED, line, line.quantity) for line in wanted)]


def served_of(asked: Iterable[AskedLine], before: Iterable[tuple[str, int]], stock: Stock) -> dict[str, int]:
    """How much of each line that is asked for was served before, by its code.

    `before`: (code, quantity) of what was confirmed, or taken directly. What was served under one code of an item
    counts for all of them, for the line that is named first.
    """
    left: dict[str, int] = {}
    for item_id, quantity in before:
        item = stock.stands_for(item_id)
        left[item] = left.get(item, 0) + quantity
    served: dict[str, int] = {}
    for line in asked:
        item = stock.stands_for(line.item_id)
        served[line.item_id] = part = min(left.get(item, 0), line.quantity)
        left[item] = left.get(item, 0) - part
    return served


def _short(wanted: Iterable[AskedLine], held: Iterable[ReservedLine], stock: Stock) -> list[Shortage]:
    """What cannot be reserved: of each item the lines that ask for more of it than is held, if that is too much."""
    left: dict[str, int] = {}
    for line in held:
        item = stock.stands_for(line.item_id)
        left[item] = left.get(item, 0) + line.open
    beyond: dict[str, list[AskedLine]] = {}
    for asked in wanted:
        item = stock.stands_for(asked.item_id)
        own = min(left.get(item, 0), asked.quantity)
        left[item] = left.get(item, 0) - own
        if asked.quantity > own:
            beyond.setdefault(item, []).append(msgspec.structs.replace(asked, quantity=asked.quantity - own))
    short = []
    for item, lines in beyond.items():
        available = stock.available(item)
        if sum(line.quantity for line in lines) > available:
            short += [
                Shortage(item_id=line.item_id, unit=line.unit, asked=line.quantity, available=available)
                for line in lines
            ]
    return short


def confirm(reservation: Reservation, asked: Sequence[AskedLine] | None, rest: Rest) -> list[ReservationDraft]:
    """Confirm an active reservation, in full (None) or what is asked of it, one line an item.

    What stays open is released or kept. Raises MoreThanOpen. The release stands first, so that a reservation whose
    rest is released has ended by its confirmation.
    """
    if asked is None:
        taken = {line.item_id: line.open for line in reservation.open_lines}
    else:
        taken = {line.item_id: line.quantity for line in asked}
    confirmed = []
    for item_id, quantity in taken.items():
        line = reservation.line(item_id)
        if line is None or quantity > line.open:
            raise MoreThanOpen(item_id, quantity, 0 if line is None else line.open)
        confirmed.append(_draft(EventType.RESERVATION_CONFIRMED, line, quantity))
    released = [
        _draft(EventType.RESERVATION_RELEASED, line, left, REST)
        for line in reservation.open_lines
        if rest is Rest.RELEASE and (left := line.open - taken.get(line.item_id, 0))
    ]
    return [*released, *confirmed]


def release(reservation: Reservation, reason: str | None) -> list[ReservationDraft]:
    """Give back everything that an active reservation has open."""
    return [_draft(EventType.RESERVATION_RELEASED, line, line.open, reason) for line in reservation.open_lines]


def _draft(
    kind: EventType, line: ReservedLine | AskedLine, quantity: int, reason: str | None = None
) -> ReservationDraft:
    return ReservationDraft(type=kind, item_id=line.item_id, unit=line.unit, quantity=quantity, reason=reason)
