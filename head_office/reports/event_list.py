"""List of the group's events, whole, in pages, in the order of receipt.

Works inside the transaction of the Connection it is given.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Row,
    Select,
    and_,
    func,
    literal,
    or_,
    select,
    tuple_,
)

from head_office.catalogue.item_codes import items_meant, read_codes
from head_office.database.arrays import BIGINT, TEXT, array, unnest
from head_office.database.log_segments import read_lines_of
from head_office.database.receipts import BEGINNING, NEWEST, Receipt, ReceiptPlace, Receipts, ReceiptSpan, receipts_in
from head_office.database.schema import EVENT, HEAD, INGEST_BATCH, QUARANTINE, STOCK, VOIDED
from head_office.reports.known_at import AsOf, moment_at
from shared.chain import understand
from shared.events import Event

MAX_PAGE: Final = 1_000
MAX_RECEIPTS: Final = 1_000
EVENTS_AT_ONCE: Final = 20_000
"""How many receipts, and how many of their events, one statement looks through at most for those that match."""


class ListedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event with its hash (hex), when it was received (microseconds UTC), and the sequence of its void, if any."""

    event: Event
    hash: str
    received_at: int
    voided_by: int | None


class EventPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of events in the order of receipt.

    `next`: the place after which the next page begins; at the end, the place after which new events will come. None
    only at the end of a list with the newest first.
    """

    events: list[ListedEvent]
    next: ReceiptPlace | None


class EventFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What the listed events have in common. `item_id` is any code of an item; they occurred in [begin, end)."""

    location_ids: Collection[str] | None = None
    item_id: str | None = None
    types: Collection[str] | None = None
    transfer_id: str | None = None
    begin: AsOf | None = None
    end: AsOf | None = None


EVERY_EVENT: Final = EventFilter()


def events(
    connection: Connection,
    received: Receipts,
    wanted: EventFilter = EVERY_EVENT,
    *,
    after: ReceiptPlace | None = None,
    newest_first: bool = False,
    limit: int = 100,
) -> EventPage:
    """List the folded events that match the filter, at most MAX_PAGE a page; a shorter page than `limit` is the last.

    The connection's snapshot must be younger than `received`: then a follower gets every event once, whatever is
    received meanwhile. With the newest first, what is received meanwhile may be missing.
    """
    limit = min(limit, MAX_PAGE)
    if newest_first:
        span = ReceiptSpan(after or NEWEST, None, newest_first=True)
    else:
        span = ReceiptSpan(received.within(after or BEGINNING), received.settled)
    if wanted.item_id is not None or wanted.transfer_id is not None:
        rows = connection.execute(_by_index(connection, span, wanted, limit + 1)).all()
    else:
        rows = _in_receipts(connection, span, wanted, limit + 1)
    page = rows[:limit]
    if len(rows) > limit:
        following: ReceiptPlace | None = ReceiptPlace(page[-1].received_at, page[-1].sequence)
    else:
        following = None if newest_first else max(span.place, received.end)
    return EventPage(events=_listed(connection, page), next=following)


def _in_receipts(connection: Connection, span: ReceiptSpan, wanted: EventFilter, limit: int) -> Sequence[Row[Any]]:
    """Look through the receipts of the span, so many at once that their events are bounded."""
    found: list[Row[Any]] = []
    at_once = limit
    while len(found) < limit:
        some = receipts_in(connection, span, location_ids=wanted.location_ids, limit=MAX_RECEIPTS)
        if not some:
            break
        part = _first_of(some, at_once, span)
        found += connection.execute(_of_receipts(part, span, wanted, limit - len(found))).all()
        last = part[-1]
        reached = last.first_sequence if span.newest_first else last.last_sequence
        span = span._replace(place=ReceiptPlace(last.moment, reached))
        if len(some) < MAX_RECEIPTS and part == some:
            break
        # Where few events match, many are looked through at once.
        at_once = min(at_once * 4, EVENTS_AT_ONCE)
    return found


def _first_of(received: Sequence[Receipt], events: int, span: ReceiptSpan) -> list[Receipt]:
    """The first receipts, with this number of events in all where there are so many."""
    taken: list[Receipt] = []
    for each in received:
        first, last = each.first_sequence, each.last_sequence
        if span.newest_first:
            first = max(first, last - events + 1)
        else:
            last = min(last, first + events - 1)
        taken.append(each._replace(first_sequence=first, last_sequence=last))
        events -= last - first + 1
        if not events:
            break
    return taken


