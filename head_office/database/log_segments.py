"""Reading the consolidated log: hashes of single events, and canonical lines out of the stored frames.

Works inside the transaction of the Connection it is given. Memory is bounded by FRAMES_AT_ONCE frames.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from sqlalchemy import Connection, select, text

from head_office.database.schema import EVENT, LOG_SEGMENT, QUARANTINE
from shared.chain import EMPTY
from shared.wire import Frame, frame_lines

FRAMES_AT_ONCE: Final = 16

_SEGMENT_OF = text(
    "SELECT wanted, (SELECT max(first_sequence) FROM log_segment"
    " WHERE location_id = :location_id AND first_sequence <= wanted) AS first_sequence"
    " FROM unnest(CAST(:sequences AS bigint[])) AS wanted ORDER BY wanted"
)


def hash_at(connection: Connection, location_id: str, sequence: int) -> bytes | None:
    """The hash (32 bytes) of one event, understood or not: 32 zero bytes at sequence 0, None past the head."""
    if sequence == 0:
        return EMPTY.hash
    for table in (EVENT, QUARANTINE):
        found = connection.execute(
            select(table.c.hash).where(table.c.location_id == location_id, table.c.sequence == sequence)
        ).scalar_one_or_none()
        if found is not None:
            return bytes(found)
    return None


def frames(connection: Connection, location_id: str, first_sequences: Iterable[int] | None = None) -> Iterator[Frame]:
    """The location's segments as they are stored, in order: those beginning at `first_sequences`, or all."""
    columns = (LOG_SEGMENT.c.first_sequence, LOG_SEGMENT.c.last_sequence, LOG_SEGMENT.c.frame)
    query = select(*columns).where(LOG_SEGMENT.c.location_id == location_id).order_by(LOG_SEGMENT.c.first_sequence)
    wanted = None if first_sequences is None else sorted(set(first_sequences))
    after = 0
    while wanted is None or wanted:
        if wanted is None:
            page = query.where(LOG_SEGMENT.c.first_sequence > after).limit(FRAMES_AT_ONCE)
        else:
            page, wanted = (
                query.where(LOG_SEGMENT.c.first_sequence.in_(wanted[:FRAMES_AT_ONCE])),
                wanted[FRAMES_AT_ONCE:],
            )
        rows = connection.execute(page).all()
        if not rows and wanted is None:
            return
        for row in rows:
            yield Frame(row.first_sequence, row.last_sequence, bytes(row.frame))
            after = row.first_sequence


def segments(
    connection: Connection, location_id: str, first_sequences: Iterable[int] | None = None
) -> Iterator[tuple[Frame, list[bytes]]]:
    """`frames` with their lines. Raises wire.BadBatch where a stored frame no longer unpacks."""
    for frame in frames(connection, location_id, first_sequences):
        yield frame, frame_lines(frame)


def read_lines(connection: Connection, location_id: str, sequences: Iterable[int]) -> dict[int, bytes]:
    """The canonical lines of the given events of a location, by sequence; those past its head are left out."""
    wanted = sorted(set(sequences))
    by_segment: dict[int, list[int]] = {}
    for row in connection.execute(_SEGMENT_OF, {"location_id": location_id, "sequences": wanted}):
        if row.first_sequence is not None:
            by_segment.setdefault(row.first_sequence, []).append(row.wanted)
    lines: dict[int, bytes] = {}
    for frame, held in segments(connection, location_id, by_segment):
        for sequence in by_segment[frame.first_sequence]:
            if sequence <= frame.last_sequence:
                lines[sequence] = held[sequence - frame.first_sequence]
    return lines
