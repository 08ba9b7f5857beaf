"""The sync agent's reads on read-only connections: head, hashes, sync state, units, and the log packed in batches."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec
from sqlalchemy import bindparam, select

from branch_node.commands.count_areas import open_counts
from branch_node.database.schema import ITEM, LOG
from branch_node.database.store import Store
from branch_node.sync.sync_state import SyncState, read_sync_state
from shared import event_log, wire
from shared.chain import EMPTY, Head
from shared.messages import OpenCount

BATCH_EVENTS: Final = 5_000
BATCH_BYTES: Final = wire.MAX_BATCH_BYTES // 2
"""Bytes of one batch's lines before compression; incompressible lines still fit the wire's limit."""


class PackedBatch(msgspec.Struct, frozen=True):
    """A batch ready to be sent: the events after the sequence `after` up to `head`. `full`: more events follow it."""

    after: int
    head: Head
    body: bytes
    full: bool

    @property
    def events(self) -> int:
        return self.head.sequence - self.after


class LogReader:
    """Reads of one branch's database. Thread-safe: every call takes a connection of its own.

    A database that is busy or unavailable raises a Problem (503).
    """

    def __init__(self, store: Store, location_id: str) -> None:
        self._store = store
        self._location_id = location_id
        event = LOG.event
        self._after = (
            select(event.c.sequence, event.c.line, event.c.hash)
            .where(event.c.sequence > bindparam("after"))
            .order_by(event.c.sequence)
            .limit(bindparam("most"))
        )

    def head(self) -> Head:
        """The committed head."""
        with self._store.reading() as connection:
            return event_log.read_head(connection, LOG, self._location_id) or EMPTY

    def hash_at(self, sequence: int) -> bytes | None:
        """The hash of one event, 32 zero bytes at 0, None past the head."""
        with self._store.reading() as connection:
            return event_log.hash_at(connection, LOG, self._location_id, sequence)

    def sync_state(self) -> SyncState:
        with self._store.reading() as connection:
            return read_sync_state(connection)

    def open_counts(self) -> list[OpenCount]:
        """The oldest counts that wait for the rest of their areas."""
        with self._store.reading() as connection:
            return open_counts(connection)

    def units(self, item_ids: Iterable[str]) -> dict[str, str]:
        """The base unit of each of these items that is known here."""
        wanted = select(ITEM.c.item_id, ITEM.c.unit).where(ITEM.c.item_id.in_(sorted(set(item_ids))))
        with self._store.reading() as connection:
            return {row.item_id: row.unit for row in connection.execute(wanted)}

    def pack(self, after: Head, limit: int) -> PackedBatch | None:
        """Up to `limit` events after `after`, packed; None where there are none. Raises LogHasHole."""
        with self._store.reading() as connection:
            rows = connection.execute(self._after, {"after": after.sequence, "most": limit}).all()
            head = event_log.read_head(connection, LOG, self._location_id)
        if not rows or head is None:
            return None
        size = 0
        for count, row in enumerate(rows):
            size += len(row[1])
            whole = row[0] == after.sequence + count + 1
            if not whole and count == 0:
                raise LogHasHole(after.sequence)
            if not whole or (size > BATCH_BYTES and count > 0):
                rows = rows[:count]
                break
        last = rows[-1]
        lines = [row[1] for row in rows]
        # The batch carries the current epoch: head office accepts batches from the newest one only.
        reached = Head(head.epoch, last[0], bytes(last[2]))
        first = after.sequence + 1
        body = wire.pack(self._location_id, head.epoch, first, after.hash, lines, last_hash=reached.hash)
        return PackedBatch(after.sequence, reached, body, reached.sequence < head.sequence)


class LogHasHole(RuntimeError):
    """An event is missing in this branch's own log: the database is damaged."""

    def __init__(self, after: int) -> None:
        super().__init__(f"the event {after + 1} is missing in this branch's own log")
