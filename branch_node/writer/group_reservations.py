"""The reservations as one transaction of the writer has them: what is committed, and what the group has changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from sqlalchemy import Connection

from branch_node.database.reservation_rows import (
    OrderKey,
    reservation_with_id,
    reservations_of_orders,
    store_reservations,
)
from branch_node.writer.reservation_book import ReservationBook
from shared.chain import Sealed
from shared.events import EventType
from shared.reservations import Reservation, advance_reservation


class GroupReservations:
    """Valid for one transaction. What is recorded of a reservation changes it here, whatever command recorded it."""

    def __init__(self, connection: Connection, book: ReservationBook) -> None:
        self._connection = connection
        self._book = book
        self._changed: dict[str, Reservation] = {}
        self._stored: dict[str, Reservation | None] = {}  # what the table has of those changed, None: nothing
        self._unwritten: dict[str, None] = {}  # ids, in the order in which they are to be written
        self._of_orders: dict[OrderKey, dict[str, Reservation]] = {}
        self._more = 0  # by how many the group has changed the number of active ones
        self._active_of: dict[OrderKey, str | None] = {}

    def preload(self, orders: Sequence[OrderKey]) -> None:
        """Read every reservation of these orders, ended ones too."""
        unknown = [order for order in orders if order not in self._of_orders]
        for order in unknown:
            self._of_orders[order] = {}
        for each in reservations_of_orders(self._connection, unknown):
            current = self._changed.get(each.reservation_id, each)
            self._of_orders[each.order_id, each.source][each.reservation_id] = current
        for each in self._changed.values():
            if (each.order_id, each.source) in unknown:
                self._of_orders[each.order_id, each.source][each.reservation_id] = each

    def get(self, reservation_id: str) -> Reservation | None:
        """A reservation by its id, also one that has ended."""
        found = self._changed.get(reservation_id) or self._book.get(reservation_id)
        return found or reservation_with_id(self._connection, reservation_id)

    def of_order(self, order: OrderKey) -> list[Reservation]:
        """All reservations of an order, in the order of their creation."""
        self.preload([order])
        return list(self._of_orders[order].values())

    def active_of(self, order: OrderKey) -> Reservation | None:
        """The active reservation of an order."""
        if order in self._active_of:
            found = self._active_of[order]
            return None if found is None else self._changed[found]
        return self._book.of_order(order)

    def count(self) -> int:
        """How many are active, with what the group has changed."""
        return len(self._book) + self._more

    def active(self) -> list[Reservation]:
        """Every active reservation, in order of id."""
        changed = [each for each in self._changed.values() if each.active]
        others = [each for each in self._book.all() if each.reservation_id not in self._changed]
        return sorted([*others, *changed], key=lambda each: each.reservation_id)

    def expired_by(self, moment: int, most_lines: int) -> tuple[list[Reservation], bool]:
        """Active reservations that have expired by a moment, of about so many lines; and whether there are more."""
        found, more = self._book.expired_by(moment, most_lines)
        committed = (each for each in found if each.reservation_id not in self._changed)
        changed = (each for each in self._changed.values() if each.active and each.expires_at <= moment)
        return [*committed, *changed], more

    def advance(self, sealed: Iterable[Sealed]) -> None:
        """Take over the events that one command recorded of reservations, and others among them."""
        of_reservations = (
            each.event
            for each in sealed
            if each.event.reservation_id is not None and each.event.type is not EventType.RESERVATION_REFUSED
        )
        by_id = sorted(of_reservations, key=lambda event: (event.reservation_id or "", event.sequence))
        for reservation_id, events in groupby(by_id, key=lambda event: event.reservation_id or ""):
            # Only an active one changes, and those are in memory; what is in neither is new.
            before = self._changed.get(reservation_id) or self._book.get(reservation_id)
            after = advance_reservation(before, list(events))
            self._more += after.active - (before is not None and before.active)
            order = (after.order_id, after.source)
            self._stored.setdefault(reservation_id, before)
            self._changed[reservation_id] = after
            self._unwritten.pop(reservation_id, None)
            self._unwritten[reservation_id] = None
            if after.active:
                self._active_of[order] = reservation_id
            elif (before is not None and before.active) or self._active_of.get(order) == reservation_id:
                self._active_of[order] = None
            if order in self._of_orders:
                self._of_orders[order][reservation_id] = after

    def flush(self) -> None:
        """Write what has changed since the last flush."""
        if not self._unwritten:
            return
        changed = [(self._stored[each], self._changed[each]) for each in self._unwritten]
        store_reservations(self._connection, changed)
        self._stored.update((each, self._changed[each]) for each in self._unwritten)
        self._unwritten.clear()

    def publish(self) -> None:
        """Put the group's changes into the book; called after the commit."""
        for each in self._changed.values():
            self._book.put(each)
