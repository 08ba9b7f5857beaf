"""Which events of a location are in quarantine, for the answers to its branch."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from head_office.database.schema import QUARANTINE
from shared.messages import QUARANTINED_SHOWN, QuarantineMessage


def in_quarantine_of(connection: Connection, location_id: str) -> QuarantineMessage:
    """Count the events of a location in quarantine, and list the first of them."""
    held = (QUARANTINE.c.location_id == location_id, QUARANTINE.c.released_at.is_(None))
    first = select(QUARANTINE.c.sequence).where(*held).order_by(QUARANTINE.c.sequence).limit(QUARANTINED_SHOWN)
    sequences = tuple(connection.execute(first).scalars())
    count = len(sequences)
    if count == QUARANTINED_SHOWN:
        count = connection.execute(select(func.count()).select_from(QUARANTINE).where(*held)).scalar_one()
    return QuarantineMessage(count=count, sequences=sequences)
