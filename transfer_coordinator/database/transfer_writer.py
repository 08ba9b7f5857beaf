"""Writing the saga's rows, one statement for as many transfers as a round has. `transfer_reader` reads them.

Works inside the transaction of the Connection it is given and never commits. Rows travel to the database as one JSON
parameter, which costs less than a list of parameters for each column and needs no statement per row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
from sqlalchemy import Connection, delete, text, update
from sqlalchemy.dialects.postgresql import insert

from shared.messages import TransferFacts
from shared.runtime.database.row_writes import upsert
from transfer_coordinator.database import lease
from transfer_coordinator.database.schema import FEED, TRANSFER, UNADOPTABLE_TRANSFER, now
from transfer_coordinator.saga.planner import JournalEntry, Move, NewTransfer, TransferRecord

FACTS_FEED: Final = "facts"

_encode: Final = msgspec.json.Encoder().encode


_CREATE: Final = text("""
WITH given AS MATERIALIZED (
    SELECT * FROM json_to_recordset(CAST(:rows AS json)) AS g (transfer_id text, source text, destination text,
        mode text, deadline bigint, created_at bigint, created_by text, command_key text, digest text, state text,
        end_reason text, ended_at bigint, conflict text, asked text[], last_step text, attempts integer,
        asked_at bigint, token bigint, leased boolean, due_at bigint, entries integer)
), made AS (
    INSERT INTO transfer (transfer_id, source, destination, mode, deadline, created_at, created_by, command_key, digest,
        state, end_reason, ended_at, conflict, asked, last_step, attempts, asked_at, token, lease_holder,
        lease_expires_at, due_at, journal_length)
    SELECT transfer_id, source, destination, mode, deadline, created_at, created_by, command_key, decode(digest, 'hex'),
        state, end_reason, ended_at, conflict, asked, last_step, attempts, asked_at, token,
        CASE WHEN leased THEN :holder END, CASE WHEN leased THEN larder_now() + :length END, due_at, entries
    FROM given ORDER BY transfer_id
    ON CONFLICT DO NOTHING
    RETURNING transfer_id, token, lease_expires_at
), lined AS (
    INSERT INTO transfer_line (transfer_id, line, item_id, quantity, unit)
    SELECT l.* FROM json_to_recordset(CAST(:lines AS json))
        AS l (transfer_id text, line integer, item_id text, quantity bigint, unit text)
    JOIN made USING (transfer_id)
), written AS (
    INSERT INTO journal (transfer_id, number, token, at, holder, state, asked, note)
    SELECT e.transfer_id, e.place, made.token, :now, :holder, e.state, e.asked, e.note
    FROM json_to_recordset(CAST(:entries AS json))
        AS e (transfer_id text, place integer, state text, asked text, note text)
    JOIN made USING (transfer_id)
)
SELECT transfer_id, lease_expires_at FROM made
""")


def create(
    connection: Connection, holder: str, length: int, now: int, new_transfers: Sequence[NewTransfer]
) -> dict[str, int | None]:
    """Insert those whose id and command key are free; when the lease of each expires, by the id of those inserted.

    No two of `new_transfers` may have the same id or command key.
    """
    if not new_transfers:
        return {}
    rows, lines, entries = [], [], []
    for new in new_transfers:
        record, transfer = new.record, new.record.transfer
        rows.append(
            _progress(record)
            | {
                "source": transfer.source,
                "destination": transfer.destination,
                "mode": transfer.mode,
                "deadline": transfer.deadline,
                "created_at": record.created_at,
                "created_by": record.created_by,
                "command_key": new.command_key,
                "digest": new.digest,
                "ended_at": record.ended_at,
                "token": record.token,
                "leased": new.leased and not record.ended,
                "entries": len(new.entries),
            }
        )
        lines += [
            {
                "transfer_id": transfer.transfer_id,
                "line": line.line,
                "item_id": line.item_id,
                "quantity": line.quantity,
                "unit": line.unit,
            }
            for line in transfer.lines
        ]
        entries += _journal(transfer.transfer_id, new.entries)
    bound = {
        "rows": _json(rows),
        "lines": _json(lines),
        "entries": _json(entries),
        "holder": holder,
        "length": length,
        "now": now,
    }
    return {row.transfer_id: row.lease_expires_at for row in connection.execute(_CREATE, bound)}


_APPLY: Final = text(f"""
WITH given AS MATERIALIZED (
    SELECT * FROM json_to_recordset(CAST(:moves AS json)) AS g (transfer_id text, token bigint, new_token bigint,
        state text, end_reason text, ended_at bigint, conflict text, asked text[], last_step text, attempts integer,
        asked_at bigint, due_at bigint, cancelled boolean, keep boolean, entries integer)
), locked AS MATERIALIZED (
    SELECT t.transfer_id FROM transfer AS t JOIN given USING (transfer_id) ORDER BY t.transfer_id FOR UPDATE OF t
), moved AS (
    UPDATE transfer AS t
    SET token = given.new_token, state = given.state, end_reason = given.end_reason, ended_at = given.ended_at,
        conflict = given.conflict, asked = given.asked, last_step = given.last_step, attempts = given.attempts,
        asked_at = given.asked_at,
        due_at = CASE WHEN given.cancelled OR t.cancel_requested_at IS NULL THEN given.due_at
            ELSE least(given.due_at, :now) END,
        journal_length = t.journal_length + given.entries,
        lease_holder = CASE WHEN given.keep THEN t.lease_holder END,
        lease_expires_at = CASE WHEN given.keep THEN larder_now() + :length END
    FROM given JOIN locked USING (transfer_id)
    WHERE t.transfer_id = given.transfer_id AND {lease.MINE}
    RETURNING t.transfer_id, t.token, t.lease_expires_at, t.cancel_requested_at,
        t.journal_length - given.entries AS written_before
), written AS (
    INSERT INTO journal (transfer_id, number, token, at, holder, state, asked, note)
    SELECT e.transfer_id, moved.written_before + e.place, moved.token, :now, :holder, e.state, e.asked, e.note
    FROM json_to_recordset(CAST(:entries AS json))
        AS e (transfer_id text, place integer, state text, asked text, note text)
    JOIN moved USING (transfer_id)
)
SELECT transfer_id, lease_expires_at, cancel_requested_at FROM moved
""")


class Written(NamedTuple):
    """The row after a move: when the lease expires (None: released), and when a cancel was requested, if it was."""

    expires_at: int | None
    cancel_requested_at: int | None


def apply(connection: Connection, holder: str, length: int, now: int, moves: Iterable[Move]) -> dict[str, Written]:
    """Write the moves and their journal, each on the condition that its token still holds.

    Those missing from the result are lost: nothing was written for them, and nothing may be sent.
    """
    rows, entries = [], []
    for move in moves:
        record = move.record
        transfer_id = record.transfer.transfer_id
        rows.append(
            _progress(record)
            | {
                "token": move.token,
                "new_token": record.token,
                "ended_at": record.ended_at,
                "cancelled": record.transfer.cancel_requested_at is not None,
                "keep": not (move.release or record.ended),
                "entries": len(move.entries),
            }
        )
        entries += _journal(transfer_id, move.entries)
    if not rows:
        return {}
    bound = {"moves": _json(rows), "entries": _json(entries), "holder": holder, "length": length, "now": now}
    written = connection.execute(_APPLY, bound)
    return {row.transfer_id: Written(row.lease_expires_at, row.cancel_requested_at) for row in written}


def _progress(record: TransferRecord) -> dict[str, object]:
    return {
        "transfer_id": record.transfer.transfer_id,
        "state": record.state,
        "end_reason": record.end_reason,
        "conflict": record.conflict,
        "asked": sorted(record.transfer.asked),
        "last_step": record.last_step,
        "attempts": record.attempts,
        "asked_at": record.asked_at,
        "due_at": record.due_at,
    }


def _journal(transfer_id: str, entries: Sequence[JournalEntry]) -> list[dict[str, object]]:
    return [
        {"transfer_id": transfer_id, "place": place, "state": entry.state, "asked": entry.asked, "note": entry.note}
        for place, entry in enumerate(entries, start=1)
    ]


_STORE_FACTS: Final = text("""
WITH kept AS (
    INSERT INTO fact (transfer_id, location_id, sequence, type, item_id, quantity, reason, occurred_at, received_at)
    SELECT * FROM json_to_recordset(CAST(:facts AS json)) AS f (transfer_id text, location_id text, sequence bigint,
        type text, item_id text, quantity bigint, reason text, occurred_at bigint, received_at bigint)
    ORDER BY transfer_id, location_id, sequence
    ON CONFLICT DO NOTHING
), moved AS (
    INSERT INTO feed (name, cursor, hash, moved_at)
    SELECT :name, CAST(:cursor AS text), '', larder_now() WHERE CAST(:cursor AS text) IS NOT NULL
    ON CONFLICT (name) DO UPDATE SET cursor = excluded.cursor, moved_at = excluded.moved_at
)
SELECT larder_now()
""")


def store_facts(connection: Connection, reported: Iterable[TransferFacts], cursor: str | None = None) -> int:
    """Store facts from head office and the cursor of its feed; returns the time of the database.

    A known fact stays as it is. One statement, as every round begins with it.
    """
    rows = [
        {
            "transfer_id": each.transfer_id,
            "location_id": fact.location_id,
            "sequence": fact.sequence,
            "type": fact.type,
            "item_id": fact.item_id,
            "quantity": fact.quantity,
            "reason": fact.reason,
            "occurred_at": fact.occurred_at,
            "received_at": fact.received_at,
        }
        for each in reported
        for fact in each.facts
    ]
    if not rows and cursor is None:
        return now(connection)
    return int(
        connection.execute(_STORE_FACTS, {"facts": _json(rows), "name": FACTS_FEED, "cursor": cursor}).scalar_one()
    )


_CANCEL: Final = text("""
UPDATE transfer SET cancel_requested_at = larder_now(), cancel_requested_by = :by, due_at = least(due_at, larder_now())
WHERE transfer_id = :name AND ended_at IS NULL AND cancel_requested_at IS NULL
""")


def request_cancel(connection: Connection, transfer_id: str, by: str | None) -> None:
    """Store a cancel request on an open transfer. Not a write of the saga: it needs no lease."""
    connection.execute(_CANCEL, {"name": transfer_id, "by": by})


def mark_conflicts(connection: Connection, found: Mapping[str, str]) -> None:
    """Mark ended transfers whose end the logs contradict."""
    for transfer_id, conflict in sorted(found.items()):
        connection.execute(
            update(TRANSFER)
            .where(TRANSFER.c.transfer_id == transfer_id, TRANSFER.c.ended_at.is_not(None))
            .values(conflict=conflict)
        )


def add_unadoptable(connection: Connection, transfer_id: str, now: int, why: str) -> bool:
    """Store a transfer that cannot be adopted, for a person to see; whether it is new."""
    kept = connection.execute(
        insert(UNADOPTABLE_TRANSFER)
        .values(transfer_id=transfer_id, heard_at=now, why=why)
        .on_conflict_do_nothing()
        .returning(UNADOPTABLE_TRANSFER.c.transfer_id)
    )
    return kept.first() is not None


def remove_unadoptable(connection: Connection, names: Sequence[str]) -> None:
    """Remove transfers that ended, or were adopted after all."""
    connection.execute(delete(UNADOPTABLE_TRANSFER).where(UNADOPTABLE_TRANSFER.c.transfer_id.in_(list(names))))


def move_feed(connection: Connection, name: str, cursor: str, now: int, digest: str = "") -> None:
    """Store the cursor of a feed, in the transaction that stores its content."""
    upsert(connection, FEED, [{"name": name, "cursor": cursor, "hash": digest, "moved_at": now}])


def _json(rows: object) -> str:
    return _encode(rows).decode()
