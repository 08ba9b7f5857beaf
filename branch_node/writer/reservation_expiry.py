"""The command by which the writer records that a reservation has expired."""

from __future__ import annotations

from typing import Final

from branch_node.model import Command, Decision, View
from branch_node.reservation_events import reservation_event
from shared.events import EventType
from shared.reservations import Reservation

ACTOR: Final = "expiry"
"""The actor of an expiry: nobody caused it."""


class ExpireReservation(Command):
    """Record that a reservation has expired, at its `expires_at`."""

    def __init__(self, reservation: Reservation) -> None:
        self._reservation_id = reservation.reservation_id
        self.size = len(reservation.lines)

    def decide(self, view: View) -> Decision:
        reservation = view.reservation(self._reservation_id)
        if reservation is None or not reservation.active or reservation.expires_at > view.now:
            return Decision()
        return Decision(
            events=[
                reservation_event(
                    view,
                    EventType.RESERVATION_EXPIRED,
                    reservation,
                    line,
                    line.open,
                    actor=ACTOR,
                    occurred_at=reservation.expires_at,
                )
                for line in reservation.open_lines
            ]
        )
