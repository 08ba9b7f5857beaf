"""A COMMIT whose outcome is not known yet, and the position in the database that tells it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, select

from branch_node.database.schema import LOCATION, LOG
from shared.chain import Head
from shared.event_log import read_head
from shared.runtime.problems import Recorded


class Position(NamedTuple):
    """What every commit of the writer changes: the log's head, or where it records no event, the number of such."""

    head: Head
    eventless_commits: int


def read_position(connection: Connection, location_id: str) -> Position:
    """The position in the database. Raises LookupError where it holds no log of the location."""
    head = read_head(connection, LOG, location_id)
    if head is None:
        raise LookupError(f"the database holds no log of {location_id}")
    commits = select(LOCATION.c.eventless_commits).where(LOCATION.c.location_id == location_id)
    return Position(head, connection.execute(commits).scalar_one())


class PendingCommit:
    """A COMMIT that was sent. `recorded` is UNKNOWN until `resolve`; `callbacks` run once if it took effect."""

    def __init__(self, before: Position, after: Position, callbacks: Sequence[Callable[[], None]]) -> None:
        self.recorded = Recorded.UNKNOWN
        self._before = before
        self._after = after
        self._callbacks = callbacks

    def resolve(self, stored: Position) -> None:
        """Learn from the position in the database what became of it. A third position leaves it unknown."""
        if stored == self._before:
            self.recorded = Recorded.NO
        elif stored == self._after:
            self.recorded = Recorded.YES
            for each in self._callbacks:
                each()
