"""Taking a batch of a branch's log into head office's copy of it (DESIGN 4.2)."""

from __future__ import annotations

from sqlalchemy import Connection

from head_office.refusals import UnknownLocation
from head_office.schema import LOG
from shared import event_log
from shared.messages import EventsAnswer
from shared.wire import Batch


def ingest(connection: Connection, batch: Batch) -> EventsAnswer:
    """Take a batch (`wire.unpack(body)`) in one transaction, which the caller commits.

    Passes over what is here already. Raises UnknownLocation, GapRefused, Forked, Superseded, or wire.BadBatch for a
    batch that does not hold what it says. Sends NOTIFY `larder_facts` with the location when transfers are touched.
    """
    if event_log.read_head(connection, LOG, batch.header.location_id, lock=True) is None:
        raise UnknownLocation(batch.header.location_id)
    raise UnknownLocation(batch.header.location_id)
