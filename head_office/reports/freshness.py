"""How fresh the figures of each location are: what arrived last, what happened last, what the branch still has."""

from __future__ import annotations

from collections.abc import Collection

import msgspec
from sqlalchemy import Connection, func, select

from head_office.database.schema import CONTACT, HEAD, LOCATION, QUARANTINE


class Freshness(msgspec.Struct, frozen=True, kw_only=True):
    """One location. Moments are microseconds UTC, None where there was none yet.

    `received_at`: the last batch arrived. `occurred_at`: the latest moment any of its events happened. `contacted_at`:
    the branch's node last called, with its own log at `branch_sequence`. `quarantined`: events that wait unfolded.
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

    @property
    def behind(self) -> int:
        """How many events the branch had at its last call that are not here."""
        return max((self.branch_sequence or 0) - self.sequence, 0)

    @property
    def heard_at(self) -> int | None:
        """The last moment anything came from the branch, events or not."""
        return max((each for each in (self.received_at, self.contacted_at) if each is not None), default=None)


def freshness(connection: Connection, location_ids: Collection[str] | None = None) -> dict[str, Freshness]:
    """The freshness of the given locations (None: of all), by location."""
    held = (
        select(QUARANTINE.c.location_id, func.count().label("events"))
        .where(QUARANTINE.c.released_at.is_(None))
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
    return {row.location_id: Freshness(**row._mapping) for row in connection.execute(query)}
