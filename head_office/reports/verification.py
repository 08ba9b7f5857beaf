"""Verification of head office's copy of the logs and of everything derived from it.

Checks the chain over the stored lines, the lean rows against the lines, batches and heads, the quarantine, voids and
projections against the log, and conservation. Memory is bounded by a page of segments. Works inside the transaction of
the Connection it is given; while shipping goes on that should be one snapshot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice, zip_longest
from typing import Any, Final

import msgspec
from psycopg import Cursor
from sqlalchemy import Connection, Row, select, text

from head_office.database.awaited_lines import wrongly_settled
from head_office.database.log_segments import frames, hash_at
from head_office.database.schema import HEAD, ITEM_UNIT, QUARANTINE
from head_office.log.decoder import Decoded, decode
from head_office.log.projected.delivery_projection import stored_deliveries
from head_office.log.projected.order_answer_projection import logged_answers, stored_answers
from head_office.log.projected.reservation_projection import logged_reservations
from head_office.log.rebuild import FROM_THE_LOG
from head_office.log.refusals import UnknownLocation
from head_office.reports.conservation import conservation
from shared.chain import GENESIS
from shared.event_log import LEAN_COLUMNS, lean_row
from shared.purchases.delivered_lines import DeliveredLine
from shared.wire import BadBatch, Frame, frame_lines

MAX_FINDINGS: Final = 100

_ROWS: Final = f"""
SELECT {", ".join(LEAN_COLUMNS)} FROM event WHERE location_id = %s AND sequence BETWEEN %s AND %s ORDER BY sequence
"""
_BATCHES: Final = text("""
SELECT first_sequence FROM (
    SELECT first_sequence, lag(last_sequence, 1, 0::bigint) OVER w AS before, received_at,
        lag(received_at, 1, -1::bigint) OVER w AS received_before
    FROM ingest_batch WHERE location_id = :location_id WINDOW w AS (ORDER BY last_sequence)
) AS batch
WHERE first_sequence <> before + 1 OR received_at <= received_before
ORDER BY first_sequence LIMIT 1
""")
_COUNTED: Final = text("""
SELECT (SELECT count(*) FROM event WHERE location_id = :location_id)
    + (SELECT count(*) FROM quarantine WHERE location_id = :location_id AND released_at IS NULL)
""")
_BATCHED: Final = text("SELECT coalesce(max(last_sequence), 0) FROM ingest_batch WHERE location_id = :location_id")


class ConsolidationFinding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One finding: a stable code, where it is, and the detail in words."""

    code: str
    detail: str
    location_id: str | None = None
    sequence: int | None = None
    item_id: str | None = None


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """The result: how much was verified, and at most MAX_FINDINGS findings for each location."""

    locations: int
    events: int
    findings: list[ConsolidationFinding]

    @property
    def ok(self) -> bool:
        return not self.findings


def verify(
    connection: Connection, location_id: str | None = None, *, progress: Callable[[int], None] | None = None
) -> Verified:
    """Verify the log of a location (None: all) and what is derived from it; conservation over the whole group.

    `progress` is called with the number of further events verified. Raises UnknownLocation.
    """
    query = select(HEAD).order_by(HEAD.c.location_id)
    heads = connection.execute(query if location_id is None else query.where(HEAD.c.location_id == location_id)).all()
    if location_id is not None and not heads:
        raise UnknownLocation(location_id)
    findings: list[ConsolidationFinding] = []
    for head in heads:
        findings += islice(_findings(connection, head, progress or (lambda _count: None)), MAX_FINDINGS)
    for broken in conservation(connection).broken[:MAX_FINDINGS]:
        detail = f"{broken.difference} thousandths of {broken.item_id} came from nowhere: {broken.terms}"
        findings.append(ConsolidationFinding(code="not-conserved", detail=detail, item_id=broken.item_id))
    return Verified(locations=len(heads), events=sum(head.sequence for head in heads), findings=findings)


