"""SQL expressions of the balance rule: the one place where set-based SQL takes it from.

`shared.stock` is the authority; its docstring names every statement that is built from these expressions, with the test
that holds the statement to the fold. Each function takes tables, aliases or subqueries with the columns of `event` and
returns a SQLAlchemy Core expression that works on SQLite and PostgreSQL. Quantities are thousandths, times microseconds
UTC. Nothing here runs SQL.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Numeric,
    ScalarSelect,
    Select,
    Subquery,
    and_,
    cast,
    exists,
    func,
    or_,
    select,
    tuple_,
)

from shared.events import EventType
from shared.stock import BEGINNING

Unknown = Callable[[ColumnElement[str], ColumnElement[int]], ColumnElement[bool]]
"""Gives, for a location_id and a sequence, the condition that the event was not known at the cut."""


class EventScope(NamedTuple):
    """Which events a statement counts; None: no bound.

    `moment`: those that occurred at or before it (as of). `known_through`: those up to this sequence. `unknown`: not
    those for which it holds, though their sequence is within `known_through`.
    """

    moment: ColumnElement[int] | None = None
    known_through: ColumnElement[int] | None = None
    unknown: Unknown | None = None


EVERYTHING = EventScope()


def known(event: FromClause, scope: EventScope) -> list[ColumnElement[bool]]:
    """The conditions for an event to be within the scope, voided or not."""
    conditions: list[ColumnElement[bool]] = []
    if scope.moment is not None:
        conditions.append(event.c.occurred_at <= scope.moment)
    if scope.known_through is not None:
        conditions.append(event.c.sequence <= scope.known_through)
    if scope.unknown is not None:
        conditions.append(~scope.unknown(event.c.location_id, event.c.sequence))
    return conditions


def stands(event: FromClause, voided: FromClause, scope: EventScope, *outer: FromClause) -> ColumnElement[bool]:
    """An event is not voided or reversed by a known event. A void acts by what is known, not by when it occurred.

    `voided` is the table of voids, `outer` what else of the enclosing statement the scope refers to.
    """
    void = voided.alias()
    undone = [void.c.location_id == event.c.location_id, void.c.sequence == event.c.sequence]
    if scope.known_through is not None:
        undone.append(void.c.by_sequence <= scope.known_through)
    if scope.unknown is not None:
        undone.append(~scope.unknown(void.c.location_id, void.c.by_sequence))
    # Left to itself it correlates with the nearest query only, and would read all of `outer` again.
    return ~exists().where(*undone).correlate(event, *outer)


def voids_in(event: FromClause, *where: ColumnElement[bool]) -> Select[Any]:
    """What the table of voids must hold by the log: (location_id, sequence, by_sequence)."""
    return select(
        event.c.location_id, event.c.voided_sequence.label("sequence"), event.c.sequence.label("by_sequence")
    ).where(*where, event.c.voided_sequence.is_not(None))


# An event's place in its location's history is (occurred_at, sequence); time alone is never an order.


def in_order(event: FromClause) -> tuple[ColumnElement[int], ColumnElement[int]]:
    """The columns to order by for the order of place."""
    return event.c.occurred_at, event.c.sequence


def newest_first(event: FromClause) -> tuple[ColumnElement[int], ColumnElement[int]]:
    """The columns to order by for the reverse order of place."""
    return event.c.occurred_at.desc(), event.c.sequence.desc()


def before(event: FromClause, other: FromClause) -> ColumnElement[bool]:
    """An event's place is before that of another one; null where there is no other one."""
    return tuple_(*in_order(event)) < tuple_(*in_order(other))


def after_count(event: FromClause, count: FromClause) -> ColumnElement[bool]:
    """An event's place is after that of a count, which may be missing (an outer join): then every place is after it."""
    start = tuple_(
        func.coalesce(count.c.occurred_at, BEGINNING.occurred_at), func.coalesce(count.c.sequence, BEGINNING.sequence)
    )
    return tuple_(*in_order(event)) > start


