"""When reservations of one branch may end, judged by the true time, which only the simulation knows.

Rule 13 of wrong clocks: what was promised by a clock that was right is not ended early by one that the node does not
trust; once that is settled, it ends when it was promised. What was promised by the clock that is settled keeps the time
that it has left. Times are microseconds UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shared.events import Event, EventType
from shared.runtime.clock import NodeClock
from tests.simulation.reservation_ledger import CLOCK, ReservationLedger
from tests.simulation.rule_broken import RuleBroken

TOLERANCE = NodeClock.TOLERANCE


@dataclass
class Stated:
    """When a reservation was said to end, by which event, in which process, and whether the clock was right then.

    `trusted`: the node knew that it was. `misled`: since then the node has trusted a clock that was wrong, so that it
    may well end early.
    """

    expires_at: int
    sequence: int
    start: int
    right: bool
    trusted: bool
    misled: bool = False


@dataclass
class BeforeStep:
    """A branch before a step that may settle its clock. `ends`: when each active reservation expires; `stated`: as it
    was said."""

    ends: Mapping[str, int]
    stated: Mapping[str, Stated]
    now: int
    confirmed: bool
    verified: int


@dataclass
class PromisedTimes:
    """What was promised at one branch. `start` is the number of its process."""

    ledger: ReservationLedger
    stated: dict[str, Stated] = field(default_factory=dict)

    def take(self, events: Sequence[Event], start: int, true_now: int) -> None:
        """Take in what was recorded just now. Raises RuleBroken."""
        for event in events:
            reservation_id = event.reservation_id or ""
            if event.type is EventType.STOCK_RESERVED and not (event.actor == CLOCK and event.clock_unconfirmed):
                right = abs(event.recorded_at - true_now) <= TOLERANCE
                trusted = not event.clock_unconfirmed
                self.stated[reservation_id] = Stated(event.expires_at or 0, event.sequence, start, right, trusted)
            elif event.type is EventType.RESERVATION_EXPIRED and event.clock_unconfirmed:
                was = self.stated[reservation_id]
                if was.right and not was.misled and true_now < was.expires_at - TOLERANCE:
                    raise self._broken(f"{reservation_id} lasts to {was.expires_at}; a wrong clock ended it {true_now}")

    def trust(self, now: int, true_now: int) -> None:
        """A process started that trusts its clock, which shows `now`."""
        if abs(now - true_now) > TOLERANCE:
            for each in self.stated.values():
                each.misled = True

    def before(self, now: int, confirmed: bool, verified: int) -> BeforeStep:
        """The branch as it is: its time, and the last event whose time head office has verified."""
        ends = {each.reservation_id: each.expires_at for each in self.ledger.active}
        return BeforeStep(ends, dict(self.stated), now, confirmed, verified)

    def settled(self, before: BeforeStep, start: int, now: int) -> bool:
        """Whether a step moved the clock. Raises RuleBroken where a reservation then ends when it should not."""
        moved = abs(now - before.now)
        if not moved or (before.confirmed and moved <= TOLERANCE):
            return False
        for reservation_id, expires_at in before.ends.items():
            promise, was = self.ledger.promises[reservation_id], before.stated[reservation_id]
            what = f"the clock was moved from {before.now} to {now}, the end of {reservation_id} ({promise.state})"
            measured = was.start == start and was.sequence > before.verified
            if measured and expires_at > before.now and promise.expires_at - now != expires_at - before.now:
                raise self._broken(f"{what} from {expires_at} to {promise.expires_at}")
            if not was.right or was.start == start or promise.expires_at == was.expires_at:
                continue
            # What was off by nobody knows how much may last longer, never shorter.
            if was.trusted or promise.expires_at < was.expires_at - TOLERANCE:
                raise self._broken(f"{what} to {promise.expires_at}: a right clock had said {was.expires_at}")
        return True

    def _broken(self, what: str) -> RuleBroken:
        return RuleBroken(13, f"{self.ledger.where}: {what}")
