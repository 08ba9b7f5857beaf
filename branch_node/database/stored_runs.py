"""The runs of the node's time as they are stored. On the connection that it is given."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, delete, func, insert, select

from branch_node.database.schema import CLOCK_RUN
from branch_node.model import ClockRun, RunKind
from shared.runtime.clock import ClockStart


def start_run(start: ClockStart, head: int) -> ClockRun:
    """The run that a start of the node's time begins after the event `head`."""
    kind = RunKind.START if start.same_clock else RunKind.JUMP
    return ClockRun(first_sequence=head + 1, started_at=start.at, kind=kind)


def store_run(connection: Connection, run: ClockRun) -> None:
    """Store a run after those that are there."""
    first = CLOCK_RUN.c.first_sequence
    stored = select(func.count()).where(first == run.first_sequence).scalar_subquery()
    connection.execute(insert(CLOCK_RUN).values(msgspec.structs.asdict(run) | {"number": stored}))


def read_runs(connection: Connection, after: int) -> list[ClockRun]:
    """The runs that began after the event `after`, in order."""
    first, number = CLOCK_RUN.c.first_sequence, CLOCK_RUN.c.number
    rows = connection.execute(select(CLOCK_RUN).where(first > after).order_by(first, number))
    return [
        ClockRun(
            first_sequence=row.first_sequence,
            started_at=row.started_at,
            kind=RunKind(row.kind),
            correction=row.correction,
        )
        for row in rows
    ]


def delete_runs(connection: Connection) -> None:
    """Forget all runs: the time is verified."""
    connection.execute(delete(CLOCK_RUN))
