"""When reservations expire once the clock is settled.

When a reservation expires was said by the clock of its time, and is corrected as that is: what the present run of the
node's time stated keeps the time that it has left, which was measured; what an earlier run stated expires when it was
said, or as the run is found to have been wrong. What a clock that began ahead put off is put off no longer, unless it
was stated by a clock of which nothing is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection, select

from branch_node.clock.clock_runs import WrongStretch
from branch_node.database.schema import LOG
from branch_node.model import ClockRun, RunKind, View
from branch_node.reservation_events import timed_anew
from shared.chain import understand
from shared.events import Event, EventType
from shared.reservations import RESTATED
from shared.runtime.clock import ClockMove

AT_ONCE: Final = 500


class SettledTime(msgspec.Struct, frozen=True, kw_only=True):
    """A settlement: the time from there on, and how far that is ahead of the time before, in microseconds.

    `run_from` is the first event of the present run of the node's time, `known_from` that of the first run whose clock
    is known to have gone on into it, `stretches` are those that were wrong. Up to the event `verified` head office had
    said the time.
    """

    now: int
    ahead: int
    run_from: int
    known_from: int
    verified: int
    stretches: Sequence[WrongStretch]

    def end(self, stated: StatedEnd, kept: int) -> int:
        """When a reservation expires. `kept`: by the time before, with what it has left as it was measured."""
        if stated.sequence >= self.run_from:
            return stated.expires_at + self.ahead
        for each in self.stretches:
            if each.first_sequence <= stated.sequence <= each.last_sequence:
                return stated.expires_at + each.correction
        doubtful = stated.unconfirmed and self.verified < stated.sequence < self.known_from
        return kept + self.ahead if doubtful else stated.expires_at


def settled_time(
    runs: Sequence[ClockRun], stretches: Sequence[WrongStretch], moved: ClockMove, verified: int
) -> SettledTime:
    """What a settlement says, with the runs after the event `verified`, the present one last."""
    known_from = verified + 1
    for run in reversed(runs):
        if run.kind is RunKind.JUMP:
            known_from = run.first_sequence
            break
    return SettledTime(
        now=moved.time_now,
        ahead=moved.ahead,
        run_from=runs[-1].first_sequence if runs else verified + 1,
        known_from=known_from,
        verified=verified,
        stretches=stretches,
    )


class StatedEnd(msgspec.Struct, frozen=True):
    """When a reservation expires, as it was stated by the event `sequence`, by a clock that was `unconfirmed` or not.

    `put_off`: it has been put off since.
    """

    expires_at: int
    sequence: int
    unconfirmed: bool
    put_off: bool = False


def ends_by(view: View, time: SettledTime) -> list[list[Event]]:
    """The commands that state anew each active reservation that expires at another moment by a settled time."""
    active = view.active_reservations()
    stated = stated_ends(view.connection, [each.reservation_id for each in active]) if active else {}
    commands = []
    for each in active:
        end = stated[each.reservation_id]
        expires_at = time.end(end, each.expires_at)
        if end.put_off or expires_at != each.expires_at:
            commands.append(timed_anew(view, each, expires_at=expires_at, occurred_at=time.now))
    for events in commands:
        for event in events:
            event.clock_unconfirmed = None  # they are dated by the time that is settled
    return commands


def stated_ends(connection: Connection, reservation_ids: Sequence[str]) -> Mapping[str, StatedEnd]:
    """When each of these reservations was stated to expire last, other than by a clock that began ahead."""
    event = LOG.event.c
    found: dict[str, StatedEnd] = {}
    for first in range(0, len(reservation_ids), AT_ONCE):
        query = (
            select(event.line)
            .where(
                event.reservation_id.in_(list(reservation_ids[first : first + AT_ONCE])),
                event.type == EventType.STOCK_RESERVED.value,
            )
            .order_by(event.sequence)
        )
        for line in connection.execute(query).scalars():
            each = understand(bytes(line))
            reservation_id, expires_at = each.reservation_id or "", each.expires_at or 0
            before = found.get(reservation_id)
            if before is not None and each.reason == RESTATED and each.clock_unconfirmed:
                found[reservation_id] = msgspec.structs.replace(before, put_off=True)
            else:
                found[reservation_id] = StatedEnd(expires_at, each.sequence, bool(each.clock_unconfirmed))
    return found
