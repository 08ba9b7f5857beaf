"""A branch's log as its messages are read from it: on a read-only connection, in one snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager

from sqlalchemy import Connection, select

from branch_node.database.schema import LOG
from branch_node.database.store import Store
from shared.chain import EMPTY, understand
from shared.event_log import LogEntry, read_after, read_head
from shared.events import Event
from shared.outbox.log_standings import standings_at
from shared.outbox.recorded_commands import LoggedEvent
from shared.stock import Standing


class BranchOutboxLog:
    """The OutboxLog of a branch: every event of it is folded."""

    def __init__(self, connection: Connection, location_id: str) -> None:
        self._connection = connection
        self._location_id = location_id
        self._known: dict[int, LoggedEvent] = {}
        self.head = read_head(connection, LOG, location_id) or EMPTY

    def entries(self, after: int, limit: int) -> list[LoggedEvent]:
        found = [_logged(each) for each in read_after(self._connection, LOG, after, limit)]
        self._known.update((each.sequence, each) for each in found)
        return found

    def entry(self, sequence: int) -> LoggedEvent:
        if sequence not in self._known:
            self.entries(sequence - 1, 1)
        return self._known[sequence]

    def events_at(self, sequences: Sequence[int]) -> Mapping[int, Event]:
        event = LOG.event
        query = select(event.c.sequence, event.c.line).where(event.c.sequence.in_(list(sequences)))
        return {row.sequence: understand(bytes(row.line)) for row in self._connection.execute(query)}

    def epoch_at(self, sequence: int) -> int:
        event = self.entry(sequence).event
        assert event is not None
        return event.epoch

    def incomplete(self, through: int) -> frozenset[str]:
        del through
        return frozenset()

    def standings(self, item_ids: Sequence[str], known_through: int) -> dict[str, Standing]:
        return standings_at(self._connection, LOG, self._location_id, item_ids, known_through)


def _logged(entry: LogEntry) -> LoggedEvent:
    return LoggedEvent(entry.sequence, entry.hash, understand(entry.line))


def branch_outbox(store: Store, location_id: str) -> Callable[[str], AbstractContextManager[BranchOutboxLog]]:
    """What opens the log of a branch. Raises Problem where the database is away."""

    @contextmanager
    def opened(asked: str) -> Iterator[BranchOutboxLog]:
        if asked != location_id:
            raise LookupError(f"this is the log of {location_id}, not of {asked}")
        with store.reading() as connection:
            yield BranchOutboxLog(connection, location_id)

    return opened
