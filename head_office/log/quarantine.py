"""The quarantine: events that verify but cannot be folded, their list, and the retry after an upgrade.

An event in quarantine is in the log like every other (its line is in its segment), but has no row in `event` and no
effect. It is known from the retry that folds it. Works inside the transaction of the Connection it is given.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, Row, func, select

from head_office.database.arrays import BIGINT, unnest
from head_office.database.log_segments import hash_at, read_lines, read_lines_of
from head_office.database.schema import EVENT, HEAD, QUARANTINE
from head_office.log.appender import Appender, storable_reason
from head_office.log.decoder import Decoded, decode_lines
from head_office.log.ingest import lock_head
from shared.chain import EMPTY, understand
from shared.events import EventType

PAGE: Final = 1_000


class Quarantined(msgspec.Struct, frozen=True, kw_only=True):
    """An event in quarantine: why, and what could be read of it. `line` is its canonical line as far as it is text."""

    location_id: str
    sequence: int
    hash: str
    reason: str
    type: str | None
    item_id: str | None
    transfer_id: str | None
    occurred_at: int | None
    received_at: int
    released_at: int | None
    line: str


class Retried(NamedTuple):
    """How many events a retry folded, and how many remain in quarantine."""

    released: int
    remaining: int


def listed(
    connection: Connection,
    *,
    location_id: str | None = None,
    released: bool = False,
    after: tuple[str, int] | None = None,
    limit: int = 100,
) -> list[Quarantined]:
    """Events in quarantine (`released`: events that a retry folded), by location and sequence, after such a pair."""
    query = select(QUARANTINE).order_by(QUARANTINE.c.location_id, QUARANTINE.c.sequence).limit(limit)
    query = query.where(QUARANTINE.c.released_at.is_not(None) if released else QUARANTINE.c.released_at.is_(None))
    if location_id is not None:
        query = query.where(QUARANTINE.c.location_id == location_id)
    if after is not None:
        query = query.where(
            (QUARANTINE.c.location_id > after[0])
            | ((QUARANTINE.c.location_id == after[0]) & (QUARANTINE.c.sequence > after[1]))
        )
    rows = connection.execute(query).all()
    lines = read_lines_of(connection, [(row.location_id, row.sequence) for row in rows])
    return [_quarantined(row, lines[row.location_id, row.sequence]) for row in rows]


def _quarantined(row: Row[Any], line: bytes) -> Quarantined:
    return Quarantined(
        location_id=row.location_id,
        sequence=row.sequence,
        hash=bytes(row.hash).hex(),
        reason=row.reason,
        type=row.type,
        item_id=row.item_id,
        transfer_id=row.transfer_id,
        occurred_at=row.occurred_at,
        received_at=row.received_at,
        released_at=row.released_at,
        line=line.decode("utf-8", "replace"),
    )


def count_held(connection: Connection) -> dict[str, int]:
    """The number of events in quarantine by location; locations without any are left out."""
    counts = (
        select(QUARANTINE.c.location_id, func.count().label("events"))
        .where(QUARANTINE.c.released_at.is_(None))
        .group_by(QUARANTINE.c.location_id)
        .order_by(QUARANTINE.c.location_id)
    )
    return {row.location_id: row.events for row in connection.execute(counts)}


def retry(connection: Connection, location_id: str) -> Retried:
    """Check the events of a location in quarantine again, in order, and fold those that can be folded now.

    Holds the location's head until the transaction ends. Raises UnknownLocation.
    """
    head = lock_head(connection, location_id)
    epochs = epochs_of(connection, location_id)
    released: list[int] = []
    remaining = after = 0
    with Appender(connection, location_id, EMPTY.epoch) as appender:
        while page := _page(connection, location_id, after):
            after = page[-1].sequence
            lines = read_lines(connection, location_id, [row.sequence for row in page])
            for epoch, run in groupby(page, key=lambda row: epoch_at(epochs, row.sequence)):
                rows = list(run)
                appender.context.epoch = max(appender.context.epoch, epoch)
                appender.append(_decoded(connection, location_id, rows, lines), late=True)
                unfit = {each.sequence: each.reason for each in appender.unfoldable}
                appender.unfoldable.clear()
                released += [row.sequence for row in rows if row.sequence not in unfit]
                remaining += len(unfit)
                appender.finish_rows()
                _renew_reasons(connection, rows, unfit)
        if released:
            appender.complete()
            appender.write_figures()
            _release(connection, location_id, released)
            epoch = max(head.epoch, appender.context.epoch)
            occurred_at = func.greatest(HEAD.c.occurred_at, appender.occurred_at)
            connection.execute(
                HEAD.update().where(HEAD.c.location_id == location_id).values(epoch=epoch, occurred_at=occurred_at)
            )
    return Retried(len(released), remaining)


def _page(connection: Connection, location_id: str, after: int) -> Sequence[Row[Any]]:
    return connection.execute(
        select(QUARANTINE)
        .where(
            QUARANTINE.c.location_id == location_id,
            QUARANTINE.c.released_at.is_(None),
            QUARANTINE.c.sequence > after,
        )
        .order_by(QUARANTINE.c.sequence)
        .limit(PAGE)
    ).all()


def epochs_of(connection: Connection, location_id: str) -> list[tuple[int, int]]:
    """(sequence, epoch) of every EPOCH_OPENED that was folded."""
    opened = select(EVENT.c.sequence).where(
        EVENT.c.location_id == location_id, EVENT.c.type == EventType.EPOCH_OPENED.value
    )
    lines = read_lines(connection, location_id, connection.execute(opened).scalars())
    return [(sequence, understand(lines[sequence]).epoch) for sequence in sorted(lines)]


def epoch_at(epochs: list[tuple[int, int]], sequence: int) -> int:
    """The epoch of the event at a sequence, by what `epochs_of` found."""
    place = bisect_left(epochs, (sequence, 0))
    return epochs[place - 1][1] if place else EMPTY.epoch


def _decoded(connection: Connection, location_id: str, rows: Sequence[Row[Any]], lines: Mapping[int, bytes]) -> Decoded:
    sequences = [row.sequence for row in rows]
    # Only the fold check of an EPOCH_OPENED needs the hash before it.
    before = [
        (hash_at(connection, location_id, row.sequence - 1) or b"") if row.type == EventType.EPOCH_OPENED else b""
        for row in rows
    ]
    return decode_lines(sequences, [lines[each] for each in sequences], before, [bytes(row.hash) for row in rows])


def _renew_reasons(connection: Connection, rows: Sequence[Row[Any]], unfit: Mapping[int, str]) -> None:
    """Store the reasons again: after an upgrade another one may apply."""
    for row in rows:
        reason = storable_reason(unfit.get(row.sequence, row.reason))
        if reason != row.reason:
            connection.execute(
                QUARANTINE.update()
                .where(QUARANTINE.c.location_id == row.location_id, QUARANTINE.c.sequence == row.sequence)
                .values(reason=reason)
            )


def _release(connection: Connection, location_id: str, sequences: Sequence[int]) -> None:
    """Record that these events are known from now on, numbered on from the location's last release."""
    newest = select(func.max(QUARANTINE.c.release_number)).where(QUARANTINE.c.location_id == location_id)
    last = connection.execute(newest).scalar_one() or 0
    moment = int(connection.execute(select(func.larder_received_at())).scalar_one())
    numbered = unnest(
        "numbered",
        (("sequence", BIGINT), ("number", BIGINT)),
        [(sequence, last + place) for place, sequence in enumerate(sequences, start=1)],
    )
    connection.execute(
        QUARANTINE.update()
        .where(QUARANTINE.c.location_id == location_id, QUARANTINE.c.sequence == numbered.c.sequence)
        .values(released_at=moment, release_number=numbered.c.number)
    )
