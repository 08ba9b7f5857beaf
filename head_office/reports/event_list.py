"""List of the group's events, whole, in pages. Works inside the transaction of the Connection it is given."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Row, Select, func, select, tuple_

from head_office.database.arrays import array
from head_office.database.log_segments import read_lines
from head_office.database.schema import EVENT, HEAD, INGEST_BATCH, QUARANTINE, VOIDED
from shared.chain import understand
from shared.events import Event
from shared.runtime.http.cursor import Whole

MAX_PAGE = 1_000


class ListedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event with its hash (hex), when it was received (microseconds UTC), and the sequence of its void, if any."""

    event: Event
    hash: str
    received_at: int
    voided_by: int | None


class EventCursor(NamedTuple):
    """The last event of a page, after which the next page begins."""

    location_id: str
    sequence: Whole


class EventPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of events by location and sequence; `next`: the cursor of the next page, None on the last one."""

    events: list[ListedEvent]
    next: EventCursor | None


def events(
    connection: Connection,
    *,
    location_ids: Collection[str] | None = None,
    item_id: str | None = None,
    types: Collection[str] | None = None,
    transfer_id: str | None = None,
    occurred_from: int | None = None,
    occurred_before: int | None = None,
    after: EventCursor | None = None,
    newest_first: bool = False,
    limit: int = 100,
) -> EventPage:
    """List the folded events that match every given filter. `item_id` is the code at the location.

    At most MAX_PAGE a page. `newest_first` reverses the order within each location; moments are microseconds UTC.
    """
    limit = min(limit, MAX_PAGE)
    # Every index of the log begins with the location, so all locations are given where the filter has none.
    wanted = connection.execute(select(HEAD.c.location_id)).scalars() if location_ids is None else location_ids
    query = _select(sorted(wanted), item_id, types, transfer_id)
    if occurred_from is not None:
        query = query.where(EVENT.c.occurred_at >= occurred_from)
    if occurred_before is not None:
        query = query.where(EVENT.c.occurred_at < occurred_before)
    if newest_first:
        query = query.order_by(EVENT.c.location_id, EVENT.c.sequence.desc())
        if after is not None:
            same = (EVENT.c.location_id == after.location_id) & (EVENT.c.sequence < after.sequence)
            query = query.where((EVENT.c.location_id > after.location_id) | same)
    else:
        query = query.order_by(EVENT.c.location_id, EVENT.c.sequence)
        if after is not None:
            query = query.where(tuple_(EVENT.c.location_id, EVENT.c.sequence) > tuple_(*after))
    rows = connection.execute(query.limit(limit + 1)).all()
    page = rows[:limit]
    last = page[-1] if len(rows) > limit else None
    return EventPage(
        events=_listed(connection, page), next=None if last is None else EventCursor(last.location_id, last.sequence)
    )


def _select(
    location_ids: Sequence[str],
    item_id: str | None,
    types: Collection[str] | None,
    transfer_id: str | None,
) -> Select[Any]:
    batch = (
        select(INGEST_BATCH.c.received_at)
        .where(INGEST_BATCH.c.location_id == EVENT.c.location_id, INGEST_BATCH.c.last_sequence >= EVENT.c.sequence)
        .order_by(INGEST_BATCH.c.last_sequence)
        .limit(1)
        .correlate(EVENT)
        .scalar_subquery()
    )
    at = (QUARANTINE.c.location_id == EVENT.c.location_id) & (QUARANTINE.c.sequence == EVENT.c.sequence)
    gone = (VOIDED.c.location_id == EVENT.c.location_id) & (VOIDED.c.sequence == EVENT.c.sequence)
    query = select(
        EVENT.c.location_id,
        EVENT.c.sequence,
        EVENT.c.hash,
        VOIDED.c.by_sequence,
        func.coalesce(QUARANTINE.c.released_at, batch).label("received_at"),
    ).select_from(EVENT.outerjoin(VOIDED, gone).outerjoin(QUARANTINE, at))
    query = query.where(EVENT.c.location_id == func.any(array(location_ids)))
    if item_id is not None:
        query = query.where(EVENT.c.item_id == item_id)
    if types is not None:
        query = query.where(EVENT.c.type.in_(types))
    if transfer_id is not None:
        query = query.where(EVENT.c.transfer_id == transfer_id)
    return query


def _listed(connection: Connection, rows: Sequence[Row[Any]]) -> list[ListedEvent]:
    wanted: dict[str, list[int]] = {}
    for row in rows:
        wanted.setdefault(row.location_id, []).append(row.sequence)
    lines = {location: read_lines(connection, location, sequences) for location, sequences in wanted.items()}
    return [
        ListedEvent(
            event=understand(lines[row.location_id][row.sequence]),
            hash=bytes(row.hash).hex(),
            received_at=row.received_at,
            voided_by=row.by_sequence,
        )
        for row in rows
    ]
