"""The folded events of a log that concern a projection which few events touch, found in one pass over the lines.

Works inside the transaction of the Connection it is given.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from sqlalchemy import Connection, select

from head_office.database.log_segments import frames
from head_office.database.schema import QUARANTINE
from shared.chain import understand
from shared.events import Event, EventNotUnderstood
from shared.orders.inbound_orders import INBOUND_KEYS
from shared.purchases.delivered_lines import PURCHASE_ORDER
from shared.wire import frame_lines

_ANSWER: Final = INBOUND_KEYS.encode()
_DELIVERY: Final = f'"{PURCHASE_ORDER}"'.encode()


class MarkedEvents(NamedTuple):
    """The events of a stored frame in whose lines a mark stands; `last` is the frame's last sequence."""

    last: int
    events: list[Event]


def marked_events(connection: Connection, location_id: str) -> Iterator[MarkedEvents]:
    """Read every line of a location's log, frame by frame, and decode those with a mark that were folded.

    Raises wire.BadBatch where a stored frame no longer unpacks.
    """
    held = select(QUARANTINE.c.sequence).where(
        QUARANTINE.c.location_id == location_id, QUARANTINE.c.released_at.is_(None)
    )
    unfolded = set(connection.execute(held).scalars())
    for frame in frames(connection, location_id):
        events: list[Event] = []
        for sequence, line in enumerate(frame_lines(frame), frame.first_sequence):
            # Few lines have one, and looking for it costs next to nothing beside decoding a line.
            if (_ANSWER not in line and _DELIVERY not in line) or sequence in unfolded:
                continue
            try:
                events.append(understand(line))
            except EventNotUnderstood:
                continue  # its row says that it was folded: verification finds that it cannot be
        yield MarkedEvents(frame.last_sequence, events)
