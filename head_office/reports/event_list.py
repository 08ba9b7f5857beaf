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
    case,
    func,
    literal,
    or_,
    select,
    true,
    tuple_,
    union_all,
)

from head_office.catalogue.item_codes import items_meant, read_codes
from head_office.database.arrays import BIGINT, TEXT, array, unnest
from head_office.database.log_segments import read_lines_of
from head_office.database.receipts import BEGINNING, NEWEST, Receipt, ReceiptPlace, Receipts, ReceiptSpan, receipts_in
from head_office.database.schema import BY_TYPE, EVENT, HEAD, INGEST_BATCH, QUARANTINE, STOCK, VOIDED
from head_office.reports.known_at import AsOf, moment_at
from shared.chain import understand
from shared.events import Event, EventType

MAX_PAGE: Final = 1_000
MAX_RECEIPTS: Final = 1_000
EVENTS_AT_ONCE: Final = 20_000
EVENTS_BEFORE_INDEX: Final = 5_000
"""How many receipts, and how many of their events, one statement looks through at most for those that match; and how
many where an index finds them, if they are few."""


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
    has_index = wanted.types is not None and EventType.ORDER_DEDUCTION.value not in wanted.types
    while len(found) < limit:
        if has_index and at_once > EVENTS_BEFORE_INDEX:
            found += connection.execute(_by_index(connection, span, wanted, limit - len(found))).all()
            break
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
    within = and_(
        EVENT.c.location_id == receipt.c.location_id,
        EVENT.c.sequence.between(receipt.c.first, receipt.c.last),
        or_(receipt.c.number == 1, ~_held()),
    )
    query = _select(receipt.c.received_at, receipt.join(EVENT, within)).where(*_conditions(wanted))
    return _ordered(query, span, limit)


def _by_index(connection: Connection, span: ReceiptSpan, wanted: EventFilter, limit: int) -> Select[Any]:
    """The next events of an item, a transfer or of types that an index finds.

    At a location the order of receipt is that of the sequences, but for what came out of quarantine. So the first of
    each key behind the place are enough, and only of these is looked up when they were received.
    """
    key, is_of_key = _keys(connection, wanted)
    matches = (EVENT.c.location_id == key.c.location_id, is_of_key, *_conditions(wanted))
    reached, sequence = _reached(key, span), EVENT.c.sequence
    # Not the order of the primary key, by which an item that is not sold any more would be looked for in all events.
    order = sequence + 0 if wanted.item_id is not None else sequence
    first = (
        select(EVENT.c.location_id, sequence)
        .where(*matches, sequence <= reached if span.newest_first else sequence > reached, ~_held())
        .order_by(order.desc() if span.newest_first else order)
        .limit(limit)
        .correlate(key)
        .lateral("first")
    )
    batch = (
        select(INGEST_BATCH.c.received_at)
        .where(INGEST_BATCH.c.location_id == first.c.location_id, INGEST_BATCH.c.last_sequence >= first.c.sequence)
        .order_by(INGEST_BATCH.c.last_sequence)
        .limit(1)
        .correlate(first)
        .lateral("batch")
    )
    is_released = and_(
        QUARANTINE.c.location_id == EVENT.c.location_id,
        QUARANTINE.c.sequence == EVENT.c.sequence,
        QUARANTINE.c.released_at.is_not(None),
    )
    listed = union_all(
        select(first.c.location_id, first.c.sequence, batch.c.received_at).select_from(
            key.join(first, true()).join(batch, true())
        ),
        select(EVENT.c.location_id, EVENT.c.sequence, QUARANTINE.c.released_at).select_from(
            QUARANTINE.join(EVENT, is_released).join(key, and_(*matches))
        ),
    ).subquery("listed")
    here = tuple_(listed.c.received_at, listed.c.sequence)
    place = tuple_(literal(span.place.moment, BigInteger), literal(span.place.sequence, BigInteger))
    behind = select(listed).where(here < place if span.newest_first else here > place)
    if span.until is not None:
        behind = behind.where(listed.c.received_at <= literal(span.until, BigInteger))
    page = _ordered(behind, span, limit).subquery("page")
    at = and_(EVENT.c.location_id == page.c.location_id, EVENT.c.sequence == page.c.sequence)
    return _ordered(_select(page.c.received_at, page.join(EVENT, at)), span, limit)


def _keys(connection: Connection, wanted: EventFilter) -> tuple[FromClause, ColumnElement[bool]]:
    """The keys to look up, as a table with a location each, and the condition that an event is of a key.

    Every index of the log begins with the location, so all locations are given where the filter has none.
    """
    if wanted.item_id is not None:
        codes = unnest("key", (("location_id", TEXT), ("item_id", TEXT)), _codes(connection, wanted, wanted.item_id))
        return codes, EVENT.c.item_id == codes.c.item_id
    places: Collection[str] | None = wanted.location_ids
    if places is None:
        places = connection.execute(select(HEAD.c.location_id)).scalars().all()
    if wanted.transfer_id is not None:
        transfers = unnest("key", (("location_id", TEXT),), [(place,) for place in places])
        return transfers, EVENT.c.transfer_id == wanted.transfer_id
    pairs = [(place, each) for place in places for each in wanted.types or ()]
    kinds = unnest("key", (("location_id", TEXT), ("type", TEXT)), pairs)
    return kinds, and_(EVENT.c.type == kinds.c.type, BY_TYPE)


def _reached(key: FromClause, span: ReceiptSpan) -> ColumnElement[int]:
    """The last sequence of the location that was received by the span's place; with the newest first, before it."""
    batch = INGEST_BATCH.c
    within = literal(span.place.sequence - 1 if span.newest_first else span.place.sequence, BigInteger)
    moment = literal(span.place.moment, BigInteger)
    cut = func.greatest(batch.first_sequence - 1, func.least(batch.last_sequence, within))
    last = (
        select(
            case(
                (batch.location_id != key.c.location_id, 0),
                (batch.received_at == moment, cut),
                else_=batch.last_sequence,
            )
        )
        # Not an equal location: then the batches of all locations would be looked through in the order of receipt.
        .where(tuple_(batch.location_id, batch.received_at) <= tuple_(key.c.location_id, moment))
        .order_by(batch.location_id.desc(), batch.received_at.desc())
        .limit(1)
        .correlate(key)
        .scalar_subquery()
    )
    return func.coalesce(last, 0)


def _codes(connection: Connection, wanted: EventFilter, item_id: str) -> list[tuple[str, str]]:
    """The (location, code) with events of the item that is asked for, by any of its codes."""
    meant = items_meant(connection, item_id, wanted.location_ids)
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


def _held() -> ColumnElement[bool]:
    """The event came out of quarantine: it was received then, not with its batch."""
    at = (QUARANTINE.c.location_id == EVENT.c.location_id, QUARANTINE.c.sequence == EVENT.c.sequence)
    return select(literal(1)).where(*at).correlate(EVENT).exists()


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