def _findings(
    connection: Connection, head: Row[Any], progress: Callable[[int], None]
) -> Iterator[ConsolidationFinding]:
    place = head.location_id
    yield from _LogCheck(connection, place).findings(head, progress)
    batch = connection.execute(_BATCHES, {"location_id": place}).scalar_one_or_none()
    if batch is not None:
        detail = "the batches do not follow one another in sequence and time"
        yield ConsolidationFinding(code="batches-differ", detail=detail, location_id=place, sequence=batch)
    if connection.execute(_BATCHED, {"location_id": place}).scalar_one() != head.sequence:
        yield ConsolidationFinding(
            code="batches-differ", detail="the batches do not end at the head", location_id=place
        )
    for table, query in FROM_THE_LOG.items():
        kept = f"SELECT * FROM {table} WHERE location_id = ANY(:locations)"
        for these, those, detail in (
            (kept, query, f"this row of {table} is not what the log says"),
            (query, kept, f"{table} lacks this row, which the log gives"),
        ):
            differing = text(f"({these}) EXCEPT ({those}) LIMIT {MAX_FINDINGS}")
            for row in connection.execute(differing, {"locations": [place]}):
                yield ConsolidationFinding(
                    code=f"{table.replace('_', '-')}-differs",
                    detail=f"{detail}: {dict(row._mapping)}",
                    location_id=place,
                    item_id=row._mapping.get("item_id"),
                )
    yield from islice(_reservations_found(connection, place), MAX_FINDINGS)
    yield from islice(_answers_found(connection, place), MAX_FINDINGS)
    for order, line in wrongly_settled(connection, place, MAX_FINDINGS):
        detail = f"line {line} of {order} is kept as settled, but something of it is still to come"
        yield ConsolidationFinding(code="awaited-differs", detail=detail, location_id=place)


def _reservations_found(connection: Connection, location_id: str) -> Iterator[ConsolidationFinding]:
    """Where reservations are not what the log says of them."""
    try:
        for each in logged_reservations(connection, location_id):
            for sequence, reason in each.refused:
                detail = f"it was folded, but: {reason}"
                yield ConsolidationFinding(
                    code="row-differs", detail=detail, location_id=location_id, sequence=sequence
                )
            for table, kept, logged in (
                ("reservation", each.stored.heads, each.folded.heads),
                ("reservation_line", each.stored.lines, each.folded.lines),
            ):
                for rows, detail in (
                    ({*kept} - {*logged}, f"this row of {table} is not what the log says"),
                    ({*logged} - {*kept}, f"{table} lacks this row, which the log gives"),
                ):
                    for row in sorted(rows):
                        yield ConsolidationFinding(
                            code=f"{table.replace('_', '-')}-differs",
                            detail=f"{detail}: {row}",
                            location_id=location_id,
                        )
    except BadBatch:
        return  # the check of the log has found the damaged segment


def _answers_found(connection: Connection, location_id: str) -> Iterator[ConsolidationFinding]:
    """Where the answers kept of a branch are not those of its log."""
    try:
        kept, logged = stored_answers(connection, location_id), logged_answers(connection, location_id)
    except BadBatch:
        return  # the check of the log has found the damaged segment
    for rows, detail in (
        (kept - logged, "this row of order_answer is not what the log says"),
        (logged - kept, "order_answer lacks this row, which the log gives"),
    ):
        for row in sorted(rows):
            yield ConsolidationFinding(
                code="order-answer-differs",
                detail=f"{detail}: {row._asdict()}",
                location_id=location_id,
                sequence=row.sequence,
            )


