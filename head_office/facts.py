"""What head office's copy of the logs says of transfers, and which transfers got something new to say.

A fact is an event that names a transfer; one that was voided since (a reversed TRANSFER_OUT) remains a fact. The cursor
of `changes` holds a sequence for each location: a location's events are committed in that order under the lock of its
head, whatever order the transactions of several locations end in, so nothing is ever passed over. Events that came out
of the quarantine carry old sequences; they are followed by their release numbers. Works inside the transaction of the
Connection it is given.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec
from sqlalchemy import Connection, Row, func, literal_column, select, true

from head_office.arrays import BIGINT, TEXT, array, unnest
from head_office.instructions import highest_tokens
from head_office.schema import EVENT, HEAD, INGEST_BATCH, QUARANTINE
from head_office.segments import read_lines
from shared.events import EventType, Id, code_fault
from shared.messages import ChangesPage, Fact, TransferFacts

MAX_PAGE: Final = 1_000
MAX_CURSOR: Final = 1_000_000

_WITH_REASON: Final = frozenset({EventType.TRANSFER_REFUSED, EventType.TRANSFER_LOST, EventType.ADJUSTMENT})
_At = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
_Cursor = dict[Id, tuple[_At, _At]]
_decode_cursor: Final = msgspec.json.Decoder(_Cursor).decode


class BadCursor(ValueError):
    """A cursor that `changes` did not make."""


class _Reason(msgspec.Struct):
    reason: str | None = None


_decode_reason: Final = msgspec.json.Decoder(_Reason).decode


def facts(connection: Connection, transfer_ids: Sequence[str]) -> list[TransferFacts]:
    """Everything the logs say of each transfer, in the order asked; facts by location and sequence."""
    if not transfer_ids:
        return []
    rows = connection.execute(_facts_query(transfer_ids)).all()
    reasons = _reasons(connection, rows)
    found: dict[str, list[Fact]] = {}
    for row in rows:
        fact = Fact(
            location_id=row.location_id,
            sequence=row.sequence,
            type=EventType(row.type),
            item_id=row.item_id,
            quantity=row.quantity,
            reason=reasons.get((row.location_id, row.sequence)),
            occurred_at=row.occurred_at,
            received_at=row.received_at,
        )
        found.setdefault(row.transfer_id, []).append(fact)
    tokens = highest_tokens(connection, transfer_ids)
    return [
        TransferFacts(transfer_id=each, highest_token=tokens.get(each, 0), facts=found.get(each, []))
        for each in transfer_ids
    ]


def _facts_query(transfer_ids: Sequence[str]) -> Any:
    sent = EVENT.alias("sent")
    batch = (
        select(INGEST_BATCH.c.received_at)
        .where(INGEST_BATCH.c.location_id == EVENT.c.location_id, INGEST_BATCH.c.last_sequence >= EVENT.c.sequence)
        .order_by(INGEST_BATCH.c.last_sequence)
        .limit(1)
        .scalar_subquery()
    )
    quantity = func.coalesce(
        func.abs(EVENT.c.in_transit_change), func.abs(sent.c.on_hand_change), EVENT.c.on_hand_change
    )
    return (
        select(
            EVENT.c.transfer_id,
            EVENT.c.location_id,
            EVENT.c.sequence,
            EVENT.c.type,
            EVENT.c.item_id,
            EVENT.c.occurred_at,
            quantity.label("quantity"),
            # One that was quarantined is known from its release on.
            func.coalesce(QUARANTINE.c.released_at, batch).label("received_at"),
        )
        .select_from(
            EVENT.outerjoin(
                sent,
                (sent.c.location_id == EVENT.c.location_id)
                & (sent.c.sequence == EVENT.c.voided_sequence)
                & (EVENT.c.type == EventType.TRANSFER_REVERSED.value),
            ).outerjoin(
                QUARANTINE,
                (QUARANTINE.c.location_id == EVENT.c.location_id) & (QUARANTINE.c.sequence == EVENT.c.sequence),
            )
        )
        .where(EVENT.c.transfer_id.is_not(None), EVENT.c.transfer_id == func.any(array(transfer_ids)))
        .order_by(EVENT.c.transfer_id, EVENT.c.location_id, EVENT.c.sequence)
    )


def _reasons(connection: Connection, rows: Sequence[Row[Any]]) -> dict[tuple[str, int], str | None]:
    """Reasons stand in the canonical lines only; the few events that have one are read from the log."""
    wanted: dict[str, list[int]] = {}
    for row in rows:
        if row.type in _WITH_REASON:
            wanted.setdefault(row.location_id, []).append(row.sequence)
    return {
        (location_id, sequence): _decode_reason(line).reason
        for location_id, sequences in wanted.items()
        for sequence, line in read_lines(connection, location_id, sequences).items()
    }


def changes(connection: Connection, cursor: str | None, limit: int = MAX_PAGE) -> ChangesPage:
    """The facts, whole, of up to `limit` transfers that got facts after the cursor (None: from the beginning).

    Locations take turns, so that a busy one does not hold up the others. Raises BadCursor.
    """
    at = _within(connection, read_cursor(cursor))
    limit = min(limit, MAX_PAGE)
    released = _released_after(connection, at, limit)
    arrived = _arrived_after(connection, at, limit)
    more = len(released) > limit or len(arrived) > limit
    transfers: dict[str, None] = {}
    reached = dict(at)
    for row in [*released, *arrived]:
        if row.transfer_id is not None and row.transfer_id not in transfers:
            if len(transfers) == limit:
                more = True
                break
            transfers[row.transfer_id] = None
        sequence, release = reached.get(row.location_id, (0, 0))
        reached[row.location_id] = (
            sequence if row.sequence is None else row.sequence,
            release if row.release is None else row.release,
        )
    return ChangesPage(facts(connection, list(transfers)), write_cursor(reached), more)


def _within(connection: Connection, at: Mapping[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    """The cursor, nowhere ahead of what there is: a head office that was restored has less than it told of."""
    position = _positions(at)
    newest = (
        select(func.max(QUARANTINE.c.release_number))
        .where(QUARANTINE.c.location_id == HEAD.c.location_id)
        .correlate(HEAD)
        .scalar_subquery()
    )
    rows = connection.execute(
        select(
            HEAD.c.location_id,
            func.least(position.c.sequence, HEAD.c.sequence).label("sequence"),
            func.least(position.c.release, func.coalesce(newest, 0)).label("release"),
        ).select_from(position.join(HEAD, HEAD.c.location_id == position.c.location_id))
    )
    return {row.location_id: (row.sequence, row.release) for row in rows}


def _arrived_after(connection: Connection, at: Mapping[str, tuple[int, int]], limit: int) -> Sequence[Row[Any]]:
    """Up to `limit` + 1 events of transfers after each location's sequence, the locations taking turns."""
    position = _positions(at)
    after = func.coalesce(position.c.sequence, 0)
    news = (
        select(
            EVENT.c.sequence,
            EVENT.c.transfer_id,
            func.row_number().over(order_by=EVENT.c.sequence).label("turn"),
        )
        .where(EVENT.c.location_id == HEAD.c.location_id, EVENT.c.transfer_id.is_not(None), EVENT.c.sequence > after)
        .order_by(EVENT.c.sequence)
        .limit(limit + 1)
        .lateral("news")
    )
    return connection.execute(
        select(HEAD.c.location_id, news.c.sequence, literal_column("NULL::bigint").label("release"), news.c.transfer_id)
        .select_from(HEAD.outerjoin(position, position.c.location_id == HEAD.c.location_id).join(news, true()))
        .order_by(news.c.turn, HEAD.c.location_id)
        .limit(limit + 1)
    ).all()


