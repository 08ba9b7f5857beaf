"""The freshness of each location's figures: last batch, latest event, events that the branch has not shipped yet."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, exists, func, select

from head_office.database.schema import CONTACT, HEAD, INGEST_BATCH, LOCATION, QUARANTINE
from head_office.reports.known_at import Cut
from shared.messages import OpenCount
from shared.runtime.clock import MINUTE

_decode: Final = msgspec.json.Decoder(list[OpenCount]).decode

MOST_SKEW: Final = MINUTE
"""By how much a branch's clock may be off head office's without a flag, in microseconds."""


class Freshness(msgspec.Struct, frozen=True, kw_only=True):
    """The freshness of one location. Moments are microseconds UTC, None where there was none yet.

    `received_at`: when the last batch arrived. `occurred_at`: the latest moment an event of it occurred.
    `contacted_at`: the last hello, with the branch's log at `branch_sequence` and its clock ahead of head office's by
    `skew` microseconds; then it waited for the rest of `open_counts`, the oldest first. `quarantined`: events in
    quarantine.
    """

    location_id: str
    name: str | None
    epoch: int
    sequence: int
    received_at: int | None
    occurred_at: int | None
    contacted_at: int | None
    branch_sequence: int | None
    verdict: str | None
    quarantined: int
    skew: int | None = None
    open_counts: Sequence[OpenCount] = ()

    @property
    def clock_differs(self) -> bool:
        """Whether the branch's clock is more than `MOST_SKEW` off head office's."""
        return self.skew is not None and abs(self.skew) > MOST_SKEW

    @property
    def behind(self) -> int:
        """The number of events that the branch had at its last hello and that are not in the figures."""
        return max((self.branch_sequence or 0) - self.sequence, 0)

    @property
    def last_contact_at(self) -> int | None:
        """The moment of the last batch or hello, whichever is later."""
        return max((each for each in (self.received_at, self.contacted_at) if each is not None), default=None)


def freshness(
    connection: Connection, location_ids: Collection[str] | None = None, cut: Cut | None = None
) -> dict[str, Freshness]:
    """Read the freshness of the given locations (None: all), by location.

    With the cut of a report known at a moment, the last event and batch are those of the cut, `occurred_at` is None
    where more has arrived since, and nothing is said of what the branch had then. A hello that came later is not
    known, nor the one before it; the events in quarantine are those of that moment.
    """
    known = None if cut is None or cut.known_at is None else cut
    within: list[ColumnElement[bool]] = [QUARANTINE.c.released_at.is_(None)]
    if known is not None:
        of_cut = known.table()
        within = [
            known.quarantined(),
            exists().where(
                of_cut.c.location_id == QUARANTINE.c.location_id, QUARANTINE.c.sequence <= of_cut.c.sequence
            ),
        ]
    held = (
        select(QUARANTINE.c.location_id, func.count().label("events"))
        .where(*within)
        .group_by(QUARANTINE.c.location_id)
        .subquery("held")
    )
    query = (
        select(
            HEAD.c.location_id,
            LOCATION.c.name,
            HEAD.c.epoch,
            HEAD.c.sequence,
            HEAD.c.received_at,
            HEAD.c.occurred_at,
            CONTACT.c.contacted_at,
            CONTACT.c.sequence.label("branch_sequence"),
            CONTACT.c.verdict,
            CONTACT.c.skew,
            CONTACT.c.open_counts,
            func.coalesce(held.c.events, 0).label("quarantined"),
        )
        .select_from(
            HEAD.outerjoin(LOCATION, LOCATION.c.location_id == HEAD.c.location_id)
            .outerjoin(CONTACT, CONTACT.c.location_id == HEAD.c.location_id)
            .outerjoin(held, held.c.location_id == HEAD.c.location_id)
        )
        .order_by(HEAD.c.location_id)
    )
    if location_ids is not None:
        query = query.where(HEAD.c.location_id.in_(location_ids))
    found = {row.location_id: _freshness(row) for row in connection.execute(query)}
    return found if known is None else _within(connection, found, known)


def _freshness(row: Any) -> Freshness:
    stored = row.open_counts
    return Freshness(**{**row._mapping, "open_counts": () if stored is None else _decode(stored)})


def _within(connection: Connection, found: Mapping[str, Freshness], cut: Cut) -> dict[str, Freshness]:
    known = cut.table()
    batch = (INGEST_BATCH.c.location_id == known.c.location_id) & (INGEST_BATCH.c.last_sequence == known.c.sequence)
    query = select(known.c.location_id, INGEST_BATCH.c.received_at).select_from(known.join(INGEST_BATCH, batch))
    received = {row.location_id: row.received_at for row in connection.execute(query)}
    moment = cut.known_at or 0
    return {
        location_id: msgspec.structs.replace(
            each if each.contacted_at is None or each.contacted_at <= moment else _without_contact(each),
            sequence=cut.sequences.get(location_id, 0),
            received_at=received.get(location_id),
            branch_sequence=None,  # of now, so nothing of that moment is behind it
            occurred_at=each.occurred_at if cut.sequences.get(location_id) == each.sequence else None,
        )
        for location_id, each in found.items()
    }


def _without_contact(found: Freshness) -> Freshness:
    return msgspec.structs.replace(found, contacted_at=None, verdict=None, skew=None, open_counts=())