class _LogCheck:
    """The check of one location's lines and of the rows beside them."""

    def __init__(self, connection: Connection, location_id: str) -> None:
        self._connection = connection
        self._location_id = location_id
        units = select(ITEM_UNIT.c.item_id, ITEM_UNIT.c.unit).where(ITEM_UNIT.c.location_id == location_id)
        self._units = {row.item_id: row.unit for row in connection.execute(units)}

    def findings(self, head: Row[Any], progress: Callable[[int], None]) -> Iterator[ConsolidationFinding]:
        digest, reached = GENESIS, 0
        for frame in frames(self._connection, self._location_id):
            if frame.first_sequence != reached + 1:
                yield self._found("segment-missing", "the log is not stored without a gap", reached + 1)
                digest = hash_at(self._connection, self._location_id, frame.first_sequence - 1) or GENESIS
            reached = frame.last_sequence
            try:
                lines = frame_lines(frame)
            except BadBatch as error:
                yield self._found("segment-damaged", str(error), frame.first_sequence)
                digest = hash_at(self._connection, self._location_id, reached) or GENESIS
                continue
            decoded = decode(frame.first_sequence, digest, lines)
            digest = decoded.digests[-1]
            wrong = list(self._compare(frame, decoded))
            if wrong:
                yield from wrong
                # Go on from the recorded hash: otherwise every line after a changed one would be a finding.
                digest = hash_at(self._connection, self._location_id, reached) or digest
            progress(len(lines))
        if (reached, digest) != (head.sequence, bytes(head.hash)):
            yield self._found(
                "head-differs", f"the stored log ends at {reached}, the head is at {head.sequence}", reached
            )

        yield from self._deliveries_found(reached + 1, None, [])
        rows = self._connection.execute(_COUNTED, {"location_id": self._location_id}).scalar_one()
        if rows != head.sequence:
            yield self._found(
                "row-differs",
                f"{rows} of its events have rows, the head is at {head.sequence}",
                reached,
            )

    def _compare(self, frame: Frame, decoded: Decoded) -> Iterator[ConsolidationFinding]:
        held = self._held(frame)
        expected: list[tuple[Any, ...]] = []
        folded: set[int] = set()
        for sequence, event, digest in zip(decoded.sequences, decoded.events, decoded.digests, strict=True):
            at = held.get(sequence)
            if at is not None and bytes(at.hash) != digest:
                yield self._found("line-differs", "its hash is not the one noted in quarantine", sequence)
            if at is not None and at.released_at is None:
                continue
            if event is None:
                yield self._found("row-differs", f"it was folded, but: {decoded.reasons[sequence]}", sequence)
                continue
            if event.unit is not None and event.item_id is not None and self._units.get(event.item_id) != event.unit:
                yield self._found("unit-differs", f"it is in {event.unit}, which is not the item's unit", sequence)
            expected.append(lean_row(event, digest))
            folded.add(sequence)
        yield from self._rows_found(frame, expected)
        deliveries = [each for each in decoded.deliveries if each.sequence in folded]
        yield from self._deliveries_found(frame.first_sequence, frame.last_sequence, deliveries)

    def _held(self, frame: Frame) -> dict[int, Any]:
        query = select(QUARANTINE.c.sequence, QUARANTINE.c.hash, QUARANTINE.c.released_at).where(
            QUARANTINE.c.location_id == self._location_id,
            QUARANTINE.c.sequence.between(frame.first_sequence, frame.last_sequence),
        )
        return {row.sequence: row for row in self._connection.execute(query)}

    def _rows_found(self, frame: Frame, expected: list[tuple[Any, ...]]) -> Iterator[ConsolidationFinding]:
        cursor: Cursor[Any] = self._connection.connection.cursor(binary=True)  # type: ignore[assignment]
        with cursor:
            extent = (self._location_id, frame.first_sequence, frame.last_sequence)
            stored = cursor.execute(_ROWS, extent).fetchall()
        if stored == expected:
            return
        for ours, theirs in zip_longest(stored, expected):
            if ours == theirs:
                continue
            if theirs is None:
                yield self._found("row-differs", "there is a row that no line accounts for", ours[1])
            else:
                yield self._found("row-differs", "its row, or the hash in it, is not what its line says", theirs[1])
            return

    def _deliveries_found(
        self, first: int, last: int | None, logged: Sequence[DeliveredLine]
    ) -> Iterator[ConsolidationFinding]:
        kept = stored_deliveries(self._connection, self._location_id, first, last)
        for rows, detail in (
            (set(kept).difference(logged), "this row of delivered_line is not what the log says"),
            (set(logged).difference(kept), "delivered_line lacks this row, which the log gives"),
        ):
            for row in sorted(rows):
                yield self._found("delivered-line-differs", f"{detail}: {row._asdict()}", row.sequence)

    def _found(self, code: str, detail: str, sequence: int) -> ConsolidationFinding:
        return ConsolidationFinding(code=code, detail=detail, location_id=self._location_id, sequence=sequence)