# On hand is what the last standing count found, and what moved after it.


def is_count(event: FromClause) -> ColumnElement[bool]:
    """An event is a count."""
    return event.c.counted.is_not(None)


def moved(event: FromClause, only: ColumnElement[bool] | None = None) -> ColumnElement[int]:
    """The aggregate of what events (those for which `only` holds) added to on hand."""
    total: Any = func.sum(event.c.on_hand_change)
    return cast(func.coalesce(total if only is None else total.filter(only), 0), BigInteger)


def on_hand(count: FromClause, moved_after: ColumnElement[int]) -> ColumnElement[int]:
    """On hand by the last count, which may be missing (an outer join), and by what moved after it."""
    return func.coalesce(count.c.counted, 0) + moved_after


def count_variances(events: FromClause) -> Subquery:
    """The variance (counted minus expected) of every count among standing `events`, by one pass over all of them.

    Columns: location_id, item_id, variance.
    """
    pair = (events.c.location_id, events.c.item_id)
    running = func.sum(func.coalesce(events.c.on_hand_change, 0)).over(partition_by=pair, order_by=in_order(events))
    totals = select(events, cast(running, Numeric).label("running")).subquery()
    window: dict[str, Any] = {"partition_by": (totals.c.location_id, totals.c.item_id), "order_by": in_order(totals)}
    # The condition of this statement applies before its window functions, so `lag` gives the count before.
    previous = func.coalesce(func.lag(totals.c.counted).over(**window), 0)
    moved_since = totals.c.running - func.coalesce(func.lag(totals.c.running).over(**window), 0)
    variance = totals.c.counted - (previous + moved_since)
    return select(totals.c.location_id, totals.c.item_id, variance.label("variance")).where(is_count(totals)).subquery()


# Goods that arrived or came back before the last count and were recorded after it: the item should be counted again.


def received_late(event: FromClause, count: FromClause) -> ColumnElement[bool]:
    """An event is a receipt that occurred before a count and was recorded after it."""
    return and_(event.c.type == EventType.TRANSFER_IN.value, event.c.sequence > count.c.sequence, before(event, count))


def returned_late(event: FromClause, sent: FromClause, count: FromClause) -> ColumnElement[bool]:
    """An event reverses `sent`, which occurred before a count, and was recorded after that count."""
    return and_(
        event.c.type == EventType.TRANSFER_REVERSED.value,
        event.c.sequence > count.c.sequence,
        sent.c.location_id == event.c.location_id,
        sent.c.sequence == event.c.voided_sequence,
        before(sent, count),
    )


# What is reserved is what is left of each reservation that has not expired. Counts leave it alone.


def reserved_sum(event: FromClause) -> ColumnElement[int]:
    """The aggregate of what events added to what is reserved, expired or not."""
    return cast(func.coalesce(func.sum(event.c.reserved_change), 0), BigInteger)


def reserved(
    event: FromClause, *where: ColumnElement[bool], expired_by: ColumnElement[int] | None, outer: FromClause
) -> ScalarSelect[int]:
    """What is reserved by the events for which `where` holds: the sum over reservations not expired by a moment.

    Without a moment every reservation counts. `outer` is the row of the enclosing statement that `where` refers to.
    """
    columns: list[ColumnElement[Any]] = [event.c.reserved_change]
    if expired_by is not None:
        # A reservation lasts until the expiry of its newest event that has one, by sequence.
        newest = (event.c.expires_at.is_(None), event.c.sequence.desc())
        expiry = func.first_value(event.c.expires_at).over(partition_by=event.c.reservation_id, order_by=newest)
        columns.append(expiry.label("expiry"))
    changes = select(*columns).where(*where, event.c.reservation_id.is_not(None)).correlate(outer).subquery()
    total = select(cast(func.coalesce(func.sum(changes.c.reserved_change), 0), BigInteger))
    if expired_by is not None:
        total = total.where(or_(changes.c.expiry.is_(None), changes.c.expiry > expired_by))
    return total.correlate(outer).scalar_subquery()
