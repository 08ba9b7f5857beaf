"""Head office's copy of a log as its messages are read from it: in one snapshot, the quarantine told apart."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property

from sqlalchemy import Connection, case, func, null, select, union_all

from head_office.database.arrays import BIGINT, array
from head_office.database.log_segments import read_lines
from head_office.database.schema import EVENT, LOG, QUARANTINE
from head_office.log.quarantine import epoch_at, epochs_of
from head_office.log.refusals import UnknownLocation
from shared.chain import Head, understand
from shared.event_log import read_head
from shared.events import RULES, Event, EventNotUnderstood
from shared.outbox.log_standings import standings_at
from shared.outbox.recorded_commands import LoggedEvent
from shared.stock import Standing

_OF_NO_ITEM = frozenset(kind.value for kind, rule in RULES.items() if "item_id" not in rule.required)


class IncompleteItems:
    """The items, or all of them, whose figures lack an event."""

    def __init__(self, items: frozenset[str], *, every: bool) -> None:
        self._items = items
        self._every = every

    def __contains__(self, item_id: object) -> bool:
        return self._every or item_id in self._items


class OfficeOutboxLog:
    """The OutboxLog of a location at head office. Raises UnknownLocation."""

    def __init__(self, connection: Connection, location_id: str) -> None:
        self._connection = connection
        self._location_id = location_id
        self._known: dict[int, LoggedEvent] = {}
        head = read_head(connection, LOG, location_id)
        if head is None:
            raise UnknownLocation(location_id)
        self.head = head

    def entries(self, after: int, limit: int) -> list[LoggedEvent]:
        last = min(after + limit, self.head.sequence)
        hashes: dict[int, bytes] = {}
        held: dict[int, str] = {}
        # An event that was released stands in both.
        kinds = (EVENT, null()), (QUARANTINE, case((QUARANTINE.c.released_at.is_(None), QUARANTINE.c.reason)))
        query = union_all(
            *(
                select(table.c.sequence, table.c.hash, unfolded.label("unfolded")).where(
                    table.c.location_id == self._location_id, table.c.sequence > after, table.c.sequence <= last
                )
                for table, unfolded in kinds
            )
        )
        for row in self._connection.execute(query):
            hashes[row.sequence] = bytes(row.hash)
            if row.unfolded is not None:
                held[row.sequence] = row.unfolded
        lines = read_lines(self._connection, self._location_id, range(after + 1, last + 1))
        found = [
            _logged(sequence, hashes[sequence], lines[sequence], held.get(sequence))
            for sequence in range(after + 1, last + 1)
        ]
        self._known.update((each.sequence, each) for each in found)
        return found

    def entry(self, sequence: int) -> LoggedEvent:
        if sequence not in self._known:
            self.entries(sequence - 1, 1)
        return self._known[sequence]

    def events_at(self, sequences: Sequence[int]) -> Mapping[int, Event]:
        if not sequences:
            return {}
        query = select(EVENT.c.sequence).where(
            EVENT.c.location_id == self._location_id, EVENT.c.sequence == func.any(array(sequences, BIGINT))
        )
        folded = self._connection.execute(query).scalars().all()
        lines = read_lines(self._connection, self._location_id, folded)
        return {sequence: understand(line) for sequence, line in lines.items()}

    def epoch_at(self, sequence: int) -> int:
        return epoch_at(self._epochs, sequence + 1)

    @cached_property
    def _epochs(self) -> list[tuple[int, int]]:
        return epochs_of(self._connection, self._location_id)

    def incomplete(self, through: int) -> IncompleteItems:
        query = (
            select(QUARANTINE.c.type, QUARANTINE.c.item_id)
            .where(
                QUARANTINE.c.location_id == self._location_id,
                QUARANTINE.c.sequence <= through,
                QUARANTINE.c.released_at.is_(None),
            )
            .distinct()
        )
        rows = self._connection.execute(query).all()
        # What cannot be read may be of any item.
        every = any(row.item_id is None and row.type not in _OF_NO_ITEM for row in rows)
        return IncompleteItems(frozenset(row.item_id for row in rows if row.item_id is not None), every=every)

    def standings(self, item_ids: Sequence[str], known_through: int) -> dict[str, Standing]:
        return standings_at(self._connection, LOG, self._location_id, item_ids, known_through)


def _logged(sequence: int, digest: bytes, line: bytes, unfolded: str | None) -> LoggedEvent:
    try:
        return LoggedEvent(sequence, digest, understand(line), unfolded)
    except EventNotUnderstood as error:
        # Also where an earlier version of Larder was installed again, and the event is folded already.
        return LoggedEvent(sequence, digest, None, unfolded or error.reason)


def heads_of(connection: Connection, location_ids: Collection[str]) -> dict[str, Head]:
    """The heads of these locations' logs, in one statement. Raises UnknownLocation."""
    head = LOG.head.c
    rows = connection.execute(select(LOG.head).where(head.location_id.in_(sorted(location_ids))))
    found = {row.location_id: Head(row.epoch, row.sequence, bytes(row.hash)) for row in rows}
    for missing in sorted(set(location_ids) - found.keys()):
        raise UnknownLocation(missing)
    return found


def office_outbox(
    reading: Callable[[], AbstractContextManager[Connection]],
) -> Callable[[str], AbstractContextManager[OfficeOutboxLog]]:
    """What opens the log of a location; `reading` gives one snapshot and makes problems of errors."""

    @contextmanager
    def opened(location_id: str) -> Iterator[OfficeOutboxLog]:
        with reading() as connection:
            yield OfficeOutboxLog(connection, location_id)

    return opened
