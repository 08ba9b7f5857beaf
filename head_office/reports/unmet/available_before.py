"""What was available just before a command, by the fold: what a reservation was refused for.

Works inside the transaction of the Connection it is given; one statement for many of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, select, true

from head_office.database.arrays import BIGINT, TEXT, unnest
from head_office.database.schema import EVENT, VOIDED
from head_office.reports.known_at import Cut
from shared.stock_expressions import (
    EventScope,
    after_count,
    is_count,
    known,
    moved,
    newest_first,
    on_hand,
    reserved,
    stands,
)


class BeforeCommand(NamedTuple):
    """Stock of the `codes` of an item as the branch had it: by its log up to a sequence, reservations that had expired
    by `moment` (microseconds UTC) left out."""

    location_id: str
    codes: Sequence[str]
    through: int
    moment: int


def available_before(connection: Connection, cut: Cut, wanted: Sequence[BeforeCommand]) -> list[int]:
    """What was available of each, in thousandths. What the cut does not know counts for nothing."""
    rows = [
        (number, each.location_id, code, each.through, each.moment)
        for number, each in enumerate(wanted)
        for code in each.codes
    ]
    columns = (("number", BIGINT), ("location_id", TEXT), ("item_id", TEXT), ("through", BIGINT), ("moment", BIGINT))
    asked = unnest("asked", columns, rows)
    within = EventScope(None, asked.c.through, cut.unknown())
    of_code = (
        EVENT.c.location_id == asked.c.location_id,
        EVENT.c.item_id == asked.c.item_id,
        *known(EVENT, within),
        stands(EVENT, VOIDED, within, asked),
    )
    count = (
        select(EVENT.c.occurred_at, EVENT.c.sequence, EVENT.c.counted)
        .where(is_count(EVENT), *of_code)
        .order_by(*newest_first(EVENT))
        .limit(1)
        .correlate(asked)
        .lateral("last_count")
    )
    moved_since = select(moved(EVENT)).where(after_count(EVENT, count), *of_code).correlate(asked, count)
    held = reserved(EVENT, *of_code, expired_by=asked.c.moment, outer=asked)
    available = on_hand(count, moved_since.scalar_subquery()) - held
    query = select(asked.c.number, available.label("available")).select_from(asked.outerjoin(count, true()))
    found = [0] * len(wanted)
    for row in connection.execute(query):
        found[row.number] += int(row.available)
    return found
