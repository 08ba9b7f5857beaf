"""The command that settles the node's clock, and the state of the clock as it is answered."""

from __future__ import annotations

from typing import Final

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from branch_node.clock.clock_runs import WrongStretch, wrong_stretches
from branch_node.clock.reservation_ends import ends_by, settled_time
from branch_node.database.schema import CLOCK_SETTLEMENT, COUNT_AREA, WRONG_STRETCH
from branch_node.database.stored_runs import delete_runs, read_runs, start_run, store_run
from branch_node.model import ClockRun, Command, Decision, RecordedCommand, RunKind, View
from shared.runtime.clock import ClockMeasurement, NodeClock
from shared.runtime.database.row_writes import upsert

HEAD_OFFICE: Final = "head-office"
"""By whom a clock was settled, where it was by head office's time."""


class ClockState(msgspec.Struct, frozen=True, kw_only=True):
    """The node's clock. `now` is the node's time, `computer` the computer's own; times are microseconds UTC.

    `settled_at` is the time that was settled last, by head office or the actor `settled_by`. `wrong` says whether
    events were recorded at a wrong time before it.
    """

    now: int
    computer: int
    confirmed: bool
    settled_at: int | None
    settled_by: str | None
    wrong: bool


def clock_state(connection: Connection, clock: NodeClock) -> ClockState:
    """The state of the clock, and of its last settlement in the database."""
    settled = connection.execute(select(CLOCK_SETTLEMENT)).one_or_none()
    wrong = connection.execute(select(WRONG_STRETCH.c.first_sequence).limit(1)).first() is not None
    now, confirmed = clock.read()
    return ClockState(
        now=now,
        computer=clock.computer,
        confirmed=confirmed,
        settled_at=None if settled is None else settled.settled_at,
        settled_by=None if settled is None else settled.settled_by,
        wrong=wrong,
    )


def read_stretches(connection: Connection) -> list[WrongStretch]:
    """The stretches of the log that were recorded at a wrong time, in order."""
    rows = connection.execute(select(WRONG_STRETCH).order_by(WRONG_STRETCH.c.first_sequence))
    return [WrongStretch(**row._mapping) for row in rows]


class SettleClock(Command):
    """Settle the clock by a measurement of the true time, and record which events were recorded at a wrong one.

    Decided alone and before what has expired, so that no event of its transaction is dated by the time before, and
    nothing ends by it. Answered with None.
    """

    alone = True
    after_expiries = False

    def __init__(self, clock: NodeClock, measured: ClockMeasurement, *, by: str) -> None:
        self._clock = clock
        self._measured = measured
        self._by = by

    def decide(self, view: View) -> Decision:
        connection, head, location_id = view.connection, view.head.sequence, view.location.location_id
        # Another command may have settled the clock since it was measured.
        measured = self._clock.measured_again(self._measured)
        correction = measured.correction
        verified = _verified(connection)
        runs = read_runs(connection, verified)
        # A start is stored with the first event after it.
        begun = [] if self._clock.start is None else [start_run(self._clock.start, head)]
        runs += begun
        stretches = wrong_stretches(
            runs,
            after=verified,
            head=head,
            correction=correction,
            recorded_at=lambda sequence: view.events_at([sequence])[0].recorded_at,
        )
        by_head_office = self._by == HEAD_OFFICE
        settlement = {
            "location_id": location_id,
            "sequence": head,
            "settled_at": measured.true_time,
            "settled_by": self._by,
            "verified_sequence": head if by_head_office else verified,
        }
        if not by_head_office:
            # Not `correction`: the computer's clock is followed where it is near the true time.
            move = self._clock.move_by(measured)
            settled = ClockRun(
                first_sequence=head + 1, started_at=move.time_now, kind=RunKind.SETTLEMENT, correction=move.ahead
            )
            begun.append(settled)

        def write(connection: Connection) -> None:
            upsert(connection, CLOCK_SETTLEMENT, [settlement])
            connection.execute(delete(WRONG_STRETCH).where(WRONG_STRETCH.c.first_sequence > verified))
            if stretches:
                connection.execute(insert(WRONG_STRETCH), [msgspec.structs.asdict(each) for each in stretches])
            if by_head_office:
                delete_runs(connection)
            else:
                for run in begun:
                    store_run(connection, run)
            if correction < 0:
                waiting = COUNT_AREA.c.posted_sequence.is_(None)
                ahead = COUNT_AREA.c.occurred_at > measured.true_time + NodeClock.TOLERANCE
                moved = COUNT_AREA.c.occurred_at + correction
                connection.execute(update(COUNT_AREA).where(waiting, ahead).values(occurred_at=moved))

        moved = self._clock.move_by(measured)
        time = settled_time(runs, stretches, moved, verified)
        wrong = view.clock_unconfirmed or abs(moved.ahead) > NodeClock.TOLERANCE
        return Decision(
            further=ends_by(view, time) if wrong else [],
            recorded_at=moved.time_now,
            writes=[write],
            after_commit=[lambda: self._clock.settle(measured)],
        )

    def answer(self, recorded: RecordedCommand) -> None:  # noqa: ARG002
        return None


def _verified(connection: Connection) -> int:
    found = connection.execute(select(CLOCK_SETTLEMENT.c.verified_sequence)).scalar_one_or_none()
    return 0 if found is None else int(found)
