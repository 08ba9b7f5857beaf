"""The events that stand within a cut, as of a moment: what every past figure is summed from."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, ColumnElement, FromClause, Select, exists, literal, select

from head_office.database.schema import EVENT, VOIDED
from head_office.reports.known_at import Cut


def standing_events(cut: Cut, as_of: int | None, *where: ColumnElement[bool]) -> Select[Any]:
    """The rows of `event` that are known within the cut, occurred by `as_of` (None: ever) and are not voided in it.

    A void acts by what is known, not by when it occurred.
    """
    known, unknown = cut.table(), cut.unknown()
    query = select(EVENT).select_from(_within(known)).where(EVENT.c.sequence <= known.c.sequence, *where)
    undone = [
        VOIDED.c.location_id == EVENT.c.location_id,
        VOIDED.c.sequence == EVENT.c.sequence,
        VOIDED.c.by_sequence <= known.c.sequence,
    ]
    if unknown is not None:
        query = query.where(~unknown(EVENT.c.location_id, EVENT.c.sequence))
        undone.append(~unknown(VOIDED.c.location_id, VOIDED.c.by_sequence))
    if as_of is not None:
        query = query.where(EVENT.c.occurred_at <= literal(as_of, BigInteger))
    return query.where(~exists().where(*undone).correlate(EVENT, known))


def _within(known: FromClause) -> FromClause:
    return EVENT.join(known, known.c.location_id == EVENT.c.location_id)
