"""The events that stand within a cut, as of a moment: what every past figure is summed from."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, select

from head_office.database.schema import EVENT, VOIDED
from head_office.reports.known_at import AsOf, Cut, moment_at
from shared.stock_expressions import EventScope, known, stands


def standing_events(cut: Cut, as_of: AsOf | None, *where: ColumnElement[bool]) -> Select[Any]:
    """Select the rows of `event` that are known within the cut, occurred by `as_of` (None: ever) and
    are not voided in it.
    """
    heads = cut.table()
    moment = None if as_of is None else moment_at(heads.c.location_id, as_of)
    scope = EventScope(moment, heads.c.sequence, cut.unknown())
    within = EVENT.join(heads, heads.c.location_id == EVENT.c.location_id)
    return select(EVENT).select_from(within).where(*where, *known(EVENT, scope), stands(EVENT, VOIDED, scope, heads))
