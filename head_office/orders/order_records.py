"""Routed orders as routes and commands answer them: what was told, who was asked, and what is waited for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Connection, select, true, tuple_

from head_office.database.order_tables import ORDER_INSTRUCTION, ROUTED_ORDER
from head_office.orders.order_course import RoutedOrderState, home_of, state_of
from head_office.orders.routed_order_rows import read_orders
from head_office.orders.routed_orders import OrderName, RoutedOrder, ShortOfItem, StoredAsk, StoredEvent
from head_office.reports.freshness import freshness
from head_office.reports.report_records import FreshnessOut, freshness_out
from shared.event_record import Moment, Number, moment_text
from shared.events import quantity_json
from shared.orders.order_event_inputs import OrderEventKind
from shared.orders.order_outcomes import OrderOutcome, RecordedOutcome
from shared.runtime.http.cursor import Cursor

BY_ORDER: Final[Cursor[OrderName]] = Cursor(OrderName)
"""The cursor of the list, in the order of sources and ids."""


class OrderShort(msgspec.Struct, frozen=True, kw_only=True):
    """An item that an order lacks; `available` is null where a branch refused it: see its log."""

    item_id: str
    unit: str | None
    asked: Number
    available: Number | None


class AskedRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A location that was asked to take an event; `outcome` is null until its log has answered.

    `number`: that of the event, in `told`. `freshness` says whether the location is heard of.
    """

    number: int
    kind: OrderEventKind
    event_id: str
    location_id: str
    asked_at: Moment
    outcome: OrderOutcome | None
    reason: str | None
    short: list[OrderShort]
    answered_at: Moment | None
    reservation_id: str | None
    freshness: FreshnessOut | None


class ToldRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An event that was told of an order, and what became of it; `outcome` is null until that is known.

    `location_id`: the location that it names.
    """

    number: int
    kind: OrderEventKind
    event_id: str
    event_source: str
    revision: int
    location_id: str | None
    told_at: Moment
    outcome: OrderOutcome | None
    reason: str | None
    short: list[OrderShort]
    settled_at: Moment | None


class RoutedOrderSummary(msgspec.Struct, frozen=True, kw_only=True):
    """An order that another system told head office of. `location_id` has it, or is asked for it.

    `waits_for`: the location whose answer is waited for; `since`: since when.
    """

    source: str
    order_id: str
    revision: int
    state: RoutedOrderState
    location_id: str | None
    cancelled: bool
    told_at: Moment
    waits_for: str | None
    since: Moment | None
    freshness: FreshnessOut | None


class RoutedOrderRecord(RoutedOrderSummary, frozen=True, kw_only=True):
    """An order with all that was told of it and everybody who was asked, each in its order."""

    asked: list[AskedRecord]
    told: list[ToldRecord]


class RoutedOrderPage(msgspec.Struct, frozen=True, kw_only=True):
    """Orders by source and id."""

    items: list[RoutedOrderSummary]
    next: str | None


class OrderFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What the listed orders have in common; None: any. `location_id` has the order, or is asked for it."""

    source: str | None = None
    state: RoutedOrderState | None = None
    location_id: str | None = None


class ListedOrder(NamedTuple):
    """An order as its own row has it, and the first location that has not answered yet."""

    source: str
    order_id: str
    revision: int
    state: str
    location_id: str | None
    cancelled: bool
    told_at: int
    waits_for: str | None
    since: int | None

    @property
    def name(self) -> OrderName:
        return OrderName(self.source, self.order_id)


def list_orders(
    connection: Connection, wanted: OrderFilter, *, after: OrderName | None = None, limit: int = 100
) -> list[ListedOrder]:
    """Orders in the order of their sources and ids."""
    row = ROUTED_ORDER.c
    conditions: list[ColumnElement[bool]] = []
    if wanted.source is not None:
        conditions.append(row.source == wanted.source)
    if wanted.state is not None:
        conditions.append(row.state == wanted.state.value)
    if wanted.location_id is not None:
        conditions.append(row.location_id == wanted.location_id)
    if after is not None:
        conditions.append(tuple_(row.source, row.order_id) > tuple_(*after))
    place = (row.source, row.order_id)
    page = select(ROUTED_ORDER).where(*conditions).order_by(*place).limit(limit).subquery("page")
    asked = ORDER_INSTRUCTION.c
    waits = (
        select(asked.location_id, asked.asked_at)
        .where(asked.source == page.c.source, asked.order_id == page.c.order_id, asked.answer.is_(None))
        .order_by(asked.step)
        .limit(1)
        .lateral("waits")
    )
    columns = [page.c[name] for name in ListedOrder._fields[:-2]]
    query = select(*columns, waits.c.location_id.label("waits_for"), waits.c.asked_at.label("since"))
    query = query.select_from(page.outerjoin(waits, true())).order_by(page.c.source, page.c.order_id)
    return [ListedOrder(**each._mapping) for each in connection.execute(query)]


