"""What an order's events record: what is reserved, shipped and given back of it, in whatever order they arrive. Pure.

What was shipped of an order is what was confirmed of all its reservations, and what was deducted for it directly.
Quantities are thousandths of the items' base units. Codes of one item share its stock, and stand for each other here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from branch_node.commands.reservations.reservation_decisions import (
    REST,
    AskedLine,
    ReservationDraft,
    Rest,
    Stock,
    confirm,
    release,
    served_of,
)
from shared.orders.order_outcomes import OrderOutcome
from shared.reservations import Reservation, ReservedLine


class DirectDeduction(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What was taken for an order without a reservation, and stands; `sequence` is that of its event."""

    item_id: str
    quantity: int
    sequence: int


class OrderSituation(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an order. `reservations` are all of them, in order of creation; for the others `InboundOrder`.

    `known`: its content is known, from a reservation or as shipped before.
    """

    revision: int
    known: bool
    cancelled: bool
    final: bool
    reservations: Sequence[Reservation]
    deductions: Sequence[DirectDeduction]

    @property
    def active(self) -> Reservation | None:
        return next((each for each in self.reservations if each.active), None)

    @property
    def newest(self) -> Reservation | None:
        """The reservation of the newest statement for which anything was reserved."""
        return max(self.reservations, key=lambda each: (each.revision, each.stated_at), default=None)


class ShipmentDraft(msgspec.Struct, frozen=True, kw_only=True):
    """What a shipment records: of the order's reservation, and what it takes beyond that."""

    reservation: Sequence[ReservationDraft]
    deducted: Sequence[AskedLine]


def settled(revision: int, situation: OrderSituation) -> OrderOutcome | None:
    """Why nothing is reserved for a placed order, whatever it asks for; None: it is to be decided."""
    if situation.cancelled:
        return OrderOutcome.CANCELLED
    if situation.final:
        return OrderOutcome.SHIPPED
    return OrderOutcome.SUPERSEDED if revision < situation.revision else None


def shipped_before(asked: Iterable[AskedLine], situation: OrderSituation, stock: Stock) -> dict[str, int]:
    """How much of each line that is asked for was shipped already, by its code."""
    confirmed = [(line.item_id, line.confirmed) for each in situation.reservations for line in each.lines]
    deducted = [(each.item_id, each.quantity) for each in situation.deductions]
    return served_of(asked, [*confirmed, *deducted], stock)


def ship(asked: Sequence[AskedLine] | None, situation: OrderSituation, stock: Stock, *, final: bool) -> ShipmentDraft:
    """Ship what is asked, one line an item; None: all that is left of the order as it was last reserved.

    What is open is confirmed, what is beyond it deducted. Of what stays open nothing is kept where it is `final`.
    """
    active = situation.active
    lines = left_to_ship(situation, stock) if asked is None else asked
    open_lines = [] if active is None else active.open_lines
    confirmed: dict[str, AskedLine] = {}
    deducted: list[AskedLine] = []
    left = {line.item_id: line.open for line in open_lines}
    for line in lines:
        needed = line.quantity
        for reserved in _of_item(open_lines, line.item_id, stock):
            part = _take(left, reserved.item_id, needed)
            needed -= part
            if part:
                before = confirmed.get(reserved.item_id)
                quantity = part + (0 if before is None else before.quantity)
                confirmed[reserved.item_id] = AskedLine(item_id=reserved.item_id, unit=reserved.unit, quantity=quantity)
        if needed:
            deducted.append(msgspec.structs.replace(line, quantity=needed))
    if active is None:
        return ShipmentDraft(reservation=(), deducted=deducted)
    if final and not confirmed:
        return ShipmentDraft(reservation=release(active, REST), deducted=deducted)
    drafts = confirm(active, list(confirmed.values()), Rest.RELEASE if final else Rest.KEEP)
    return ShipmentDraft(reservation=drafts, deducted=deducted)


def left_to_ship(situation: OrderSituation, stock: Stock) -> list[AskedLine]:
    """What is left to ship of the newest statement that was reserved: also what was given back or expired since.

    Once the last of an order was shipped, only what is open all the same.
    """
    newest, active = situation.newest, situation.active
    if situation.final or newest is None:
        return [] if active is None else [_asked(line, line.open) for line in active.open_lines]
    since: dict[str, int] = {}
    for deduction in situation.deductions:
        if deduction.sequence > newest.stated_at:
            _add(since, stock.stands_for(deduction.item_id), deduction.quantity)
    left = []
    for line in newest.lines:
        unshipped = line.quantity - line.confirmed
        unshipped -= _take(since, stock.stands_for(line.item_id), unshipped)
        if (quantity := max(unshipped, line.open)) > 0:
            left.append(_asked(line, quantity))
    return left


def _of_item(lines: Iterable[ReservedLine], item_id: str, stock: Stock) -> list[ReservedLine]:
    """The lines of the item that a code stands for, that of the very code first."""
    item = stock.stands_for(item_id)
    return sorted(
        (line for line in lines if stock.stands_for(line.item_id) == item), key=lambda line: line.item_id != item_id
    )


def _asked(line: ReservedLine, quantity: int) -> AskedLine:
    return AskedLine(item_id=line.item_id, unit=line.unit, quantity=quantity)


def _add(sums: dict[str, int], item: str, quantity: int) -> None:
    sums[item] = sums.get(item, 0) + quantity


def _take(sums: dict[str, int], item: str, quantity: int) -> int:
    """Take up to a quantity out of a sum; how much it was."""
    part = min(sums.get(item, 0), quantity)
    sums[item] = sums.get(item, 0) - part
    return part


def summed(lines: Iterable[AskedLine]) -> list[AskedLine]:
    """One line an item, in the order in which they are named first."""
    found: dict[str, AskedLine] = {}
    for line in lines:
        same = found.get(line.item_id)
        quantity = line.quantity + (0 if same is None else same.quantity)
        found[line.item_id] = msgspec.structs.replace(line, quantity=quantity)
    return list(found.values())
