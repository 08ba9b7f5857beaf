"""Routed orders in the database: read under their locks, and written with what is asked of branches.

Works inside the transaction of the Connection it is given. Locks are taken in one order everywhere: orders by source
and id, then the numbers of locations by id.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, text

from head_office.database.location_numbers import take_numbers
from head_office.database.office_schema import INSTRUCTIONS_CHANNEL
from head_office.database.order_tables import ORDER_INSTRUCTION_HEAD
from head_office.orders.order_course import AskedLocation, RoutedEvent, home_of, state_of
from head_office.orders.routed_orders import (
    OrderName,
    RoutedOrder,
    StoredAsk,
    StoredEvent,
    ToldAnswer,
    ToldContent,
    read_short,
)
from shared.orders.order_event_inputs import OrderEventKind
from shared.orders.order_outcomes import OrderOutcome, RecordedOutcome

_NAMES: Final = "unnest(CAST(:sources AS text[]), CAST(:order_ids AS text[])) AS named (source, order_id)"
_LOCK: Final = text(
    f"""
    SELECT routed_order.source, routed_order.order_id, told_at FROM routed_order JOIN {_NAMES} USING (source, order_id)
    ORDER BY source, order_id FOR UPDATE OF routed_order
    """
)
_READ: Final = text(f"SELECT source, order_id, told_at FROM routed_order JOIN {_NAMES} USING (source, order_id)")
_EVENTS: Final = text(
    f"SELECT routed_event.* FROM routed_event JOIN {_NAMES} USING (source, order_id) ORDER BY source, order_id, number"
)
_ASKS: Final = text(
    f"""
    SELECT source, order_id, event_number, location_id, number, aside, asked_at, answer, answered_at
    FROM order_instruction JOIN {_NAMES} USING (source, order_id) ORDER BY source, order_id, step
    """
)
_OPEN: Final = text(
    """
    INSERT INTO routed_order (source, order_id, revision, state, cancelled, told_at, changed_at)
    VALUES (:source, :order_id, 0, 'ASKED', false, :now, :now) ON CONFLICT (source, order_id) DO NOTHING
    """
)
_encode: Final = msgspec.json.Encoder().encode
_content: Final = msgspec.json.Decoder(ToldContent).decode
_answer: Final = msgspec.json.Decoder(RecordedOutcome).decode


def lock_orders(connection: Connection, names: Collection[OrderName]) -> list[RoutedOrder]:
    """The orders of these names, held until the transaction ends, in their order."""
    return _orders(connection, names, _LOCK)


def read_orders(connection: Connection, names: Collection[OrderName]) -> list[RoutedOrder]:
    """The orders of these names, as `lock_orders`, without their locks."""
    return _orders(connection, names, _READ)


def open_order(connection: Connection, name: OrderName, now: int) -> RoutedOrder:
    """The order of a name, held until the transaction ends; a new one where there is none."""
    connection.execute(_OPEN, {**name._asdict(), "now": now})
    (order,) = lock_orders(connection, [name])
    return order


def _orders(connection: Connection, names: Collection[OrderName], statement: Any) -> list[RoutedOrder]:
    wanted = sorted(set(names))
    given = {"sources": [each.source for each in wanted], "order_ids": [each.order_id for each in wanted]}
    rows = connection.execute(statement, given).all()
    found = {
        OrderName(row.source, row.order_id): RoutedOrder(OrderName(row.source, row.order_id), row.told_at)
        for row in rows
    }
    for row in connection.execute(_EVENTS, given):
        found[OrderName(row.source, row.order_id)].events.append(_event_of(row))
    for row in connection.execute(_ASKS, given):
        found[OrderName(row.source, row.order_id)].asks.append(_ask_of(row))
    return [found[name] for name in sorted(found)]


def _event_of(row: Row[Any]) -> StoredEvent:
    content = _content(row.body)
    return StoredEvent(
        routed=RoutedEvent(
            number=row.number,
            kind=OrderEventKind(row.kind),
            revision=row.revision,
            location_id=row.location_id,
            expires_at=content.expires_at,
            outcome=None if row.outcome is None else OrderOutcome(row.outcome),
        ),
        command_key=row.command_key,
        event_id=row.event_id,
        event_source=row.event_source,
        digest=bytes(row.digest),
        content=content,
        told_at=row.told_at,
        answered=ToldAnswer(
            outcome=row.answered, location_id=row.answered_location, short=read_short(row.answered_short)
        ),
        reason=row.reason,
        short=read_short(row.short),
        settled_at=row.settled_at,
    )


def _ask_of(row: Row[Any]) -> StoredAsk:
    answer = None if row.answer is None else _answer(row.answer)
    asked = AskedLocation(event=row.event_number, location_id=row.location_id, aside=row.aside, answer=answer)
    return StoredAsk(asked=asked, number=row.number, asked_at=row.asked_at, answered_at=row.answered_at)


_STORE_ORDERS: Final = text(
    """
    UPDATE routed_order SET revision = given.revision, state = given.state, location_id = given.location_id,
        cancelled = given.cancelled, changed_at = :now
    FROM unnest(CAST(:source AS text[]), CAST(:order_id AS text[]), CAST(:revision AS bigint[]),
        CAST(:state AS text[]), CAST(:location_id AS text[]), CAST(:cancelled AS boolean[]))
        AS given (source, order_id, revision, state, location_id, cancelled)
    WHERE routed_order.source = given.source AND routed_order.order_id = given.order_id
    """
)
_EVENT_TYPES: Final = {
    "source": "text", "order_id": "text", "number": "integer", "command_key": "text", "event_id": "text",
    "event_source": "text", "kind": "text", "revision": "bigint", "location_id": "text", "digest": "bytea",
    "body": "bytea", "told_at": "bigint", "answered": "text", "answered_location": "text", "answered_short": "bytea",
    "outcome": "text", "reason": "text", "short": "bytea", "settled_at": "bigint",
}  # fmt: skip
_ASK_TYPES: Final = {
    "location_id": "text", "number": "bigint", "command_key": "text", "source": "text", "order_id": "text",
    "event_number": "integer", "step": "integer", "aside": "boolean", "body": "bytea", "asked_at": "bigint",
}  # fmt: skip


def _insert(table: str, types: Mapping[str, str]) -> str:
    arrays = ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in types.items())
    return f"INSERT INTO {table} ({', '.join(types)}) SELECT * FROM unnest({arrays})"


_STORE_EVENTS: Final = text(_insert("routed_event", _EVENT_TYPES))
_SETTLE: Final = text(
    """
    UPDATE routed_event SET outcome = given.outcome, reason = given.reason, short = given.short, settled_at = :now
    FROM unnest(CAST(:source AS text[]), CAST(:order_id AS text[]), CAST(:number AS integer[]),
        CAST(:outcome AS text[]), CAST(:reason AS text[]), CAST(:short AS bytea[]))
        AS given (source, order_id, number, outcome, reason, short)
    WHERE routed_event.source = given.source AND routed_event.order_id = given.order_id
        AND routed_event.number = given.number
    """
)
_ANSWER: Final = text(
    """
    UPDATE order_instruction SET answer = given.answer, answered_at = :now
    FROM unnest(CAST(:location_id AS text[]), CAST(:number AS bigint[]), CAST(:answer AS bytea[]))
        AS given (location_id, number, answer)
    WHERE order_instruction.location_id = given.location_id AND order_instruction.number = given.number
    """
)
_STORE_ASKS: Final = text(
    f"""
    WITH stored AS ({_insert("order_instruction", _ASK_TYPES)})
    SELECT pg_notify('{INSTRUCTIONS_CHANNEL}', location_id)
    FROM unnest(CAST(:changed AS text[])) AS changed (location_id)
    """
)


def store_orders(connection: Connection, orders: Iterable[RoutedOrder], now: int) -> None:
    """Write all that is new or changed of orders that are held, in a few statements whatever their number."""
    changed = list(orders)
    events: list[dict[str, Any]] = []
    settled: list[dict[str, Any]] = []
    asks: list[tuple[RoutedOrder, int]] = []
    for order in changed:
        events += [_event_row(order, order.event(number)) for number in sorted(order.new_events)]
        settled += [_settled_row(order, order.event(number)) for number in sorted(order.settled - order.new_events)]
        asks += [(order, place) for place, ask in enumerate(order.asks) if not ask.number]
    if changed:
        connection.execute(_STORE_ORDERS, {**_columns([_order_row(each) for each in changed]), "now": now})
    if events:
        connection.execute(_STORE_EVENTS, _columns(events))
    if settled:
        connection.execute(_SETTLE, {**_columns(settled), "now": now})
    if asks:
        _store_asks(connection, asks)
    answers = [_answer_row(order.asks[place]) for order in changed for place in sorted(order.answered)]
    if answers:
        connection.execute(_ANSWER, {**_columns(answers), "now": now})


def _store_asks(connection: Connection, asks: Sequence[tuple[RoutedOrder, int]]) -> None:
    locations = [order.asks[place].asked.location_id for order, place in asks]
    numbers = take_numbers(connection, ORDER_INSTRUCTION_HEAD, locations)
    rows: list[dict[str, Any]] = []
    for (order, place), location_id, number in zip(asks, locations, numbers, strict=True):
        ask = order.asks[place]
        order.asks[place] = msgspec.structs.replace(ask, number=number)
        instruction = order.instruction(ask)
        rows.append(
            {
                "location_id": location_id,
                "number": number,
                "command_key": instruction.key,
                **order.name._asdict(),
                "event_number": ask.asked.event,
                "step": place + 1,
                "aside": ask.asked.aside,
                "body": _encode(instruction),
                "asked_at": ask.asked_at,
            }
        )
    connection.execute(_STORE_ASKS, {**_columns(rows), "changed": sorted(set(locations))})


def _order_row(order: RoutedOrder) -> dict[str, Any]:
    course = order.course
    home = home_of(course)
    return {
        **order.name._asdict(),
        "revision": course.revision,
        "state": state_of(course).value,
        "location_id": None if home is None else home.location_id,
        "cancelled": course.cancelled,
    }


def _event_row(order: RoutedOrder, event: StoredEvent) -> dict[str, Any]:
    answered = event.answered
    if answered is None:
        raise ValueError(f"event {event.event_id} of {event.event_source} was not answered")
    return {
        **_settled_row(order, event),
        "command_key": event.command_key,
        "event_id": event.event_id,
        "event_source": event.event_source,
        "kind": event.routed.kind.value,
        "revision": event.routed.revision,
        "location_id": event.routed.location_id,
        "digest": event.digest,
        "body": _encode(event.content),
        "told_at": event.told_at,
        "answered": answered.outcome,
        "answered_location": answered.location_id,
        "answered_short": _encode(answered.short) if answered.short else None,
        "settled_at": event.settled_at,
    }


def _settled_row(order: RoutedOrder, event: StoredEvent) -> dict[str, Any]:
    outcome = event.routed.outcome
    return {
        **order.name._asdict(),
        "number": event.routed.number,
        "outcome": None if outcome is None else outcome.value,
        "reason": event.reason,
        "short": _encode(event.short) if event.short else None,
    }


def _answer_row(ask: StoredAsk) -> dict[str, Any]:
    return {"location_id": ask.asked.location_id, "number": ask.number, "answer": _encode(ask.asked.answer)}


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}