def orders_with_id(connection: Connection, order_id: str) -> list[OrderName]:
    """The orders of an id, one of each source at most."""
    row = ROUTED_ORDER.c
    query = select(row.source, row.order_id).where(row.order_id == order_id).order_by(row.source)
    return [OrderName(each.source, each.order_id) for each in connection.execute(query)]


def find_order(connection: Connection, name: OrderName) -> RoutedOrder | None:
    """One order."""
    return next(iter(read_orders(connection, [name])), None)


def order_summaries(connection: Connection, orders: Sequence[ListedOrder]) -> list[RoutedOrderSummary]:
    """The records of orders in a list, each with how fresh the location is that it waits for, else that has it."""
    fresh = _fresh(connection, {each.waits_for or each.location_id for each in orders})
    return [_summary(RoutedOrderSummary, each, fresh) for each in orders]


def order_record(
    connection: Connection, order: RoutedOrder, location_ids: Collection[str] | None = None
) -> RoutedOrderRecord:
    """The whole record of an order; `location_ids`: what was asked of these locations only."""
    course = order.course
    home = home_of(course)
    waits = next((each for each in order.asks if each.asked.answer is None), None)
    listed = ListedOrder(
        source=order.name.source,
        order_id=order.name.order_id,
        revision=course.revision,
        state=state_of(course).value,
        location_id=None if home is None else home.location_id,
        cancelled=course.cancelled,
        told_at=order.told_at,
        waits_for=course.waits_for,
        since=None if waits is None else waits.asked_at,
    )
    asked = [each for each in order.asks if location_ids is None or each.asked.location_id in location_ids]
    fresh = _fresh(connection, {each.asked.location_id for each in order.asks})
    return _summary(
        RoutedOrderRecord,
        listed,
        fresh,
        asked=[_asked(order, each, fresh) for each in asked],
        told=[_told(each) for each in order.events],
    )


def _fresh(connection: Connection, location_ids: Collection[str | None]) -> dict[str, FreshnessOut]:
    places = {each for each in location_ids if each is not None}
    found = freshness(connection, places) if places else {}
    return {location_id: freshness_out(each) for location_id, each in found.items()}


S = TypeVar("S", bound=RoutedOrderSummary)


def _summary(kind: type[S], order: ListedOrder, fresh: Mapping[str, FreshnessOut], **more: Any) -> S:
    return kind(
        source=order.source,
        order_id=order.order_id,
        revision=order.revision,
        state=RoutedOrderState(order.state),
        location_id=order.location_id,
        cancelled=order.cancelled,
        told_at=moment_text(order.told_at),
        waits_for=order.waits_for,
        since=None if order.since is None else moment_text(order.since),
        freshness=fresh.get(order.waits_for or order.location_id or ""),
        **more,
    )


def _asked(order: RoutedOrder, ask: StoredAsk, fresh: Mapping[str, FreshnessOut]) -> AskedRecord:
    event, answer = order.event(ask.asked.event), ask.asked.answer
    return AskedRecord(
        number=ask.asked.event,
        kind=event.routed.kind,
        event_id=event.event_id,
        location_id=ask.asked.location_id,
        asked_at=moment_text(ask.asked_at),
        outcome=None if answer is None else answer.outcome,
        reason=None if answer is None else answer.reason,
        short=_refused(answer),
        answered_at=None if ask.answered_at is None else moment_text(ask.answered_at),
        reservation_id=None if answer is None else answer.reservation_id,
        freshness=fresh.get(ask.asked.location_id),
    )


def _told(event: StoredEvent) -> ToldRecord:
    return ToldRecord(
        number=event.routed.number,
        kind=event.routed.kind,
        event_id=event.event_id,
        event_source=event.event_source,
        revision=event.routed.revision,
        location_id=event.routed.location_id,
        told_at=moment_text(event.told_at),
        outcome=event.routed.outcome,
        reason=event.reason,
        short=shorts_out(event.short),
        settled_at=None if event.settled_at is None else moment_text(event.settled_at),
    )


def shorts_out(shorts: Sequence[ShortOfItem]) -> list[OrderShort]:
    """The records of what an order lacks."""
    return [
        OrderShort(
            item_id=each.item_id,
            unit=each.unit,
            asked=quantity_json(each.asked),
            available=None if each.available is None else quantity_json(each.available),
        )
        for each in shorts
    ]


def _refused(answer: RecordedOutcome | None) -> list[OrderShort]:
    lines = () if answer is None else answer.refused
    return [
        OrderShort(item_id=each.item_id, unit=each.unit, asked=quantity_json(each.asked), available=None)
        for each in lines
    ]