def _released_after(connection: Connection, at: Mapping[str, tuple[int, int]], limit: int) -> Sequence[Row[Any]]:
    """Up to `limit` + 1 events released from the quarantine after each location's release number."""
    position = _positions(at)
    after = func.coalesce(position.c.release, 0)
    return connection.execute(
        select(
            HEAD.c.location_id,
            literal_column("NULL::bigint").label("sequence"),
            QUARANTINE.c.release_number.label("release"),
            EVENT.c.transfer_id,
        )
        .select_from(
            HEAD.outerjoin(position, position.c.location_id == HEAD.c.location_id)
            .join(QUARANTINE, (QUARANTINE.c.location_id == HEAD.c.location_id) & (QUARANTINE.c.release_number > after))
            .join(
                EVENT, (EVENT.c.location_id == QUARANTINE.c.location_id) & (EVENT.c.sequence == QUARANTINE.c.sequence)
            )
        )
        .order_by(QUARANTINE.c.release_number, HEAD.c.location_id)
        .limit(limit + 1)
    ).all()


def _positions(at: Mapping[str, tuple[int, int]]) -> Any:
    rows = [(location_id, sequence, release) for location_id, (sequence, release) in at.items()]
    return unnest("position", (("location_id", TEXT), ("sequence", BIGINT), ("release", BIGINT)), rows)


def read_cursor(cursor: str | None) -> _Cursor:
    """The sequence and release number reached at each location. Raises BadCursor."""
    if not cursor:
        return {}
    try:
        if len(cursor) > MAX_CURSOR:
            raise BadCursor("the cursor is too long")
        at = _decode_cursor(urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)))
    except (UnicodeEncodeError, binascii.Error, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadCursor("the cursor cannot be read") from error
    if any(code_fault(location_id) for location_id in at):
        raise BadCursor("the cursor names what cannot be a location")
    return at


def write_cursor(at: Mapping[str, tuple[int, int]]) -> str:
    return urlsafe_b64encode(msgspec.json.encode(dict(sorted(at.items())))).rstrip(b"=").decode("ascii")
