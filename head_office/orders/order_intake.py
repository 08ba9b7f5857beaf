"""What other systems tell head office of their orders: each event once, with one answer for ever.

The event, its answer and what is asked of a branch are one transaction. Moments are microseconds UTC. Rules: INTERFACES
A3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Annotated, Any, Final

import msgspec
from sqlalchemy import Connection, func, select, text

from head_office.catalogue.item_names import items_named
from head_office.catalogue.locations import check_locations
from head_office.database.arrays import array
from head_office.database.order_tables import ROUTED_EVENT
from head_office.database.schema import ITEM_UNIT
from head_office.orders.order_advance import SoughtLocation, advance, choose_locations, logged_homes
from head_office.orders.order_course import (
    AskAt,
    ChooseLocation,
    FinalOutcome,
    NobodyHasOrder,
    OrderElsewhere,
    RoutedEvent,
    RoutedOrderState,
    told_step,
)
from head_office.orders.routed_order_rows import open_order, store_orders
from head_office.orders.routed_orders import (
    ASKED,
    OrderName,
    RoutedOrder,
    StoredEvent,
    ToldAnswer,
    ToldContent,
    read_short,
)
from head_office.problems import (
    FUTURE_DATE,
    INVALID_TIME,
    KEY_REUSED,
    ORDER_ELSEWHERE,
    TOO_MANY_OPEN_ORDERS,
    TOO_MANY_ORDER_EVENTS,
    UNKNOWN_ITEM,
    UNKNOWN_TOLD_ORDER,
)
from shared.checked_fields import CheckedId
from shared.events import MAX_QUANTITY, quantity_text
from shared.orders.cloud_events import InboundEvent, tolerant
from shared.orders.order_event_inputs import OrderEvent, OrderEventKind, asked_key_of, order_event_of
from shared.orders.order_instructions import OrderInstructionLine
from shared.orders.order_sources import OrderSource
from shared.runtime.clock import DAY, MINUTE, format_rfc3339
from shared.runtime.problems import invalid_request

AHEAD: Final = 5 * MINUTE
LONGEST_HOLD: Final = 366 * DAY
MOST_EVENTS: Final = 1_000
"""Told events of one order at most: all of them are read with it."""
MOST_OPEN: Final = 100_000
"""Orders of one source at most that wait for a branch."""
MOST_PREFERRED: Final = 1_000


Preferred = Annotated[tuple[CheckedId, ...], msgspec.Meta(max_length=MOST_PREFERRED)]


class PlacementWishes(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What the data of an event may say at head office besides: the location, or those that are preferred."""

    location_id: CheckedId | None = None
    prefer: Preferred = ()


_ANSWERED_UNDER: Final = text("SELECT location_id FROM order_answer WHERE command_key = :key ORDER BY location_id")
_OPEN_ORDERS: Final = text(
    f"""
    SELECT count(*) FROM (
        SELECT FROM routed_order WHERE state = '{RoutedOrderState.ASKED}' AND source = :source LIMIT {MOST_OPEN}
    ) AS waiting
    """
)
# A branch knows the items of the group and its own, never those of another branch.
_UNKNOWN_THERE: Final = text(
    """
    SELECT named.item_id FROM unnest(CAST(:item_ids AS text[])) AS named (item_id)
    WHERE NOT EXISTS (SELECT FROM item WHERE item.item_id = named.item_id) AND NOT EXISTS (
        SELECT FROM item_unit WHERE location_id = :location_id AND item_unit.item_id = named.item_id
    )
    ORDER BY named.item_id LIMIT 1
    """
)
# One event that is sent twice at once is told once. A lock of its own, as its order may be another one's.
_ONCE: Final = text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))")
_encode: Final = msgspec.json.Encoder().encode


