"""Reading transfers whole, with their lines and known facts, many in one statement.

Works inside the transaction of the Connection it is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, select, text

from shared.messages import Fact, InstructionLine, InstructionStep
from transfer_coordinator.database.schema import FEED, UNADOPTABLE_TRANSFER
from transfer_coordinator.saga.planner import TransferRecord
from transfer_coordinator.saga.saga import Mode, State, Transfer, TransferConflict

_lines: Final = msgspec.json.Decoder(tuple[InstructionLine, ...]).decode
_facts: Final = msgspec.json.Decoder(tuple[Fact, ...]).decode


class Existing(msgspec.Struct, frozen=True):
    """A stored transfer: its digest (hex; None: adopted), the holder of its lease, and when that expires."""

    record: TransferRecord
    digest: str | None
    holder: str | None
    expires_at: int


_RECORD: Final = """
SELECT t.*, t.asked AS asked_steps,
    (SELECT json_agg(json_build_object('line', l.line, 'item_id', l.item_id, 'quantity', l.quantity, 'unit', l.unit)
        ORDER BY l.line) FROM transfer_line AS l WHERE l.transfer_id = t.transfer_id)::text AS lines,
    (SELECT json_agg(json_build_object('location_id', f.location_id, 'sequence', f.sequence, 'type', f.type,
        'item_id', f.item_id, 'quantity', f.quantity, 'reason', f.reason, 'occurred_at', f.occurred_at,
        'received_at', f.received_at) ORDER BY f.location_id, f.sequence)
        FROM fact AS f WHERE f.transfer_id = t.transfer_id)::text AS facts
FROM transfer AS t
"""
_LOAD: Final = text(_RECORD + "WHERE t.transfer_id = ANY(:names)")
_BY_KEY: Final = text(_RECORD + "WHERE t.command_key = :key")


def load(connection: Connection, names: Sequence[str]) -> dict[str, Existing]:
    """Those of the named transfers that exist, by id."""
    if not names:
        return {}
    return {row.transfer_id: _existing(row) for row in connection.execute(_LOAD, {"names": list(names)})}


def load_by_key(connection: Connection, key: str) -> Existing | None:
    """The transfer that was created under a caller's Idempotency-Key."""
    row = connection.execute(_BY_KEY, {"key": key}).one_or_none()
    return None if row is None else _existing(row)


def _existing(row: Row[Any]) -> Existing:
    transfer = Transfer(
        transfer_id=row.transfer_id,
        source=row.source,
        destination=row.destination,
        lines=_lines(row.lines or "[]"),
        mode=Mode(row.mode),
        deadline=row.deadline,
        cancel_requested_at=row.cancel_requested_at,
        asked=frozenset(map(InstructionStep, row.asked_steps)),
    )
    record = TransferRecord(
        transfer=transfer,
        state=State(row.state),
        created_at=row.created_at,
        created_by=row.created_by,
        ended_at=row.ended_at,
        end_reason=row.end_reason,
        conflict=None if row.conflict is None else TransferConflict(row.conflict),
        token=row.token,
        last_step=None if row.last_step is None else InstructionStep(row.last_step),
        attempts=row.attempts,
        asked_at=row.asked_at,
        due_at=row.due_at,
        facts=_facts(row.facts or "[]"),
    )
    digest = None if row.digest is None else bytes(row.digest).hex()
    return Existing(record, digest, row.lease_holder, row.lease_expires_at or 0)


def read_feed(connection: Connection, name: str) -> tuple[str, str] | None:
    """(cursor, hash) of a feed, None before it was first read."""
    row = connection.execute(select(FEED.c.cursor, FEED.c.hash).where(FEED.c.name == name)).one_or_none()
    return None if row is None else (row.cursor, row.hash)


def read_unadoptable(connection: Connection, limit: int) -> list[str]:
    """The ids of the transfers that could not be adopted, the longest known first."""
    rows = connection.execute(
        select(UNADOPTABLE_TRANSFER.c.transfer_id)
        .order_by(UNADOPTABLE_TRANSFER.c.heard_at, UNADOPTABLE_TRANSFER.c.transfer_id)
        .limit(limit)
    )
    return list(rows.scalars())
