"""The persisted state of the sync agent, read directly and written by commands of the writer.

It holds the last acknowledged head, the last contact with head office, its verdict, and the catalogue's cursor.
"""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, select, update

from branch_node.database.schema import SYNC_STATE
from branch_node.model import Command, Decision, View, Write
from shared.catalogue_messages import CATALOGUE_START
from shared.chain import Head


class SyncState(msgspec.Struct, frozen=True, kw_only=True):
    """The sync state as kept for the next start. Times are microseconds UTC."""

    catalogue_version: int = 0
    catalogue_hash: str = CATALOGUE_START
    acknowledged: Head | None = None
    last_contact_at: int | None = None
    verdict: str | None = None
    detail: str | None = None


def read_sync_state(connection: Connection) -> SyncState:
    """The persisted state; the initial one where there is none."""
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


class SaveContact(Command):
    """Persist the acknowledged head, the time of contact (microseconds UTC) and the verdict."""

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
        return Decision(writes=[sync_state_write(view.location.location_id, self.values)])


def sync_state_write(location_id: str, values: dict[str, object]) -> Write:
    """The write that sets these columns of the location's row, which `Store.set_up` made."""
    statement = update(SYNC_STATE).where(SYNC_STATE.c.location_id == location_id).values(values)

    def write(connection: Connection) -> None:
        connection.execute(statement)

    return write
