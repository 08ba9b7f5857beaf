"""Ingest of a batch of a branch's log into head office's copy of it (DESIGN 4.2).

In one transaction: lock the head's row, pass over the events that are here already, verify and append the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from sqlalchemy import Connection, text

from head_office.database.log_segments import hash_at
from head_office.database.schema import HEAD, LOG
from head_office.log.appender import Appender, keep_segments, put_in_quarantine
from head_office.log.decoder import decode
from head_office.log.quarantine_counts import in_quarantine_of
from head_office.log.refusals import Forked, GapRefused, Superseded, UnknownLocation
from shared import event_log
from shared.chain import Head, follow
from shared.messages import EventsAnswer, HeadMessage
from shared.wire import FRAME_LINES, BadBatch, Batch, frame_lines, pack_frame

LOCK_WAIT: Final = "20s"

# The moment is taken last: from then on a query `known at` waits until this transaction ends.
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


def ingest(connection: Connection, batch: Batch) -> EventsAnswer:
    """Ingest a batch (`wire.unpack(body)`) in one transaction, which the caller commits, or rolls back on any error.

    Raises UnknownLocation, GapRefused, Forked, Superseded, or wire.BadBatch for a batch whose lines contradict its
    header. Sends NOTIFY `larder_facts` with the location when transfers are touched.
    """
    header = batch.header
    location_id = header.location_id
    head = lock_head(connection, location_id)
    if header.epoch < head.epoch:
        raise Superseded(head.epoch)
    if header.first_sequence > head.sequence + 1:
        raise GapRefused(head.sequence + 1)
    if batch.last_sequence <= head.sequence:
        # Equal hashes prove equal logs up to there, so nothing has to be unpacked.
        _check_same_hash(connection, location_id, batch.last_sequence, header.last_hash)
        known = batch.last_sequence - header.first_sequence + 1
        return _answer(connection, location_id, head, _received_at(connection, location_id), appended=0, known=known)
    if header.first_sequence <= head.sequence:
        _check_same_hash(connection, location_id, header.first_sequence - 1, header.previous_hash)
    elif head.hash != bytes.fromhex(header.previous_hash):
        raise Forked(head.sequence)
    with Appender(connection, location_id, head.epoch) as appender:
        if batch.last_sequence - head.sequence > FRAME_LINES:
            appender.expect_many()
        segments: list[tuple[int, int, bytes]] = []
        digest = head.hash
        for first_sequence, lines, frame in _new_frames(batch, head):
            decoded = decode(first_sequence, digest, lines)
            appender.append(decoded)
            digest = decoded.digests[-1]
            segments.append((first_sequence, decoded.sequences[-1], frame))
        # Chained on to our head, the new lines lead to the branch's last hash only if its log passes through our head:
        # so lines that are here already need not be hashed, or even unpacked.
        if digest != bytes.fromhex(header.last_hash):
            raise _does_not_verify(batch, head)
        appender.complete()
        after = Head(appender.context.epoch, segments[-1][1], digest)
        with appender.cursor.connection.pipeline():
            appender.write_figures()
            keep_segments(appender.cursor, location_id, segments)
            received_at = _move_head(appender, segments[0][0], after)
        put_in_quarantine(appender.cursor, location_id, appender.unfoldable, received_at)
    return _answer(
        connection,
        location_id,
        after,
        received_at,
        appended=after.sequence - head.sequence,
        known=head.sequence + 1 - header.first_sequence,
    )


def lock_head(connection: Connection, location_id: str) -> Head:
    """The location's head, held until the transaction ends: everything that changes its log does so under this lock.

    Raises UnknownLocation.
    """
    connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_WAIT}'"))
    head = event_log.read_head(connection, LOG, location_id, lock=True)
    if head is None:
        raise UnknownLocation(location_id)
    return head


def _move_head(appender: Appender, first_sequence: int, head: Head) -> int:
    """Move the location's head; the moment at which the batch was received."""
    location_id = appender.context.location_id
    finish = {
        "location_id": location_id,
        "first": first_sequence,
        "last": head.sequence,
        "epoch": head.epoch,
        "hash": head.hash,
        "occurred_at": appender.occurred_at,
    }
    row = appender.cursor.execute(_FINISH, finish).fetchone()
    if row is None:
        raise LookupError(f"the head of {location_id} is gone, though it is locked")
    return int(row[0])


class _NewFrame(NamedTuple):
    first_sequence: int
    lines: list[bytes]
    frame: bytes


def _new_frames(batch: Batch, head: Head) -> Iterator[_NewFrame]:
    """The part of the batch that comes after the head, by frame. Raises BadBatch."""
    for frame in batch.frames:
        old = head.sequence + 1 - frame.first_sequence
        if old <= 0:
            yield _NewFrame(frame.first_sequence, frame_lines(frame), frame.body)
        elif frame.last_sequence > head.sequence:
            lines = frame_lines(frame)[old:]
            yield _NewFrame(head.sequence + 1, lines, pack_frame(lines))


def _does_not_verify(batch: Batch, head: Head) -> Forked | BadBatch:
    """The reason why new lines, chained on to the head, did not lead to the hash in the header."""
    digest = bytes.fromhex(batch.header.previous_hash)
    for frame in batch.frames:
        old = head.sequence + 1 - frame.first_sequence
        if old > 0:
            digest = follow(digest, frame_lines(frame)[:old])[-1]
    if digest != head.hash:
        return Forked(head.sequence)
    return BadBatch("the lines of the batch do not have the hash that its header says")


def _check_same_hash(connection: Connection, location_id: str, sequence: int, theirs: str) -> None:
    ours = hash_at(connection, location_id, sequence)
    if ours is None or ours != bytes.fromhex(theirs):
        raise Forked(sequence)


def _received_at(connection: Connection, location_id: str) -> int:
    query = HEAD.select().with_only_columns(HEAD.c.received_at).where(HEAD.c.location_id == location_id)
    return int(connection.execute(query).scalar_one())


def _answer(
    connection: Connection, location_id: str, head: Head, received_at: int, *, appended: int, known: int
) -> EventsAnswer:
    return EventsAnswer(
        head=HeadMessage(head.epoch, head.sequence, head.hash.hex()),
        received_at=received_at,
        appended=appended,
        passed_over=known,
        quarantined=in_quarantine_of(connection, location_id),
    )
