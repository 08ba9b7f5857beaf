"""Reading the consolidated log: hashes of single events, and canonical lines out of the stored frames.

Works inside the transaction of the Connection it is given. Memory is bounded by FRAMES_AT_ONCE or
BYTES_AT_ONCE.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from sqlalchemy import Connection, select, text

from head_office.database.schema import EVENT, LOG_SEGMENT, QUARANTINE
from shared.chain import EMPTY
from shared.wire import Frame, frame_lines

FRAMES_AT_ONCE: Final = 16

BYTES_AT_ONCE: Final = 4 * 1024 * 1024

_SEGMENTS_OF = text(
    """
    SELECT wanted.location_id, wanted.sequence, segment.first_sequence, segment.bytes
    FROM unnest(CAST(:locations AS text[]), CAST(:sequences AS bigint[])) AS wanted (location_id, sequence)
    CROSS JOIN LATERAL (
        SELECT first_sequence, last_sequence, octet_length(frame) AS bytes FROM log_segment
        WHERE log_segment.location_id = wanted.location_id AND first_sequence <= wanted.sequence
        ORDER BY first_sequence DESC LIMIT 1
    ) AS segment
    WHERE wanted.sequence <= segment.last_sequence
    """
)
_FRAMES_OF = text(
    """
    SELECT location_id, first_sequence, last_sequence, frame
    FROM unnest(CAST(:locations AS text[]), CAST(:sequences AS bigint[])) AS wanted (location_id, first_sequence)
    JOIN log_segment USING (location_id, first_sequence)
    """
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
    found = read_lines_of(connection, ((location_id, sequence) for sequence in sequences))
    return {sequence: line for (_, sequence), line in found.items()}


def read_lines_of(connection: Connection, events: Iterable[tuple[str, int]]) -> dict[tuple[str, int], bytes]:
    """The canonical lines of events, given and answered by (location, sequence); those past a head are left out."""
    wanted = sorted(set(events))
    if not wanted:
        return {}
    by_segment: dict[tuple[str, int], list[int]] = {}
    sizes: dict[tuple[str, int], int] = {}
    for row in connection.execute(_SEGMENTS_OF, _pairs(wanted)):
        segment = row.location_id, row.first_sequence
        by_segment.setdefault(segment, []).append(row.sequence)
        sizes[segment] = row.bytes
    lines: dict[tuple[str, int], bytes] = {}
    for some in _in_parts(sizes):
        for row in connection.execute(_FRAMES_OF, _pairs(some)):
            held = frame_lines(Frame(row.first_sequence, row.last_sequence, bytes(row.frame)))
            for sequence in by_segment[row.location_id, row.first_sequence]:
                lines[row.location_id, sequence] = held[sequence - row.first_sequence]
    return lines


def _in_parts(sizes: Mapping[tuple[str, int], int]) -> Iterator[list[tuple[str, int]]]:
    """The segments in parts of at most BYTES_AT_ONCE, or of one segment that is larger."""
    part: list[tuple[str, int]] = []
    left = BYTES_AT_ONCE
    for segment, size in sizes.items():
        if part and size > left:
            yield part
            part, left = [], BYTES_AT_ONCE
        part.append(segment)
        left -= size
    if part:
        yield part


def _pairs(places: Sequence[tuple[str, int]]) -> dict[str, object]:
    return {"locations": [each[0] for each in places], "sequences": [each[1] for each in places]}
