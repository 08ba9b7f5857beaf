"""Append of verified events to head office's log: fold check, fold, binary COPY, and the tables kept beside the log.

Works inside the transaction that holds the location's head, on the driver's own cursor. The rows of a frame are sent
while the caller decodes the next frame.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from psycopg import Copy, Cursor
from sqlalchemy import Connection

from head_office.database.awaited_lines import renew_lines
from head_office.database.binary_copy import HEADER, ON_HAND_SIGN, TRAILER, EventRows
from head_office.database.packed_arrays import register_packed_arrays
from head_office.database.schema import FACTS_CHANNEL, LOG_CHANNEL
from head_office.log.decoder import Decoded, read_partially
from head_office.log.fold_check import IngestContext, quarantine_reason
from head_office.log.ingest_context import IngestState, load_frame, load_location, target_of
from head_office.log.projected.delivery_projection import lines_delivered_at, store_deliveries
from head_office.log.projected.order_answer_projection import LoggedAnswer, answer_of, store_answers
from head_office.log.projected.reservation_projection import (
    NO_ROWS,
    LateFold,
    ReservationRows,
    logged_events,
    rows_of,
    store_reservations,
    stored_rows,
)
from head_office.log.projections import add_transfers, refold_items, store_stock, store_units, store_voids
from shared.event_log import LEAN_COLUMNS
from shared.events import Event, EventType
from shared.purchases.delivered_lines import DeliveredLine
from shared.reservations import ReservationFold
from shared.stock import Movement, movement

_COPY_EVENTS: Final = f"COPY event ({', '.join(LEAN_COLUMNS)}) FROM STDIN (FORMAT binary)"
_KEEP_SEGMENT: Final = """
INSERT INTO log_segment (location_id, first_sequence, last_sequence, frame) VALUES (%s, %s, %s, %b)
"""
_QUARANTINE: Final = """
INSERT INTO quarantine (location_id, sequence, hash, reason, type, item_id, transfer_id, occurred_at, received_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


class UnfoldableEvent(NamedTuple):
    """An event that cannot be folded: it goes into quarantine, or stays there."""

    sequence: int
    digest: bytes
    line: bytes
    reason: str


class Appender:
    """Appends events to one location's log within one transaction that holds its head. A context manager."""

    def __init__(self, connection: Connection, location_id: str, epoch: int) -> None:
        self.cursor: Cursor[Any] = connection.connection.cursor(binary=True)  # type: ignore[assignment]
        register_packed_arrays(self.cursor)
        self.context = IngestContext(location_id, epoch)
        self.unfoldable: list[UnfoldableEvent] = []
        self.occurred_at: int | None = None  # the latest of those accepted
        self._connection = connection
        self._location_id = location_id
        self._state = IngestState(self.context)
        self._rows = EventRows(location_id)
        self._copying = ExitStack()
        self._copy: Copy | None = None
        self._late = False
        self._voids: dict[int, int] = {}
        self._transfers: list[Event] = []
        self._answers: list[LoggedAnswer] = []
        self._deliveries: list[DeliveredLine] = []
        self._stored: dict[str, ReservationRows] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._copying.__exit__(kind, error, trace)
        self.cursor.close()

    def expect_many(self) -> None:
        """Load all standings before the first `append`, where many events come, so that COPY is not interrupted."""
        load_location(self.cursor, self._state)

    def append(self, decoded: Decoded, *, late: bool = False) -> None:
        """Check events and append those that are accepted; the others are in `unfoldable`. Does not wait for COPY.

        `late`: the log holds events with higher sequences, so the items are folded from the log.
        """
        if self._state.lacks(decoded):
            self.finish_rows()
            load_frame(self.cursor, self._state, decoded)
            self._load_reservations(decoded, late=late)
        rows = self._check(decoded)
        if rows:
            if self._copy is None:
                self._copy = self._copying.enter_context(self.cursor.copy(_COPY_EVENTS))
                self._copy.write(HEADER)
            self._copy.write(b"".join(rows))
        self._late = self._late or late

    def _load_reservations(self, decoded: Decoded, *, late: bool) -> None:
        known = self.context.reservations
        ids = {each.reservation_id for each in decoded.looked_up if each.reservation_id is not None} - known.keys()
        if not ids:
            return
        self._stored |= stored_rows(self._connection, self._location_id, ids)
        events = logged_events(self._connection, self._location_id, ids) if late else {}
        for each in ids:
            stored = self._stored.get(each, NO_ROWS).reservation()
            known[each] = LateFold(events.get(each, ())) if late else ReservationFold(stored)

    def _check(self, decoded: Decoded) -> list[bytes]:
        context, fold, pack = self.context, self._state.fold, self._rows.pack
        rows: list[bytes] = []
        here = {each.voided_sequence for each in decoded.looked_up}
        latest = self.occurred_at or 0
        for sequence, line, event, event_id, previous, digest in zip(
            decoded.sequences,
            decoded.lines,
            decoded.events,
            decoded.ids,
            decoded.before,
            decoded.digests,
            strict=True,
        ):
            reason = (
                decoded.reasons.get(sequence)
                if event is None
                else quarantine_reason(context, event, sequence, previous)
            )
            if event is None or reason is not None:
                self.unfoldable.append(UnfoldableEvent(sequence, digest, line, reason or ""))
                continue
            rows.append(pack(event, event_id, digest))
            occurred_at, item_id = event.occurred_at, event.item_id
            if occurred_at > latest:  # noqa: PLR1730 - max() costs three times as much
                latest = occurred_at
            if sequence in here:
                context.targets[sequence] = target_of(event, event_id)
            sign = ON_HAND_SIGN.get(event.type)
            if sign is not None and item_id is not None and event.quantity is not None:
                fold.move(item_id, (occurred_at, sequence), event.quantity * sign)
            elif item_id is not None:
                fold.other(item_id, movement(event), self._target(event))
            if event.transfer_id is not None:
                self._transfers.append(event)
            if event.command_key is not None and (answer := answer_of(event)) is not None:
                self._answers.append(answer)
        self.occurred_at = latest or None
        if decoded.deliveries:
            held = {each.sequence for each in self.unfoldable}
            self._deliveries += [each for each in decoded.deliveries if each.sequence not in held]
        return rows

    def _target(self, event: Event) -> Movement | None:
        if event.voided_sequence is None:
            return None
        self._voids[event.voided_sequence] = event.sequence
        return self.context.targets[event.voided_sequence].movement

    def finish_rows(self) -> None:
        """End the COPY; then the connection is free for other statements."""
        if self._copy is not None:
            self._copy.write(TRAILER)
            self._copy = None
        self._copying.close()

    def complete(self) -> None:
        """Write units, voids and deliveries, and fold from the log what must be, after the last `append`."""
        self.finish_rows()
        fold = self._state.fold
        store_units(self.cursor, self._location_id, self.context.new_units)
        store_voids(self.cursor, self._location_id, self._voids)
        self._deliver()
        fold.settle()
        refold = fold.touched if self._late else fold.refold
        fold.standings.update(refold_items(self._connection, self._location_id, refold))

    def _deliver(self) -> None:
        store_deliveries(self.cursor, self._location_id, self._deliveries)
        touched = {(each.purchase_order_id, each.line) for each in self._deliveries}
        targets, received = self.context.targets, EventType.PURCHASE_RECEIVED.value
        undone = [each for each in self._voids if targets[each].type == received]
        touched |= lines_delivered_at(self.cursor, self._location_id, undone)
        if touched:
            renew_lines(self._connection, touched, self._location_id)

    def write_figures(self) -> None:
        """Write stock, transfer lines, answers, reservations; notify those who wait for either; after `complete`.

        Reads nothing, so it may be pipelined.
        """
        cursor, location_id, fold = self.cursor, self._location_id, self._state.fold
        store_stock(cursor, location_id, {item: fold.standings[item] for item in sorted(fold.touched)})
        add_transfers(cursor, location_id, self._transfers)
        store_answers(cursor, location_id, self._answers)
        changed = sorted(self.context.reservations_changed)
        after = {each: rows_of(self.context.reservations[each].reservation()) for each in changed}
        store_reservations(cursor, location_id, ((self._stored.get(each, NO_ROWS), after[each]) for each in changed))
        channels = [LOG_CHANNEL, FACTS_CHANNEL] if self._transfers else [LOG_CHANNEL]
        cursor.execute("SELECT pg_notify(channel, %s) FROM unnest(%s::text[]) AS channel", (location_id, channels))


def keep_segments(cursor: Cursor[Any], location_id: str, segments: Iterable[tuple[int, int, bytes]]) -> None:
    """Insert frames given as (first sequence, last sequence, frame) into `log_segment`."""
    for first, last, frame in segments:
        cursor.execute(_KEEP_SEGMENT, (location_id, first, last, frame))


def put_in_quarantine(
    cursor: Cursor[Any], location_id: str, unfoldable: Iterable[UnfoldableEvent], received_at: int
) -> None:
    """Insert events that cannot be folded into `quarantine`, with what can be read of them."""
    rows = [quarantine_row(location_id, each, received_at) for each in unfoldable]
    if rows:
        cursor.executemany(_QUARANTINE, rows)


def storable_reason(reason: str) -> str:
    """Make a reason that PostgreSQL can store: at most 1,000 characters, no U+0000, which a quoted event may have."""
    return reason.replace("\x00", "\N{SYMBOL FOR NULL}")[:1_000]


def quarantine_row(location_id: str, unfoldable: UnfoldableEvent, received_at: int) -> tuple[object, ...]:
    """Make the row of `quarantine` for an event that cannot be folded, with what can be read of it."""
    read = read_partially(unfoldable.line)
    reason = storable_reason(unfoldable.reason)
    return (
        location_id, unfoldable.sequence, unfoldable.digest, reason, read.type, read.item_id, read.transfer_id,
        read.occurred_at, received_at,
    )  # fmt: skip
