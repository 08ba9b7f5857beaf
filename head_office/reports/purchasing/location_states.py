"""How far the figures of each location can be trusted at a moment: FRESH, BLIND or INCOMPLETE.

At a past moment by what is kept, which never changes: the batches received, the events in quarantine, the runs of
calls. Moments are microseconds UTC. Works inside the transaction of the Connection it is given.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import BigInteger, Connection, func, literal, select
from sqlalchemy.dialects.postgresql import distinct_on

from head_office.database.arrays import array
from head_office.database.contact_tables import CONTACT_RUN
from head_office.database.schema import CONTACT
from head_office.log.contact.contact_runs import SILENCE
from head_office.reports.freshness import Freshness, freshness
from head_office.reports.known_at import Cut
from head_office.reports.purchasing.purchasing_records import LocationState
from shared.messages import Verdict


class LastCall(NamedTuple):
    """The last call that is known of at a moment, or a later one within 24 hours of it, and how it was answered."""

    heard_at: int
    verdict: str


class StateOfLocation(NamedTuple):
    """The state of a location and the freshness that it follows from."""

    state: LocationState
    freshness: Freshness


def location_states(
    connection: Connection, cut: Cut, location_ids: Collection[str], *, given: bool
) -> dict[str, StateOfLocation]:
    """Read the states at the cut's moment. `given`: without what is not kept of the last call."""
    known_at = cut.known_at or 0
    calls = _last_calls(connection, known_at, location_ids)
    found = freshness(connection, location_ids, cut)
    live = {} if given else freshness(connection, location_ids)
    return {
        place: _state(_of_now(each, live[place]) if place in live else _as_kept(each), calls.get(place), known_at)
        for place, each in found.items()
    }


def _state(found: Freshness, call: LastCall | None, known_at: int) -> StateOfLocation:
    heard = [each for each in (found.received_at, None if call is None else call.heard_at) if each is not None]
    if not heard or known_at - max(heard) >= SILENCE:
        return StateOfLocation(LocationState.BLIND, found)
    doubtful = call is not None and call.verdict != Verdict.OK.value
    if found.quarantined or found.behind or doubtful:
        return StateOfLocation(LocationState.INCOMPLETE, found)
    return StateOfLocation(LocationState.FRESH, found)


def _as_kept(found: Freshness) -> Freshness:
    """Without what is of the last call, and without the latest event, of which only the newest is kept."""
    return msgspec.structs.replace(
        found, occurred_at=None, contacted_at=None, branch_sequence=None, verdict=None, skew=None, open_counts=()
    )


def _of_now(found: Freshness, live: Freshness) -> Freshness:
    return msgspec.structs.replace(
        live, sequence=found.sequence, received_at=found.received_at, quarantined=found.quarantined
    )


def _last_calls(connection: Connection, known_at: int, location_ids: Collection[str]) -> dict[str, LastCall]:
    run = CONTACT_RUN.c
    heard_at = func.least(func.coalesce(run.ended_at, CONTACT.c.contacted_at), literal(known_at, BigInteger))
    query: Any = (
        select(run.location_id, run.verdict, heard_at.label("heard_at"))
        .ext(distinct_on(run.location_id))
        .select_from(CONTACT_RUN.join(CONTACT, CONTACT.c.location_id == run.location_id))
        .where(run.location_id == func.any(array(sorted(location_ids))))
        .where(run.began_at <= literal(known_at, BigInteger))
        .order_by(run.location_id, run.began_at.desc())
    )
    return {row.location_id: LastCall(row.heard_at, row.verdict) for row in connection.execute(query)}
