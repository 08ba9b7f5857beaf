"""The commands by which the writer records that a reservation has expired, or lasts on by a clock that began ahead."""

from __future__ import annotations

from typing import Final

from branch_node.model import Command, Decision, View
from branch_node.reservation_events import reservation_event, timed_anew
from shared.events import EventType
from shared.reservations import Reservation

ACTOR: Final = "expiry"
"""The actor of an expiry: nobody caused it."""

MOST_EXPIRED_LINES: Final = 2_000
"""About how many expiries one transaction records: fifty thousand may be due at one moment."""


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


class KeepReservations(Command):
    """Keep the remaining time of every reservation, where the node's time began ahead and is unconfirmed.

    The log says when its last process recorded anything, and nothing says how much time has passed since. So none of it
    counts, until the clock is settled. `unmeasured` is in microseconds.
    """

    alone = True

    def __init__(self, unmeasured: int) -> None:
        self._unmeasured = unmeasured

    def decide(self, view: View) -> Decision:
        return Decision(
            further=[
                timed_anew(view, each, expires_at=each.expires_at + self._unmeasured, occurred_at=view.now)
                for each in view.active_reservations()
            ]
        )