def _of_receipts(received: Sequence[Receipt], span: ReceiptSpan, wanted: EventFilter, limit: int) -> Select[Any]:
    columns = (("received_at", BIGINT), ("location_id", TEXT), ("first", BIGINT), ("last", BIGINT), ("number", BIGINT))
    receipt = unnest("receipt", columns, [(*each[:4], int(each.released)) for each in received])
    # An event that was released from quarantine was received then, not with its batch.
    held = (
        select(literal(1))
        .where(QUARANTINE.c.location_id == EVENT.c.location_id, QUARANTINE.c.sequence == EVENT.c.sequence)
        .correlate(EVENT)
        .exists()
    )
    within = and_(
        EVENT.c.location_id == receipt.c.location_id,
        EVENT.c.sequence.between(receipt.c.first, receipt.c.last),
        or_(receipt.c.number == 1, ~held),
    )
    query = _select(receipt.c.received_at, receipt.join(EVENT, within)).where(*_conditions(wanted))
    return _ordered(query, span, limit)


def _by_index(connection: Connection, span: ReceiptSpan, wanted: EventFilter, limit: int) -> Select[Any]:
    """The events of an item or a transfer: few enough to look up when each was received."""
    if wanted.item_id is not None:
        pairs = unnest("code", (("location_id", TEXT), ("item_id", TEXT)), _codes(connection, wanted))
        source = EVENT.join(pairs, (EVENT.c.location_id == pairs.c.location_id) & (EVENT.c.item_id == pairs.c.item_id))
    else:
        location_ids = wanted.location_ids
        if location_ids is None:
            # Every index of the log begins with the location, so all are given where the filter has none.
            location_ids = connection.execute(select(HEAD.c.location_id)).scalars().all()
        places = unnest("place", (("location_id", TEXT),), [(each,) for each in sorted(location_ids)])
        source = EVENT.join(places, EVENT.c.location_id == places.c.location_id)
    batch = (
        select(INGEST_BATCH.c.received_at)
        .where(INGEST_BATCH.c.location_id == EVENT.c.location_id, INGEST_BATCH.c.last_sequence >= EVENT.c.sequence)
        .order_by(INGEST_BATCH.c.last_sequence)
        .limit(1)
        .correlate(EVENT)
        .scalar_subquery()
    )
    at = and_(QUARANTINE.c.location_id == EVENT.c.location_id, QUARANTINE.c.sequence == EVENT.c.sequence)
    moment = func.coalesce(QUARANTINE.c.released_at, batch)
    listed = _select(moment, source.outerjoin(QUARANTINE, at)).where(*_conditions(wanted)).subquery()
    here = tuple_(listed.c.received_at, listed.c.sequence)
    reached = tuple_(literal(span.place.moment, BigInteger), literal(span.place.sequence, BigInteger))
    query = select(listed).where(here < reached if span.newest_first else here > reached)
    if span.until is not None:
        query = query.where(listed.c.received_at <= literal(span.until, BigInteger))
    return _ordered(query, span, limit)


def _codes(connection: Connection, wanted: EventFilter) -> list[tuple[str, str]]:
    """The (location, code) with events of the item that is asked for, by any of its codes."""
    assert wanted.item_id is not None
    meant = items_meant(connection, wanted.item_id, wanted.location_ids)
    codes = read_codes(connection, meant)
    # Every code of a log has a row there.
    query = select(STOCK.c.location_id, STOCK.c.item_id).where(
        STOCK.c.item_id == func.any(array(codes.all_codes(meant)))
    )
    if wanted.location_ids is not None:
        query = query.where(STOCK.c.location_id == func.any(array(sorted(wanted.location_ids))))
    return [
        (row.location_id, row.item_id)
        for row in connection.execute(query)
        if codes.item_of(row.location_id, row.item_id) in meant
    ]


def _select(received_at: ColumnElement[int], source: FromClause) -> Select[Any]:
    gone = and_(VOIDED.c.location_id == EVENT.c.location_id, VOIDED.c.sequence == EVENT.c.sequence)
    return select(
        EVENT.c.location_id, EVENT.c.sequence, EVENT.c.hash, VOIDED.c.by_sequence, received_at.label("received_at")
    ).select_from(source.outerjoin(VOIDED, gone))


def _ordered(query: Select[Any], span: ReceiptSpan, limit: int) -> Select[Any]:
    order = query.selected_columns["received_at"], query.selected_columns["sequence"]
    return query.order_by(*(each.desc() for each in order) if span.newest_first else order).limit(limit)


def _conditions(wanted: EventFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.types is not None:
        conditions.append(EVENT.c.type.in_(wanted.types))
    if wanted.transfer_id is not None:
        conditions.append(EVENT.c.transfer_id == wanted.transfer_id)
    if wanted.begin is not None:
        conditions.append(EVENT.c.occurred_at >= moment_at(EVENT.c.location_id, wanted.begin))
    if wanted.end is not None:
        conditions.append(EVENT.c.occurred_at < moment_at(EVENT.c.location_id, wanted.end))
    return conditions


def _listed(connection: Connection, rows: Sequence[Row[Any]]) -> list[ListedEvent]:
    lines = read_lines_of(connection, [(row.location_id, row.sequence) for row in rows])
    return [
        ListedEvent(
            event=understand(lines[row.location_id, row.sequence]),
            hash=bytes(row.hash).hex(),
            received_at=row.received_at,
            voided_by=row.by_sequence,
        )
        for row in rows
    ]