def tell(
    connection: Connection,
    teller: OrderSource,
    event: InboundEvent,
    kind: OrderEventKind,
    *,
    now: int,
    heard_within: int,
) -> ToldAnswer:
    """Take an event of an order; what it is answered. `heard_within`: as of `advance`.

    Raises Problem 422 for what cannot be an event, 409 for one that cannot be taken as things stand; then nothing of it
    is kept once the transaction is rolled back.
    """
    told = order_event_of(kind, teller.source, event)
    wishes = _wishes(event)
    key = asked_key_of(teller.source, event)
    digest = sha256(_encode((told.content, wishes.location_id))).digest()
    connection.execute(_ONCE, {"key": key})
    if (before := _told_before(connection, teller.source, key)) is not None:
        if bytes(before.digest) != digest:
            raise KEY_REUSED(
                f"the event {event.id} of {event.source} told something else before",
                hint="Give each event an id of its own, and send one again with the content it had.",
            )
        return ToldAnswer(
            outcome=before.answered, location_id=before.answered_location, short=read_short(before.answered_short)
        )
    _check_moments(told, now)
    named = () if wishes.location_id is None else (wishes.location_id,)
    check_locations(connection, (*named, *wishes.prefer))
    content = ToldContent(
        lines=_lines(connection, told),
        final=told.content.final,
        time=told.time,
        expires_at=told.expires_at,
        reason=told.reason,
        hold_days=teller.hold_days,
        prefer=wishes.prefer,
    )
    order = open_order(connection, OrderName(teller.source, told.content.order_id), now)
    _check_bounds(connection, order)
    advance(connection, [order], now=now, heard_within=heard_within)
    routed = RoutedEvent(
        number=len(order.events) + 1,
        kind=kind,
        revision=told.content.revision,
        location_id=wishes.location_id,
        expires_at=told.expires_at,
    )
    step = _step(connection, order, routed)
    if isinstance(step, AskAt):
        _check_known_there(connection, step.location_id, content.lines or ())
    stored = StoredEvent(
        routed=routed,
        command_key=key,
        event_id=event.id,
        event_source=event.source,
        digest=digest,
        content=content,
        told_at=now,
        answered=None,
    )
    order.events.append(stored)
    order.new_events.add(routed.number)
    _carry_out(connection, order, step, key, now=now, heard_within=heard_within)
    answered = _answer(order, routed.number)
    order.events[-1] = msgspec.structs.replace(order.events[-1], answered=answered)
    store_orders(connection, [order], now)
    return answered


def _wishes(event: InboundEvent) -> PlacementWishes:
    wishes = tolerant(event.data or b"{}", PlacementWishes, "data.")
    if wishes.location_id is not None and wishes.prefer:
        invalid_request("data.prefer", "either location_id names the location, or prefer those that are preferred")
    return wishes


def _told_before(connection: Connection, source: str, key: str) -> Any:
    row = ROUTED_EVENT.c
    columns = (row.digest, row.answered, row.answered_location, row.answered_short)
    return connection.execute(select(*columns).where(row.source == source, row.command_key == key)).one_or_none()


def _check_moments(told: OrderEvent, now: int) -> None:
    if told.time is not None and told.time > now + AHEAD:
        raise FUTURE_DATE(f"time: it is ahead of head office's {format_rfc3339(now)}")
    expires_at = told.expires_at
    if expires_at is not None and not now < expires_at <= now + LONGEST_HOLD:
        message = f"it is not within the 366 days after {format_rfc3339(now)}, head office's time"
        field = "data.expires_at"
        raise INVALID_TIME(f"{field}: {message}", errors=[{"field": field, "message": message}])


def _lines(connection: Connection, told: OrderEvent) -> tuple[OrderInstructionLine, ...] | None:
    """The lines by the group's codes, one an item. Raises Problem 422 `unknown-item`."""
    if told.content.lines is None:
        return None
    named = items_named(connection, {line.item_id for line in told.content.lines})
    sums: dict[str, int] = {}
    for line in told.content.lines:
        item_id = named[line.item_id].item_id
        sums[item_id] = sums.get(item_id, 0) + line.quantity
        if sums[item_id] > MAX_QUANTITY:
            field = f"data.lines[{told.places[line.item_id]}].quantity"
            invalid_request(field, f"the lines of {item_id} come to more than {quantity_text(MAX_QUANTITY)}")
    units = {each.item_id: each.unit for each in named.values() if each.unit is not None}
    units |= _recorded_units(connection, sorted(sums.keys() - units.keys()))
    return tuple(
        OrderInstructionLine(item_id=item_id, quantity=sums[item_id], unit=units[item_id]) for item_id in sorted(sums)
    )


