"""Appending verified events to head office's log: judged, folded, copied in, with everything kept beside the log.

Works inside the transaction that holds the location's head, on the driver's own cursor. Each frame's rows travel by
binary COPY while the caller decodes the next frame.
"""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from psycopg import Cursor
from sqlalchemy import Connection

from head_office.copy_rows import HEADER, TRAILER, EventRows, segment_rows
from head_office.decoding import Decoded, read_what_can_be
from head_office.gather import Situation, gather, target_of
from head_office.judge import Known, why_not
from head_office.projections import add_transfers, store_stock, store_units, store_voids
from head_office.schema import FACTS_CHANNEL, LOG
from shared.chain import Head
from shared.event_log import LEAN_COLUMNS
from shared.events import Event
from shared.projection import advance_all, refold
from shared.stock import Movement, movement

COPY_EVENTS: Final = f"COPY event ({', '.join(LEAN_COLUMNS)}) FROM STDIN (FORMAT binary)"
_COPY_SEGMENTS: Final = (
    "COPY log_segment (location_id, first_sequence, last_sequence, frame) FROM STDIN (FORMAT binary)"
)
_QUARANTINE: Final = """
INSERT INTO quarantine (location_id, sequence, hash, reason, type, item_id, transfer_id, occurred_at, received_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
# The moment is taken last: whoever asks what was known waits from then on until this transaction ends.
_FINISH: Final = """
WITH taken AS MATERIALIZED (SELECT larder_received_at() AS moment),
    batch AS (
        INSERT INTO ingest_batch (location_id, first_sequence, last_sequence, received_at)
        SELECT %(location_id)s, %(first)s, %(last)s, moment FROM taken
    )
UPDATE head SET epoch = %(epoch)s, sequence = %(last)s, hash = %(hash)s, received_at = taken.moment,
    occurred_at = greatest(head.occurred_at, %(occurred_at)s::bigint)
FROM taken WHERE location_id = %(location_id)s
RETURNING taken.moment
"""


class Unfit(NamedTuple):
    """An event that goes into quarantine."""

    sequence: int
    digest: bytes
    line: bytes
    reason: str


class Appender:
    """Appends to one location's log, behind `head`, within one transaction. A context manager."""

    def __init__(self, connection: Connection, location_id: str, head: Head) -> None:
        self.digest = head.hash
        self._connection = connection
        self._cursor: Cursor[Any] = connection.connection.cursor(binary=True)  # type: ignore[assignment]
        self._location_id = location_id
        self._head = head
        self._situation = Situation(Known(location_id, head.epoch))
        self._rows = EventRows(location_id)
        self._copying = ExitStack()
        self._segments: list[tuple[int, int, bytes]] = []
        self._touched: set[str] = set()
        self._refold: set[str] = set()
        self._voids: dict[int, int] = {}
        self._transfers: list[Event] = []
        self._unfit: list[Unfit] = []
        self._occurred_at: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._copying.__exit__(kind, error, trace)
        self._cursor.close()

    def append(self, decoded: Decoded, frame: bytes) -> None:
        """Append the next events; `frame` is what holds exactly their lines. Returns while the rows still travel."""
        self._copying.close()
        gather(self._cursor, self._situation, decoded)
        rows = self._judge(decoded)
        if len(rows) > 1:
            rows.append(TRAILER)
            self._copying.enter_context(self._cursor.copy(COPY_EVENTS)).write(b"".join(rows))
        self._segments.append((decoded.first_sequence, decoded.first_sequence + len(decoded.lines) - 1, frame))

    def _judge(self, decoded: Decoded) -> list[bytes]:
        known, standings = self._situation.known, self._situation.standings
        pack = self._rows.pack
        rows = [HEADER]
        movements: list[tuple[str, Movement]] = []
        undone: dict[int, Movement] = {}
        here = {each.voided_sequence for each in decoded.looked_up}
        previous, latest = self.digest, self._occurred_at or 0
        for sequence, (event, event_id, digest) in enumerate(
            zip(decoded.events, decoded.ids, decoded.digests, strict=True), decoded.first_sequence
        ):
            if event is None:
                reason: str | None = decoded.reasons[sequence]
            else:
                reason = why_not(known, event, sequence, previous)
            previous = digest
            if event is None or reason is not None:
                line = decoded.lines[sequence - decoded.first_sequence]
                self._unfit.append(Unfit(sequence, digest, line, reason or ""))
                continue
            rows.append(pack(event, event_id, digest))
            if event.item_id is not None:
                movements.append((event.item_id, movement(event)))
            latest = max(latest, event.occurred_at)
            if sequence in here:
                known.targets[sequence] = target_of(event, event_id)
            if event.voided_sequence is not None:
                self._voids[event.voided_sequence] = sequence
                undone[event.voided_sequence] = known.targets[event.voided_sequence].movement
            if event.transfer_id is not None:
                self._transfers.append(event)
        self.digest, self._occurred_at = previous, latest or None
        self._touched.update(item for item, _ in movements)
        if self._refold:
            movements = [each for each in movements if each[0] not in self._refold]
        self._refold |= advance_all(standings, movements, undone)
        return rows

    def finish(self) -> tuple[Head, int]:
        """Write everything that stands beside the events; the new head, and the moment all of it was received."""
        self._copying.close()
        cursor, location_id, known = self._cursor, self._location_id, self._situation.known
        with cursor.copy(_COPY_SEGMENTS) as copy:
            copy.write(b"".join([HEADER, *segment_rows(location_id, self._segments), TRAILER]))
        store_units(cursor, location_id, known.new_units)
        store_voids(cursor, location_id, self._voids)
        standings = self._situation.standings
        if self._refold:
            standings.update(refold(self._connection, LOG, location_id, self._refold))
        store_stock(cursor, location_id, {item: standings[item] for item in sorted(self._touched)})
        add_transfers(cursor, location_id, self._transfers)
        if self._transfers:
            cursor.execute("SELECT pg_notify(%s, %s)", (FACTS_CHANNEL, location_id))
        return self._move_head()

    def _move_head(self) -> tuple[Head, int]:
        last = self._segments[-1][1]
        head = Head(self._situation.known.epoch, last, self.digest)
        finish = {
            "location_id": self._location_id,
            "first": self._segments[0][0],
            "last": last,
            "epoch": head.epoch,
            "hash": head.hash,
            "occurred_at": self._occurred_at,
        }
        row = self._cursor.execute(_FINISH, finish).fetchone()
        if row is None:
            raise LookupError(f"the head of {self._location_id} is gone while it is locked")
        received_at = int(row[0])
        if self._unfit:
            self._cursor.executemany(
                _QUARANTINE, [quarantine_row(self._location_id, each, received_at) for each in self._unfit]
            )
        return head, received_at


def quarantine_row(location_id: str, unfit: Unfit, received_at: int) -> tuple[object, ...]:
    """The row of an event that cannot be folded, with what could be read of it."""
    read = read_what_can_be(unfit.line)
    reason = unfit.reason.replace("\x00", "\N{SYMBOL FOR NULL}")[:1_000]
    return (
        location_id, unfit.sequence, unfit.digest, reason, read.type, read.item_id, read.transfer_id, read.occurred_at,
        received_at,
    )  # fmt: skip
