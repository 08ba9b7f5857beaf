"""Verification of the rows of orders, recorded and told, against the fold of the log.

Works on the snapshot of the Connection it is given and reads only. No column of the log names an order, so the log is
read once for each part of the orders; a part holds so few that memory is bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final
from zlib import crc32

import msgspec
from sqlalchemy import Connection, Table, func, select

from branch_node.database.inbound.inbound_order_rows import inbound_order_of
from branch_node.database.lookups import order_state_of
from branch_node.database.reservation_rows import OrderKey
from branch_node.database.schema import INBOUND_ORDER, LOG, SALE_ORDER
from branch_node.database.verification import VerificationFinding
from branch_node.model import OrderState
from branch_node.order_states import OrderFold, advance_order, order_of_event
from shared.chain import understand
from shared.events import Event, EventNotUnderstood
from shared.orders.inbound_orders import (
    INBOUND_KEYS,
    REDATING_KEYS,
    InboundOrder,
    NotOfAnInboundOrder,
    told_by,
    told_order_of,
)

PAGE: Final = 2_000
AT_ONCE: Final = 500
MOST_ORDERS: Final = 20_000
"""About how many orders are folded at a time, in one reading of the log."""

_SIGNS: Final = (b'"reference":', REDATING_KEYS.encode(), INBOUND_KEYS.encode())
"""One of these is in every line that says anything of an order, and in the first one of its command."""

Advance = Callable[[int], None]
"""Called with the number of further events that were read."""


class TooManyOrders(Exception):
    """A part has more orders than are folded at a time: rows are missing, by which the parts were made."""


def parts_of_orders(connection: Connection) -> int:
    """How often the log is to be read, about."""
    rows = sum(
        connection.execute(select(func.count()).select_from(each)).scalar_one() for each in (SALE_ORDER, INBOUND_ORDER)
    )
    return 1 + int(rows) // MOST_ORDERS


def verify_orders(connection: Connection, advance: Advance) -> list[VerificationFinding]:
    """Find the orders whose rows are not what the events of the log make."""
    parts = parts_of_orders(connection)
    while True:
        try:
            return [each for part in range(parts) for each in _verify_part(connection, part, parts, advance)]
        except TooManyOrders:
            parts *= 2


def _verify_part(connection: Connection, part: int, parts: int, advance: Advance) -> Iterator[VerificationFinding]:
    orders = _OrdersOfALog(part, parts)
    for events in _commands(connection, advance):
        orders.take(events)
    voided = _voided(connection, [each for fold in orders.recorded.values() for each in fold.state.sequences])
    recorded = {order: fold.state_without(voided) for order, fold in orders.recorded.items()}
    yield from _compared(connection, SALE_ORDER, order_state_of, recorded, orders.is_here)
    yield from _compared(connection, INBOUND_ORDER, inbound_order_of, orders.told, orders.is_here)
    yield from orders.broken


class _OrdersOfALog:
    """The orders of one part, as the commands of the log make them."""

    def __init__(self, part: int, parts: int) -> None:
        self.recorded: dict[OrderKey, OrderFold] = {}
        self.told: dict[OrderKey, InboundOrder] = {}
        self.broken: list[VerificationFinding] = []
        self._part, self._parts = part, parts

    def is_here(self, order: OrderKey) -> bool:
        """Whether an order is of this part."""
        return crc32("\0".join(order).encode()) % self._parts == self._part

    def take(self, events: list[Event]) -> None:
        """Take in one command. Raises TooManyOrders."""
        for event in events:
            order = order_of_event(event)
            if order is not None and self.is_here(order):
                self.recorded[order] = advance_order(self.recorded.get(order), event)
        order = told_order_of(events)
        if order is not None and self.is_here(order):
            try:
                after = told_by(self.told.get(order), events)
            except NotOfAnInboundOrder as error:
                self.broken.append(VerificationFinding(what=str(error), sequence=events[0].sequence))
            else:
                self.told |= {} if after is None else {order: after}
        if len(self.recorded) + len(self.told) > 2 * MOST_ORDERS and self._parts < MOST_ORDERS:
            raise TooManyOrders


def _commands(connection: Connection, advance: Advance) -> Iterator[list[Event]]:
    """The commands of the log that refer to anything, in order; what is no event is left out: the chain tells."""
    after, command = 0, list[Event]()
    while page := _page(connection, after):
        after = page[-1][0]
        for sequence, line in page:
            # Decoding takes most of the time: what refers to nothing is passed over.
            if isinstance(line, str) or not (command or any(sign in bytes(line) for sign in _SIGNS)):
                continue
            try:
                found = understand(bytes(line))
            except EventNotUnderstood:
                continue
            if command and (found.line == 1 or sequence != command[-1].sequence + 1):
                yield command
                command = []
            command.append(found)
            if found.line == found.lines:
                yield command
                command = []
        advance(len(page))
    if command:
        yield command


def _page(connection: Connection, after: int) -> Sequence[Any]:
    event = LOG.event.c
    query = select(event.sequence, event.line).where(event.sequence > after).order_by(event.sequence).limit(PAGE)
    return connection.execute(query).all()


def _voided(connection: Connection, sequences: Sequence[int]) -> dict[int, int]:
    """Which event voided each of these: sequence -> sequence of the void."""
    voided, found = LOG.voided.c, dict[int, int]()
    for first in range(0, len(sequences), AT_ONCE):
        some = voided.sequence.in_(list(sequences[first : first + AT_ONCE]))
        rows = connection.execute(select(voided.sequence, voided.by_sequence).where(some))
        found.update((row.sequence, row.by_sequence) for row in rows)
    return found


def _compared(
    connection: Connection,
    table: Table,
    read: Callable[[Any], OrderState | InboundOrder],
    folded: dict[OrderKey, Any],
    is_here: Callable[[OrderKey], bool],
) -> Iterator[VerificationFinding]:
    """The orders of a table that are not as folded; `folded` is empty afterwards."""
    after: OrderKey = ("", "")
    while rows := _rows(connection, table, after):
        after = (rows[-1].order_id, rows[-1].source)
        for row in rows:
            order = (row.order_id, row.source)
            if is_here(order):
                expected = folded.pop(order, None)
                try:
                    kept = read(row)
                except msgspec.DecodeError:
                    yield _finding(table, order, "sequences that are no list", expected)
                    continue
                if kept != expected:
                    yield _finding(table, order, _text(kept), expected)
    for order, expected in sorted(folded.items()):
        yield _finding(table, order, "none", expected)
    folded.clear()


def _rows(connection: Connection, table: Table, after: OrderKey) -> Sequence[Any]:
    row = table.c
    beyond = (row.order_id > after[0]) | ((row.order_id == after[0]) & (row.source > after[1]))
    return connection.execute(select(table).where(beyond).order_by(row.order_id, row.source).limit(AT_ONCE)).all()


def _finding(table: Table, order: OrderKey, recorded: str, expected: Any) -> VerificationFinding:
    told = " as it was told of" if table is INBOUND_ORDER else ""
    what = f"the order {order[0]} of {order[1]}{told} is not what the log says"
    return VerificationFinding(what=what, recorded=recorded, computed=_text(expected))


def _text(state: OrderState | InboundOrder | None) -> str:
    """What is compared of an order, as text."""
    if state is None:
        return "none"
    fields = {name: each for name, each in msgspec.structs.asdict(state).items() if name not in {"order_id", "source"}}
    return ", ".join(f"{name} {list(each) if isinstance(each, tuple) else each}" for name, each in fields.items())
