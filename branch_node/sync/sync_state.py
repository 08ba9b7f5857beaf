"""What the sync agent keeps in the branch's database, as commands: only the writer writes.

Where shipping stands (the last head acknowledged, the last contact) and the pages of head office's catalogue.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, select
from sqlalchemy.dialects import postgresql, sqlite

from branch_node.database.schema import SYNC_STATE
from branch_node.model import Command, Decision, View, Write
from shared.chain import Head
from shared.messages import CATALOGUE_START
from shared.runtime.telemetry import get_logger

log = get_logger("larder.catalogue")


class SyncState(msgspec.Struct, frozen=True, kw_only=True):
    """Where the node stands with head office, as kept for the next start."""

    catalogue_version: int = 0
    catalogue_hash: str = CATALOGUE_START
    acknowledged: Head | None = None
    last_contact_at: int | None = None
    verdict: str | None = None
    detail: str | None = None


def read_sync_state(connection: Connection) -> SyncState:
    """What is kept; the beginning where nothing is yet."""
    row = connection.execute(select(SYNC_STATE)).one_or_none()
    if row is None:
        return SyncState()
    acknowledged = None
    if row.acknowledged_sequence is not None:
        acknowledged = Head(row.acknowledged_epoch, row.acknowledged_sequence, bytes(row.acknowledged_hash))
    return SyncState(
        catalogue_version=row.catalogue_version,
        catalogue_hash=row.catalogue_hash,
        acknowledged=acknowledged,
        last_contact_at=row.last_contact_at,
        verdict=row.verdict,
        detail=row.detail,
    )


class KeepContact(Command):
    """Keep where shipping stands: after hello, and now and then after batches."""

    def __init__(self, *, acknowledged: Head | None, at: int, verdict: str, detail: str | None) -> None:
        self.values: dict[str, object] = {
            "acknowledged_epoch": acknowledged.epoch if acknowledged else None,
            "acknowledged_sequence": acknowledged.sequence if acknowledged else None,
            "acknowledged_hash": acknowledged.hash if acknowledged else None,
            "acknowledged_at": at if acknowledged else None,
            "last_contact_at": at,
            "verdict": verdict,
            "detail": detail,
        }

    def decide(self, view: View) -> Decision:
        return Decision(writes=[_state(view.location.location_id, self.values)])


def _state(location_id: str, values: dict[str, object]) -> Write:
    beginning = {"catalogue_version": 0, "catalogue_hash": CATALOGUE_START, "instructions_after": 0}

    def write(connection: Connection) -> None:
        row = {"location_id": location_id, **beginning, **values}
        _upsert(connection, SYNC_STATE, [row], only=frozenset(values))

    return write


def _upsert(
    connection: Connection, table: Table, rows: Sequence[dict[str, object]], only: frozenset[str] | None = None
) -> None:
    """Insert rows or replace those with their primary key; of a row that is there, `only` these columns change."""
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    upsert: Any = make(table)
    keys = [column.name for column in table.primary_key]
    changed = [name for name in rows[0] if name not in keys and (only is None or name in only)]
    connection.execute(
        upsert.on_conflict_do_update(index_elements=keys, set_={name: upsert.excluded[name] for name in changed}),
        list(rows),
    )