def _recorded_units(connection: Connection, item_ids: Sequence[str]) -> Mapping[str, str]:
    """The units of items that only logs of branches have."""
    if not item_ids:
        return {}
    row = ITEM_UNIT.c
    query = select(row.item_id, row.unit).where(row.item_id == func.any(array(item_ids))).distinct()
    found: dict[str, str] = {}
    for each in connection.execute(query.order_by(row.item_id, row.unit)):
        if found.setdefault(each.item_id, each.unit) != each.unit:
            raise UNKNOWN_ITEM(
                f"branches keep {each.item_id} in {found[each.item_id]} and in {each.unit}: define it for the group",
                item_id=each.item_id,
                nearest=[],
            )
    return found


def _check_known_there(connection: Connection, location_id: str, lines: Sequence[OrderInstructionLine]) -> None:
    """Refuse what the location would never answer, as it waits for a catalogue that has no such item."""
    given = {"item_ids": [line.item_id for line in lines], "location_id": location_id}
    if (item_id := connection.execute(_UNKNOWN_THERE, given).scalar()) is not None:
        raise UNKNOWN_ITEM(
            f"{location_id} does not know {item_id}, which is another branch's own: define it for the group",
            item_id=item_id,
            nearest=[],
        )


def _check_bounds(connection: Connection, order: RoutedOrder) -> None:
    if len(order.events) >= MOST_EVENTS:
        raise TOO_MANY_ORDER_EVENTS(f"{MOST_EVENTS} events were told of the order {order.name.order_id}")
    source = order.name.source
    if not order.events and connection.execute(_OPEN_ORDERS, {"source": source}).scalar_one() >= MOST_OPEN:
        raise TOO_MANY_OPEN_ORDERS(f"{MOST_OPEN} orders of {source} wait for a branch")


def _step(connection: Connection, order: RoutedOrder, routed: RoutedEvent) -> AskAt | ChooseLocation | FinalOutcome:
    logged = logged_homes(connection, [order.name]).get(order.name)
    try:
        return told_step(order.course, routed, logged=logged)
    except OrderElsewhere as error:
        raise ORDER_ELSEWHERE(
            f"the order {order.name.order_id} of {order.name.source} is at {error.location_id}",
            location_id=error.location_id,
        ) from error
    except NobodyHasOrder as error:
        raise UNKNOWN_TOLD_ORDER(
            f"no location was asked for the order {order.name.order_id} of {order.name.source}"
        ) from error


def _carry_out(
    connection: Connection,
    order: RoutedOrder,
    step: AskAt | ChooseLocation | FinalOutcome,
    key: str,
    *,
    now: int,
    heard_within: int,
) -> None:
    number = order.events[-1].routed.number
    if isinstance(step, FinalOutcome):
        order.settle(step, now)
        return
    # Logs may have answered this very event: a head office restored from a backup forgot that it asked.
    before = list(connection.execute(_ANSWERED_UNDER, {"key": key}).scalars())
    if isinstance(step, AskAt):
        for place in before:
            if place != step.location_id:
                order.ask(number, place, now, aside=True)
        order.ask(number, step.location_id, now, aside=step.aside)
    elif before:
        for place in before:
            order.ask(number, place, now)
    else:
        choose_locations(connection, [SoughtLocation(order, step)], now=now, heard_within=heard_within)
        return
    if before:
        advance(connection, [order], now=now, heard_within=heard_within)


def _answer(order: RoutedOrder, number: int) -> ToldAnswer:
    asked = [each.asked.location_id for each in order.asks if each.asked.event == number]
    if asked:
        return ToldAnswer(outcome=ASKED, location_id=asked[-1])
    event = order.event(number)
    if event.routed.outcome is None:
        raise LookupError(f"the event {event.event_id} was neither asked for nor settled")
    return ToldAnswer(outcome=event.routed.outcome.value, short=event.short)
