"""The reservations that the writer holds in memory: every active one, by id, by order and by expiry."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush

from branch_node.database.reservation_rows import OrderKey
from shared.reservations import Reservation


class ReservationBook:
    """The active reservations as committed."""

    def __init__(self, active: Iterable[Reservation]) -> None:
        self._by_id: dict[str, Reservation] = {}
        self._by_order: dict[OrderKey, str] = {}
        self._expiries: list[tuple[int, str]] = []
        for each in active:
            self.put(each)

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, reservation_id: str) -> Reservation | None:
        """The active reservation with this id."""
        return self._by_id.get(reservation_id)

    def of_order(self, order: OrderKey) -> Reservation | None:
        """The active reservation of an order."""
        found = self._by_order.get(order)
        return None if found is None else self._by_id[found]

    def put(self, reservation: Reservation) -> None:
        """Take over what was committed of a reservation: keep an active one, drop one that has ended."""
        reservation_id, order = reservation.reservation_id, (reservation.order_id, reservation.source)
        before = self._by_id.get(reservation_id)
        if reservation.active:
            self._by_id[reservation_id] = reservation
            self._by_order[order] = reservation_id
            if before is None or before.expires_at != reservation.expires_at:
                heappush(self._expiries, (reservation.expires_at, reservation_id))
        elif before is not None:
            del self._by_id[reservation_id]
            if self._by_order.get(order) == reservation_id:
                del self._by_order[order]

    def next_expiry(self) -> int | None:
        """When the next reservation expires, in microseconds UTC; None where none is active."""
        self._drop_stale()
        return self._expiries[0][0] if self._expiries else None

    def expired_by(self, moment: int, most_lines: int) -> tuple[list[Reservation], bool]:
        """Active reservations that have expired by a moment, those that expired first: of up to so many lines, or one.

        And whether there are more.
        """
        found: dict[str, Reservation] = {}
        due: list[tuple[int, str]] = []
        lines, more = 0, False
        while self._expiries and self._expiries[0][0] <= moment:
            expires_at, reservation_id = self._expiries[0]
            reservation = self._by_id.get(reservation_id)
            known = reservation_id in found or reservation is None or reservation.expires_at != expires_at
            if reservation is not None and not known:
                lines += len(reservation.open_lines)
                if due and lines > most_lines:
                    more = True
                    break
                found[reservation_id] = reservation
                due.append((expires_at, reservation_id))
            heappop(self._expiries)
        # They stay due until what ends them is committed.
        for each in due:
            heappush(self._expiries, each)
        return list(found.values()), more

    def all(self) -> list[Reservation]:
        """Every active reservation, in order of id."""
        return [self._by_id[each] for each in sorted(self._by_id)]

    def _drop_stale(self) -> None:
        while self._expiries:
            expires_at, reservation_id = self._expiries[0]
            reservation = self._by_id.get(reservation_id)
            if reservation is not None and reservation.expires_at == expires_at:
                return
            heappop(self._expiries)
