"""Runs of calls: those answered with one verdict, without a silence of 24 hours between them.

`contact` keeps the last call alone. By the runs a report of a past moment knows whether the branch had called in the 24
hours before it and what it was told, and that never changes once the moment is past. Works inside the transaction of
the Connection it is given; moments are microseconds UTC.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert

from head_office.database.contact_tables import CONTACT_RUN, GOES_ON
from head_office.database.schema import CONTACT, now
from shared.messages import Verdict
from shared.runtime.clock import DAY, MINUTE

SILENCE: Final = DAY
"""A branch that has not called for so long is silent, and its next call begins another run."""

_SOON: Final = 60 * MINUTE
"""A call so soon after the one before changes nothing that was said of any moment, so no report waits for it."""


def moment_of_call(connection: Connection, location_id: str, verdict: Verdict) -> int:
    """Take the moment of a branch's call that is answered with this verdict, and begin a run where it is another one.

    To be called before the call is kept in `contact`, whose row stays locked. Nearly always it only reads.
    """
    previous = connection.execute(
        select(CONTACT.c.contacted_at, CONTACT_RUN.c.verdict)
        .select_from(CONTACT.outerjoin(CONTACT_RUN, (CONTACT_RUN.c.location_id == CONTACT.c.location_id) & GOES_ON))
        .where(CONTACT.c.location_id == location_id)
        .with_for_update(of=CONTACT)
    ).one_or_none()
    moment = now(connection)
    same = previous is not None and previous.verdict == verdict.value
    if previous is not None and same and moment - previous.contacted_at < _SOON:
        return moment
    # From here on a report known at a moment waits until this transaction ends, as for an ingest.
    moment = int(connection.execute(select(func.larder_received_at())).scalar_one())
    if previous is not None and same and moment - previous.contacted_at < SILENCE:
        return moment
    if previous is not None:
        ended_at = func.greatest(CONTACT_RUN.c.began_at, previous.contacted_at)
        connection.execute(
            update(CONTACT_RUN).where(CONTACT_RUN.c.location_id == location_id, GOES_ON).values(ended_at=ended_at)
        )
    # Of two first calls at the same time one begins the run.
    begun = insert(CONTACT_RUN).values(location_id=location_id, began_at=moment, verdict=verdict.value)
    connection.execute(begun.on_conflict_do_nothing())
    return moment
