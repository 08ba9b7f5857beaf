"""The transfers that got new facts, told in the order of receipt to whoever follows them by a cursor.

The cursor is a place in that order, behind which everything has been told, and the moments beyond it that have been
told too: what was received while an earlier transaction is still open is told at once. Facts are whole, so telling one
again does no harm. Works inside the transaction of the Connection it is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, Row, text

from head_office.database.receipts import BEGINNING, Receipt, ReceiptPlace, Receipts, ReceiptSpan, receipts_in
from head_office.transfers.transfer_facts import facts
from shared.events import Id
from shared.messages import ChangesPage
from shared.runtime.http.cursor import BadCursor, Cursor, Whole
from shared.runtime.text.text_faults import code_fault

MAX_PAGE: Final = 1_000
MAX_RECEIPTS: Final = 2_000
"""How many receipts one statement looks through for facts."""
MOST_LOOKS: Final = 10
"""How many such statements a page takes at most; the next page goes on where it ended."""
MOST_TOLD: Final = 32
"""How many moments a cursor holds beside its place; what is beyond them is told once its place reaches it."""
MAX_KEPT_CURSOR: Final = 60_000


class FactPlace(NamedTuple):
    """Where a follower stands: behind a place in the order of receipt, and behind what it was told beyond it."""

    moment: Whole
    sequence: Whole
    told: Annotated[tuple[Whole, ...], msgspec.Meta(max_length=MOST_TOLD)]


_ByLocation = dict[Id, tuple[Whole, Whole]]
_CURSOR: Final[Cursor[FactPlace | _ByLocation]] = Cursor(FactPlace | _ByLocation, longest=MAX_KEPT_CURSOR)
_START: Final = FactPlace(*BEGINNING, ())

_FRESH: Final = text(
    """
    SELECT receipt.moment, fresh.sequence, fresh.transfer_id
    FROM unnest(
        CAST(:moments AS bigint[]), CAST(:locations AS text[]), CAST(:firsts AS bigint[]), CAST(:lasts AS bigint[]),
        CAST(:released AS boolean[])
    ) AS receipt (moment, location_id, first_sequence, last_sequence, released)
    CROSS JOIN LATERAL (
        SELECT sequence, transfer_id FROM event
        WHERE event.location_id = receipt.location_id AND transfer_id IS NOT NULL
            AND sequence BETWEEN receipt.first_sequence AND receipt.last_sequence
            -- What was released from quarantine was received then, not with its batch.
            AND (receipt.released OR NOT EXISTS (
                SELECT FROM quarantine
                WHERE quarantine.location_id = event.location_id AND quarantine.sequence = event.sequence
            ))
        ORDER BY sequence LIMIT :limit OFFSET 0
    ) AS fresh
    ORDER BY receipt.moment, fresh.sequence
    LIMIT :limit
    """
)


def changes(connection: Connection, received: Receipts, cursor: str | None, limit: int = MAX_PAGE) -> ChangesPage:
    """The facts, whole, of up to `limit` transfers that got facts after the cursor (None: from the beginning).

    The connection's snapshot must be younger than `received`. `more`: there is another page now. Raises BadCursor.
    """
    limit = min(limit, MAX_PAGE)
    place = _place(connection, received, cursor)
    transfers, place, more = _settled(connection, received, place, limit)
    if not more and received.given > received.settled:
        transfers, place = _beyond(connection, place, transfers, limit)
    return ChangesPage(facts(connection, list(transfers)), _CURSOR.write(place), more)


def _settled(
    connection: Connection, received: Receipts, place: FactPlace, limit: int
) -> tuple[dict[str, None], FactPlace, bool]:
    """The transfers that got facts up to where the order is complete, the place reached, and whether there are more."""
    transfers: dict[str, None] = {}
    for _ in range(MOST_LOOKS):
        span = ReceiptSpan(ReceiptPlace(place.moment, place.sequence), received.settled)
        some = receipts_in(connection, span, limit=MAX_RECEIPTS)
        untold = [each for each in some if each.moment not in place.told]
        rows = _fresh(connection, untold, limit + 1)
        for row in rows[:limit]:
            if row.transfer_id not in transfers and len(transfers) == limit:
                return transfers, place, True
            transfers[row.transfer_id] = None
            place = _moved(place, row.moment, row.sequence)
        if len(rows) > limit:
            return transfers, place, True
        if len(some) < MAX_RECEIPTS:
            end = max(received.end, ReceiptPlace(place.moment, place.sequence))
            return transfers, _moved(place, *end), False
        place = _moved(place, some[-1].moment, some[-1].last_sequence)
    return transfers, place, True


def _beyond(
    connection: Connection, place: FactPlace, transfers: dict[str, None], limit: int
) -> tuple[dict[str, None], FactPlace]:
    """Also those of transactions that ended before an earlier one: whole receipts, as far as the cursor can say so."""
    span = ReceiptSpan(ReceiptPlace(place.moment, place.sequence), None)
    some = [each for each in receipts_in(connection, span, limit=MAX_RECEIPTS) if each.moment not in place.told]
    by_moment: dict[int, dict[str, None]] = {}
    rows = _fresh(connection, some, limit + 1)
    for row in rows:
        by_moment.setdefault(row.moment, {})[row.transfer_id] = None
    if len(rows) > limit:
        del by_moment[rows[-1].moment]  # it may not be whole
    told = list(place.told)
    for moment, names in by_moment.items():
        if len(told) == MOST_TOLD or len(transfers | names) > limit:
            break
        transfers |= names
        told.append(moment)
    return transfers, place._replace(told=tuple(told))


def _fresh(connection: Connection, received: Sequence[Receipt], limit: int) -> Sequence[Row[Any]]:
    if not received:
        return []
    moments, locations, firsts, lasts, released = (list(column) for column in zip(*received, strict=True))
    given = {"moments": moments, "locations": locations, "firsts": firsts, "lasts": lasts, "released": released}
    return connection.execute(_FRESH, {**given, "limit": limit}).all()


def _moved(place: FactPlace, moment: int, sequence: int) -> FactPlace:
    return FactPlace(moment, sequence, tuple(each for each in place.told if each > moment))


def _place(connection: Connection, received: Receipts, cursor: str | None) -> FactPlace:
    kept = read_cursor(cursor)
    if not isinstance(kept, FactPlace):
        return FactPlace(*min(_of_locations(connection, kept), received.end), ())
    # A restored head office has not given all these moments yet, and will give them to what it gets again.
    at = received.within(ReceiptPlace(kept.moment, kept.sequence))
    return FactPlace(*at, tuple(each for each in kept.told if each <= received.given))


# The positions of a restored head office may be behind those named: then nothing is beyond them yet.
_FIRST_BEYOND: Final = text(
    """
    SELECT min(least(batch.moment, release.moment)) FROM head
    LEFT JOIN unnest(CAST(:locations AS text[]), CAST(:sequences AS bigint[]), CAST(:releases AS bigint[]))
        AS given (location_id, sequence, release) ON given.location_id = head.location_id
    LEFT JOIN LATERAL (
        SELECT received_at AS moment FROM ingest_batch
        WHERE ingest_batch.location_id = head.location_id AND last_sequence > coalesce(given.sequence, 0)
        ORDER BY last_sequence LIMIT 1
    ) AS batch ON true
    LEFT JOIN LATERAL (
        SELECT released_at AS moment FROM quarantine
        WHERE quarantine.location_id = head.location_id AND release_number > coalesce(given.release, 0)
        ORDER BY release_number LIMIT 1
    ) AS release ON true
    """
)


def _of_locations(connection: Connection, at: Mapping[str, tuple[int, int]]) -> ReceiptPlace:
    """The place of a cursor of an older version, which named a sequence and a release number for each location."""
    given = {
        "locations": list(at),
        "sequences": [sequence for sequence, _ in at.values()],
        "releases": [release for _, release in at.values()],
    }
    first: int | None = connection.execute(_FIRST_BEYOND, given).scalar_one()
    return ReceiptPlace(2**62, 0) if first is None else ReceiptPlace(first, 0)


def read_cursor(cursor: str | None) -> FactPlace | Mapping[str, tuple[int, int]]:
    """The place that a cursor names; of one of an older version the position at each location. Raises BadCursor."""
    if not cursor:
        return _START
    kept = _CURSOR.decode(cursor)
    if not isinstance(kept, FactPlace) and any(code_fault(location_id) for location_id in kept):
        raise BadCursor("the cursor names what cannot be a location")
    return kept
