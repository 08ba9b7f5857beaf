"""Queries for callers: a transfer's journal, and the list, newest first, with the unadoptable transfers.

Works inside the transaction of the Connection it is given.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from sqlalchemy import Connection, select, text

from shared.runtime.clock import format_rfc3339
from transfer_coordinator.api.transfer_records import JournalDocument, TransferDocument, document
from transfer_coordinator.database.schema import JOURNAL
from transfer_coordinator.database.transfer_reader import load
from transfer_coordinator.saga.adoption import UNADOPTABLE

FIRST: Final = (2**62, "")
"""The place before the first of a list."""


class ListedTransfer(NamedTuple):
    """One page: its documents, and the place of the last one where there are more."""

    items: list[TransferDocument]
    next: tuple[int, str] | None


def journal(connection: Connection, transfer_id: str) -> list[JournalDocument]:
    """The journal of a transfer, from its creation on."""
    rows = connection.execute(select(JOURNAL).where(JOURNAL.c.transfer_id == transfer_id).order_by(JOURNAL.c.number))
    return [
        JournalDocument(
            number=row.number,
            at=format_rfc3339(row.at),
            token=row.token,
            holder=row.holder,
            state=row.state,
            asked=row.asked,
            note=row.note,
        )
        for row in rows
    ]


def listed(
    connection: Connection, *, state: str | None, location_id: str | None, after: tuple[int, str], limit: int, now: int
) -> ListedTransfer:
    """Transfers created before the place `after` (moment, id), the newest first.

    `state` may be UNADOPTABLE: those that a person has to resolve. Their locations are not known, so a list of one
    location has none of them.
    """
    at = "(created_at, transfer_id) < (:moment, :name)"
    wanted = [at]
    if state is not None:
        wanted.append("state = :state")
    if location_id is not None:
        wanted.append("(source = :location_id OR destination = :location_id)")
    parts = [f"SELECT transfer_id, created_at, NULL AS why FROM transfer WHERE {' AND '.join(wanted)}"]
    if location_id is None and state in {None, UNADOPTABLE}:
        # Its caller may request it again; then it is a transfer like others.
        unknown = "NOT EXISTS (SELECT FROM transfer WHERE transfer.transfer_id = s.transfer_id)"
        unadoptable = "(SELECT transfer_id, heard_at AS created_at, why FROM stray) AS s"
        parts.append(f"SELECT transfer_id, created_at, why FROM {unadoptable} WHERE {at} AND {unknown}")
    order = "ORDER BY created_at DESC, transfer_id DESC LIMIT :most"
    # Each part is bounded by itself, so that neither is read whole.
    both = " UNION ALL ".join(f"({part} {order})" for part in parts)
    bound = {"moment": after[0], "name": after[1], "state": state, "location_id": location_id, "most": limit + 1}
    statement = text(f"SELECT * FROM ({both}) AS b {order}")
    rows = connection.execute(statement, {each: bound[each] for each in statement.compile().params}).all()
    page = rows[:limit]
    records = load(connection, [row.transfer_id for row in page if row.why is None])
    items = [
        document(records[row.transfer_id].record, now)
        if row.why is None
        else TransferDocument(transfer_id=row.transfer_id, state=UNADOPTABLE, why=row.why, overdue=False)
        for row in page
    ]
    return ListedTransfer(items, (page[-1].created_at, page[-1].transfer_id) if len(rows) > limit else None)
