"""The order of receipt, which the group's event list and the feed of facts follow.

A transaction that receives events, an ingest or a retry of the quarantine, takes one moment, which nobody else has, and
its events have that moment in the order of their sequences. Moments are not given in the order of commits, so a reader
follows them only up to the moment until which all transactions have ended (`settled`).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, Connection, Select, false, func, literal, or_, select, true, union_all

from head_office.database.arrays import array
from head_office.database.schema import INGEST_BATCH, QUARANTINE
from shared.runtime.http.cursor import Whole


class ReceiptPlace(NamedTuple):
    """A place in the order of receipt: what follows was received later, or at that moment with a higher sequence."""

    moment: Whole
    sequence: Whole


BEGINNING: Final = ReceiptPlace(0, 0)
NEWEST: Final = ReceiptPlace(2**62, 0)


class Receipts(NamedTuple):
    """How far the order of receipt is complete, and the last moment that was given to anybody."""

    settled: int
    given: int

    @property
    def end(self) -> ReceiptPlace:
        """The place behind all that is settled."""
        return ReceiptPlace(self.settled + 1, 0)

    def within(self, place: ReceiptPlace) -> ReceiptPlace:
        """A place that a cursor names; in a database that was restored, which has not given its moment yet, the end."""
        return min(place, ReceiptPlace(self.given + 1, 0))


def receipts(connection: Connection) -> Receipts:
    """Read how far the order of receipt is complete: for statements whose snapshot is taken after this call.

    So it is called in READ COMMITTED, or in a transaction of its own.
    """
    found = func.larder_receipts().table_valued("settled", "given")
    row = connection.execute(select(found.c.settled, found.c.given)).one()
    return Receipts(row.settled, row.given)


class Receipt(NamedTuple):
    """Events of one location received at one moment: consecutive ones, or one that came out of quarantine."""

    moment: int
    location_id: str
    first_sequence: int
    last_sequence: int
    released: bool


class ReceiptSpan(NamedTuple):
    """What is read in the order of receipt: from behind a place up to a moment (None: all that is visible).

    `newest_first`: from before the place backwards.
    """

    place: ReceiptPlace
    until: int | None
    newest_first: bool = False


def receipts_in(
    connection: Connection, span: ReceiptSpan, *, location_ids: Collection[str] | None = None, limit: int
) -> list[Receipt]:
    """Up to `limit` receipts of a span in its order. Sequences that its place excludes are cut off."""
    batches = select(
        INGEST_BATCH.c.received_at.label("moment"),
        INGEST_BATCH.c.location_id,
        INGEST_BATCH.c.first_sequence,
        INGEST_BATCH.c.last_sequence,
        false().label("released"),
    )
    releases = select(
        QUARANTINE.c.released_at.label("moment"),
        QUARANTINE.c.location_id,
        QUARANTINE.c.sequence.label("first_sequence"),
        QUARANTINE.c.sequence.label("last_sequence"),
        true().label("released"),
    ).where(QUARANTINE.c.released_at.is_not(None))
    parts = [_within(each, span, location_ids).limit(limit).subquery() for each in (batches, releases)]
    both = union_all(*(select(part) for part in parts)).subquery()
    query = _ordered(select(both), span).limit(limit)
    return [_cut_off(Receipt(*row), span) for row in connection.execute(query)]


def _within(query: Select[Any], span: ReceiptSpan, location_ids: Collection[str] | None) -> Select[Any]:
    moment, location_id, first, last, _ = query.selected_columns
    at, sequence = literal(span.place.moment, BigInteger), literal(span.place.sequence, BigInteger)
    if span.newest_first:
        query = query.where(moment <= at, or_(moment < at, first < sequence))
    else:
        query = query.where(moment >= at, or_(moment > at, last > sequence))
    if span.until is not None:
        query = query.where(moment <= literal(span.until, BigInteger))
    if location_ids is not None:
        query = query.where(location_id == func.any(array(sorted(location_ids))))
    return _ordered(query, span)


def _ordered(query: Select[Any], span: ReceiptSpan) -> Select[Any]:
    moment, _, first, *_ = query.selected_columns
    return query.order_by(moment.desc(), first.desc()) if span.newest_first else query.order_by(moment, first)


def _cut_off(receipt: Receipt, span: ReceiptSpan) -> Receipt:
    if receipt.moment != span.place.moment:
        return receipt
    if span.newest_first:
        return receipt._replace(last_sequence=min(receipt.last_sequence, span.place.sequence - 1))
    return receipt._replace(first_sequence=max(receipt.first_sequence, span.place.sequence + 1))
